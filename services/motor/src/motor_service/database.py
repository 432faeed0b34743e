"""The client: opened, closed, counted; and what its errors mean to the rest."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from secrets import token_bytes
from types import TracebackType
from typing import Self

import pymongo
from motor.frameworks import asyncio as threads
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReadPreference, ReturnDocument
from pymongo.errors import (
    ConnectionFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from motor_service.activity import Activity
from motor_service.attachments import Attachments
from motor_service.dashboard import Dashboard
from motor_service.documents import Documents
from motor_service.events import Events
from motor_service.exports import Exports
from motor_service.idempotency import Idempotency
from motor_service.models import Row
from motor_service.notifications import Notifications
from motor_service.rooms import Rooms
from motor_service.statements import (
    CACHE_IS_FULL,
    Client,
    Connection,
    code_of,
    forget_old,
    forget_rooms,
    is_unconfirmed,
)
from motor_service.statements import Database as MotorDatabase
from motor_service.users import Users
from shared.errors import KeyReused, Refused, TimedOut, Unavailable
from shared.gate import Gate
from shared.ports.backend import Effect, PoolState, Refusal
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.settings import Settings, database_of
from shared.trips import current_trips

# by their numbers, as replies about one of many writes give no names: mongo/base/error_codes.yml has both
# lock time-out, write concern not met in time, the server's own limits of time
_TIMED_OUT = {24, 64, 202, 262, 407}
# a server that cannot be reached, goes away or is not (any more) the primary
_AWAY = {6, 7, 89, 91, 133, 134, 189, 384, 9001, 10107, 11600, 11602, 13435, 13436}
# operations, cursors, snapshots and transactions that it gave up
_ENDED = {43, 175, 234, 237, 239, 246, 251, 290, 355, 11601}
# rows and locks that others hold
_HELD = {46, 112, 208, 267}
# a cache or a disk without room, and more requests than it takes
_FULL = {365, CACHE_IS_FULL, 402, 433, 449, 462, 14031}
# a cluster that moves the rows to another place
_MOVING = {63, 150, 249, 250, 272, 13388}
# who runs it has blocked writes, or changed the password
_CLOSED = {18, 371}
_UNAVAILABLE = _AWAY | _ENDED | _HELD | _FULL | _MOVING | _CLOSED
# what a server says of errors, whatever their number, that may be gone at the next try
_PASSING = (
    "RetryableWriteError",
    "RetryableError",
    "SystemOverloadedError",
    "UnknownTransactionCommitResult",
)


def translate(error: BaseException, *, outcome_unknown: bool) -> Exception | None:
    """The shared error that an error of the driver is, or None. What the operations themselves expect
    (unique keys) they catch themselves."""
    if not isinstance(error, PyMongoError):
        return None
    if error.has_error_label("TransientTransactionError"):
        return Unavailable()
    if isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError):
        return Unavailable()
    code = code_of(error)
    if error.timeout or code in _TIMED_OUT:
        return TimedOut()
    if isinstance(error, ConnectionFailure) or code in _UNAVAILABLE or _may_pass(error):
        return Unavailable(outcome_unknown=outcome_unknown)
    return None


def _may_pass(error: PyMongoError) -> bool:
    # where it is the write concern that failed, the write holds here and may be lost with this server
    return is_unconfirmed(error) or any(map(error.has_error_label, _PASSING))


class Reader:
    def __init__(self, conn: Connection, gate: Gate, seconds: float) -> None:
        self._conn = conn
        self._gate = gate
        self._deadline = pymongo.timeout(seconds)

    @property
    def users(self) -> Users:
        return Users(self._conn)

    @property
    def documents(self) -> Documents:
        return Documents(self._conn)

    @property
    def attachments(self) -> Attachments:
        return Attachments(self._conn)

    @property
    def activity(self) -> Activity:
        return Activity(self._conn)

    @property
    def notifications(self) -> Notifications:
        return Notifications(self._conn)

    @property
    def dashboard(self) -> Dashboard:
        return Dashboard(self._conn)

    async def __aenter__(self) -> Self:
        await self._gate.enter()
        self._deadline.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadline.__exit__(kind, error, trace)
        self._gate.leave()
        if error is not None:
            translated = translate(error, outcome_unknown=self._has_sent())
            if translated is not None:
                raise translated from error

    def _has_sent(self) -> bool:
        """Whether a command that may change something is under way."""
        return False


class UnitOfWork(Reader):
    def __init__(self, conn: Connection, gate: Gate, seconds: float) -> None:
        super().__init__(conn, gate, seconds)
        self._trips = current_trips.get(None)
        self._before = self._trips.count if self._trips else 0

    @property
    def rooms(self) -> Rooms:
        return Rooms(self._conn)

    def _has_sent(self) -> bool:
        return self._trips is None or self._trips.count > self._before


class Database:
    def __init__(self, database: MotorDatabase, settings: Settings) -> None:
        self._database = database
        self._gate = Gate(settings.pool_size, settings.pool_timeout)
        self._export_gate = Gate(settings.export_connections, settings.pool_timeout)
        self._seconds = settings.statement_timeout
        # half of the request's time is left for the attempt that succeeds
        self._patience = self._seconds / 2
        self._conn = Connection(database, self._patience)
        # what decides about a change is read where the change is made, whatever the URL says of reads
        primary = database.with_options(read_preference=ReadPreference.PRIMARY)
        self._primary = Connection(primary, self._patience)
        self._events = Events(database, self.reader, _translating, patience=self._seconds / 4)

    @property
    def events(self) -> Events:
        return self._events

    def reader(self) -> Reader:
        return Reader(self._conn, self._gate, self._seconds)

    def unit_of_work(self) -> UnitOfWork:
        return UnitOfWork(self._primary, self._gate, self._seconds)

    async def once(self, request: KeyedRequest, effect: Effect, refusal: Refusal) -> tuple[KeptAnswer, bool]:
        async with self.unit_of_work() as unit:
            try:
                return await unit._conn.joined(request.key, partial(self._once, request, effect))
            except KeyReused:
                raise
            except Refused as refused:
                # a transaction here has no savepoints: the refused one is gone, and its claim with it
                answer = refusal(refused)
                if answer is None:
                    raise
                return await unit._conn.joined(request.key, partial(_keep, request, answer))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Exports]:
        await self._export_gate.enter()
        try:
            async with _translating(), AsyncExitStack() as stack:
                opened = await self._database.client.start_session(snapshot=True)
                session = await stack.enter_async_context(opened)
                yield Exports(Connection(self._database, self._patience, session), stack)
        finally:
            self._export_gate.leave()

    async def forget(self, before: datetime) -> None:
        for collection, field in (
            (self._primary.idempotency_keys, "created_at"),
            (self._primary.idempotency_parts, "created_at"),
            (self._primary.room_posts, "at"),
        ):
            more = True
            while more:
                async with self.unit_of_work():
                    more = await forget_old(collection, field, before)
        # after their posts: a room that begins anew finds no places taken
        last: str | None = ""
        while last is not None:
            async with self.unit_of_work():
                last = await forget_rooms(self._primary, before, last)

    async def ping(self) -> None:
        async with self.reader():
            await self._database.command("ping")

    async def database_version(self) -> str:
        async with self.reader():
            return str((await self._database.command("buildInfo"))["version"])

    async def secret(self, name: str) -> bytes:
        async with self.reader():
            row = await self._database["secrets"].find_one_and_update(
                {"_id": name},
                {"$setOnInsert": {"value": token_bytes(32)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
            return bytes(row["value"])

    def pool(self) -> PoolState:
        return PoolState(self._gate.size, self._gate.inside, self._gate.waiting)

    def export_pool(self) -> PoolState:
        gate = self._export_gate
        # the driver opens connections as they are needed
        return PoolState(gate.size, gate.inside, gate.waiting)

    async def _once(self, request: KeyedRequest, effect: Effect, conn: Connection) -> tuple[KeptAnswer, bool]:
        keys = Idempotency(conn)
        kept = await keys.claim(request)
        if kept is not None:
            return kept, True
        answer = await effect(UnitOfWork(conn, self._gate, self._seconds))
        await keys.keep(request, answer)
        return answer, False


async def _keep(request: KeyedRequest, answer: KeptAnswer, conn: Connection) -> tuple[KeptAnswer, bool]:
    """Unless somebody else's is kept by now."""
    keys = Idempotency(conn)
    kept = await keys.claim(request)
    if kept is not None:
        return kept, True
    await keys.keep(request, answer)
    return answer, False


@asynccontextmanager
async def _translating() -> AsyncIterator[None]:
    """For what reads outside of the requests' pool."""
    try:
        yield
    except Exception as error:
        translated = translate(error, outcome_unknown=False)
        if translated is None:
            raise
        raise translated from error


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    _use_threads(_connections(settings))
    client = open_client(settings, settings.statement_timeout)
    try:
        yield Database(client[database_of(settings.mongodb_url)], settings)
    finally:
        await asyncio.to_thread(_close, client, settings.pool_timeout)


def open_client(settings: Settings, seconds: float | None) -> Client:
    """`seconds` is how long a statement may take, without a bound where None."""
    milliseconds = None if seconds is None else int(seconds * 1000)
    waiting = int(settings.pool_timeout * 1000)
    client: AsyncIOMotorClient[Row] = AsyncIOMotorClient(
        settings.mongodb_url,
        appname="assay-motor",
        uuidRepresentation="standard",
        tz_aware=True,
        minPoolSize=settings.pool_size,
        maxPoolSize=_connections(settings),
        timeoutMS=milliseconds,
        # for the fetches of exports and of the change feed, which have no time limit of a statement
        socketTimeoutMS=milliseconds,
        serverSelectionTimeoutMS=waiting,
        waitQueueTimeoutMS=waiting,
        connectTimeoutMS=waiting,
        w="majority",
        journal=True,
        event_listeners=[RoundTrips()],
    )
    return client


def _connections(settings: Settings) -> int:
    """Those of the requests, those of the exports, and that of the one who follows the change feed."""
    return settings.pool_size + settings.export_connections + 1


def _use_threads(count: int) -> None:
    """As many as the pool has connections. Motor itself reads the number from the environment once, when it
    is imported."""
    threads._EXECUTOR = ThreadPoolExecutor(count, "motor")


def _close(client: Client, seconds: float) -> None:
    with pymongo.timeout(seconds):
        client.close()


class RoundTrips(CommandListener):
    """Counts each command for the request that sent it: Motor's threads run in the request's context."""

    def started(self, event: CommandStartedEvent) -> None:
        """Counted when the answer is there."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        _count(event)

    def failed(self, event: CommandFailedEvent) -> None:
        _count(event)


_BARE = frozenset({"getMore", "killCursors", "commitTransaction", "abortTransaction"})
"""Commands that run nothing: they fetch on, or end a cursor or a transaction."""


def _count(event: CommandSucceededEvent | CommandFailedEvent) -> None:
    trips = current_trips.get(None)
    if trips is not None:
        trips.add(event.duration_micros / 1_000_000, is_statement=event.command_name not in _BARE)
