"""Entries of the change feed."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.schemas.times import Time

Topic = Literal["users", "documents"]
EventType = Literal[
    "user.created",
    "user.updated",
    "user.deleted",
    "document.created",
    "document.updated",
    "document.deleted",
]


@dataclass(frozen=True, slots=True)
class Event:
    """What a subscriber gets. `id` is where the feed goes on after it."""

    id: str
    type: EventType
    resource_id: UUID
    owner_id: UUID
    version: int
    at: Time


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An entry as a layer reads it. Positions are texts that sort as the entries do; `previous_owner_id` is
    there where a document changed hands."""

    position: str
    type: EventType
    resource_id: UUID
    owner_id: UUID
    previous_owner_id: UUID | None
    version: int
    at: Time

    @property
    def topic(self) -> Topic:
        return "users" if self.type.startswith("user.") else "documents"
