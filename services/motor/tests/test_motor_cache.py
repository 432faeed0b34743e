"""A transaction for which the server's cache has no room."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from motor_service.database import Database, open_database
from shared.errors import Unavailable
from shared.schemas.documents import DocumentRecord
from shared.schemas.users import UserRecord
from shared.settings import Settings

Rows = Any
NewDocument = Callable[..., DocumentRecord]


async def _resize(rows: Rows, megabytes: int) -> None:
    configured = f"cache_size={megabytes}M"
    await rows.client.admin.command("setParameter", 1, wiredTigerEngineRuntimeConfig=configured)


async def _aborted(rows: Rows) -> int:
    """How many transactions the server ended without a commit."""
    status = await rows.client.admin.command("serverStatus")
    return int(status["transactions"]["totalAborted"])


@pytest.fixture
async def full(rows: Rows) -> AsyncIterator[None]:
    """A cache that the batch has no room in."""
    await _resize(rows, 16)
    yield
    await _resize(rows, 1024)


@pytest.fixture
def batch(stored_user: UserRecord, new_document: NewDocument) -> list[DocumentRecord]:
    """15 MB of documents."""
    return [new_document(stored_user, "large", filler="x" * 15_600) for _ in range(1_000)]


async def _create(database: Database, batch: list[DocumentRecord]) -> None:
    async with database.unit_of_work() as unit:
        await unit.documents.create_many(batch)


@pytest.mark.usefixtures("full")
async def test_a_batch_without_room_in_the_cache_is_unavailable_and_leaves_nothing(
    database: Database, batch: list[DocumentRecord], stored_user: UserRecord
) -> None:
    with pytest.raises(Unavailable):
        await _create(database, batch)
    async with database.reader() as reader:
        assert await reader.documents.count(stored_user.id) == 0


@pytest.mark.usefixtures("full")
async def test_a_batch_waits_for_room_in_the_cache(
    settings: Settings, rows: Rows, batch: list[DocumentRecord], stored_user: UserRecord
) -> None:
    async with open_database(settings.model_copy(update={"db_timeout": 40})) as database:
        before = await _aborted(rows)
        created = asyncio.create_task(_create(database, batch))
        async with asyncio.timeout(10):
            while await _aborted(rows) == before:
                await asyncio.sleep(0.02)
        await _resize(rows, 1024)
        await created
        async with database.reader() as reader:
            assert await reader.documents.count(stored_user.id) == len(batch)
