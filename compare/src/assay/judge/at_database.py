"""What a database tells of the arm that works on it. The arm's sessions are known by the ports that its
sockets have, so that two arms of one layer are told apart."""

from collections.abc import AsyncIterator, Awaitable, Callable, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from assay.judge.at_mongodb import open_mongodb
from assay.judge.at_postgresql import open_postgresql
from assay.stand import Database

Ask = Callable[[int], Awaitable[None]]
"""Sends that many requests, one after the other."""


class View(Protocol):
    """Answers are properties of the manifest by name; each database has its own, and tells none where its
    login may not see it."""

    async def manifest(self) -> dict[str, str]:
        """Versions, settings, indexes, sizes."""

    async def active(self, ports: Set[int]) -> frozenset[int]:
        """The statements that the arm's sessions work on at this moment, by a number that each keeps."""

    def held_up(self) -> AbstractAsyncContextManager[None]:
        """While the arm's statements stay at the database, where it lets itself be made to keep them."""

    async def settle(self, ports: Set[int], ask: Ask) -> None:
        """Waits until nothing that was done before counts in `plan` any more."""

    async def plan(self, ports: Set[int], ask: Ask) -> str | None:
        """How the rows of the requests are found: by which indexes, or by reading all."""

    async def statements(self, ports: Set[int], ask: Ask) -> dict[str, str]:
        """Whether the server keeps the statements that its sessions ran before those of `ask`."""

    async def written(self, ask: Ask) -> dict[str, str]:
        """What the arm asks for with a write."""


@asynccontextmanager
async def open_view(database: Database, url: str, log: Path) -> AsyncIterator[View]:
    """`url` leads to the arm's own database; `log` is the server's, where it is ours."""
    if database.kind == "postgresql":
        async with open_postgresql(url, log if database.pid is not None else None) as view:
            yield view
    else:
        async with open_mongodb(url, ours=database.is_ours) as view:
            yield view


async def settings_of(database: Database) -> dict[str, str]:
    """Of the server, as it answers itself."""
    if database.kind == "postgresql":
        async with open_postgresql(database.url, None) as view:
            return await view.settings()
    async with open_mongodb(database.url, ours=False) as mongodb:
        return await mongodb.settings()
