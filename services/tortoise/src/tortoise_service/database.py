"""The pools: opened, closed, counted; and what its errors mean to the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Token
from datetime import datetime
from secrets import token_bytes
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import BaseDBAsyncClient

# a context's own `with` keeps one token for all tasks, and here many requests are inside at once
from tortoise.context import TortoiseContext, _current_context
from tortoise.exceptions import TransactionManagementError

from shared.errors import Refused, TimedOut, Unavailable
from shared.gate import Gate
from shared.ports.backend import Effect, PoolState, Refusal
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.settings import Settings, postgresql_url
from shared.trips import Counted
from tortoise_service import statements
from tortoise_service.activity import Activity
from tortoise_service.attachments import Attachments
from tortoise_service.dashboard import Dashboard
from tortoise_service.documents import Documents
from tortoise_service.events import Events
from tortoise_service.exports import Exports
from tortoise_service.idempotency import Idempotency
from tortoise_service.models import SecretRow
from tortoise_service.notifications import Notifications
from tortoise_service.rooms import Rooms
from tortoise_service.users import Users

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
"""Seconds in which a transaction's connection is whole again, or given up."""


def translate(error: BaseException, *, outcome_unknown: bool) -> Exception | None:
    """The shared error that an error of the driver is, or None: Tortoise wraps only those of a
    transaction's state. What operations expect (`IntegrityError`, `DoesNotExist`) they catch themselves."""
    cause = error.__cause__ if isinstance(error, TransactionManagementError) else error
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


class Reader:
    outcome_unknown = False

    def __init__(self, context: TortoiseContext, client: BaseDBAsyncClient, gate: Gate) -> None:
        self._context = context
        self._client = client
        self._gate = gate
        self._token: Token[TortoiseContext | None]

    @property
    def users(self) -> Users:
        return Users(self._client)

    @property
    def documents(self) -> Documents:
        return Documents(self._client)

    @property
    def attachments(self) -> Attachments:
        return Attachments(self._client)

    @property
    def activity(self) -> Activity:
        return Activity(self._client)

    @property
    def notifications(self) -> Notifications:
        return Notifications(self._client)

    @property
    def dashboard(self) -> Dashboard:
        return Dashboard(self._client)

    async def __aenter__(self) -> Self:
        await self._gate.enter()
        self._token = _current_context.set(self._context)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave()
        _current_context.reset(self._token)
        if error is not None:
            translated = translate(error, outcome_unknown=self.outcome_unknown)
            if translated is not None:
                raise translated from error


class UnitOfWork(Reader):
    outcome_unknown = True

    @property
    def rooms(self) -> Rooms:
        return Rooms(self._client)


class Database:
    """`client` sends over the pool of requests, `exports` over the exports' own."""

    def __init__(
        self, settings: Settings, context: TortoiseContext, client: "Client", exports: "Client"
    ) -> None:
        self._settings = settings
        self._context = context
        self._client = client
        self._gate = Gate(settings.pool_size, settings.pool_timeout)
        self._exports = exports
        self._export_gate = Gate(settings.export_connections, settings.pool_timeout)
        self._events = Events(context, self._borrow, self._listen)

    @property
    def events(self) -> Events:
        return self._events

    def reader(self) -> Reader:
        return Reader(self._context, self._client, self._gate)

    def unit_of_work(self) -> UnitOfWork:
        return UnitOfWork(self._context, self._client, self._gate)

    async def once(self, request: KeyedRequest, effect: Effect, refusal: Refusal) -> tuple[KeptAnswer, bool]:
        async with self.unit_of_work(), self._client.transaction() as client:
            keys = Idempotency(client)
            kept = await keys.claim(request)
            if kept is not None:
                return kept, True
            try:
                async with statements.savepoint(client):
                    answer = await effect(UnitOfWork(self._context, client, self._gate))
            except Refused as error:
                refused = refusal(error)
                if refused is None:
                    raise
                answer = refused
            await keys.keep(request, answer)
        return answer, False

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Exports]:
        async with _translated():
            await self._export_gate.enter()
            try:
                async with self._exports.transaction(isolation="repeatable_read", readonly=True) as client:
                    yield Exports(self._context, client)
            finally:
                self._export_gate.leave()

    async def forget(self, before: datetime) -> None:
        for statement in statements.FORGET:
            while await self._value(statement, before) == statements.AT_ONCE:
                pass

    async def ping(self) -> None:
        await self._value("SELECT 1")

    async def database_version(self) -> str:
        return str(await self._value("SELECT current_setting('server_version')"))

    async def secret(self, name: str) -> bytes:
        async with self.reader():
            made = SecretRow(name=name, value=token_bytes(32))
            await SecretRow.bulk_create([made], ignore_conflicts=True, using_db=self._client)
            stored = await SecretRow.get(name=name, using_db=self._client)
        return bytes(stored.value)

    def pool(self) -> PoolState:
        return PoolState(self._client.connections, self._gate.inside, self._gate.waiting)

    def export_pool(self) -> PoolState:
        return PoolState(self._exports.connections, self._export_gate.inside, self._export_gate.waiting)

    async def _value(self, query: str, *arguments: object) -> Any:
        async with self._borrow() as client:
            _, rows = await client.execute_query(query, list(arguments))
        return rows[0][0]

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[BaseDBAsyncClient]:
        async with self.reader():
            yield self._client

    @asynccontextmanager
    async def _listen(self) -> AsyncIterator[tuple[BaseDBAsyncClient, asyncpg.Connection]]:
        """A connection of nobody's pool: one that is given back to a pool no longer listens."""
        async with _translated():
            session = _session(self._settings, self._settings.statement_timeout)
            connection = await _connect(**session | {"dsn": postgresql_url(self._settings.wakeup_url)})
            try:
                yield self._client.over(connection), connection
            finally:
                connection.terminate()


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except Exception as error:
        translated = translate(error, outcome_unknown=False)
        if translated is None:
            raise
        raise translated from error


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    context = await open_context(default=_requests(settings), exports=_exports(settings))
    client, exports = cast(Client, context.db("default")), cast(Client, context.db("exports"))
    try:
        await client.create_connection(with_db=True)
        await exports.create_connection(with_db=True)
        yield Database(settings, context, client, exports)
    finally:
        # cut short, they terminate their pools themselves
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.pool_timeout):
                await context.close_connections()


def _session(settings: Settings, idle: float, **more: str) -> dict[str, Any]:
    """How to connect; `idle` is how many seconds a transaction may do nothing."""
    milliseconds = str(int(settings.statement_timeout * 1000))
    return {
        "dsn": postgresql_url(settings.database_url),
        "timeout": settings.pool_timeout,
        "command_timeout": settings.statement_timeout,
        "connection_class": CountedConnection,
        "server_settings": {
            "application_name": "assay-tortoise",
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": str(int(idle * 1000)),
            **more,
        },
    }


def _requests(settings: Settings) -> dict[str, Any]:
    return _session(settings, settings.statement_timeout) | {
        "minsize": settings.pool_size,
        "maxsize": settings.pool_size,
        "max_inactive_connection_lifetime": 0,
        "connect": _connect,
        "init": _prepare,
    }


def _exports(settings: Settings) -> dict[str, Any]:
    # who leaves an export unread is broken off by the export: the server's patience only outlasts that
    unread = settings.export_timeout + settings.stall_timeout
    # the first rows are wanted soon: by an index, where another plan would sort all rows before
    session = _session(settings, unread, cursor_tuple_fraction="0.01")
    sizes = {"minsize": 0, "maxsize": settings.export_connections}
    return session | sizes | {"connect": _connect, "init": _prepare}


async def open_context(**credentials: dict[str, Any]) -> TortoiseContext:
    """Tortoise's state, its connections not yet made; `credentials` by their names, `default` among them."""
    context = TortoiseContext()
    with context:
        await context.init(configuration(**credentials))
    return context


def configuration(**credentials: dict[str, Any]) -> dict[str, Any]:
    connections = {name: {"engine": __name__, "credentials": given} for name, given in credentials.items()}
    return {"connections": connections, "apps": APPS}


APPS = {
    "service": {
        "models": ["tortoise_service.models"],
        "migrations": "tortoise_service.migrations",
        "default_connection": "default",
    }
}


class Client(AsyncpgDBClient):
    """Leaves the URL to the driver (Tortoise's own reading takes `ssl=disable` for yes)."""

    _URL_PARTS = frozenset({"host", "port", "user", "password", "database"})

    @property
    def connections(self) -> int:
        return 0 if self._pool is None else self._pool.get_size()

    @asynccontextmanager
    async def transaction(self, **options: Any) -> AsyncIterator[TransactionWrapper]:
        """Tortoise's own never gives back a connection whose `BEGIN` fails or is cancelled. Where this one is
        left by an error, or has nothing to commit, the pool rolls back as it takes the connection back: that
        is shielded from cancellation, and has an end."""
        assert self._pool is not None
        connection = await self._pool.acquire()
        transaction = connection.transaction(**options)
        try:
            await transaction.__aenter__()
            yield self.over(connection)
            if not options.get("readonly"):
                await transaction.__aexit__(None, None, None)
        finally:
            # too late, it is terminated
            with suppress(TimeoutError):
                await self._pool.release(connection, timeout=_LEAVING)

    def over(self, connection: Any) -> TransactionWrapper:
        """A client that sends over this connection alone."""
        client = TransactionWrapper(self)
        client._connection = connection
        return client

    async def create_pool(self, **options: Any) -> asyncpg.Pool:
        chosen = {name: value for name, value in options.items() if name not in self._URL_PARTS}
        return await asyncpg.create_pool(**chosen)


client_class = Client
"""What Tortoise asks the module of an engine for."""


async def _connect(*arguments: Any, **options: Any) -> asyncpg.Connection:
    # Tortoise takes its connections inside of the operations: here nothing has been sent yet
    try:
        return await asyncpg.connect(*arguments, **options)
    except (*_TIMED_OUT, *_UNAVAILABLE, asyncpg.PostgresError) as error:
        raise Unavailable from error


async def _prepare(conn: asyncpg.Connection) -> None:
    # the driver asks the server about each array type once: here, not in somebody's request
    await conn.prepare("SELECT $1::uuid[], $2::text[], $3::integer[]")


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
