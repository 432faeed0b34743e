"""A mongod of the tests' own and the layer open on it, in the tests' process."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from assay.stand import Database as Server
from assay.stand import StandOptions, open_databases
from motor_service import service
from motor_service.database import Database, open_database
from motor_service.migrations import migrate
from shared.rules import clock
from shared.rules.json_content import content
from shared.schemas.documents import DocumentRecord, NewDocument, document_record
from shared.schemas.users import NewUser, UserRecord, user_record
from shared.settings import Settings, database_of

Rows = Any
POOL_SIZE = 4


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[Server]:
    async with open_databases([service.database], StandOptions()) as databases:
        yield databases[service.database]


@pytest.fixture(scope="module")
async def settings(server: Server, request: pytest.FixtureRequest) -> Settings:
    """Each module has a database of its own."""
    url = server.url.replace("/?", f"/{request.module.__name__.rpartition('.')[2]}?")
    chosen = Settings.model_validate({"MONGODB_URL": url, "pool_size": POOL_SIZE, "pool_timeout": 1})
    await migrate(chosen)
    return chosen


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
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


@pytest.fixture(scope="session")
def new_user() -> Callable[[str], UserRecord]:
    return lambda name: user_record(NewUser(email=f"{name}@example.org", name=name), clock.now())


@pytest.fixture(scope="session")
def new_document() -> Callable[..., DocumentRecord]:
    def make(owner: UserRecord, title: str, tags: list[str] | None = None, **members: Any) -> DocumentRecord:
        new = NewDocument.model_construct(
            owner_id=owner.id, title=title, content=content(members), tags=tags or []
        )
        return document_record(new, clock.now())

    return make
