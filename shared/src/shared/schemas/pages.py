"""Collections and batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

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


@dataclass(frozen=True, slots=True)
class Newest:
    """Rows that belong to `of`, newest first (created_at, then id, both descending), after the place `after`,
    `limit` at most."""

    of: UUID
    after: tuple[datetime, UUID] | None
    limit: int
