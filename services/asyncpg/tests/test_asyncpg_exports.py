"""Exports: one snapshot, read piece by piece, on connections of their own that always come back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import asyncpg
import pytest

from assay.stand.relay import Relay, open_relay
from asyncpg_service.database import Database, open_database
from shared.errors import TimedOut, Unavailable
from shared.schemas.documents import DocumentListing, DocumentRecord
from shared.schemas.users import User, UserListing, UserRecord
from shared.settings import Settings

AUser = Callable[[], UserRecord]
ADocument = Callable[[UserRecord], DocumentRecord]

_ALL = UserListing("created_at", descending=False, after=None, prefix=None, limit=None)
_DOCUMENTS = DocumentListing(
    "created_at", descending=False, after=None, owner_id=None, tags=(), where=(), words=(), limit=None
)
_OPEN = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'FETCH%' AND state = 'idle in transaction'"


@pytest.fixture
async def users(database: Database, a_user: AUser) -> list[UserRecord]:
    """More of them than are read at once."""
    made = [a_user() for _ in range(1_200)]
    async with database.unit_of_work() as unit:
        await unit.users.create_many(made[:1_000])
        await unit.users.create_many(made[1_000:])
    return made


@pytest.fixture(autouse=True)
async def _connections_come_back(database: Database, outside: asyncpg.Connection) -> AsyncIterator[None]:
    yield
    async with asyncio.timeout(10):
        while database.export_pool().in_use or await outside.fetchval(_OPEN):
            await asyncio.sleep(0.01)


async def read_all(database: Database) -> list[User]:
    async with database.snapshot() as exports:
        return [user async for users in exports.users(_ALL) for user in users]


async def test_no_connection_is_open_before_the_first_export(layer_settings: Settings) -> None:
    async with open_database(layer_settings) as opened:
        assert opened.export_pool().size == 0
        await read_all(opened)
        assert (opened.export_pool().size, opened.export_pool().in_use) == (1, 0)


async def test_an_export_reads_one_snapshot_while_rows_change(
    database: Database, users: list[UserRecord], a_user: AUser
) -> None:
    expected = await read_all(database)
    assert {user.id for user in users} <= {user.id for user in expected}
    found: list[User] = []
    async with database.snapshot() as exports:
        async for some in exports.users(_ALL):
            assert len(some) <= 512
            found += some
            async with database.unit_of_work() as unit:
                await unit.users.create(a_user())
                await unit.users.delete(users.pop().id, None)
    assert found == expected


async def test_an_export_that_is_closed_half_way_gives_its_connection_back(
    database: Database, users: list[UserRecord]
) -> None:
    for _ in range(3):
        async with database.snapshot() as exports:
            reading = exports.users(_ALL)
            first = await anext(reading)
            await reading.aclose()
            assert await anext(exports.users(_ALL)) == first
        assert database.export_pool().in_use == 0
    assert database.export_pool().size == 1
    assert len(await read_all(database)) >= len(users)


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
    await read_all(database)


async def test_the_third_export_waits_and_is_refused(database: Database) -> None:
    async with database.snapshot(), database.snapshot():
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await read_all(database)
        assert 0.9 < time.monotonic() - started < 10
        async with database.reader() as reader:
            await reader.users.list(_ALL)
    await read_all(database)


async def test_both_exports_of_one_snapshot_are_read_side_by_side(
    database: Database, stored_user: UserRecord, a_document: ADocument
) -> None:
    documents = [a_document(stored_user) for _ in range(250)]
    async with database.unit_of_work() as unit:
        await unit.documents.create_many(documents)
    async with database.snapshot() as exports:
        users = exports.users(_ALL)
        first = await anext(users)
        sets = [some async for some in exports.documents(replace(_DOCUMENTS, owner_id=stored_user.id))]
        rest = [user async for some in users for user in some]
    assert len(sets) > 1
    assert [document.id for some in sets for document in some] == [document.id for document in documents]
    assert sets[0][0].content == documents[0].content
    assert stored_user.id in {user.id for user in (*first, *rest)}


@pytest.mark.usefixtures("users")
async def test_an_export_of_a_frozen_server_is_given_up(layer_settings: Settings) -> None:
    async with open_relay(layer_settings.database_url) as relay:
        settings = layer_settings.model_copy(update={"database_url": relay.url, "pool_size": 2})
        async with open_database(settings) as opened:
            with pytest.raises((TimedOut, Unavailable)):
                async with asyncio.timeout(settings.db_timeout + 6):
                    await freeze_half_way(opened, relay)
            relay.thaw()
            await read_all(opened)


@pytest.mark.usefixtures("users")
async def test_an_export_of_a_frozen_server_is_left_before_any_time_out(layer_settings: Settings) -> None:
    async with open_relay(layer_settings.database_url) as relay:
        changed = {"database_url": relay.url, "pool_size": 2, "db_timeout": 60}
        async with open_database(layer_settings.model_copy(update=changed)) as opened:
            async with asyncio.timeout(10), opened.snapshot() as exports:
                await anext(exports.users(_ALL))
                relay.freeze()
            relay.thaw()
            await read_all(opened)


async def freeze_half_way(database: Database, relay: Relay) -> None:
    async with database.snapshot() as exports:
        async for _ in exports.users(_ALL):
            relay.freeze()
