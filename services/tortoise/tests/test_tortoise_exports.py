"""Exports: one snapshot, read piece by piece, on connections of their own that always come back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from assay.stand.relay import open_relay
from shared.errors import TimedOut, Unavailable
from shared.schemas.documents import DocumentListing, DocumentRecord
from shared.schemas.users import User, UserListing, UserRecord
from shared.settings import Settings
from tortoise_service.database import Database, open_database

MakeUser = Callable[[], UserRecord]
MakeDocument = Callable[[UUID], DocumentRecord]

USERS = UserListing("created_at", descending=False, after=None, prefix=None, limit=None)
DOCUMENTS = DocumentListing(
    "created_at", descending=False, after=None, owner_id=None, tags=(), where=(), words=(), limit=None
)
OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'assay-tortoise' AND state LIKE 'idle in transaction%'
"""


@pytest.fixture
async def users(wide: Database, make_user: MakeUser) -> list[UserRecord]:
    """More than are read at once."""
    made = [make_user() for _ in range(1_200)]
    async with wide.unit_of_work() as work:
        await work.users.create_many(made)
    return made


@pytest.fixture(autouse=True)
async def _connections_come_back(wide: Database, outside: asyncpg.Connection) -> AsyncIterator[None]:
    yield
    async with asyncio.timeout(10):
        while wide.export_pool().in_use or await outside.fetchval(OPEN):
            await asyncio.sleep(0.01)


async def read_all(database: Database) -> list[User]:
    async with database.snapshot() as exports:
        return [user async for users in exports.users(USERS) for user in users]


async def test_no_connection_is_there_before_the_first_export(wide: Database) -> None:
    assert wide.export_pool().size == 0
    await read_all(wide)
    assert (wide.export_pool().size, wide.export_pool().in_use) == (1, 0)


async def test_an_export_reads_one_snapshot_while_rows_change(
    wide: Database, users: list[UserRecord], make_user: MakeUser
) -> None:
    before = await read_all(wide)
    read: list[User] = []
    async with wide.snapshot() as exports:
        async for some in exports.users(USERS):
            assert len(some) <= 512
            read += some
            async with wide.unit_of_work() as work:
                await work.users.create(make_user())
                await work.users.delete(users.pop().id, None)
    assert read == before
    assert await read_all(wide) != before


async def test_closed_half_way_it_gives_its_connection_back(
    wide: Database, users: list[UserRecord], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        async with wide.snapshot() as exports:
            reading = exports.users(USERS)
            first = await anext(reading)
            await reading.aclose()
            assert await anext(exports.users(USERS)) == first
        assert wide.export_pool().in_use == 0
    assert wide.export_pool().size == 1
    assert len(await read_all(wide)) >= len(users)
    assert caplog.records == []


@pytest.mark.usefixtures("users")
async def test_cancelled_at_any_moment_it_gives_its_connection_back(
    wide: Database, caplog: pytest.LogCaptureFixture
) -> None:
    # each turn that waits for something takes half a second and more
    async with asyncio.timeout(10):
        for step in range(40):
            reading = asyncio.create_task(read_all(wide))
            await asyncio.sleep(step * 0.0005)
            reading.cancel()
            await asyncio.wait([reading])
            assert wide.export_pool().in_use == 0
    await read_all(wide)
    assert "active transaction" not in caplog.text


async def test_the_third_export_waits_and_is_unavailable(wide: Database) -> None:
    async with wide.snapshot(), wide.snapshot():
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await read_all(wide)
        assert 0.9 < time.monotonic() - started < 10
        async with wide.reader() as reader:
            await reader.users.list(replace(USERS, limit=1))
    await read_all(wide)


async def test_two_sets_of_one_snapshot_are_read_in_turns(
    wide: Database, stored_user: UserRecord, make_document: MakeDocument
) -> None:
    documents = [make_document(stored_user.id) for _ in range(250)]
    async with wide.unit_of_work() as work:
        await work.documents.create_many(documents)
    async with wide.snapshot() as exports:
        users = exports.users(USERS)
        await anext(users)
        own = replace(DOCUMENTS, owner_id=stored_user.id)
        pieces = [piece async for piece in exports.documents(own)]
        await users.aclose()
    assert len(pieces) > 1
    read = [(document.id, document.content) for piece in pieces for document in piece]
    assert sorted(read) == sorted((document.id, document.content) for document in documents)


@pytest.mark.usefixtures("users")
async def test_a_frozen_server_costs_no_more_than_its_time(url: str) -> None:
    async with open_relay(url) as relay:
        settings = Settings(database_url=relay.url, pool_size=2, db_timeout=4)
        async with open_database(settings) as opened:
            async with opened.snapshot() as exports:
                reading = exports.users(USERS)
                await anext(reading)
                relay.freeze()
                started = time.monotonic()
                with pytest.raises(TimeoutError):
                    await anext(reading)
            assert time.monotonic() - started < settings.db_timeout + 6
            with pytest.raises((TimedOut, Unavailable)):
                await read_all(opened)
            relay.thaw()
            await read_all(opened)


@pytest.mark.usefixtures("users")
async def test_an_export_of_a_frozen_server_is_left_before_any_time_out(url: str) -> None:
    async with open_relay(url) as relay:
        settings = Settings(database_url=relay.url, pool_size=2, db_timeout=60)
        async with open_database(settings) as opened:
            async with asyncio.timeout(10), opened.snapshot() as exports:
                await anext(exports.users(USERS))
                relay.freeze()
            relay.thaw()
            await read_all(opened)
