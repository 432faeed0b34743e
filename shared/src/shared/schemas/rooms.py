"""Rooms as they are stored: clients, and what was said where."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

TOLD_GONE: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When a client expired of which one of its rooms was told that it left: nobody can renew it any more."""


@dataclass(frozen=True, slots=True)
class Client:
    """A WebSocket connection of any process, and the rooms that it is in."""

    id: UUID
    name: str
    rooms: list[str]


@dataclass(frozen=True, slots=True)
class Post:
    """One entry of a room's log. `place` counts all entries of the room from 1, `seq` the messages among
    them (None for another entry). `frame` is the JSON text that members get, but for its `seq`."""

    room: str
    place: int
    seq: int | None
    frame: str


def inbox(client_id: UUID) -> str:
    """The room that only this client reads; no name that a client may choose.

    >>> inbox(UUID(int=7))
    '@00000000-0000-0000-0000-000000000007'
    """
    return f"@{client_id}"
