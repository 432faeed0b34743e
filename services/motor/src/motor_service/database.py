"""The client: opened, closed, counted; and what its errors mean to the rest."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from secrets import token_bytes
from types import TracebackType
from typing import Self

import pymongo
from motor.frameworks import asyncio as threads
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReturnDocument
from pymongo.errors import (
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from motor_service.dashboard import Dashboard
from motor_service.documents import Documents
from motor_service.models import Row
from motor_service.statements import Client, Connection
from motor_service.statements import Database as MotorDatabase
from motor_service.users import Users
from shared.errors import TimedOut, Unavailable
from shared.gate import Gate
from shared.ports.backend import PoolState
from shared.settings import Settings, database_of
from shared.trips import current_trips

# lock time-out, write concern not met in time, the server's own limits of time
_TIMED_OUT = {24, 64, 202, 262}
# a server that goes away or is not (any more) the primary; operations that it killed; rows that others hold
_UNAVAILABLE = {6, 7, 43, 91, 112, 175, 189, 237, 246, 251, 290, 10107, 11600, 11601, 11602, 13435, 13436}


def translate(error: BaseException, *, outcome_unknown: bool) -> Exception | None:
    """The shared error that an error of the driver is, or None. What the operations themselves expect
    (unique keys) they catch themselves."""
    if not isinstance(error, PyMongoError):
        return None
    if error.has_error_label("TransientTransactionError"):
        return Unavailable()
    if isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError):
        return Unavailable()
    code = error.code if isinstance(error, OperationFailure) else None
    if error.timeout or code in _TIMED_OUT:
        return TimedOut()
    if isinstance(error, ConnectionFailure) or code in _UNAVAILABLE:
        return Unavailable(outcome_unknown=outcome_unknown)
    return None


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

    def _has_sent(self) -> bool:
        return self._trips is None or self._trips.count > self._before


class Database:
    def __init__(self, database: MotorDatabase, gate: Gate, seconds: float) -> None:
        self._database = database
        self._gate = gate
        self._seconds = seconds
        # half of the request's time is left for the attempt that succeeds
        self._conn = Connection(database, patience=seconds / 2)

    def reader(self) -> Reader:
        return Reader(self._conn, self._gate, self._seconds)

    def unit_of_work(self) -> UnitOfWork:
        return UnitOfWork(self._conn, self._gate, self._seconds)

    async def ping(self) -> None:
        async with self.reader():
            await self._database.command("ping")

    async def database_version(self) -> str:
        async with self.reader():
            return str((await self._database.command("buildInfo"))["version"])

    async def cursor_secret(self) -> bytes:
        async with self.reader():
            row = await self._database["secrets"].find_one_and_update(
                {"_id": "cursor"},
                {"$setOnInsert": {"value": token_bytes(32)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
            return bytes(row["value"])

    def pool(self) -> PoolState:
        return PoolState(self._gate.size, self._gate.inside, self._gate.waiting)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    _use_threads(settings.pool_size)
    client = open_client(settings)
    try:
        yield Database(
            client[database_of(settings.mongodb_url)],
            Gate(settings.pool_size, settings.pool_timeout),
            settings.statement_timeout,
        )
    finally:
        await asyncio.to_thread(_close, client, settings.pool_timeout)


def open_client(settings: Settings) -> Client:
    milliseconds = int(settings.statement_timeout * 1000)
    client: AsyncIOMotorClient[Row] = AsyncIOMotorClient(
        settings.mongodb_url,
        appname="assay-motor",
        uuidRepresentation="standard",
        tz_aware=True,
        minPoolSize=settings.pool_size,
        maxPoolSize=settings.pool_size,
        timeoutMS=milliseconds,
        serverSelectionTimeoutMS=int(settings.pool_timeout * 1000),
        waitQueueTimeoutMS=int(settings.pool_timeout * 1000),
        connectTimeoutMS=int(settings.pool_timeout * 1000),
        w="majority",
        journal=True,
        event_listeners=[RoundTrips()],
    )
    return client


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
        _count(event.duration_micros)

    def failed(self, event: CommandFailedEvent) -> None:
        _count(event.duration_micros)


def _count(microseconds: int) -> None:
    trips = current_trips.get(None)
    if trips is not None:
        trips.add(microseconds / 1_000_000)
