"""The change feed as it is read: whole and in order, whoever commits when, and soon."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from assay.stand import Databases
from assay.stand.relay import open_relay
from asyncpg_service.database import Database, open_database
from asyncpg_service.models import position
from shared.errors import PositionLost, TimedOut, Unavailable
from shared.ports.backend import UnitOfWork
from shared.rules.event_ids import EventIds
from shared.schemas.events import EventRecord
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.users import UserChange, UserRecord
from shared.settings import Settings
from shared.work.feed import open_feed
from shared.work.published import Published

AUser = Callable[[], UserRecord]
Following = Callable[[Database, str], AbstractAsyncContextManager[Any]]

_ANSWER = KeptAnswer(200, None, None, b"")
_LONG_LOG = """
    INSERT INTO events (xid, type, resource_id, owner_id, version, at)
    SELECT pg_current_xact_id(), 'user.updated', $1, $1, 1, $2 FROM generate_series(1, 12000)
"""
_RENAME = "UPDATE users SET name = 'B', version = version + 1, updated_at = now() WHERE id = $1"


def renamed(moment: datetime, name: str) -> UserChange:
    return UserChange(moment, name=name, name_key=name)


async def rename(database: Database, user: UUID, moment: datetime, name: str) -> None:
    async with database.unit_of_work() as unit:
        await unit.users.update(user, renamed(moment, name), None)


async def rename_keyed(database: Database, user: UUID, moment: datetime, name: str) -> None:
    """In a transaction that has its number for a while before it changes the row."""

    async def effect(unit: UnitOfWork) -> KeptAnswer:
        await asyncio.sleep(random.random() * 0.01)
        await unit.users.update(user, renamed(moment, name), None)
        await asyncio.sleep(random.random() * 0.01)
        return _ANSWER

    request = KeyedRequest(token_bytes(32), token_bytes(32), moment, moment - timedelta(hours=1))
    await database.once(request, effect, lambda _: None)


async def read_on(database: Database, after: str, limit: int) -> list[EventRecord]:
    found: list[EventRecord] = []
    while page := await database.events.after(found[-1].position if found else after, limit):
        assert len(page) <= limit
        found += page
    return found


async def test_entries_of_writers_at_once_come_once_and_in_order(
    database: Database, a_user: AUser, now: datetime, following: Following
) -> None:
    users = [a_user() for _ in range(3)]
    head = await database.events.head()

    async def write(writer: int) -> None:
        for turn in range(20):
            way = rename_keyed if (writer + turn) % 3 else rename
            await way(database, users[turn % 3].id, now, f"{writer} {turn}")

    async with following(database, head) as follower:
        async with database.unit_of_work() as unit:
            await unit.users.create_many(users)
        await asyncio.gather(*(write(writer) for writer in range(8)))
        await follower.until(163)
        await asyncio.sleep(0.1)
    versions = defaultdict(list)
    for event in follower.events:
        versions[event.resource_id].append(event.version)
    assert sum(map(len, versions.values())) == 163
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    assert [event.position for event in follower.events] == sorted({e.position for e in follower.events})
    assert await read_on(database, head, 3) == follower.events


@pytest.fixture
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not woken does not read the log for longer than anything is waited for here."""
    monkeypatch.setattr("asyncpg_service.events._LATER", 60)


@pytest.mark.usefixtures("_nobody_looks")
async def test_nothing_is_read_before_an_older_transaction_has_ended(
    database: Database,
    stored_user: UserRecord,
    now: datetime,
    outside: asyncpg.Connection,
    following: Following,
) -> None:
    head = await database.events.head()
    async with following(database, head) as follower:
        async with outside.transaction():
            # the older number, but the later change
            await outside.fetchval("SELECT pg_current_xact_id()")
            await rename(database, stored_user.id, now, "A")
            await database.events.announce()
            assert await database.events.after(head, 9) == []
            assert len(await database.events.pending(head)) == 1
            await asyncio.sleep(0.1)
            assert follower.events == []
            await outside.execute(_RENAME, stored_user.id)
        await follower.until(2)
    assert [event.version for event in follower.events] == [2, 3]
    assert await read_on(database, head, 1) == follower.events
    head = await database.events.head()
    assert await database.events.after(head, 9) == []


async def test_a_new_subscriber_hears_nothing_that_was_committed_before_it_came(
    database: Database, stored_user: UserRecord, now: datetime, outside: asyncpg.Connection
) -> None:
    async with open_feed(database, EventIds(b"secret"), 0.05) as feed:
        older = outside.transaction()
        await older.start()
        await outside.fetchval("SELECT pg_current_xact_id()")
        await rename(database, stored_user.id, now, "before")
        async with feed.subscribe(None, stored_user.id, None) as subscription:
            await outside.execute(_RENAME, stored_user.id)
            await older.commit()
            (item,) = await subscription.some(10)
    assert isinstance(item, Published)
    assert item.record.version == 3


@pytest.mark.usefixtures("_nobody_looks")
async def test_who_is_woken_hears_it_at_once(
    database: Database, stored_user: UserRecord, now: datetime, following: Following
) -> None:
    async with following(database, await database.events.head()) as follower:
        for turn in range(5):
            await asyncio.sleep(0.05)
            await rename(database, stored_user.id, now, f"N{turn}")
            await database.events.announce()
            await follower.until(turn + 1)


async def test_who_is_not_woken_hears_it_all_the_same(
    database: Database, stored_user: UserRecord, now: datetime, following: Following
) -> None:
    async with following(database, await database.events.head()) as follower:
        await follower.until(0)
        await rename(database, stored_user.id, now, "unannounced")
        await follower.until(1)


async def test_many_wakes_are_one_read(
    database: Database, stored_user: UserRecord, now: datetime, following: Following
) -> None:
    async with following(database, await database.events.head()) as follower:
        await asyncio.gather(*(rename(database, stored_user.id, now, f"N{turn}") for turn in range(50)))
        await asyncio.gather(*(database.events.announce() for _ in range(50)))
        await follower.until(50)
        assert follower.sets < 40


@pytest.mark.parametrize("fault", ["cut", "freeze"])
async def test_a_follower_whose_connection_is_lost_is_told(layer_settings: Settings, fault: str) -> None:
    async with open_relay(layer_settings.database_url) as relay:
        # who is cut off does not wait for a time-out
        seconds = 60 if fault == "cut" else layer_settings.db_timeout
        changed = {"database_url": relay.url, "pool_size": 2, "db_timeout": seconds}
        async with open_database(layer_settings.model_copy(update=changed)) as opened:
            following = opened.events.follow(await opened.events.head())
            assert await anext(following) == []
            assert relay.connections == 3
            waiting = asyncio.ensure_future(anext(following))
            await asyncio.sleep(0.1)
            relay.cut() if fault == "cut" else relay.freeze()
            with pytest.raises((Unavailable, TimedOut)):
                async with asyncio.timeout(10):
                    await waiting
            relay.thaw()
            following = opened.events.follow(await opened.events.head())
            assert await anext(following) == []
            await following.aclose()
            async with asyncio.timeout(10):
                while relay.connections != opened.pool().size:
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "lost",
    ["", "x", "0" * 31, "0" * 31 + "G", "0" * 16 + "f" * 16, f"{2**60:016x}{0:016x}", "0" * 31 + "\u0661"],
)
async def test_a_position_of_no_log_is_lost(database: Database, lost: str) -> None:
    with pytest.raises(PositionLost):
        await database.events.after(lost, 9)
    with pytest.raises(PositionLost):
        async for _ in database.events.follow(lost):
            pass


async def test_who_resumes_before_what_is_forgotten_is_told(
    database: Database, stored_user: UserRecord, now: datetime, outside: asyncpg.Connection
) -> None:
    head = await database.events.head()
    for turn in range(4):
        await rename(database, stored_user.id, now + timedelta(days=turn), f"N{turn}")
    entries = await database.events.after(head, 9)
    await database.forget(now - timedelta(days=1))
    assert await database.events.after(head, 9) == entries
    for days in (1.5, 1.5, 2.5):
        await database.forget(now + timedelta(days=days))
        kept = [entry for entry in entries if entry.at > now + timedelta(days=days)]
        assert await outside.fetchval("SELECT count(*) FROM events") == len(kept) + 1
        assert await database.events.after(entries[-len(kept) - 1].position, 9) == kept
        for lost in (head, entries[-len(kept) - 2].position, position(0, 0)):
            with pytest.raises(PositionLost):
                await database.events.after(lost, 1)
        with pytest.raises(PositionLost):
            async for _ in database.events.follow(head):
                pass
    assert await database.events.after(await database.events.head(), 9) == []


async def test_a_long_log_is_forgotten_in_sets(
    database: Database, stored_user: UserRecord, now: datetime, outside: asyncpg.Connection
) -> None:
    await outside.execute(_LONG_LOG, stored_user.id, now - timedelta(days=9))
    head = await database.events.head()
    await rename(database, stored_user.id, now + timedelta(days=9), "young")
    await asyncio.gather(*(database.forget(now + timedelta(days=8)) for _ in range(2)))
    assert [entry.version for entry in await database.events.after(head, 9)] == [2]
    assert await outside.fetchval("SELECT count(*) FROM events") == 2


async def test_a_young_entry_keeps_what_lies_beyond_it(
    database: Database, stored_user: UserRecord, now: datetime
) -> None:
    head = await database.events.head()
    for days in (9, -9):
        await rename(database, stored_user.id, now + timedelta(days=days), f"N{days}")
    await database.forget(now)
    assert [entry.version for entry in await database.events.after(head, 9)] == [2, 3]


async def test_positions_hold_over_a_killed_server(
    databases: Databases, database: Database, stored_user: UserRecord, now: datetime, following: Following
) -> None:
    head = await database.events.head()
    await rename(database, stored_user.id, now, "before")
    (before,) = await database.events.after(head, 9)
    server = databases["postgresql"]
    await server.kill()
    await server.start()
    await _answers(database.ping)
    async with following(database, before.position) as follower:
        await rename(database, stored_user.id, now, "after")
        await follower.until(1)
    assert [event.version for event in follower.events] == [3]
    assert await read_on(database, head, 1) == [before, *follower.events]


async def _answers(ask: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await ask()
            except Unavailable:
                await asyncio.sleep(0.02)
            else:
                return
