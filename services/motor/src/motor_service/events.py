"""The change feed and the bus, on Motor: the server's change streams.

A position is the resume token of an entry, which sorts as the entries do; or, where there is no entry yet, as
much of one as says the time.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pymongo
from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure, PyMongoError

from motor_service.models import CHANGE, Row, to_event, to_heard
from motor_service.statements import Database, Session
from shared import ports
from shared.errors import PositionLost
from shared.finishing import LEAVING, finished
from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post

Entered = Callable[[], AbstractAsyncContextManager[object]]

_AT_ONCE = 500
_POSITION = re.compile(r"82(?:[0-9A-F]{2}){8,500}").fullmatch
_TIME = 18
"""Characters of a position that say when: the sign of a time, the seconds, the number within the second."""

# what has no (right) form, what is not or no longer in the log, and rows as they were that are gone with it
_LOST = {9, 14, 15, 47, 136, 207, 260, 280, 286}
_NAMELESS = 40_000
"""Codes from here on are places in the server's source; those that read tokens complain under their own."""

_ENTRIES: Row = {
    "ns.coll": {"$in": ["users", "documents"]},
    "$or": [
        {"operationType": {"$in": ["insert", "delete"]}},
        # a touch is no change that a client sees: it sets no version
        {"operationType": "update", "updateDescription.updatedFields.version": {"$exists": True}},
    ],
}
_POSTS: Row = {"ns.coll": "room_posts", "operationType": "insert"}
# what is committed for good, whatever becomes of the transactions that still run
_NOW: Row = {
    "find": "users",
    "projection": {"_id": 1},
    "limit": 1,
    "singleBatch": True,
    "readConcern": {"level": "majority"},
}


class Events(ports.events.Events):
    """`borrow` lets in as a request, `watch` as the one who follows; `patience` is how many seconds the
    server keeps that one waiting where there is nothing new."""

    def __init__(self, database: Database, borrow: Entered, watch: Entered, patience: float) -> None:
        self._database = database
        self._borrow = borrow
        self._watch = watch
        self._patience = patience

    async def head(self) -> str:
        async with self._borrow():
            return _from_now_on(await self._database.command(_NOW))

    async def pending(self, position: str) -> frozenset[str]:
        return frozenset()

    async def after(self, position: str, limit: int) -> Sequence[EventRecord]:
        async with self._borrow(), self._stream(position, _ENTRIES, limit) as stream:
            found = stream.first
            while len(found) < limit and (more := await stream.next(0)):
                found += more
        return [to_event(row) for row in found[:limit]]

    async def follow(self, position: str) -> AsyncGenerator[Sequence[EventRecord | Post], None]:
        wanted = {"$or": [_ENTRIES, _POSTS]}
        async with self._watch(), self._stream(position, wanted, _AT_ONCE) as stream:
            yield []
            some = stream.first
            while True:
                if some:
                    yield [to_heard(row) for row in some]
                some = await stream.next(self._patience)

    async def announce(self) -> None:
        """The change streams wake by themselves."""

    @asynccontextmanager
    async def _stream(self, position: str, wanted: Row, at_once: int) -> AsyncIterator["_Stream"]:
        if not _POSITION(position):
            raise PositionLost
        async with await self._database.client.start_session(causal_consistency=False) as session:
            stream = _Stream(self._database, session)
            try:
                await stream.open(position, wanted, at_once)
                yield stream
            finally:
                await stream.close()


class _Stream:
    """One change stream, by commands of which each brings a whole batch. Raises PositionLost where the log
    does not go on."""

    def __init__(self, database: Database, session: Session) -> None:
        self._database = database
        self._session = session
        self._cursor = 0
        self.first: list[Row] = []

    async def open(self, position: str, wanted: Row, at_once: int) -> None:
        pipeline = [
            {"$changeStream": {"fullDocumentBeforeChange": "required", **_start(position)}},
            {"$match": wanted},
            {"$project": CHANGE},
        ]
        reply = await self._send({"aggregate": 1, "pipeline": pipeline, "cursor": {"batchSize": at_once}})
        self.first = reply["cursor"]["firstBatch"]
        # the server takes any time to come for a position, and would wait for it
        if position[:_TIME] > _from_now_on(reply):
            raise PositionLost

    async def next(self, patience: float) -> list[Row]:
        """What is new, for which the server waits that many seconds at most."""
        if not self._cursor:
            raise PositionLost
        # without a limit of time, whose place the time to wait takes in the command; the socket has its own
        with pymongo.timeout(0):
            more = {"getMore": self._cursor, "collection": "$cmd.aggregate"}
            reply = await self._send({**more, "maxTimeMS": max(1, int(patience * 1_000))})
        some: list[Row] = reply["cursor"]["nextBatch"]
        return some

    async def close(self) -> None:
        if self._cursor:
            # a cursor of which the server does not hear again it closes by itself
            with suppress(PyMongoError), pymongo.timeout(LEAVING):
                await self._database.command(
                    {"killCursors": "$cmd.aggregate", "cursors": [self._cursor]}, session=self._session
                )

    async def _send(self, command: Row) -> Row:
        try:
            return await finished(self._ask(command))
        except PyMongoError as error:
            self._cursor = 0
            if isinstance(error, OperationFailure) and _is_lost(error.code):
                raise PositionLost from error
            raise

    async def _ask(self, command: Row) -> Row:
        reply: Row = await self._database.command(
            command, codec_options=self._database.codec_options, session=self._session
        )
        self._cursor = reply["cursor"]["id"]
        return reply


def _is_lost(code: int | None) -> bool:
    return code is not None and (code in _LOST or code >= _NAMELESS)


def _start(position: str) -> Row:
    if len(position) > _TIME:
        return {"resumeAfter": {"_data": position}}
    return {"startAtOperationTime": Timestamp(int(position[2:10], 16), int(position[10:], 16))}


def _from_now_on(reply: Row) -> str:
    """The position before everything that the answer cannot have seen."""
    seen = reply["operationTime"]
    return f"82{seen.time:08X}{seen.inc + 1:08X}"
