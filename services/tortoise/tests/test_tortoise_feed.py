"""The change feed as it is read: whole and in order, whoever commits when, and soon."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from assay.stand import Databases
from assay.stand.relay import open_relay
from shared.errors import PositionLost, TimedOut, Unavailable
from shared.ports.backend import UnitOfWork
from shared.rules import clock
from shared.schemas.events import EventRecord
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.users import UserChange, UserRecord
from shared.settings import Settings
from tortoise_service import service
from tortoise_service.database import Database, open_database
from tortoise_service.models import position

MakeUser = Callable[[], UserRecord]
Following = Callable[[Database, str], AbstractAsyncContextManager[Any]]

DAY = timedelta(days=1)
KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'assay-tortoise' AND datname = current_database()
"""
LONG_LOG = """
    INSERT INTO events (xid, type, resource_id, owner_id, version, at)
    SELECT pg_current_xact_id(), 'user.updated', $1, $1, 1, $2 FROM generate_series(1, 12000)
"""


async def rename(database: Database, user_id: UUID, name: str, moment: datetime | None = None) -> None:
    async with database.unit_of_work() as work:
        await work.users.update(user_id, _named(name, moment or clock.now()), None)


async def rename_in_transaction(database: Database, user_id: UUID, name: str) -> None:
    """One that has its number for a while before it changes the row, and after."""
    moment = clock.now()

    async def effect(work: UnitOfWork) -> KeptAnswer:
        await asyncio.sleep(random.random() * 0.01)
        await work.users.update(user_id, _named(name, moment), None)
        await asyncio.sleep(random.random() * 0.01)
        return KeptAnswer(200, None, None, b"")

    request = KeyedRequest(token_bytes(32), token_bytes(32), moment, moment - DAY)
    await database.once(request, effect, lambda _: None)


def _named(name: str, moment: datetime) -> UserChange:
    return UserChange(moment, name=name, name_key=name)


async def read_on(database: Database, after: str, limit: int) -> list[EventRecord]:
    read: list[EventRecord] = []
    while page := await database.events.after(read[-1].position if read else after, limit):
        assert len(page) <= limit
        read += page
    return read


async def test_entries_of_writers_at_once_come_once_and_in_order(
    wide: Database, make_user: MakeUser, following: Following
) -> None:
    users = [make_user() for _ in range(3)]
    head = await wide.events.head()

    async def write(writer: int) -> None:
        for turn in range(20):
            way = rename_in_transaction if (writer + turn) % 3 else rename
            await way(wide, users[turn % 3].id, f"{writer} {turn}")

    async with following(wide, head) as follower:
        async with wide.unit_of_work() as work:
            await work.users.create_many(users)
        await asyncio.gather(*(write(writer) for writer in range(8)))
        await follower.until(163)
        await asyncio.sleep(0.1)
    versions = defaultdict(list)
    for event in follower.events:
        versions[event.resource_id].append(event.version)
    assert sum(map(len, versions.values())) == 163
    assert all(read == list(range(1, len(read) + 1)) for read in versions.values())
    positions = [event.position for event in follower.events]
    assert positions == sorted(set(positions))
    assert await read_on(wide, head, 3) == follower.events


@pytest.fixture
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not woken does not read the log for longer than anything is waited for here."""
    monkeypatch.setattr("tortoise_service.events._LATER", 60)


@pytest.mark.usefixtures("_nobody_looks")
async def test_nothing_is_read_before_an_older_transaction_has_ended(
    database: Database, stored_user: UserRecord, outside: asyncpg.Connection, following: Following
) -> None:
    head = await database.events.head()
    async with following(database, head) as follower:
        async with outside.transaction():
            # the older number, and the later change
            await outside.execute("SELECT pg_current_xact_id()")
            await rename(database, stored_user.id, "Grace")
            await database.events.announce()
            await asyncio.sleep(0.1)
            assert follower.events == []
            assert await database.events.after(head, 9) == []
            assert len(await database.events.pending(head)) == 1
            await outside.execute("UPDATE users SET version = version + 1 WHERE id = $1", stored_user.id)
        await follower.until(2)
    assert [event.version for event in follower.events] == [2, 3]
    assert await read_on(database, head, 1) == follower.events
    assert await database.events.after(await database.events.head(), 9) == []


@pytest.mark.usefixtures("_nobody_looks")
async def test_who_is_woken_hears_at_once(
    database: Database, stored_user: UserRecord, following: Following
) -> None:
    async with following(database, await database.events.head()) as follower:
        for turn in range(5):
            await asyncio.sleep(0.05)
            await rename(database, stored_user.id, f"Name {turn}")
            await database.events.announce()
            await follower.until(turn + 1)


async def test_who_is_not_woken_hears_all_the_same(
    database: Database, stored_user: UserRecord, following: Following
) -> None:
    async with following(database, await database.events.head()) as follower:
        await follower.until(0)
        await rename(database, stored_user.id, "unannounced")
        await follower.until(1)


async def test_many_wake_ups_are_few_reads(
    wide: Database, stored_user: UserRecord, following: Following
) -> None:
    async with following(wide, await wide.events.head()) as follower:
        await asyncio.gather(*(rename(wide, stored_user.id, f"Name {turn}") for turn in range(50)))
        await asyncio.gather(*(wide.events.announce() for _ in range(50)))
        await follower.until(50)
        assert follower.sets < 40


async def test_a_follower_whose_connection_is_killed_is_told(url: str, outside: asyncpg.Connection) -> None:
    # long before a time-out would tell
    async with open_database(Settings(database_url=url, pool_size=2, db_timeout=60)) as opened:
        following = opened.events.follow(await opened.events.head())
        assert await anext(following) == []
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0.1)
        await outside.execute(KILL)
        with pytest.raises(Unavailable):
            async with asyncio.timeout(10):
                await waiting


async def test_a_follower_of_a_frozen_server_is_told_in_time(url: str) -> None:
    async with open_relay(url) as relay:
        settings = Settings(database_url=relay.url, pool_size=2, pool_timeout=2, db_timeout=4)
        async with open_database(settings) as opened:
            following = opened.events.follow(await opened.events.head())
            assert await anext(following) == []
            assert relay.connections == 3
            relay.freeze()
            with pytest.raises((TimedOut, Unavailable)):
                async with asyncio.timeout(10):
                    await anext(following)
            with pytest.raises(Unavailable):
                await anext(opened.events.follow(position(0, 0)))
            relay.thaw()


@pytest.mark.parametrize(
    "lost",
    ["", "x", "0" * 31, "0" * 31 + "G", "0" * 16 + "f" * 16, f"{2**60:016x}{0:016x}", "0" * 31 + "\u0661"],
)
async def test_a_position_of_no_log_is_lost(database: Database, lost: str) -> None:
    with pytest.raises(PositionLost):
        await database.events.after(lost, 9)
    with pytest.raises(PositionLost):
        await anext(database.events.follow(lost))


async def test_who_resumes_from_before_what_is_forgotten_is_told(
    database: Database, stored_user: UserRecord, outside: asyncpg.Connection
) -> None:
    now, head = clock.now(), await database.events.head()
    for turn in range(4):
        await rename(database, stored_user.id, f"Name {turn}", now + turn * DAY)
    entries = await database.events.after(head, 9)
    await database.forget(now - DAY)
    assert await database.events.after(head, 9) == entries
    for forgotten, days in ((2, 1.5), (2, 1.5), (3, 2.5)):
        await database.forget(now + days * DAY)
        kept = entries[forgotten:]
        # and the one that says so
        assert await outside.fetchval("SELECT count(*) FROM events") == len(kept) + 1
        assert await database.events.after(entries[forgotten - 1].position, 9) == kept
        for lost in (head, entries[forgotten - 2].position, position(0, 0)):
            with pytest.raises(PositionLost):
                await database.events.after(lost, 1)
        following = database.events.follow(head)
        with pytest.raises(PositionLost):
            assert [heard async for heard in following] == []
    assert await database.events.after(await database.events.head(), 9) == []


async def test_a_long_log_is_forgotten_in_sets_by_several_at_once(
    wide: Database, stored_user: UserRecord, outside: asyncpg.Connection
) -> None:
    now = clock.now()
    await outside.execute(LONG_LOG, stored_user.id, now - 9 * DAY)
    head = await wide.events.head()
    await rename(wide, stored_user.id, "young", now + 9 * DAY)
    await asyncio.gather(*(wide.forget(now + 8 * DAY) for _ in range(2)))
    assert [event.version for event in await wide.events.after(head, 9)] == [2]
    assert await outside.fetchval("SELECT count(*) FROM events") == 2


async def test_a_young_entry_keeps_what_lies_beyond_it(database: Database, stored_user: UserRecord) -> None:
    now, head = clock.now(), await database.events.head()
    for days in (9, -9):
        await rename(database, stored_user.id, f"Name {days}", now + days * DAY)
    await database.forget(now)
    assert [event.version for event in await database.events.after(head, 9)] == [2, 3]


async def test_answers_that_are_old_are_forgotten(database: Database, outside: asyncpg.Connection) -> None:
    now = clock.now()
    old, young = (KeyedRequest(token_bytes(32), b"", moment, now - DAY) for moment in (now - 2 * DAY, now))

    async def effect(_: UnitOfWork) -> KeptAnswer:
        return KeptAnswer(200, None, None, b"")

    for request in (old, young):
        await database.once(request, effect, lambda _: None)
    await database.forget(now - DAY)
    keys = [row["key"] for row in await outside.fetch("SELECT key FROM idempotency_keys")]
    assert young.key in keys
    assert old.key not in keys


async def test_positions_hold_over_a_killed_server(
    stand: Databases, database: Database, stored_user: UserRecord, following: Following
) -> None:
    head = await database.events.head()
    await rename(database, stored_user.id, "before")
    (before,) = await database.events.after(head, 9)
    server = stand[service.database]
    await server.kill()
    with pytest.raises(Unavailable):
        await database.events.head()
    with pytest.raises(Unavailable):
        await anext(database.events.follow(head))
    await server.start()
    async with following(database, before.position) as follower:
        await rename(database, stored_user.id, "after")
        await follower.until(1)
    assert [event.version for event in follower.events] == [3]
    assert await read_on(database, head, 1) == [before, *follower.events]
