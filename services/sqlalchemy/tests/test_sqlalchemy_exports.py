"""Exports: one snapshot, read piece by piece, on connections of their own that always come back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import pytest
import pytest_asyncio

from assay.stand.relay import open_relay
from shared.errors import TimedOut, Unavailable
from shared.schemas.documents import DocumentListing, DocumentRecord
from shared.schemas.users import User, UserListing, UserRecord
from sqlalchemy_service.database import Database

Opened = Callable[..., AbstractAsyncContextManager[Database]]

ALL = UserListing("created_at", descending=False, after=None, prefix=None, limit=None)
ALL_DOCUMENTS = DocumentListing(
    "created_at", descending=False, after=None, owner_id=None, tags=(), where=(), words=(), limit=None
)

_STATES = "SELECT state FROM pg_stat_activity WHERE application_name = 'assay-sqlalchemy'"


@pytest_asyncio.fixture
async def users(database: Database, new_user: Callable[[str], UserRecord]) -> list[UserRecord]:
    """More of them than are read at once."""
    made = [new_user("Ada") for _ in range(1_200)]
    async with database.unit_of_work() as work:
        await work.users.create_many(made[:1_000])
        await work.users.create_many(made[1_000:])
    return made


@pytest_asyncio.fixture(autouse=True)
async def _connections_come_back(database: Database, direct: asyncpg.Connection) -> AsyncIterator[None]:
    yield
    async with asyncio.timeout(10):
        while database.export_pool().in_use or {row[0] for row in await direct.fetch(_STATES)} != {"idle"}:
            await asyncio.sleep(0.01)


async def read_all(database: Database) -> list[User]:
    async with database.snapshot() as exports:
        return [user async for users in exports.users(ALL) for user in users]


async def test_no_connection_is_open_before_the_first_export(database: Database) -> None:
    assert database.export_pool().size == 0
    await read_all(database)
    assert (database.export_pool().size, database.export_pool().in_use) == (1, 0)


async def test_an_export_reads_one_snapshot_while_rows_change(
    database: Database,
    users: list[UserRecord],
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    kept = new_document(users[0].id)
    async with database.unit_of_work() as work:
        await work.documents.create(kept)
    expected = await read_all(database)
    found: list[User] = []
    async with database.snapshot() as exports:
        async for some in exports.users(ALL):
            assert len(some) <= 512
            found += some
            async with database.unit_of_work() as work:
                await work.users.create(new_user("Ben"))
                await work.users.delete(users.pop().id, None)
                await work.documents.create(new_document(users[0].id))
        documents = [document async for some in exports.documents(ALL_DOCUMENTS) for document in some]
    assert found == expected
    assert [document.id for document in documents if document.owner_id == users[0].id] == [kept.id]
    assert documents[-1].content == {"n": 1, "big": 1e22}


@pytest.mark.usefixtures("users")
async def test_an_export_that_is_closed_half_way_gives_its_connection_back(database: Database) -> None:
    for _ in range(3):
        async with database.snapshot() as exports:
            reading = exports.users(ALL)
            first = await anext(reading)
            await reading.aclose()
            assert await anext(exports.users(ALL)) == first
        assert database.export_pool().in_use == 0
    assert database.export_pool().size == 1


@pytest.mark.usefixtures("users")
async def test_an_export_that_is_cancelled_gives_its_connection_back(database: Database) -> None:
    # each turn that waits for something takes half a second and more
    async with asyncio.timeout(10):
        for step in range(40):
            task = asyncio.create_task(read_all(database))
            await asyncio.sleep(step * 0.0005)
            task.cancel()
            await asyncio.wait([task])
            assert database.export_pool().in_use == 0
    assert await read_all(database)


async def test_the_third_export_waits_and_is_refused(opened: Opened) -> None:
    async with opened(pool_timeout=1) as database:
        async with database.snapshot() as one, database.snapshot() as two:
            await anext(one.users(ALL))
            await anext(two.users(ALL))
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await read_all(database)
            assert 0.9 < time.monotonic() - started < 10
            async with database.reader() as reader:
                await reader.users.list(ALL)
        await read_all(database)


@pytest.mark.usefixtures("users")
async def test_a_reader_may_take_its_time_and_the_export_goes_on(opened: Opened) -> None:
    async with opened(db_timeout=2, stall_timeout=10) as database:
        async with database.snapshot() as exports:
            reading = exports.users(ALL)
            first = await anext(reading)
            await asyncio.sleep(1.2)
            assert (await anext(reading))[0].id != first[0].id


@pytest.mark.usefixtures("users")
async def test_an_export_of_a_frozen_server_is_given_up(opened: Opened, url: str) -> None:
    async with open_relay(url) as relay, opened(database_url=relay.url, db_timeout=4) as database:

        async def read_on() -> None:
            async with database.snapshot() as exports:
                reading = exports.users(ALL)
                await anext(reading)
                relay.freeze()
                await anext(reading)

        with pytest.raises((TimedOut, Unavailable)):
            async with asyncio.timeout(10):
                await read_on()
        assert database.export_pool().in_use == 0
        relay.thaw()
        await read_all(database)
