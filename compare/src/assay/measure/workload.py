"""Workloads of the user's own: what a TOML file says, as one scenario.

The mixes of YCSB are in `examples/` (B. F. Cooper et al., Benchmarking cloud serving systems with YCSB, SoCC
2010).
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from assay.measure.dataset import DOCUMENTS, LANES, LEAST_CONTENT_BYTES, USERS
from assay.measure.mix import UPDATES, WRITES, Mix, shape
from assay.measure.scenarios import Scenario
from assay.stand import StandError

YCSB_THETA = 0.99
MOST_CONTENT_BYTES = 1_048_576

Kind = Literal[
    "users.get",
    "users.create",
    "documents.get",
    "documents.list",
    "documents.list-filtered",
    "documents.scan",
    "documents.patch",
    "documents.create",
    "read-modify-write",
]
"""`documents.list` are the newest 50 of a busy owner, `documents.scan` his first 1 to 100;
`read-modify-write` is a GET, and a PATCH that follows from its answer."""

_OPERATIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "users.get": ("users.get", ("USR-3",)),
    "users.create": ("users.create", ("USR-1",)),
    "documents.get": ("documents.get", ("DOC-2",)),
    "documents.list": ("documents.list", ("DOC-6", "GEN-9")),
    "documents.list-filtered": ("documents.list", ("DOC-6",)),
    "documents.scan": ("documents.list", ("DOC-6", "GEN-9")),
    "documents.patch": ("documents.update", ("DOC-3", "GEN-10")),
    "documents.create": ("documents.create", ("DOC-1",)),
    "read-modify-write": ("documents.update", ("DOC-2", "DOC-3", "GEN-10")),
}
"""The port's method and the clauses of each kind."""


def _range(given: Any) -> Any:
    return (given, given) if isinstance(given, int) else tuple(given) if isinstance(given, list) else given


_Bytes = Annotated[int, Field(ge=LEAST_CONTENT_BYTES, le=MOST_CONTENT_BYTES)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Sizes(_Section):
    """What every arm is seeded with. `content_bytes` of a document, as compact JSON: one size, or the least
    and the largest; about 300 where it is left out."""

    users: int = Field(USERS, ge=1_000, le=10_000_000)
    documents: int = Field(DOCUMENTS, ge=1_000, le=10_000_000)
    content_bytes: Annotated[tuple[_Bytes, _Bytes] | None, BeforeValidator(_range)] = None

    @model_validator(mode="after")
    def _in_order(self) -> "Sizes":
        if self.content_bytes is not None and self.content_bytes[0] > self.content_bytes[1]:
            raise ValueError("content_bytes must be [least, largest]")
        return self


class Keys(_Section):
    """Which rows are asked for: all alike, some hot (Zipf), or the newest the hottest."""

    skew: Literal["uniform", "zipf", "latest"] = "uniform"
    theta: float | None = Field(None, gt=0, le=10)

    @model_validator(mode="after")
    def _has_use(self) -> "Keys":
        if self.theta is not None and self.skew == "uniform":
            raise ValueError('theta is for skew = "zipf" or "latest"')
        return self

    @property
    def exponent(self) -> float:
        """0 makes all rows alike."""
        return 0.0 if self.skew == "uniform" else self.theta or YCSB_THETA


class Load(_Section):
    """The closed loop: each connection sends its next request `think_ms` after the answer."""

    connections: int = Field(16, ge=1, le=256)
    think_ms: float = Field(0.0, ge=0, le=1_000)


class Operation(_Section):
    kind: Kind
    weight: float = Field(gt=0, le=1_000_000)


class Workload(_Section):
    name: str = Field(pattern="^[a-z0-9][a-z0-9_-]{0,39}$")
    title: str = Field(min_length=1, max_length=100)
    rows: Sizes = Sizes()
    keys: Keys = Keys()
    load: Load = Load()
    operation: list[Operation] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> "Workload":
        kinds = [operation.kind for operation in self.operation]
        if len(set(kinds)) < len(kinds):
            raise ValueError("every kind of operation may stand there once")
        least = 4 * LANES * self.load.connections
        if UPDATES & set(kinds) and self.rows.documents < least:
            raise ValueError(
                f"rows.documents must be {least} at least, so that {self.load.connections} connections "
                "find a row to update"
            )
        return self

    def scenario(self) -> Scenario:
        weights: dict[str, float] = {operation.kind: operation.weight for operation in self.operation}
        writes = bool(WRITES & weights.keys())
        mix = Mix(
            weights,
            self.keys.exponent,
            latest=self.keys.skew == "latest",
            connections=self.load.connections,
            content_bytes=self.rows.content_bytes,
        )
        clauses = dict.fromkeys(clause for kind in weights for clause in _OPERATIONS[kind][1])
        return Scenario(
            f"workload {self.name}",
            self.title,
            _OPERATIONS[max(weights, key=lambda kind: weights[kind])][0],
            tuple(clauses),
            mix.requests,
            connections=self.load.connections,
            writes=writes,
            look=shape if writes else None,
            think_ms=self.load.think_ms,
        )


def load(file: Path) -> Workload:
    """StandError, one line with the file and the key, where it is no workload."""
    try:
        with file.open("rb") as opened:
            return Workload.model_validate(tomllib.load(opened))
    except OSError as error:
        raise StandError(f"{file}: cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StandError(f"{file}: is no TOML: {error}.") from None
    except ValidationError as error:
        raise StandError(f"{file}: {_told(error)}.") from None


def _told(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = first["loc"]
    key = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    if first["type"] == "extra_forbidden":
        return f"{key}: there is no such key; write {_keys_beside(place)}"
    if first["type"] == "missing":
        return f"{key}: is missing"
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if first["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: {message}, not {first['input']!r}"


def _keys_beside(place: tuple[int | str, ...]) -> str:
    sections: Mapping[str | int, type[BaseModel]] = {
        "rows": Sizes,
        "keys": Keys,
        "load": Load,
        "operation": Operation,
    }
    section = sections[place[0]] if len(place) > 1 else Workload
    return ", ".join(section.model_fields)
