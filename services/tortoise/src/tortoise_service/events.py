"""The change feed's log and the bus, on Tortoise ORM; the bus on the driver's own connection."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress

import asyncpg
import orjson
from pypika_tortoise.queries import Table
from pypika_tortoise.terms import Criterion, Function, Tuple
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext

from shared import ports
from shared.errors import PositionLost
from shared.rules import limits
from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post
from tortoise_service.models import EventRow, position, to_event
from tortoise_service.rooms import CHANNEL as ROOMS_CHANNEL
from tortoise_service.statements import FORGOTTEN, Where, current

_CHANNEL = "assay_events"
_AT_ONCE = 500
_SOON = 0.02
"""Seconds until the log is read again where a transaction still runs that may have entries before others."""
_LATER = 0.5
"""The same where nothing is known to come: a wake-up may have been lost."""

_POSITION = re.compile("[0-9a-f]{32}").fullmatch
# what commits from now on has the number of the oldest transaction that runs, or a greater one
_NUMBERS = """
    SELECT pg_snapshot_xmin(now) AS oldest, pg_snapshot_xmax(now) AS next FROM pg_current_snapshot() AS now
"""
_ANNOUNCE = f"SELECT pg_notify('{_CHANNEL}', '')"
_POST = "SELECT room, place, seq, frame FROM room_posts WHERE room = $1 AND place = $2"


class Events(ports.events.Events):
    """`borrow` lends a client that sends over the pool, `listen` one over a connection that is nobody else's,
    and that connection."""

    def __init__(
        self,
        context: TortoiseContext,
        borrow: Callable[[], AbstractAsyncContextManager[BaseDBAsyncClient]],
        listen: Callable[[], AbstractAsyncContextManager[tuple[BaseDBAsyncClient, asyncpg.Connection]]],
    ) -> None:
        self._context = context
        self._borrow = borrow
        self._listen = listen

    async def head(self) -> str:
        async with self._borrow() as client:
            (numbers,) = await client.execute_query_dict(_NUMBERS)
        return position(numbers["oldest"], 0)

    async def pending(self, position: str) -> frozenset[str]:
        async with self._borrow() as client:
            return await _Log(self._context, position).pending(client)

    async def after(self, position: str, limit: int) -> Sequence[EventRecord]:
        log = _Log(self._context, position)
        async with self._borrow() as client:
            found = await log.read(client, limit)
            if not found:
                await log.check(client)
        return found

    async def follow(self, position: str) -> AsyncGenerator[Sequence[EventRecord | Post], None]:
        log, heard = _Log(self._context, position), _Heard()
        async with self._listen() as (client, connection):
            await heard.listen(connection)
            await log.check(client)
            yield []
            while True:
                heard.forget_wakes()
                entries = await log.read(client, _AT_ONCE)
                posts = await heard.take_posts(client)
                if entries or posts:
                    yield [*entries, *posts]
                if len(entries) < _AT_ONCE:
                    await heard.wait(_SOON if log.has_more else _LATER)

    async def announce(self) -> None:
        async with self._borrow() as client:
            await client.execute_query(_ANNOUNCE)


class _Beyond(Where):
    """Entries after a position, as one comparison that the index can walk."""

    def __init__(self, xid: int, seq: int) -> None:
        super().__init__()
        self._place = Tuple(xid, seq)

    def criterion(self, table: Table) -> Criterion:
        return Tuple(table["xid"], table["seq"]) > self._place


class _Log:
    """The log, read from a position on. Raises PositionLost where that is none."""

    def __init__(self, context: TortoiseContext, after: str) -> None:
        if not _POSITION(after):
            raise PositionLost
        self._context = context
        self._xid, self._seq = int(after[:16], 16), int(after[16:], 16)
        if self._seq > limits.INTEGER_MAX:
            raise PositionLost
        self.has_more = False
        """Whether entries were there that cannot be read yet."""

    async def check(self, client: BaseDBAsyncClient) -> None:
        """Raises PositionLost where the position's transaction has never been."""
        (numbers,) = await client.execute_query_dict(_NUMBERS)
        if self._xid > numbers["next"]:
            raise PositionLost

    async def pending(self, client: BaseDBAsyncClient) -> frozenset[str]:
        with current(self._context):
            found = EventRow.all(using_db=client).filter(_Beyond(self._xid, self._seq))
            return frozenset(position(xid, seq) for xid, seq in await found.values_list("xid", "seq"))

    async def read(self, client: BaseDBAsyncClient, limit: int) -> Sequence[EventRecord]:
        """The next entries, from which the next call goes on. No further than the oldest transaction that
        still runs: it may have entries before those already there."""
        oldest = Function("pg_snapshot_xmin", Function("pg_current_snapshot"))
        with current(self._context):
            rows = await (
                EventRow.all(using_db=client)
                .annotate(is_readable=EventRow.get_table()["xid"] < oldest)
                .filter(_Beyond(self._xid, self._seq))
                .order_by("xid", "seq")
                .limit(limit)
            )
        readable = [row for row in rows if row.is_readable]
        self.has_more = len(readable) < len(rows)
        if any(row.type == FORGOTTEN for row in readable):
            raise PositionLost
        if readable:
            self._xid, self._seq = readable[-1].xid, readable[-1].seq
        return [to_event(row) for row in readable]


class _Heard:
    """What came over the bus. A wake-up only sets a flag: any number of them make one read."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._posts: deque[str] = deque()

    async def listen(self, connection: asyncpg.Connection) -> None:
        await connection.add_listener(_CHANNEL, self._wake)
        await connection.add_listener(ROOMS_CHANNEL, self._post)
        # the next read then says what happened
        connection.add_termination_listener(self._wake)

    def forget_wakes(self) -> None:
        self._woken.clear()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def take_posts(self, client: BaseDBAsyncClient) -> Sequence[Post]:
        """Those heard since the last call. One that was too large for the bus is fetched."""
        posts = []
        while self._posts:
            heard = orjson.loads(self._posts.popleft())
            if len(heard) == len(Post.__slots__):
                posts.append(Post(*heard))
            else:
                # none where the log is gone by then, and nobody reads it
                posts += [Post(**row) for row in await client.execute_query_dict(_POST, heard)]
        return posts

    def _wake(self, *_: object) -> None:
        self._woken.set()

    def _post(self, _conn: object, _pid: int, _channel: str, payload: object) -> None:
        self._posts.append(str(payload))
        self._woken.set()
