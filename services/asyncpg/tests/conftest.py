"""A real server, the service on it twice: once directly, once by way of a relay with a pool of two. And the
data layer alone, on a database of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import asyncpg
import httpx2
import pytest

from assay.stand import Databases, Stand, StandOptions, open_databases, silent
from assay.stand.relay import Relay, open_relay
from assay.stand.urls import with_database
from asyncpg_service import service
from asyncpg_service.database import Database, open_database
from asyncpg_service.migrations import migrate
from shared.rules import json_content
from shared.schemas.documents import DocumentRecord, NewDocument, document_record
from shared.schemas.events import EventRecord
from shared.schemas.rooms import Post
from shared.schemas.users import NewUser, UserRecord, user_record
from shared.settings import Settings

_NUMBERS = count()


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Those of the service behind the relay."""
    return Settings(pool_size=2, pool_timeout=1, db_timeout=6, dashboard_ttl=0, server_timing=True)


@pytest.fixture(scope="session")
def _no_given_url() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("DATABASE_URL", raising=False)
        yield


@pytest.fixture(scope="session")
async def databases(_no_given_url: None) -> AsyncIterator[Databases]:
    async with open_databases([service.database], StandOptions(durable=False)) as opened:
        yield opened


@pytest.fixture(scope="session")
async def stand(databases: Databases) -> AsyncIterator[Stand]:
    stand = Stand(databases, silent)
    try:
        await stand.open(service)
        yield stand
    finally:
        await stand.stop_services()


@pytest.fixture(scope="session")
async def relay(stand: Stand) -> AsyncIterator[Relay]:
    async with open_relay(stand.databases.url_for(service)["DATABASE_URL"]) as opened:
        yield opened


@pytest.fixture(scope="session")
async def api(stand: Stand, relay: Relay, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Of the service behind the relay."""
    chosen = settings.model_dump(include=settings.model_fields_set, mode="json")
    variables = {name.upper(): str(value) for name, value in chosen.items()}
    # its deadlocks are its own: found before its lock time-out, and before the other side finds them
    variables["DATABASE_URL"] = f"{relay.url}?deadlock_timeout=300ms"
    running = await stand.start_service(service, name="asyncpg-relayed", environment=variables)
    async with httpx2.AsyncClient(base_url=running.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
async def rows(stand: Stand) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the tests' own, around the service."""
    connection = await asyncpg.connect(stand.databases.url_for(service)["DATABASE_URL"])
    yield connection
    await connection.close(timeout=5)


@pytest.fixture(scope="session")
def new_user(api: httpx2.AsyncClient) -> Callable[[], Awaitable[str]]:
    """Creates a user and answers the id."""

    async def create() -> str:
        number = next(_NUMBERS)
        answer = await api.post("/users", json={"email": f"u{number}@example.org", "name": f"U{number}"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return create


@pytest.fixture(scope="session")
def new_documents(api: httpx2.AsyncClient) -> Callable[[str, int], Awaitable[list[str]]]:
    """Creates as many documents of the owner as asked for and answers their ids."""

    async def create(owner: str, many: int) -> list[str]:
        body: list[Any] = [{"owner_id": owner, "title": f"T{place}", "tags": ["t"]} for place in range(many)]
        answer = await api.post("/documents/batch", json=body)
        assert answer.status_code == 201, answer.text
        return [document["id"] for document in answer.json()["items"]]

    return create


@pytest.fixture(scope="session")
async def layer_settings(databases: Databases) -> Settings:
    """Of the layer alone, on a migrated database."""
    server = databases["postgresql"]
    await server.create_database("assay_layer")
    url = with_database(server.url, "assay_layer")
    settings = Settings(database_url=url, pool_timeout=3, db_timeout=4, export_connections=2)
    await migrate(settings)
    return settings


@pytest.fixture(scope="session")
async def database(layer_settings: Settings) -> AsyncIterator[Database]:
    async with open_database(layer_settings) as opened:
        yield opened


@pytest.fixture
async def outside(layer_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the tests' own to the layer's database."""
    connection = await asyncpg.connect(layer_settings.database_url)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
def now() -> datetime:
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.fixture
def a_user(now: datetime) -> Callable[[], UserRecord]:
    """One that is not stored yet."""
    return lambda: user_record(NewUser(email=f"u{next(_NUMBERS)}@example.org", name="Ada"), now)


@pytest.fixture
def a_document(now: datetime) -> Callable[[UserRecord], DocumentRecord]:
    """One that is not stored yet, of that owner."""

    def make(owner: UserRecord) -> DocumentRecord:
        content = json_content.content({"n": next(_NUMBERS)})
        return document_record(
            NewDocument.model_construct(owner_id=owner.id, title="T", content=content, tags=["t"]), now
        )

    return make


@pytest.fixture
async def stored_user(database: Database, a_user: Callable[[], UserRecord]) -> UserRecord:
    user = a_user()
    async with database.unit_of_work() as unit:
        await unit.users.create(user)
    return user


class Follower:
    """What one follower of the feed and of the rooms has heard."""

    def __init__(self) -> None:
        self.heard: list[EventRecord | Post] = []
        self.sets = 0
        self.came = asyncio.Event()

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
            self.came.set()

    async def until(self, count: int) -> None:
        """So many were heard; the first empty set counts as none."""
        async with asyncio.timeout(10):
            while not self.sets or len(self.heard) < count:
                self.came.clear()
                await self.came.wait()


@pytest.fixture
def following() -> Callable[[Database, str], AbstractAsyncContextManager[Follower]]:
    """A follower that hears everything from the start of the block on; its end gives the connection back."""

    @asynccontextmanager
    async def follow(database: Database, position: str) -> AsyncIterator[Follower]:
        follower = Follower()
        task = asyncio.create_task(follower.run(database, position))
        try:
            await follower.until(0)
            yield follower
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()

    return follow
