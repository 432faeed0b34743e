"""Collections and batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """`next_cursor` is null exactly when no row follows."""

    items: list[Item]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item]):
    """The created rows in the order sent."""

    items: Sequence[Item]
