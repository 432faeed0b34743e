"""The change feed as it is read: whole and in order, whoever commits when, and soon."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from itertools import pairwise
from secrets import token_bytes
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import event

from assay.stand import Databases
from assay.stand.relay import open_relay
from shared.errors import PositionLost, TimedOut, Unavailable
from shared.ports.backend import UnitOfWork
from shared.rules import clock
from shared.schemas.events import EventRecord
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.users import UserChange, UserRecord
from sqlalchemy_service.database import Database

Opened = Callable[..., AbstractAsyncContextManager[Database]]
Following = Callable[[Database, str], AbstractAsyncContextManager[Any]]

ANSWER = KeptAnswer(200, None, None, b"")
_RENAME = "UPDATE users SET name = 'B', version = version + 1, updated_at = now() WHERE id = $1"


def renamed(name: str) -> UserChange:
    return UserChange(clock.now(), name=name, name_key=name)


async def rename(database: Database, user: UUID, name: str) -> None:
    async with database.unit_of_work() as work:
        await work.users.update(user, renamed(name), None)


async def rename_keyed(database: Database, user: UUID, name: str) -> None:
    """In a transaction that has its number for a while before it changes the row."""

    async def effect(work: UnitOfWork) -> KeptAnswer:
        await asyncio.sleep(random.random() * 0.01)
        await work.users.update(user, renamed(name), None)
        await asyncio.sleep(random.random() * 0.01)
        return ANSWER

    now = clock.now()
    request = KeyedRequest(token_bytes(32), token_bytes(32), now, now - timedelta(hours=1))
    await database.once(request, effect, lambda _: None)


async def read_on(database: Database, after: str, limit: int) -> list[EventRecord]:
    found: list[EventRecord] = []
    while page := await database.events.after(found[-1].position if found else after, limit):
        assert len(page) <= limit
        found += page
    return found


@pytest_asyncio.fixture
async def eight(opened: Opened) -> AsyncIterator[Database]:
    """The layer with eight connections."""
    async with opened(pool_size=8) as database:
        yield database


async def test_entries_of_writers_at_once_come_once_and_in_order(
    eight: Database, new_user: Callable[[str], UserRecord], following: Following
) -> None:
    users = [new_user("Ada") for _ in range(3)]
    head = await eight.events.head()

    async def write(writer: int) -> None:
        for turn in range(20):
            way = rename_keyed if (writer + turn) % 3 else rename
            await way(eight, users[turn % 3].id, f"{writer} {turn}")

    async with following(eight, head) as follower:
        async with eight.unit_of_work() as work:
            await work.users.create_many(users)
        await asyncio.gather(*(write(writer) for writer in range(8)))
        await follower.until(163)
        await asyncio.sleep(0.1)
    entries = follower.entries
    assert len(entries) == 163
    assert all(one.position < other.position for one, other in pairwise(entries))
    versions = defaultdict(list)
    for entry in entries:
        versions[entry.resource_id].append(entry.version)
    assert [len(found) for found in versions.values()] == [57, 57, 49]
    assert all(found == sorted(found) for found in versions.values())
    assert await read_on(eight, head, 3) == entries


@pytest.fixture
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not woken does not read the log for longer than anything is waited for here."""
    monkeypatch.setattr("sqlalchemy_service.events._LATER", 60)


@pytest.mark.usefixtures("_nobody_looks")
async def test_a_transaction_that_is_older_and_commits_later_is_waited_for(
    database: Database,
    stored_user: UserRecord,
    new_user: Callable[[str], UserRecord],
    direct: asyncpg.Connection,
    following: Following,
) -> None:
    other = new_user("Ben")
    async with database.unit_of_work() as work:
        await work.users.create(other)
    head = await database.events.head()
    async with following(database, head) as follower:
        async with direct.transaction():
            await direct.fetchval("SELECT pg_current_xact_id()")
            await rename(database, stored_user.id, "Later")
            await rename(database, other.id, "Other")
            await database.events.announce()
            assert len(await database.events.pending(head)) == 2
            await asyncio.sleep(0.1)
            assert follower.heard == []
            await direct.execute(_RENAME, stored_user.id)
        await follower.until(3)
    assert [(entry.resource_id, entry.version) for entry in follower.entries] == [
        (stored_user.id, 2),
        (stored_user.id, 3),
        (other.id, 2),
    ]


@pytest.mark.usefixtures("_nobody_looks")
async def test_a_commit_that_is_announced_is_heard_at_once(
    database: Database, stored_user: UserRecord, following: Following
) -> None:
    async with following(database, await database.events.head()) as follower:
        for turn in range(5):
            await asyncio.sleep(0.05)
            await rename(database, stored_user.id, f"N{turn}")
            await database.events.announce()
            await follower.until(turn + 1)


async def test_a_commit_that_is_not_announced_is_heard_all_the_same(
    database: Database, stored_user: UserRecord, following: Following
) -> None:
    async with following(database, await database.events.head()) as follower:
        await follower.until(0)
        await rename(database, stored_user.id, "B")
        await follower.until(1)


async def test_many_wakes_make_few_reads(
    database: Database, stored_user: UserRecord, direct: asyncpg.Connection, following: Following
) -> None:
    reads: list[str] = []

    def note(_c: object, _u: object, statement: str, *_: object) -> None:
        reads.append(statement)

    event.listen(database._bus.sync_engine, "before_cursor_execute", note)
    async with following(database, await database.events.head()) as follower:
        await rename(database, stored_user.id, "A")
        await direct.execute("SELECT pg_notify('assay_events', n::text) FROM generate_series(1, 500) AS n")
        await follower.until(1)
    assert len(reads) < 10


async def test_a_lost_connection_is_unavailable_and_the_position_goes_on(
    database: Database, opened: Opened, stored_user: UserRecord, direct: asyncpg.Connection
) -> None:
    position = await database.events.head()
    # each of ours that is in no pool and has read the log
    reads = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT events.xid%'"
    # long before a time-out would tell
    async with opened(db_timeout=60) as patient:
        following = patient.events.follow(position)
        assert await anext(following) == []
        rest = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0.1)
        await direct.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({reads}) AS found")
        with pytest.raises(Unavailable):
            async with asyncio.timeout(10):
                await rest
    await rename(database, stored_user.id, "A")
    (entry,) = await database.events.after(position, 9)
    again = database.events.follow(position)
    assert await anext(again) == []
    assert await anext(again) == [entry]
    await again.aclose()


async def test_a_follower_of_a_frozen_server_notices(opened: Opened, url: str) -> None:
    async with open_relay(url) as relay, opened(database_url=relay.url, db_timeout=4) as database:
        following = database.events.follow(await database.events.head())
        assert await anext(following) == []
        relay.freeze()
        with pytest.raises((TimedOut, Unavailable)):
            async with asyncio.timeout(10):
                await anext(following)
        relay.thaw()


async def test_positions_hold_over_a_restart(
    databases: Databases, database: Database, stored_user: UserRecord
) -> None:
    position = await database.events.head()
    await rename(database, stored_user.id, "A")
    server = databases["postgresql"]
    await server.kill()
    await server.start()
    await rename(database, stored_user.id, "B")
    entries = await database.events.after(position, 9)
    assert [entry.version for entry in entries] == [2, 3]
    assert await database.events.after(await database.events.head(), 9) == []


@pytest.mark.parametrize("position", ["", "x" * 32, "f" * 32, f"{10**9:016x}{0:016x}", "0" * 31])
async def test_a_position_that_is_none_of_the_log_is_lost(database: Database, position: str) -> None:
    with pytest.raises(PositionLost):
        await database.events.after(position, 9)
    with pytest.raises(PositionLost):
        await anext(database.events.follow(position))


async def test_what_is_forgotten_is_lost_and_the_rest_goes_on(
    database: Database, stored_user: UserRecord, direct: asyncpg.Connection
) -> None:
    start = await database.events.head()
    for name in ("A", "B", "C"):
        await rename(database, stored_user.id, name)
    entries = await database.events.after(start, 9)
    await direct.execute(
        "UPDATE events SET at = at - interval '25 h' WHERE (xid, seq) <= ($1, $2)",
        int(entries[1].position[:16], 16),
        int(entries[1].position[16:], 16),
    )
    for _ in range(2):
        await database.forget(clock.now() - timedelta(hours=24))
        for lost in (start, entries[0].position):
            with pytest.raises(PositionLost):
                await database.events.after(lost, 9)
        assert await database.events.after(entries[1].position, 9) == [entries[2]]
    assert await direct.fetchval("SELECT count(*) FROM events") == 2
