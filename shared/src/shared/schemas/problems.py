"""Errors as clients see them: problem details, RFC 9457."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """`loc` leads to the field, `body`, `query` or `path` first."""

    loc: list[str | int]
    msg: str
    type: str


@dataclass(frozen=True, slots=True)
class Problem:
    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] | None = None
