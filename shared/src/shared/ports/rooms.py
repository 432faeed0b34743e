"""Rooms that span the processes of a backend: who is connected, and each room's log (WS)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from shared.schemas.rooms import Client, Post


class Rooms(Protocol):
    async def arrive(self, client: Client, until: datetime) -> None:
        """Makes a client known to all processes, for as long as its process renews it. WS-3"""

    async def renew(self, client_ids: Sequence[UUID], until: datetime) -> Sequence[UUID]:
        """Keeps the clients known until then; answers those that still were: none of which a room was told
        that it left. WS-3, WS-5"""

    async def move(self, client_id: UUID, rooms: Sequence[str]) -> None:
        """Notes the rooms that the client is in. WS-3"""

    async def depart(self, client_id: UUID) -> None:
        """Forgets the client. WS-3"""

    async def expire(self, moment: datetime, farewell: Callable[[Client, str], str]) -> bool:
        """One step with one client that nobody renewed in time: posts its farewell to one of its rooms, which
        it is in no more, or forgets it if it is in none. Whole or not at all; each step is one caller's only.
        False where there is no such client. WS-3"""

    async def post(self, room: str, frame: str, moment: datetime, *, counted: bool) -> int:
        """Appends to the room's log and tells all processes; a `counted` one is a message and gets the room's
        next `seq`. Answers its place. Atomic: places and seqs have no gaps and grow as posts commit. WS-3,
        WS-5"""

    async def direct(self, client_id: UUID, frame: str, moment: datetime) -> bool:
        """Posts to the client's inbox; False where nobody knows the client at that moment. WS-3"""

    async def after(self, room: str, place: int) -> Sequence[Post]:
        """The room's posts after the place, in order. WS-5"""
