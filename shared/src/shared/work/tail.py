"""The end of the log and of the rooms' logs, followed on one connection for a whole process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from contextvars import Context
from typing import Protocol

from shared.errors import PositionLost, TimedOut, Unavailable
from shared.ports.events import Events
from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds between tries to reach a database that is away."""

_log = logging.getLogger("assay.feed")


class Hearer(Protocol):
    def connected(self) -> None:
        """From now on everything is heard; posts may have been missed before."""

    def lost(self, head: str) -> None:
        """Entries may have been missed before this position, where the tail goes on."""

    async def take(self, entries: Sequence[EventRecord | Post]) -> None:
        """What is new, in order."""


class Tail:
    """Runs while somebody needs it. Where the connection is lost it goes on from the last position."""

    def __init__(self, events: Events, hearer: Hearer) -> None:
        self.is_connected = False
        self._events = events
        self._hearer = hearer
        self._needed_by = 0
        self._running: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Future[None]] = set()
        self._hurried = asyncio.Event()

    @property
    def is_lost(self) -> bool:
        return self._needed_by > 0 and not self.is_connected

    @asynccontextmanager
    async def needed(self) -> AsyncIterator[None]:
        """Connected when entered. Raises Unavailable."""
        self._needed_by += 1
        if self._running is None:
            # in the context of the request that came first it would count its round trips as that one's
            self._running = asyncio.create_task(self._run(), context=Context())
        try:
            if not self.is_connected:
                await self._connection()
            yield
        finally:
            self._needed_by -= 1
            if self._needed_by == 0:
                self._stop(self._running)

    def hurry(self) -> None:
        """There is reason to believe that the database is back."""
        self._hurried.set()

    async def ended(self) -> None:
        """Waits until no connection is held any more that nobody needs."""
        if self._ending:
            await asyncio.wait(self._ending)

    def _stop(self, running: asyncio.Task[None]) -> None:
        # whoever leaves last need not wait until the connection is given back
        running.cancel()
        self._ending.add(running)
        running.add_done_callback(self._ending.discard)
        self._running = None
        self.is_connected = False

    async def _connection(self) -> None:
        self.hurry()
        connection: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(connection)
        try:
            await connection
        finally:
            self._waiting.discard(connection)

    async def _run(self) -> None:
        position: str | None = None
        is_lost = False
        pause = FIRST_PAUSE
        while True:
            try:
                if position is None:
                    position = await self._events.head()
                    if is_lost:
                        self._hearer.lost(position)
                        is_lost = False
                async with aclosing(self._events.follow(position)) as sets:
                    async for entries in sets:
                        if not self.is_connected:
                            self._connect()
                            pause = FIRST_PAUSE
                        await self._hearer.take(entries)
                        position = _last_position(entries) or position
            except PositionLost:
                position, is_lost = None, True
            except (Unavailable, TimedOut) as error:
                if pause == FIRST_PAUSE:
                    _log.warning("the change feed is cut off, and tries again: %r", error.__cause__ or error)
                self._disconnect()
            except Exception:  # noqa: BLE001 - without its tail the process would go silent for ever
                _log.exception("the change feed failed and is followed again")
                self._disconnect()
            await self._rest(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _connect(self) -> None:
        self.is_connected = True
        self._hearer.connected()
        for connection in self._waiting:
            if not connection.done():
                connection.set_result(None)

    def _disconnect(self) -> None:
        self.is_connected = False
        for connection in self._waiting:
            if not connection.done():
                connection.set_exception(Unavailable())

    async def _rest(self, pause: float) -> None:
        """Hurry shortens all pauses to the first: many who cannot wait are no more tries."""
        await asyncio.sleep(FIRST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause - FIRST_PAUSE):
                await self._hurried.wait()
        self._hurried.clear()


def _last_position(entries: Sequence[EventRecord | Post]) -> str | None:
    positions = (entry.position for entry in reversed(entries) if isinstance(entry, EventRecord))
    return next(positions, None)
