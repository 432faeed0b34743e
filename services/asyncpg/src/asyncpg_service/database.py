"""The pool: opened, closed, counted; and what its errors mean to the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_bytes
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import asyncpg

from asyncpg_service.dashboard import Dashboard
from asyncpg_service.documents import Documents
from asyncpg_service.users import Users
from shared.errors import TimedOut, Unavailable
from shared.gate import Gate
from shared.ports.backend import PoolState
from shared.rules.json_content import read_stored
from shared.settings import Settings, postgresql_url
from shared.trips import Counted

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.protocol.protocol import BaseProtocol

_TIMED_OUT = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, TimeoutError)
# the server refused and nothing holds: locks in a circle, or a server that takes no writes
_REFUSED = (asyncpg.TransactionRollbackError, asyncpg.ReadOnlySQLTransactionError)
_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)


def translate(error: BaseException, *, outcome_unknown: bool) -> Exception | None:
    """The shared error that an error of the driver is, or None. What the operations themselves expect
    (unique and foreign keys) they catch themselves."""
    if isinstance(error, _TIMED_OUT):
        return TimedOut()
    if isinstance(error, _REFUSED):
        return Unavailable()
    if isinstance(error, _UNAVAILABLE):
        return Unavailable(outcome_unknown=outcome_unknown)
    return None


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
    def dashboard(self) -> Dashboard:
        return Dashboard(self._conn)

    async def __aenter__(self) -> Self:
        await self._gate.enter()
        try:
            self._conn = await self._pool.acquire()
        except BaseException as error:
            self._gate.leave()
            # whatever the server says to somebody who connects, it refuses
            if isinstance(error, (asyncpg.PostgresError, *_TIMED_OUT, *_UNAVAILABLE)):
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


class Database:
    def __init__(self, pool: asyncpg.Pool, gate: Gate) -> None:
        self._pool = pool
        self._gate = gate

    def reader(self) -> Reader:
        return Reader(self._pool, self._gate)

    def unit_of_work(self) -> UnitOfWork:
        return UnitOfWork(self._pool, self._gate)

    async def ping(self) -> None:
        await self._value("SELECT 1")

    async def database_version(self) -> str:
        return str(await self._value("SELECT current_setting('server_version')"))

    async def cursor_secret(self) -> bytes:
        await self._value(
            "INSERT INTO secrets (name, value) VALUES ('cursor', $1) ON CONFLICT DO NOTHING", token_bytes(32)
        )
        return bytes(await self._value("SELECT value FROM secrets WHERE name = 'cursor'"))

    def pool(self) -> PoolState:
        return PoolState(self._pool.get_size(), self._gate.inside, self._gate.waiting)

    async def _value(self, query: str, *arguments: object) -> Any:
        async with self.reader() as reader:
            return await reader._conn.fetchval(query, *arguments)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    milliseconds = str(int(settings.statement_timeout * 1000))
    pool = await asyncpg.create_pool(
        postgresql_url(settings.database_url),
        min_size=settings.pool_size,
        max_size=settings.pool_size,
        max_inactive_connection_lifetime=0,
        timeout=settings.pool_timeout,
        command_timeout=settings.statement_timeout,
        connection_class=CountedConnection,
        init=_prepare,
        server_settings={
            "application_name": "assay-asyncpg",
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
        },
    )
    try:
        yield Database(pool, Gate(settings.pool_size, settings.pool_timeout))
    finally:
        try:
            async with asyncio.timeout(settings.pool_timeout):
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


_SENDING = ("prepare", "bind_execute", "bind_execute_many", "bind", "execute", "query", "close_statement")


class CountedConnection(asyncpg.Connection):
    """Counts its round trips, and spares the one that would reset a session: this service sets nothing."""

    __slots__ = ()

    def __init__(self, protocol: Any, *rest: Any) -> None:
        super().__init__(cast("BaseProtocol[Record]", Counted(protocol, _SENDING)), *rest)

    def get_reset_query(self) -> str:
        return ""
