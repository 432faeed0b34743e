"""One PostgreSQL for the session, migrated once, rows to put into it, and who listens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from uuid import UUID

import asyncpg
import pytest

from assay.stand import Databases, StandOptions, open_databases
from shared.rules import clock
from shared.schemas.documents import DocumentRecord, NewDocument, document_record
from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post
from shared.schemas.users import NewUser, UserRecord, user_record
from shared.settings import Settings
from tortoise_service import service
from tortoise_service.database import Database, open_database

_numbers = count()


@pytest.fixture(scope="session")
async def stand() -> AsyncIterator[Databases]:
    async with open_databases([service.database], StandOptions(durable=False)) as databases:
        await databases.create_for(service)
        yield databases


@pytest.fixture(scope="session")
async def url(stand: Databases) -> str:
    found = stand.url_for(service)["DATABASE_URL"]
    await service.migrate(Settings(database_url=found))
    return found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Two connections, and some patience."""
    settings = Settings(database_url=url, pool_size=2, pool_timeout=3, db_timeout=4)
    async with open_database(settings) as opened:
        yield opened


@pytest.fixture
async def wide(url: str) -> AsyncIterator[Database]:
    """Connections for many at once."""
    async with open_database(Settings(database_url=url, pool_timeout=3, db_timeout=4)) as opened:
        yield opened


@pytest.fixture
async def outside(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def stored_user(database: Database, make_user: Callable[[], UserRecord]) -> UserRecord:
    user = make_user()
    async with database.unit_of_work() as work:
        await work.users.create(user)
    return user


class Follower:
    """What somebody who follows the feed and the rooms has heard, and in how many sets."""

    def __init__(self) -> None:
        self.heard: list[EventRecord | Post] = []
        self.sets = 0
        self._came = asyncio.Condition()

    @property
    def events(self) -> list[EventRecord]:
        return [heard for heard in self.heard if isinstance(heard, EventRecord)]

    @property
    def posts(self) -> list[Post]:
        return [heard for heard in self.heard if isinstance(heard, Post)]

    async def run(self, database: Database, position: str) -> None:
        async for heard in database.events.follow(position):
            assert bool(heard) is bool(self.sets), "the first set is empty, and no other"
            async with self._came:
                self.heard += heard
                self.sets += 1
                self._came.notify_all()

    async def until(self, count: int) -> None:
        """So many came, and the first empty set."""
        async with asyncio.timeout(10), self._came:
            await self._came.wait_for(lambda: self.sets > 0 and len(self.heard) >= count)


Following = Callable[[Database, str], AbstractAsyncContextManager[Follower]]


@pytest.fixture
def following() -> Following:
    """Hears everything from the start of the block to its end."""

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


@pytest.fixture
def make_user() -> Callable[[], UserRecord]:
    return lambda: user_record(NewUser(email=f"user{next(_numbers)}@example.org", name="Ada"), clock.now())


@pytest.fixture
def make_document() -> Callable[[UUID], DocumentRecord]:
    def make(owner_id: UUID) -> DocumentRecord:
        number = next(_numbers)
        sent = {
            "owner_id": str(owner_id),
            "title": f"Title {number}",
            "content": {"n": number},
            "tags": ["a"],
        }
        return document_record(NewDocument.model_validate(sent), clock.now())

    return make
