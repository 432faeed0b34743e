"""What a layer is to the rest: connections to read and to change with, and its state."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.errors import Refused
from shared.ports.activity import Activity
from shared.ports.attachments import Attachments
from shared.ports.dashboard import Dashboard
from shared.ports.documents import Documents
from shared.ports.events import Events
from shared.ports.exports import Exports
from shared.ports.notifications import Notifications
from shared.ports.rooms import Rooms
from shared.ports.users import Users
from shared.schemas.idempotency import KeptAnswer, KeyedRequest


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
    def attachments(self) -> Attachments: ...

    @property
    def activity(self) -> Activity: ...

    @property
    def notifications(self) -> Notifications: ...

    @property
    def dashboard(self) -> Dashboard: ...


class UnitOfWork(Protocol):
    """One connection for one change. Each operation is atomic and durable when it returns: one statement
    where the layer can say it in one, else a transaction of its own. Inside `Backend.once` they join its
    transaction instead."""

    @property
    def users(self) -> Users: ...

    @property
    def documents(self) -> Documents: ...

    @property
    def attachments(self) -> Attachments: ...

    @property
    def activity(self) -> Activity: ...

    @property
    def notifications(self) -> Notifications: ...

    @property
    def rooms(self) -> Rooms: ...


Effect = Callable[[UnitOfWork], Awaitable[KeptAnswer]]
"""What a keyed request does, and its answer. May run more than once where a transaction starts over."""

Refusal = Callable[[Refused], KeptAnswer | None]
"""The answer that a refusal is, or None where it is not to be kept."""


class Backend(Protocol):
    """An open data layer. Connections wait `pool_timeout` seconds at most for a free one; whatever the
    driver raises leaves `reader`, `unit_of_work`, `snapshot` and the `events` as an error of `shared.errors`.
    """

    @property
    def events(self) -> Events:
        """The change feed. Its methods take their connections themselves."""

    def reader(self) -> AbstractAsyncContextManager[Reader]:
        """Raises Unavailable, TimedOut."""

    def unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Raises Unavailable (the outcome known or not), TimedOut. An error inside leaves nothing behind."""

    async def once(self, request: KeyedRequest, effect: Effect, refusal: Refusal) -> tuple[KeptAnswer, bool]:
        """Takes effect and keeps the answer in one transaction, or answers what was kept, and whether it was.
        A refusal takes back what the effect did, and is kept. Raises KeyReused, and as `unit_of_work`.
        GEN-13"""

    def snapshot(self) -> AbstractAsyncContextManager[Exports]:
        """One of the exports' own connections, of which there are `export_connections`, and one point in time
        for all that is read. Raises Unavailable, TimedOut. EXP-1"""

    async def forget(self, before: datetime) -> None:
        """Removes entries of the change feed, kept answers and posts that are older, some thousand rows at a
        time. EVT-3, GEN-13"""

    async def ping(self) -> None:
        """One round trip to the database. OPS-1"""

    async def database_version(self) -> str:
        """As the server says it. OPS-2"""

    async def secret(self, name: str) -> bytes:
        """32 random bytes stored with the data under that name, made by whoever asks first. GEN-9"""

    def pool(self) -> PoolState:
        """The pool of requests at this moment. OPS-3"""

    def export_pool(self) -> PoolState:
        """The exports' own share at this moment. OPS-3"""
