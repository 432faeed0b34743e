"""What a layer is to the rest: connections to read and to change with, and its state."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from shared.ports.dashboard import Dashboard
from shared.ports.documents import Documents
from shared.ports.users import Users


@dataclass(frozen=True, slots=True)
class PoolState:
    """Connections of the pool, those in use among them, and the requests that wait for one."""

    size: int
    in_use: int
    waiting: int


class Reader(Protocol):
    """One connection for reading, without a transaction around it."""

    @property
    def users(self) -> Users: ...

    @property
    def documents(self) -> Documents: ...

    @property
    def dashboard(self) -> Dashboard: ...


class UnitOfWork(Protocol):
    """One connection for one change. Each operation is atomic and durable when it returns: one statement
    where the layer can say it in one, else a transaction of its own."""

    @property
    def users(self) -> Users: ...

    @property
    def documents(self) -> Documents: ...


class Backend(Protocol):
    """An open data layer. Connections wait `pool_timeout` seconds at most for a free one; whatever the
    driver raises leaves `reader` and `unit_of_work` as an error of `shared.errors`."""

    def reader(self) -> AbstractAsyncContextManager[Reader]:
        """Raises Unavailable, TimedOut."""

    def unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Raises Unavailable (the outcome known or not), TimedOut. An error inside leaves nothing behind."""

    async def ping(self) -> None:
        """One round trip to the database. OPS-1"""

    async def database_version(self) -> str:
        """As the server says it. OPS-2"""

    async def cursor_secret(self) -> bytes:
        """The secret stored with the data, made by whoever asks first. GEN-9"""

    def pool(self) -> PoolState:
        """The pool at this moment."""
