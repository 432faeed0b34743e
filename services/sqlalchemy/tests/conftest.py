"""A PostgreSQL of the tests' own, migrated; and the layer opened on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from assay.stand import Databases, StandOptions, open_databases
from shared.rules import clock
from shared.rules.json_content import content
from shared.schemas.documents import DocumentRecord, NewDocument, document_record
from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post
from shared.schemas.users import NewUser, UserRecord, user_record
from shared.settings import Settings
from sqlalchemy_service import service
from sqlalchemy_service.database import Database, open_database
from sqlalchemy_service.migrations import migrate

Following = Callable[[Database, str], AbstractAsyncContextManager["Follower"]]
NewUserRecord = Callable[[str], UserRecord]
NewDocumentRecord = Callable[..., DocumentRecord]


@pytest_asyncio.fixture(scope="session")
async def databases() -> AsyncIterator[Databases]:
    with pytest.MonkeyPatch.context() as environment:
        # the tests kill it: it must be theirs
        environment.delenv("DATABASE_URL", raising=False)
        async with open_databases(["postgresql"], StandOptions(durable=False)) as opened:
            await opened.create_for(service)
            yield opened


@pytest_asyncio.fixture(scope="session")
async def url(databases: Databases) -> str:
    url = databases.url_for(service)["DATABASE_URL"]
    await migrate(Settings(database_url=url))
    return url


@pytest.fixture
def opened(url: str) -> Callable[..., AbstractAsyncContextManager[Database]]:
    """Opens the layer with other settings."""

    def open_with(**settings: float | str) -> AbstractAsyncContextManager[Database]:
        chosen = {"database_url": url, "pool_size": 2, "pool_timeout": 3, **settings}
        return open_database(Settings.model_validate(chosen))

    return open_with


@pytest_asyncio.fixture
async def database(
    opened: Callable[..., AbstractAsyncContextManager[Database]],
) -> AsyncIterator[Database]:
    async with opened() as database:
        yield database


@pytest_asyncio.fixture
async def direct(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the layer's."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def new_user() -> NewUserRecord:
    count = iter(range(1_000_000))

    def build(name: str = "Ada") -> UserRecord:
        email = f"{name}.{next(count)}.{clock.now().timestamp()}@example.org"
        return user_record(NewUser(email=email, name=name), clock.now())

    return build


@pytest_asyncio.fixture
async def stored_user(database: Database, new_user: NewUserRecord) -> UserRecord:
    user = new_user("Ada")
    async with database.unit_of_work() as work:
        await work.users.create(user)
    return user


@pytest.fixture
def new_document() -> NewDocumentRecord:
    def build(owner_id: UUID, title: str = "The cat", tags: tuple[str, ...] = ("pet",)) -> DocumentRecord:
        new = NewDocument.model_construct(
            owner_id=owner_id, title=title, content=content({"n": 1, "big": 1e22}), tags=[*tags]
        )
        return document_record(new, clock.now())

    return build


class Follower:
    """What one who follows the feed and the rooms has heard."""

    def __init__(self) -> None:
        self.heard: list[EventRecord | Post] = []
        self.has_begun = False
        self._came = asyncio.Event()

    @property
    def entries(self) -> list[EventRecord]:
        return [heard for heard in self.heard if isinstance(heard, EventRecord)]

    @property
    def posts(self) -> list[Post]:
        return [heard for heard in self.heard if isinstance(heard, Post)]

    async def run(self, database: Database, position: str) -> None:
        async for heard in database.events.follow(position):
            assert bool(heard) == self.has_begun
            self.has_begun = True
            self.heard += heard
            self._came.set()

    async def until(self, count: int) -> None:
        """So many were heard, and the first set, which is empty."""
        async with asyncio.timeout(10):
            while not self.has_begun or len(self.heard) < count:
                self._came.clear()
                await self._came.wait()


@pytest.fixture
def following() -> Following:
    """One who hears everything from the start of the block on."""

    @asynccontextmanager
    async def follow(database: Database, position: str) -> AsyncIterator[Follower]:
        follower = Follower()
        running = asyncio.create_task(follower.run(database, position))
        try:
            await follower.until(0)
            yield follower
        finally:
            running.cancel()
            await asyncio.wait([running])

    return follow
