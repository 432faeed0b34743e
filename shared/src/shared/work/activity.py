"""Activity that was promised and is not stored yet (BG-1)."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

from shared.errors import TimedOut, Unavailable
from shared.ports.backend import Backend
from shared.schemas.activity import ActivityRecord
from shared.work.stopping import Stopping

CAPACITY = 10_000
_SET = 500
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_LEAST_DRAIN = 1.0

_log = logging.getLogger("assay.activity")


class ActivityBuffer:
    """Holds `CAPACITY` entries, those included whose places are only reserved."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._entries: deque[ActivityRecord] = deque()
        self._reserved = 0
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._entries) + self._reserved

    def reserve(self) -> None:
        """A place for one entry, so that what is promised can be kept. Raises Unavailable where none is
        free."""
        if len(self) >= CAPACITY:
            raise Unavailable
        self._reserved += 1

    async def keep(self, entry: ActivityRecord) -> None:
        """Puts the entry into its reserved place. Never waits."""
        self._reserved -= 1
        self._entries.append(entry)
        self._empty.clear()
        self._filled.set()

    async def write(self) -> None:
        """Stores what comes, for ever: at once when idle, in sets when much comes."""
        while True:
            await self._filled.wait()
            written = list(islice(self._entries, _SET))
            await self._store(written)
            for _ in written:
                self._entries.popleft()
            if not self._entries:
                self._filled.clear()
                self._empty.set()

    async def drained(self) -> None:
        await self._empty.wait()

    async def _store(self, entries: list[ActivityRecord]) -> None:
        """Tries until it is done: an entry whose outcome is unknown may be sent again."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._backend.unit_of_work() as work:
                    await work.activity.create_many(entries)
            except (Unavailable, TimedOut) as error:
                _log.warning("activity waits for the database: %r", error)
            except Exception:  # noqa: BLE001 - what was promised is not given up, whatever is wrong
                _log.exception("activity could not be stored; trying again")
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


@asynccontextmanager
async def open_activity(
    backend: Backend, stopping: Stopping, closing: float
) -> AsyncIterator[ActivityBuffer]:
    """A buffer and its writer. On leaving, what is promised is stored, and tried again while the shutdown may
    last; `closing` seconds of that are for what is closed afterwards."""
    buffer = ActivityBuffer(backend)
    writer = asyncio.create_task(buffer.write(), name="activity")
    try:
        yield buffer
    finally:
        try:
            async with asyncio.timeout(stopping.left(closing, _LEAST_DRAIN)):
                await buffer.drained()
        except TimeoutError:
            _log.error("%d actions are lost: the database was away until the end", len(buffer))
        writer.cancel()
        await asyncio.wait({writer})
