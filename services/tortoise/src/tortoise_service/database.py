"""The pool: opened, closed, counted; and what its errors mean to the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Token
from secrets import token_bytes
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient

# a context's own `with` keeps one token for all tasks, and here many requests are inside at once
from tortoise.context import TortoiseContext, _current_context
from tortoise.exceptions import TransactionManagementError

from shared.errors import TimedOut, Unavailable
from shared.gate import Gate
from shared.ports.backend import PoolState
from shared.settings import Settings, postgresql_url
from shared.trips import Counted
from tortoise_service.dashboard import Dashboard
from tortoise_service.documents import Documents
from tortoise_service.models import SecretRow
from tortoise_service.users import Users

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
    """The shared error that an error of the driver is, or None: Tortoise wraps only those of a
    transaction's state. What operations expect (`IntegrityError`, `DoesNotExist`) they catch themselves."""
    cause = error.__cause__ if isinstance(error, TransactionManagementError) else error
    if isinstance(cause, _TIMED_OUT):
        return TimedOut()
    if isinstance(cause, _REFUSED):
        return Unavailable()
    if isinstance(cause, _UNAVAILABLE):
        return Unavailable(outcome_unknown=outcome_unknown)
    return None


class Reader:
    outcome_unknown = False

    def __init__(self, context: TortoiseContext, client: "Client", gate: Gate) -> None:
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


class Database:
    def __init__(self, context: TortoiseContext, client: "Client", gate: Gate) -> None:
        self._context = context
        self._client = client
        self._gate = gate

    def reader(self) -> Reader:
        return Reader(self._context, self._client, self._gate)

    def unit_of_work(self) -> UnitOfWork:
        return UnitOfWork(self._context, self._client, self._gate)

    async def ping(self) -> None:
        await self._value("SELECT 1")

    async def database_version(self) -> str:
        return str(await self._value("SELECT current_setting('server_version')"))

    async def cursor_secret(self) -> bytes:
        async with self.reader():
            made = SecretRow(name="cursor", value=token_bytes(32))
            await SecretRow.bulk_create([made], ignore_conflicts=True, using_db=self._client)
            stored = await SecretRow.get(name="cursor", using_db=self._client)
        return bytes(stored.value)

    def pool(self) -> PoolState:
        return PoolState(self._client.connections, self._gate.inside, self._gate.waiting)

    async def _value(self, query: str) -> Any:
        async with self.reader():
            _, rows = await self._client.execute_query(query)
        return rows[0][0]


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    milliseconds = str(int(settings.statement_timeout * 1000))
    context = await open_context(
        {
            "dsn": postgresql_url(settings.database_url),
            "minsize": settings.pool_size,
            "maxsize": settings.pool_size,
            "max_inactive_connection_lifetime": 0,
            "timeout": settings.pool_timeout,
            "command_timeout": settings.statement_timeout,
            "connect": _connect,
            "connection_class": CountedConnection,
            "init": _prepare,
            "application_name": "assay-tortoise",
            "server_settings": {
                "statement_timeout": milliseconds,
                "lock_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
            },
        }
    )
    client = cast(Client, context.db())
    await client.create_connection(with_db=True)
    try:
        yield Database(context, client, Gate(settings.pool_size, settings.pool_timeout))
    finally:
        # cut short, it terminates the pool itself
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.pool_timeout):
                await context.close_connections()


async def open_context(credentials: dict[str, Any]) -> TortoiseContext:
    """Tortoise's state, its connections not yet made."""
    context = TortoiseContext()
    with context:
        await context.init(configuration(credentials))
    return context


def configuration(credentials: dict[str, Any]) -> dict[str, Any]:
    return {"connections": {"default": {"engine": __name__, "credentials": credentials}}, "apps": APPS}


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

    async def create_pool(self, **options: Any) -> asyncpg.Pool:
        return await asyncpg.create_pool(
            **{name: value for name, value in options.items() if name not in self._URL_PARTS}
        )


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


_SENDING = ("prepare", "bind_execute", "bind_execute_many", "bind", "execute", "query", "close_statement")


class CountedConnection(asyncpg.Connection):
    """Counts its round trips, and spares the one that would reset a session: this service sets nothing."""

    __slots__ = ()

    def __init__(self, protocol: Any, *rest: Any) -> None:
        super().__init__(cast("BaseProtocol[Record]", Counted(protocol, _SENDING)), *rest)

    def get_reset_query(self) -> str:
        return ""
