"""The engine: opened, closed, counted; and what its errors mean to the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from secrets import token_bytes
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import WeakSet

import asyncpg
from sqlalchemy import NullPool, QueuePool, event, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, DisconnectionError, NotSupportedError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from shared.errors import Refused, TimedOut, Unavailable
from shared.gate import Gate
from shared.ports.backend import Effect, PoolState, Refusal
from shared.rules.json_content import read_stored
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.settings import Settings, postgresql_url
from shared.trips import Counted
from sqlalchemy_service.activity import Activity
from sqlalchemy_service.attachments import Attachments
from sqlalchemy_service.dashboard import Dashboard
from sqlalchemy_service.documents import Documents
from sqlalchemy_service.events import Events
from sqlalchemy_service.exports import Exports
from sqlalchemy_service.idempotency import Idempotency
from sqlalchemy_service.models import SecretRow
from sqlalchemy_service.notifications import Notifications
from sqlalchemy_service.rooms import Rooms
from sqlalchemy_service.statements import AT_ONCE, FORGET
from sqlalchemy_service.users import Users

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.protocol.protocol import BaseProtocol

_TIMED_OUT = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, TimeoutError)
# the server refused and nothing holds: locks in a circle, a server that takes no writes or has no room, a
# transaction that took too long
_REFUSED = (
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
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


def translate(error: BaseException, *, outcome_unknown: bool) -> Exception | None:
    """The shared error that an error of the driver is, wrapped by SQLAlchemy or not, or None. What the
    operations themselves expect (unique and foreign keys) they catch themselves."""
    if isinstance(error, NotSupportedError):
        # a plan that the schema has outdated, refused before it ran; the dialect makes a new one next time
        return Unavailable()
    cause = error.driver_exception if isinstance(error, DBAPIError) else error
    if isinstance(cause, _TIMED_OUT):
        return TimedOut()
    if isinstance(cause, _UNAVAILABLE):
        return Unavailable(outcome_unknown=outcome_unknown)
    if isinstance(cause, _REFUSED):
        return Unavailable()
    # no number is left for a transaction that writes; the other limits of its kind are the statement's own
    if isinstance(cause, asyncpg.ProgramLimitExceededError) and "wraparound" in str(cause):
        return Unavailable()
    return None


class Borrowed:
    """A session on one of a pool's connections, which it takes with its first statement."""

    outcome_unknown = False

    def __init__(self, sessions: async_sessionmaker[AsyncSession], gate: Gate) -> None:
        self._sessions = sessions
        self._gate = gate
        self._session: AsyncSession

    async def __aenter__(self) -> Self:
        await self._gate.enter()
        self._session = self._sessions()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._session.close()
        except Exception as closing:  # noqa: BLE001 - told below, unless something went wrong before
            error = error or closing
        finally:
            self._gate.leave()
        if error is not None:
            translated = translate(error, outcome_unknown=self.outcome_unknown)
            if translated is not None:
                raise translated from error
            if kind is None:
                raise error


class Reader(Borrowed):
    @property
    def users(self) -> Users:
        return Users(self._session)

    @property
    def documents(self) -> Documents:
        return Documents(self._session)

    @property
    def attachments(self) -> Attachments:
        return Attachments(self._session)

    @property
    def activity(self) -> Activity:
        return Activity(self._session)

    @property
    def notifications(self) -> Notifications:
        return Notifications(self._session)

    @property
    def dashboard(self) -> Dashboard:
        return Dashboard(self._session)


class UnitOfWork(Reader):
    outcome_unknown = True

    @property
    def rooms(self) -> Rooms:
        return Rooms(self._session)


class Transaction(UnitOfWork):
    """All its operations take effect with its commit, or none does."""

    outcome_unknown = False

    async def commit(self) -> None:
        self.outcome_unknown = True
        await self._session.commit()


class Snapshot(Borrowed, Exports):
    """Exports that are read in one transaction."""


class Database:
    def __init__(
        self, requests: AsyncEngine, exports: AsyncEngine, bus: AsyncEngine, settings: Settings
    ) -> None:
        self._sessions = _sessions(requests)
        # on the same connections
        self._transactions = _sessions(requests.execution_options(isolation_level="READ COMMITTED"))
        self._snapshots = _sessions(exports)
        self._export_pool = cast(QueuePool, exports.pool)
        self._bus = bus
        self._gate = Gate(settings.pool_size, settings.pool_timeout)
        self._export_gate = Gate(settings.export_connections, settings.pool_timeout)

    @property
    def events(self) -> Events:
        return Events(self._borrowed, self._listening)

    def reader(self) -> Reader:
        return Reader(self._sessions, self._gate)

    def unit_of_work(self) -> UnitOfWork:
        return UnitOfWork(self._sessions, self._gate)

    async def once(self, request: KeyedRequest, effect: Effect, refusal: Refusal) -> tuple[KeptAnswer, bool]:
        async with Transaction(self._transactions, self._gate) as work:
            answers = Idempotency(work._session)
            kept = await answers.claim(request)
            if kept is not None:
                return kept, True
            try:
                async with work._session.begin_nested():
                    answer = await effect(work)
            except Refused as refused:
                refused_answer = refusal(refused)
                if refused_answer is None:
                    raise
                answer = refused_answer
            await answers.keep(request, answer)
            await work.commit()
            return answer, False

    def snapshot(self) -> Snapshot:
        return Snapshot(self._snapshots, self._export_gate)

    async def forget(self, before: datetime) -> None:
        for statement in FORGET:
            found = AT_ONCE
            while found == AT_ONCE:
                async with self.unit_of_work() as work:
                    found = (await work._session.execute(statement, {"before": before})).scalar_one()

    async def ping(self) -> None:
        await self._scalar(select(literal(1)))

    async def database_version(self) -> str:
        return str(await self._scalar(select(func.current_setting("server_version"))))

    async def secret(self, name: str) -> bytes:
        async with self.unit_of_work() as work:
            new = insert(SecretRow).values(name=name, value=token_bytes(32))
            await work._session.execute(new.on_conflict_do_nothing())
        return bytes(await self._scalar(select(SecretRow.value).where(SecretRow.name == name)))

    def pool(self) -> PoolState:
        return PoolState(self._gate.size, self._gate.inside, self._gate.waiting)

    def export_pool(self) -> PoolState:
        opened = self._export_pool.checkedin() + self._export_pool.checkedout()
        return PoolState(opened, self._export_gate.inside, self._export_gate.waiting)

    async def _scalar(self, statement: Any) -> Any:
        async with self._borrowed() as session:
            return await session.scalar(statement)

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[AsyncSession]:
        async with self.reader() as reader:
            yield reader._session

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[AsyncConnection]:
        """A connection that no pool has."""
        try:
            async with self._bus.connect() as connection:
                yield connection
        except Exception as error:
            translated = translate(error, outcome_unknown=False)
            if translated is None:
                raise
            raise translated from error


def _sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    # nothing is lazy here: no session has a change to flush or an object to expire
    return async_sessionmaker(engine, autoflush=False, expire_on_commit=False)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    connect = Connector(settings, settings.database_url, idle=settings.statement_timeout)
    connect_bus = Connector(settings, settings.wakeup_url, idle=settings.statement_timeout)
    # who leaves an export unread is broken off by the export: the server's patience only outlasts that
    unread = settings.export_timeout + settings.stall_timeout
    connect_export = Connector(settings, settings.database_url, idle=unread)
    requests = _open_engine(
        connect,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout,
        # as asyncpg's own pool does: the connection that came back last has its statements ready
        pool_use_lifo=True,
        # every statement is a transaction of its own: nothing to begin, and nothing to take back on release
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
    )
    exports = _open_engine(
        connect_export,
        pool_size=settings.export_connections,
        max_overflow=0,
        pool_timeout=settings.pool_timeout,
        execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    )
    bus = _open_engine(connect_bus, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        await _fill(requests, settings.pool_size)
        yield Database(requests, exports, bus, settings)
    finally:
        try:
            async with asyncio.timeout(settings.pool_timeout):
                for engine in (requests, exports, bus):
                    await engine.dispose()
        except TimeoutError:
            for connector in (connect, connect_export, connect_bus):
                connector.terminate()


def _open_engine(connect: "Connector", **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        hide_parameters=True,
        # contents are written as bytes once, by the rules; here they only pass
        json_serializer=bytes.decode,
        json_deserializer=read_stored,
        **options,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


class Connector:
    """Opens connections, whose transactions may be idle for some seconds. Where that fails nothing was sent
    yet."""

    def __init__(self, settings: Settings, url: str, *, idle: float) -> None:
        self._settings = settings
        self._url = postgresql_url(url)
        self._idle = str(int(idle * 1000))
        self._opened: WeakSet[asyncpg.Connection] = WeakSet()

    async def __call__(self) -> asyncpg.Connection:
        milliseconds = str(int(self._settings.statement_timeout * 1000))
        try:
            connection = await asyncpg.connect(
                self._url,
                timeout=self._settings.pool_timeout,
                command_timeout=self._settings.statement_timeout,
                connection_class=CountedConnection,
                server_settings={
                    "application_name": "assay-sqlalchemy",
                    "statement_timeout": milliseconds,
                    "lock_timeout": milliseconds,
                    "idle_in_transaction_session_timeout": self._idle,
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
        lambda direct: direct.prepare(
            "SELECT $1::uuid[], $2::text[], $3::integer[], $4::jsonb[], $5::timestamptz[]"
        )
    )


def _refuse_closed(connection: Any, record: object, proxy: object) -> None:
    """The pool opens another one instead: what a ping would find out, without its round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


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
    """Counts its round trips."""

    __slots__ = ()

    def __init__(self, protocol: Any, *rest: Any) -> None:
        super().__init__(cast("BaseProtocol[Record]", Counted(protocol, _SENDING)), *rest)
