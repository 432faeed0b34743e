"""The change feed's log and the bus, on asyncpg."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress

import asyncpg
import orjson

from asyncpg_service.models import EVENT, Connection, position, to_event
from asyncpg_service.rooms import CHANNEL as ROOMS_CHANNEL
from asyncpg_service.statements import FORGOTTEN
from shared import ports
from shared.errors import PositionLost
from shared.rules import limits
from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post

_CHANNEL = "assay_events"
_AT_ONCE = 500
_SOON = 0.02
"""Seconds until the log is read again where a transaction still runs that may have entries before others."""
_LATER = 0.5
"""The same where nothing is known to come: a wake-up may have been lost."""

_POSITION = re.compile("[0-9a-f]{32}").fullmatch
# what commits from now on has this number or a greater one
_HEAD = "SELECT pg_snapshot_xmin(pg_current_snapshot())"
_NEXT = "SELECT pg_snapshot_xmax(pg_current_snapshot())"
# no further than the oldest transaction that still runs: it may have entries before those already there
_AFTER = f"""
    SELECT xid < pg_snapshot_xmin(pg_current_snapshot()), {EVENT} FROM events
    WHERE (xid, seq) > ($1, $2) ORDER BY xid, seq LIMIT $3
"""
_PENDING = "SELECT xid, seq FROM events WHERE (xid, seq) > ($1, $2)"
_ANNOUNCE = f"SELECT pg_notify('{_CHANNEL}', '')"
_POST = "SELECT room, place, seq, frame FROM room_posts WHERE room = $1 AND place = $2"


class Events(ports.events.Events):
    """`borrow` lends one of the pool's connections, `listen` opens one that is nobody else's."""

    def __init__(
        self,
        borrow: Callable[[], AbstractAsyncContextManager[Connection]],
        listen: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]],
    ) -> None:
        self._borrow = borrow
        self._listen = listen

    async def head(self) -> str:
        async with self._borrow() as conn:
            return position(await conn.fetchval(_HEAD), 0)

    async def pending(self, position: str) -> frozenset[str]:
        async with self._borrow() as conn:
            return await _Log(position).pending(conn)

    async def after(self, position: str, limit: int) -> Sequence[EventRecord]:
        log = _Log(position)
        async with self._borrow() as conn:
            found = await log.read(conn, limit)
            if not found:
                await log.check(conn)
        return found

    def follow(self, position: str) -> AsyncGenerator[Sequence[EventRecord | Post], None]:
        return self._follow(position)

    async def announce(self) -> None:
        async with self._borrow() as conn:
            await conn.execute(_ANNOUNCE)

    async def _follow(self, position: str) -> AsyncGenerator[Sequence[EventRecord | Post], None]:
        log, heard = _Log(position), _Heard()
        async with self._listen() as conn:
            await heard.listen(conn)
            await log.check(conn)
            yield []
            while True:
                heard.forget_wakes()
                entries = await log.read(conn, _AT_ONCE)
                posts = await heard.take_posts(conn)
                if entries or posts:
                    yield [*entries, *posts]
                if len(entries) < _AT_ONCE:
                    await heard.wait(_SOON if log.has_more else _LATER)


class _Log:
    """The log, read from a position on. Raises PositionLost where that is none."""

    def __init__(self, after: str) -> None:
        if not _POSITION(after):
            raise PositionLost
        self._xid, self._seq = int(after[:16], 16), int(after[16:], 16)
        if self._seq > limits.INTEGER_MAX:
            raise PositionLost
        self.has_more = False
        """Whether entries were there that cannot be read yet."""

    async def check(self, conn: Connection) -> None:
        """Raises PositionLost where the position's transaction has never been."""
        if self._xid > await conn.fetchval(_NEXT):
            raise PositionLost

    async def pending(self, conn: Connection) -> frozenset[str]:
        rows = await conn.fetch(_PENDING, self._xid, self._seq)
        return frozenset(position(xid, seq) for xid, seq in rows)

    async def read(self, conn: Connection, limit: int) -> Sequence[EventRecord]:
        """The next entries, from which the next call goes on."""
        rows = await conn.fetch(_AFTER, self._xid, self._seq, limit)
        readable = [row for row in rows if row[0]]
        self.has_more = len(readable) < len(rows)
        if any(row["type"] == FORGOTTEN for row in readable):
            raise PositionLost
        if readable:
            self._xid, self._seq = readable[-1]["xid"], readable[-1]["seq"]
        return [to_event(row) for row in readable]


class _Heard:
    """What came over the bus. A wake-up only sets a flag: any number of them make one read."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._posts: deque[str] = deque()

    async def listen(self, conn: asyncpg.Connection) -> None:
        await conn.add_listener(_CHANNEL, self._wake)
        await conn.add_listener(ROOMS_CHANNEL, self._post)
        # the next read then says what happened
        conn.add_termination_listener(self._wake)

    def forget_wakes(self) -> None:
        self._woken.clear()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def take_posts(self, conn: Connection) -> Sequence[Post]:
        """Those heard since the last call. One that was too large for the bus is fetched."""
        posts = []
        while self._posts:
            heard = orjson.loads(self._posts.popleft())
            if len(heard) == 2:
                heard = await conn.fetchrow(_POST, *heard)
            # nobody reads a log that is gone by then
            if heard is not None:
                posts.append(Post(*heard))
        return posts

    def _wake(self, *_: object) -> None:
        self._woken.set()

    def _post(self, _conn: object, _pid: int, _channel: str, payload: object) -> None:
        self._posts.append(str(payload))
        self._woken.set()
