"""What a route may answer, said once beside it: FastAPI reads the success, the API description the rest."""

from dataclasses import dataclass
from typing import Any

from shared.http.problems import Slug

EVERYWHERE: tuple[Slug, ...] = ("validation", "overloaded", "timeout", "internal")
OF_BODIES: tuple[Slug, ...] = ("malformed-json", "payload-too-large", "unsupported-media-type")
OF_ACCESS: tuple[Slug, ...] = ("unauthorized", "forbidden")
OF_KEYS: tuple[Slug, ...] = ("conflict",)
OF_CONDITIONS: tuple[Slug, ...] = ("precondition-failed", "precondition-required")

_SUCCESS = {200: "OK", 201: "Created", 202: "Accepted", 204: "Done"}


@dataclass(frozen=True, slots=True)
class Answers:
    """`status` and `model` of the one success; `problems` beside those that every route may answer. `tagged`:
    the success carries an ETag. `conditional`: the route wants If-Match. `merge_patch`: it takes RFC 7396.
    `keyed`: it takes an Idempotency-Key. `media_types`: of a success that is no JSON."""

    status: int
    model: Any
    problems: tuple[Slug, ...] = ()
    tagged: bool = False
    conditional: bool = False
    merge_patch: bool = False
    keyed: bool = False
    has_head: bool = True
    media_types: tuple[str, ...] = ()

    @property
    def is_described(self) -> bool:
        """Whether the route is a part of the API, and not only of the service that runs it."""
        return self.model is not None or self.status == 204 or bool(self.media_types)

    def success(self) -> dict[int | str, dict[str, Any]]:
        described: dict[str, Any] = {"description": _SUCCESS[self.status]}
        if self.model is not None:
            described["model"] = self.model
        if self.media_types:
            schema = {"type": "string"}
            described["content"] = {media_type: {"schema": schema} for media_type in self.media_types}
        names = ("ETag", "Location") if self.status == 201 else ("ETag",)
        if self.tagged:
            described["headers"] = {name: {"schema": {"type": "string"}} for name in names}
        if "range-not-satisfiable" in self.problems:
            return {self.status: described, 206: {**described, "description": "A part of it"}}
        return {self.status: described}
