"""Exports: one snapshot, read piece by piece, in a share of their own that always comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from assay.stand.relay import Relay, open_relay
from motor_service.database import Database, open_database
from shared.errors import TimedOut, Unavailable
from shared.schemas.documents import DocumentListing, DocumentRecord
from shared.schemas.users import User, UserListing, UserRecord
from shared.settings import Settings

Rows = Any
NewUser = Callable[[str], UserRecord]

_ALL = UserListing("created_at", descending=False, after=None, prefix=None, limit=None)
_DOCUMENTS = DocumentListing(
    "created_at", descending=False, after=None, owner_id=None, tags=(), where=(), words=(), limit=None
)
_CURSORS = [
    {"$currentOp": {"allUsers": True, "idleCursors": True}},
    {"$match": {"ns": {"$regex": "test_motor_exports"}, "type": "idleCursor"}},
]


@pytest.fixture
async def users(database: Database, new_user: NewUser) -> list[UserRecord]:
    """More of them than are read at once."""
    made = [new_user(f"e{uuid4().hex}") for _ in range(1_200)]
    async with database.unit_of_work() as unit:
        await unit.users.create_many(made[:1_000])
        await unit.users.create_many(made[1_000:])
    return made


@pytest.fixture
async def _cursors_go(database: Database, rows: Rows) -> AsyncIterator[None]:
    async def cursors() -> set[int]:
        found = await (await rows.client.admin.aggregate(_CURSORS)).to_list()
        return {cursor["cursor"]["cursorId"] for cursor in found}

    before = await cursors()
    yield
    assert database.export_pool().in_use == 0
    async with asyncio.timeout(10):
        while await cursors() - before:
            await asyncio.sleep(0.02)


async def read_all(database: Database) -> list[User]:
    async with database.snapshot() as exports:
        return [user async for users in exports.users(_ALL) for user in users]


async def test_an_export_reads_one_snapshot_while_rows_change(
    database: Database, users: list[UserRecord], new_user: NewUser
) -> None:
    expected = await read_all(database)
    assert {user.id for user in users} <= {user.id for user in expected}
    found: list[User] = []
    async with database.snapshot() as exports:
        async for some in exports.users(_ALL):
            assert len(some) <= 512
            found += some
            async with database.unit_of_work() as unit:
                await unit.users.create(new_user(f"e{uuid4().hex}"))
                await unit.users.delete(users.pop().id, None)
    assert found == expected


@pytest.mark.usefixtures("_cursors_go")
async def test_an_export_that_is_closed_half_way_gives_its_place_back(
    database: Database, users: list[UserRecord]
) -> None:
    for _ in range(3):
        async with database.snapshot() as exports:
            reading = exports.users(_ALL)
            first = await anext(reading)
            await reading.aclose()
            assert await anext(exports.users(_ALL)) == first
        assert database.export_pool().in_use == 0
    assert len(await read_all(database)) >= len(users)


@pytest.mark.usefixtures("users", "_cursors_go")
async def test_an_export_that_is_cancelled_gives_its_place_back(database: Database) -> None:
    # each turn that waits for something takes half a second and more
    async with asyncio.timeout(10):
        for step in range(30):
            task = asyncio.create_task(read_all(database))
            await asyncio.sleep(step * 0.001)
            task.cancel()
            await asyncio.wait([task])
            assert database.export_pool().in_use == 0
    await read_all(database)


async def test_the_third_export_waits_and_is_refused(database: Database, settings: Settings) -> None:
    async with database.snapshot(), database.snapshot():
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await read_all(database)
        assert settings.pool_timeout <= time.monotonic() - started < 10
        async with database.reader() as reader:
            await reader.users.list(_ALL)
            assert database.pool().in_use == 1
    await read_all(database)


async def test_unread_exports_take_no_place_of_the_requests(
    database: Database, settings: Settings, users: list[UserRecord]
) -> None:
    async with database.snapshot() as one, database.snapshot() as two:
        first = [await anext(exports.users(_ALL)) for exports in (one, two)]
        assert all(first)
        assert database.export_pool().in_use == 2
        async with asyncio.timeout(10):
            await asyncio.gather(*(database.ping() for _ in range(20 * settings.pool_size)))


async def test_both_exports_of_one_snapshot_are_read_side_by_side(
    database: Database, stored_user: UserRecord, new_document: Callable[..., DocumentRecord]
) -> None:
    documents = [new_document(stored_user, f"title {place}", place=place) for place in range(250)]
    async with database.unit_of_work() as unit:
        await unit.documents.create_many(documents)
    async with database.snapshot() as exports:
        users = exports.users(_ALL)
        first = await anext(users)
        async with database.unit_of_work() as unit:
            await unit.users.delete(stored_user.id, None)
        sets = [some async for some in exports.documents(replace(_DOCUMENTS, owner_id=stored_user.id))]
        rest = [user async for some in users for user in some]
    assert len(sets) > 1
    assert [document.id for some in sets for document in some] == [document.id for document in documents]
    assert sets[0][7].content == {"place": 7}
    assert stored_user.id in {user.id for user in (*first, *rest)}


@pytest.mark.usefixtures("users")
async def test_an_export_may_take_longer_than_a_statement(settings: Settings) -> None:
    hasty = settings.model_copy(update={"db_timeout": 2})
    async with open_database(hasty) as opened, opened.snapshot() as exports:
        reading = exports.users(_ALL)
        first = await anext(reading)
        await asyncio.sleep(hasty.statement_timeout * 1.3)
        assert (await anext(reading))[0].id != first[0].id


@pytest.mark.usefixtures("users")
async def test_an_export_of_a_frozen_server_is_given_up(settings: Settings) -> None:
    async with open_relay(settings.mongodb_url) as relay:
        async with open_database(settings.model_copy(update={"mongodb_url": relay.url})) as opened:
            with pytest.raises((TimedOut, Unavailable)):
                async with asyncio.timeout(settings.db_timeout + 6):
                    await freeze_half_way(opened, relay)
            relay.thaw()
            await read_all(opened)


@pytest.mark.usefixtures("users")
async def test_an_export_of_a_frozen_server_is_left_before_any_time_out(settings: Settings) -> None:
    async with open_relay(settings.mongodb_url) as relay:
        changed = {"mongodb_url": relay.url, "db_timeout": 60}
        async with open_database(settings.model_copy(update=changed)) as opened:
            async with asyncio.timeout(10), opened.snapshot() as exports:
                await anext(exports.users(_ALL))
                relay.freeze()
            relay.thaw()
            await read_all(opened)


async def freeze_half_way(database: Database, relay: Relay) -> None:
    async with database.snapshot() as exports:
        async for _ in exports.users(_ALL):
            relay.freeze()
