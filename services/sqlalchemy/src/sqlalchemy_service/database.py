"""The engine: opened, closed, counted; and what its errors mean to the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from secrets import token_bytes
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import WeakSet

import asyncpg
from sqlalchemy import event, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, DisconnectionError, NotSupportedError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from shared.errors import TimedOut, Unavailable
from shared.gate import Gate
from shared.ports.backend import PoolState
from shared.rules.json_content import read_stored
from shared.settings import Settings, postgresql_url
from shared.trips import Counted
from sqlalchemy_service.dashboard import Dashboard
from sqlalchemy_service.documents import Documents
from sqlalchemy_service.models import SecretRow
from sqlalchemy_service.users import Users

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
    """The shared error that an error of the driver is, wrapped by SQLAlchemy or not, or None. What the
    operations themselves expect (unique and foreign keys) they catch themselves."""
    if isinstance(error, NotSupportedError):
        # a plan that the schema has outdated, refused before it ran; the dialect makes a new one next time
        return Unavailable()
    cause = error.driver_exception if isinstance(error, DBAPIError) else error
    if isinstance(cause, _TIMED_OUT):
        return TimedOut()
    if isinstance(cause, _REFUSED):
        return Unavailable()
    if isinstance(cause, _UNAVAILABLE):
        return Unavailable(outcome_unknown=outcome_unknown)
    return None


class Reader:
    outcome_unknown = False

    def __init__(self, sessions: async_sessionmaker[AsyncSession], gate: Gate) -> None:
        self._sessions = sessions
        self._gate = gate
        self._session: AsyncSession

    @property
    def users(self) -> Users:
        return Users(self._session)

    @property
    def documents(self) -> Documents:
        return Documents(self._session)

    @property
    def dashboard(self) -> Dashboard:
        return Dashboard(self._session)

    async def __aenter__(self) -> Self:
        """The session takes its connection with its first statement."""
        await self._gate.enter()
        self._session = self._sessions()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._session.close()
        finally:
            self._gate.leave()
        if error is not None:
            translated = translate(error, outcome_unknown=self.outcome_unknown)
            if translated is not None:
                raise translated from error


class UnitOfWork(Reader):
    outcome_unknown = True


class Database:
    def __init__(self, engine: AsyncEngine, gate: Gate) -> None:
        # nothing is lazy here: no session has a change to flush or an object to expire
        self._sessions = async_sessionmaker(engine, autoflush=False, expire_on_commit=False)
        self._gate = gate

    def reader(self) -> Reader:
        return Reader(self._sessions, self._gate)

    def unit_of_work(self) -> UnitOfWork:
        return UnitOfWork(self._sessions, self._gate)

    async def ping(self) -> None:
        await self._scalar(select(literal(1)))

    async def database_version(self) -> str:
        return str(await self._scalar(select(func.current_setting("server_version"))))

    async def cursor_secret(self) -> bytes:
        async with self.unit_of_work() as work:
            new = insert(SecretRow).values(name="cursor", value=token_bytes(32))
            await work._session.execute(new.on_conflict_do_nothing())
        return bytes(await self._scalar(select(SecretRow.value).where(SecretRow.name == "cursor")))

    def pool(self) -> PoolState:
        return PoolState(self._gate.size, self._gate.inside, self._gate.waiting)

    async def _scalar(self, statement: Any) -> Any:
        async with self.reader() as reader:
            return await reader._session.scalar(statement)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    connect = Connector(settings)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout,
        # as asyncpg's own pool does: the connection that came back last has its statements ready
        pool_use_lifo=True,
        # every statement is a transaction of its own: nothing to begin, and nothing to take back on release
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
        hide_parameters=True,
        # contents are written as bytes once, by the rules; here they only pass
        json_serializer=bytes.decode,
        json_deserializer=read_stored,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    try:
        await _fill(engine, settings.pool_size)
        yield Database(engine, Gate(settings.pool_size, settings.pool_timeout))
    finally:
        try:
            async with asyncio.timeout(settings.pool_timeout):
                await engine.dispose()
        except TimeoutError:
            connect.terminate()


class Connector:
    """Opens the pool's connections. Where that fails nothing was sent yet."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: WeakSet[asyncpg.Connection] = WeakSet()

    async def __call__(self) -> asyncpg.Connection:
        milliseconds = str(int(self._settings.statement_timeout * 1000))
        try:
            connection = await asyncpg.connect(
                postgresql_url(self._settings.database_url),
                timeout=self._settings.pool_timeout,
                command_timeout=self._settings.statement_timeout,
                connection_class=CountedConnection,
                server_settings={
                    "application_name": "assay-sqlalchemy",
                    "statement_timeout": milliseconds,
                    "lock_timeout": milliseconds,
                    "idle_in_transaction_session_timeout": milliseconds,
                },
            )
        except (asyncpg.PostgresError, *_TIMED_OUT, *_UNAVAILABLE) as error:
            raise Unavailable from error
        self._opened.add(connection)
        return connection

    def terminate(self) -> None:
        for connection in self._opened:
            connection.terminate()


async def _fill(engine: AsyncEngine, size: int) -> None:
    async with AsyncExitStack() as stack:
        # one first: where the database is missing, it fails alone
        await stack.enter_async_context(engine.connect())
        await asyncio.gather(*(stack.enter_async_context(engine.connect()) for _ in range(1, size)))


def _prepare(connection: Any, record: object) -> None:
    # the driver asks the server about each array type once: here, not in somebody's request
    connection.run_async(
        lambda direct: direct.prepare("SELECT $1::uuid[], $2::text[], $3::integer[], $4::jsonb[]")
    )


def _refuse_closed(connection: Any, record: object, proxy: object) -> None:
    """The pool opens another one instead: what a ping would find out, without its round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


_SENDING = ("prepare", "bind_execute", "bind_execute_many", "bind", "execute", "query", "close_statement")


class CountedConnection(asyncpg.Connection):
    """Counts its round trips."""

    __slots__ = ()

    def __init__(self, protocol: Any, *rest: Any) -> None:
        super().__init__(cast("BaseProtocol[Record]", Counted(protocol, _SENDING)), *rest)
