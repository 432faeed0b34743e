"""A mongod of the tests' own and the layer open on it, in the tests' process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient

from assay.stand import Database as Server
from assay.stand import StandOptions, mongodb, open_databases
from motor_service import service
from motor_service.database import Database, open_database
from motor_service.migrations import migrate
from shared.rules import clock
from shared.rules.json_content import content
from shared.schemas.documents import DocumentRecord, NewDocument, document_record
from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post
from shared.schemas.users import NewUser, UserRecord, user_record
from shared.settings import Settings, database_of

Rows = Any
POOL_SIZE = 4


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[Server]:
    with pytest.MonkeyPatch.context() as patched:
        # it fails when it is told to
        options = (*mongodb.SERVER_OPTIONS, "--setParameter", "enableTestCommands=1")
        patched.setattr(mongodb, "SERVER_OPTIONS", options)
        async with open_databases([service.database], StandOptions()) as databases:
            yield databases[service.database]


@pytest.fixture(scope="module")
async def settings(server: Server, request: pytest.FixtureRequest) -> Settings:
    """Each module has a database of its own."""
    url = server.url.replace("/?", f"/{request.module.__name__.rpartition('.')[2]}?")
    chosen = Settings.model_validate({"MONGODB_URL": url, "pool_size": POOL_SIZE, "pool_timeout": 3})
    await migrate(chosen)
    return chosen


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings) as opened:
        yield opened


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[Database]:
    """As another process has it: without the turns that those of one process take."""
    async with open_database(settings) as opened:
        yield opened


@pytest.fixture
async def rows(settings: Settings) -> AsyncIterator[Rows]:
    """The same database through another driver, with which the tests look and break things."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.mongodb_url, uuidRepresentation="standard", tz_aware=True
    )
    async with client:
        yield client[database_of(settings.mongodb_url)]


@pytest.fixture
def failing(rows: Rows) -> Callable[..., AbstractAsyncContextManager[None]]:
    """The layer's commands of these names fail on the server, or wait: `how` is its fail point's data."""

    @asynccontextmanager
    async def fail(*commands: str, **how: Any) -> AsyncIterator[None]:
        data = {"failCommands": commands, "appName": "assay-motor", **how}
        await rows.client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
        try:
            yield
        finally:
            await rows.client.admin.command("configureFailPoint", "failCommand", mode="off")

    return fail


@pytest.fixture
def now() -> datetime:
    return clock.now()


@pytest.fixture(scope="session")
def new_user() -> Callable[[str], UserRecord]:
    return lambda name: user_record(NewUser(email=f"{name}@example.org", name=name), clock.now())


@pytest.fixture
async def stored_user(database: Database, new_user: Callable[[str], UserRecord]) -> UserRecord:
    user = new_user(f"stored{uuid4().hex}")
    async with database.unit_of_work() as unit:
        await unit.users.create(user)
    return user


@pytest.fixture(scope="session")
def new_document() -> Callable[..., DocumentRecord]:
    def make(owner: UserRecord, title: str, tags: list[str] | None = None, **members: Any) -> DocumentRecord:
        new = NewDocument.model_construct(
            owner_id=owner.id, title=title, content=content(members), tags=tags or []
        )
        return document_record(new, clock.now())

    return make


class Follower:
    """What one follower of the feed and of the rooms has heard."""

    def __init__(self) -> None:
        self.heard: list[EventRecord | Post] = []
        self.sets = 0
        self._came = asyncio.Event()

    @property
    def events(self) -> list[EventRecord]:
        return [heard for heard in self.heard if isinstance(heard, EventRecord)]

    @property
    def posts(self) -> list[Post]:
        return [heard for heard in self.heard if isinstance(heard, Post)]

    async def run(self, database: Database, position: str) -> None:
        async for heard in database.events.follow(position):
            assert bool(heard) == bool(self.sets)
            self.sets += 1
            self.heard += heard
            self._came.set()

    async def until(self, count: int) -> None:
        """So many were heard, and the empty set that comes first."""
        async with asyncio.timeout(10):
            while not self.sets or len(self.heard) < count:
                self._came.clear()
                await self._came.wait()


@pytest.fixture(scope="session")
def following() -> Callable[[Database, str], AbstractAsyncContextManager[Follower]]:
    """Follows from a position on for as long as the context is open."""

    @asynccontextmanager
    async def follow(database: Database, position: str) -> AsyncIterator[Follower]:
        follower = Follower()
        task = asyncio.create_task(follower.run(database, position))
        try:
            await follower.until(0)
            yield follower
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait([task])

    return follow
