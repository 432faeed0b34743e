"""What a route may answer, said once beside it: FastAPI reads the success, the API description the rest."""

from dataclasses import dataclass
from typing import Any

from shared.http.problems import Slug

EVERYWHERE: tuple[Slug, ...] = ("validation", "overloaded", "timeout", "internal")
OF_BODIES: tuple[Slug, ...] = ("malformed-json", "payload-too-large", "unsupported-media-type")
OF_CONDITIONS: tuple[Slug, ...] = ("precondition-failed", "precondition-required")

_SUCCESS = {200: "OK", 201: "Created", 204: "Done"}


@dataclass(frozen=True, slots=True)
class Answers:
    """`status` and `model` of the one success; `problems` beside those that every route may answer. `tagged`:
    the success carries an ETag. `conditional`: the route wants If-Match. `merge_patch`: it takes RFC 7396."""

    status: int
    model: Any
    problems: tuple[Slug, ...] = ()
    tagged: bool = False
    conditional: bool = False
    merge_patch: bool = False

    def success(self) -> dict[int | str, dict[str, Any]]:
        described: dict[str, Any] = {"description": _SUCCESS[self.status]}
        if self.model is not None:
            described["model"] = self.model
        names = ("ETag", "Location") if self.status == 201 else ("ETag",)
        if self.tagged:
            described["headers"] = {name: {"schema": {"type": "string"}} for name in names}
        return {self.status: described}
