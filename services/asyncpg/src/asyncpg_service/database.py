"""The pools: opened, closed, counted; and what their errors mean to the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from secrets import token_bytes
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import asyncpg

from asyncpg_service import statements
from asyncpg_service.activity import Activity
from asyncpg_service.attachments import Attachments
from asyncpg_service.dashboard import Dashboard
from asyncpg_service.documents import Documents
from asyncpg_service.events import Events
from asyncpg_service.exports import Exports
from asyncpg_service.idempotency import Idempotency
from asyncpg_service.models import Connection
from asyncpg_service.notifications import Notifications
from asyncpg_service.rooms import Rooms
from asyncpg_service.users import Users
from shared.errors import Refused, TimedOut, Unavailable
from shared.gate import Gate
from shared.ports.backend import Effect, PoolState, Refusal
from shared.rules.json_content import read_stored
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.settings import Settings, postgresql_url
from shared.trips import Counted

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.protocol.protocol import BaseProtocol

_TIMED_OUT = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, TimeoutError)
# the server refused and nothing holds: locks in a circle, a server that takes no writes or has no room, a
# transaction that took too long, or in a transaction a plan that the schema has outdated (the driver forgets
# it; outside of one it runs a new one by itself)
_REFUSED = (
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.InvalidCachedStatementError,
)
_UNAVAILABLE = (
    asyncpg.StatementCompletionUnknownError,  # a rollback by its class: looked for first
    asyncpg.PostgresSystemError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
_LEAVING = 1.0
"""Seconds that the end of a snapshot may take before its connection is given up."""


def translate(error: BaseException, *, outcome_unknown: bool) -> Exception | None:
    """The shared error that an error of the driver is, or None. What the operations themselves expect
    (unique and foreign keys) they catch themselves."""
    if isinstance(error, _TIMED_OUT):
        return TimedOut()
    if isinstance(error, _UNAVAILABLE):
        return Unavailable(outcome_unknown=outcome_unknown)
    if isinstance(error, _REFUSED):
        return Unavailable()
    # no number is left for a transaction that writes; the other limits of its kind are the statement's own
    if isinstance(error, asyncpg.ProgramLimitExceededError) and "wraparound" in str(error):
        return Unavailable()
    return None


def refused(error: BaseException) -> bool:
    """Whether a server that somebody connects to says no: whatever it then says."""
    return isinstance(error, (asyncpg.PostgresError, *_TIMED_OUT, *_UNAVAILABLE))


class Reader:
    outcome_unknown = False

    def __init__(self, pool: asyncpg.Pool, gate: Gate) -> None:
        self._pool = pool
        self._gate = gate
        self._conn: asyncpg.pool.PoolConnectionProxy

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
        try:
            self._conn = await self._pool.acquire()
        except BaseException as error:
            self._gate.leave()
            if refused(error):
                raise Unavailable from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._pool.release(self._conn)
        finally:
            self._gate.leave()
        if error is not None:
            translated = translate(error, outcome_unknown=self.outcome_unknown)
            if translated is not None:
                raise translated from error


class UnitOfWork(Reader):
    outcome_unknown = True

    @property
    def rooms(self) -> Rooms:
        return Rooms(self._conn)


class Database:
    """`pool` is that of requests, `exports` the exports' own."""

    def __init__(self, settings: Settings, pool: asyncpg.Pool, exports: asyncpg.Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._gate = Gate(settings.pool_size, settings.pool_timeout)
        self._exports = exports
        self._export_gate = Gate(settings.export_connections, settings.pool_timeout)
        self._events = Events(self._borrow, self._listen)

    @property
    def events(self) -> Events:
        return self._events

    def reader(self) -> Reader:
        return Reader(self._pool, self._gate)

    def unit_of_work(self) -> UnitOfWork:
        return UnitOfWork(self._pool, self._gate)

    async def once(self, request: KeyedRequest, effect: Effect, refusal: Refusal) -> tuple[KeptAnswer, bool]:
        async with self.unit_of_work() as unit, unit._conn.transaction():
            keys = Idempotency(unit._conn)
            kept = await keys.claim(request)
            if kept is not None:
                return kept, True
            try:
                async with statements.savepoint(unit._conn):
                    answer = await effect(unit)
            except Refused as error:
                refusal_answer = refusal(error)
                if refusal_answer is None:
                    raise
                answer = refusal_answer
            await keys.keep(request, answer)
            return answer, False

    def snapshot(self) -> AbstractAsyncContextManager[Exports]:
        return _snapshot(Reader(self._exports, self._export_gate))

    async def forget(self, before: datetime) -> None:
        for statement in statements.FORGET:
            while await self._value(statement, before) == statements.AT_ONCE:
                pass

    async def ping(self) -> None:
        await self._value("SELECT 1")

    async def database_version(self) -> str:
        return str(await self._value("SELECT current_setting('server_version')"))

    async def secret(self, name: str) -> bytes:
        await self._value(
            "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, token_bytes(32)
        )
        return bytes(await self._value("SELECT value FROM secrets WHERE name = $1", name))

    def pool(self) -> PoolState:
        return PoolState(self._pool.get_size(), self._gate.inside, self._gate.waiting)

    def export_pool(self) -> PoolState:
        return PoolState(self._exports.get_size(), self._export_gate.inside, self._export_gate.waiting)

    async def _value(self, query: str, *arguments: object) -> Any:
        async with self._borrow() as conn:
            return await conn.fetchval(query, *arguments)

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[Connection]:
        async with self.reader() as reader:
            yield reader._conn

    @asynccontextmanager
    async def _listen(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of nobody's pool: one that is given back to a pool no longer listens."""
        try:
            session = _session(self._settings, self._settings.statement_timeout)
            conn = await asyncpg.connect(**session | {"dsn": postgresql_url(self._settings.wakeup_url)})
        except Exception as error:
            if refused(error):
                raise Unavailable from error
            raise
        try:
            yield conn
        except Exception as error:
            translated = translate(error, outcome_unknown=False)
            if translated is None:
                raise
            raise translated from error
        finally:
            conn.terminate()


@asynccontextmanager
async def _snapshot(reader: Reader) -> AsyncIterator[Exports]:
    async with reader:
        conn = reader._conn
        try:
            await conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield Exports(conn)
        finally:
            try:
                async with asyncio.timeout(_LEAVING):
                    await conn.execute("ROLLBACK")
            except TimeoutError:
                conn.terminate()


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    sizes = {"min_size": settings.pool_size, "max_size": settings.pool_size}
    requests = _session(settings, settings.statement_timeout) | sizes
    async with (
        _open_pool(requests | {"max_inactive_connection_lifetime": 0}, settings.pool_timeout) as pool,
        _open_pool(_export_session(settings), settings.pool_timeout) as exports,
    ):
        yield Database(settings, pool, exports)


def _session(settings: Settings, idle: float, **more: str) -> dict[str, Any]:
    """How to connect; `idle` is how many seconds a transaction may do nothing."""
    milliseconds = str(int(settings.statement_timeout * 1000))
    return {
        "dsn": postgresql_url(settings.database_url),
        "timeout": settings.pool_timeout,
        "command_timeout": settings.statement_timeout,
        "connection_class": CountedConnection,
        "server_settings": {
            "application_name": "assay-asyncpg",
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": str(int(idle * 1000)),
            **more,
        },
    }


def _export_session(settings: Settings) -> dict[str, Any]:
    # who leaves an export unread is broken off by the export: the server's patience only outlasts that
    unread = settings.export_timeout + settings.stall_timeout
    # the first rows are wanted soon: by an index, where another plan would sort all rows before
    session = _session(settings, unread, cursor_tuple_fraction="0.01")
    return session | {"min_size": 0, "max_size": settings.export_connections}


@asynccontextmanager
async def _open_pool(options: dict[str, Any], closing: float) -> AsyncIterator[asyncpg.Pool]:
    """`closing` is how many seconds its end may take before connections are given up."""
    pool = await asyncpg.create_pool(init=_prepare, **options)
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(closing):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _prepare(conn: asyncpg.Connection) -> None:
    # contents are written as bytes once, by the rules; here they only pass
    await conn.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda written: b"\x01" + written,
        decoder=lambda stored: read_stored(stored[1:]),
        format="binary",
    )
    # the driver asks the server about each array type once: here, not in somebody's request
    await conn.prepare("SELECT $1::uuid[], $2::text[], $3::integer[], $4::jsonb[]")


_SENDING = {
    "prepare": False,
    "bind_execute": True,
    "bind_execute_many": True,
    "bind": True,
    "execute": False,
    "query": True,
    "close_statement": False,
}
"""The protocol's calls that wait for the server, and whether a statement begins to run with them."""


class CountedConnection(asyncpg.Connection):
    """Counts its round trips, and spares the one that would reset a session: this service sets nothing."""

    __slots__ = ()

    def __init__(self, protocol: Any, *rest: Any) -> None:
        super().__init__(cast("BaseProtocol[Record]", Counted(protocol, _SENDING)), *rest)

    def get_reset_query(self) -> str:
        return ""
