"""The change feed's log and the bus, on SQLAlchemy."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import orjson
from sqlalchemy import BigInteger, Integer, PoolProxiedConnection, Text, bindparam, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from shared import ports
from shared.errors import PositionLost
from shared.rules import limits
from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post
from sqlalchemy_service.models import EVENTS, POSTS, TransactionId
from sqlalchemy_service.rooms import CHANNEL as ROOMS_CHANNEL
from sqlalchemy_service.statements import FORGOTTEN, OLDEST_RUNNING

_CHANNEL = "assay_events"
_AT_ONCE = 500
_SOON = 0.02
"""Seconds until the log is read again where a transaction still runs that may have entries before others."""
_LATER = 0.5
"""The same where nothing is known to come: a wake-up may have been lost."""

_POSITION = re.compile("[0-9a-f]{32}").fullmatch
# what commits from now on has this number or a greater one
_HEAD = select(OLDEST_RUNNING)
_NEXT = select(func.pg_snapshot_xmax(func.pg_current_snapshot(), type_=TransactionId()))
_PLACE = tuple_(EVENTS.c.xid, EVENTS.c.seq)
_BEYOND = tuple_(bindparam("xid", type_=TransactionId()), bindparam("seq", type_=BigInteger))
# no further than the oldest transaction that still runs: it may have entries before those already there
_AFTER = (
    select(
        (EVENTS.c.xid < OLDEST_RUNNING).label("readable"),
        EVENTS.c.xid,
        EVENTS.c.seq,
        EVENTS.c.type,
        EVENTS.c.resource_id,
        EVENTS.c.owner_id,
        EVENTS.c.previous_owner_id,
        EVENTS.c.version,
        EVENTS.c.at,
    )
    .where(_PLACE > _BEYOND)
    .order_by(EVENTS.c.xid, EVENTS.c.seq)
    .limit(bindparam("count", type_=Integer))
)
_PENDING = select(EVENTS.c.xid, EVENTS.c.seq).where(_PLACE > _BEYOND)
_ANNOUNCE = select(func.pg_notify(_CHANNEL, ""))
_POST = select(POSTS.c.room, POSTS.c.place, POSTS.c.seq, POSTS.c.frame).where(
    POSTS.c.room == bindparam("room", type_=Text), POSTS.c.place == bindparam("place", type_=BigInteger)
)

Asking = AsyncConnection | AsyncSession


class Events(ports.events.Events):
    """`borrow` lends a session on one of the pool's connections, `listen` opens a connection that is nobody
    else's."""

    def __init__(
        self,
        borrow: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        listen: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
    ) -> None:
        self._borrow = borrow
        self._listen = listen

    async def head(self) -> str:
        async with self._borrow() as session:
            return _written((await session.execute(_HEAD)).scalar_one(), 0)

    async def pending(self, position: str) -> frozenset[str]:
        async with self._borrow() as session:
            return await _Log(position).pending(session)

    async def after(self, position: str, limit: int) -> Sequence[EventRecord]:
        log = _Log(position)
        async with self._borrow() as session:
            found = await log.read(session, limit)
            if not found:
                await log.check(session)
        return found

    async def follow(self, position: str) -> AsyncGenerator[Sequence[EventRecord | Post], None]:
        log, heard = _Log(position), _Heard()
        async with self._listen() as connection:
            await heard.listen(await connection.get_raw_connection())
            await log.check(connection)
            yield []
            while True:
                heard.forget_wakes()
                entries = await log.read(connection, _AT_ONCE)
                posts = await heard.take_posts(connection)
                if entries or posts:
                    yield [*entries, *posts]
                if len(entries) < _AT_ONCE:
                    await heard.wait(_SOON if log.has_more else _LATER)

    async def announce(self) -> None:
        async with self._borrow() as session:
            await session.execute(_ANNOUNCE)


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

    async def check(self, asking: Asking) -> None:
        """Raises PositionLost where the position's transaction has never been."""
        if self._xid > (await asking.execute(_NEXT)).scalar_one():
            raise PositionLost

    async def pending(self, asking: Asking) -> frozenset[str]:
        rows = await asking.execute(_PENDING, {"xid": self._xid, "seq": self._seq})
        return frozenset(_written(xid, seq) for xid, seq in rows)

    async def read(self, asking: Asking, limit: int) -> Sequence[EventRecord]:
        """The next entries, from which the next call goes on."""
        arguments = {"xid": self._xid, "seq": self._seq, "count": limit}
        rows = (await asking.execute(_AFTER, arguments)).all()
        readable = [row for row in rows if row.readable]
        self.has_more = len(readable) < len(rows)
        if any(row.type == FORGOTTEN for row in readable):
            raise PositionLost
        if readable:
            self._xid, self._seq = readable[-1].xid, readable[-1].seq
        return [EventRecord(_written(xid, seq), *entry) for _, xid, seq, *entry in readable]


class _Heard:
    """What came over the bus. A wake-up only sets a flag: any number of them make one read."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._posts: deque[str] = deque()

    async def listen(self, raw: PoolProxiedConnection) -> None:
        driver: Any = raw.driver_connection
        await driver.add_listener(_CHANNEL, self._wake)
        await driver.add_listener(ROOMS_CHANNEL, self._post)
        # the next read then says what happened
        driver.add_termination_listener(self._wake)

    def forget_wakes(self) -> None:
        self._woken.clear()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def take_posts(self, connection: AsyncConnection) -> Sequence[Post]:
        """Those heard since the last call. One that was too large for the bus is fetched."""
        posts = []
        while self._posts:
            heard: Any = orjson.loads(self._posts.popleft())
            if len(heard) == 2:
                room, place = heard
                heard = (await connection.execute(_POST, {"room": room, "place": place})).one_or_none()
            # nobody reads a log that is gone by then
            if heard is not None:
                posts.append(Post(*heard))
        return posts

    def _wake(self, *_: object) -> None:
        self._woken.set()

    def _post(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._posts.append(str(payload))
        self._woken.set()


def _written(xid: int, seq: int) -> str:
    """A position: a text that sorts as the log does."""
    return f"{xid:016x}{seq:016x}"
