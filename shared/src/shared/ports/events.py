"""The change feed (EVT), and what a process hears of the others.

Positions are texts that sort as the entries do: an entry that commits later has a greater one than every
entry that anybody has read before. Entries of one resource come in the order of its versions.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post


class Events(Protocol):
    async def head(self) -> str:
        """The position that everything lies beyond which commits from now on. One round trip. EVT-1"""

    async def pending(self, position: str) -> frozenset[str]:
        """The positions after a head of what has committed already, but cannot be read before older
        transactions have ended. One round trip; none where a head has all of that before it. EVT-1"""

    async def after(self, position: str, limit: int) -> Sequence[EventRecord]:
        """The entries after the position, in order, `limit` at most; fewer only where no more can be read
        yet. Raises PositionLost where entries after it may be gone or it is none of this log's. EVT-3"""

    def follow(self, position: str) -> AsyncGenerator[Sequence[EventRecord | Post], None]:
        """Entries after the position and posts of all rooms, in sets as they commit, for ever. The first set
        is empty: it says that from now on everything is heard. One connection (or driver thread) of its own,
        given back when the generator is closed. Many wake-ups make one read. Posts of the time before, and
        those that a lost connection swallowed, are for the reader of the rooms' logs to fetch. Raises
        Unavailable, TimedOut where the connection is lost; PositionLost as `after`. EVT-2, WS-5"""

    async def announce(self) -> None:
        """Wakes those who follow, in all processes: something may have been committed. Nothing where the
        database wakes them itself. EVT-2"""
