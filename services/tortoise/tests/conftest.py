"""One PostgreSQL for the session, migrated once, and rows to put into it."""

from collections.abc import AsyncIterator, Callable
from itertools import count
from uuid import UUID

import pytest

from assay.stand import Databases, StandOptions, open_databases
from shared.rules import clock
from shared.schemas.documents import DocumentRecord, NewDocument, document_record
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
    """Two connections, and little patience."""
    settings = Settings(database_url=url, pool_size=2, pool_timeout=0.3, db_timeout=1)
    async with open_database(settings) as opened:
        yield opened


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
