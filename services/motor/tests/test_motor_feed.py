"""The change feed as it is followed: whole and in order, whoever commits when, and soon."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any
from uuid import UUID

import pytest

from assay.stand import Database as Server
from assay.stand.relay import open_relay
from motor_service.database import Database, open_database
from shared.errors import PositionLost, TimedOut, Unavailable
from shared.ports.backend import UnitOfWork
from shared.rules import clock
from shared.schemas.documents import DocumentRecord
from shared.schemas.events import EventRecord
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.users import UserChange, UserRecord
from shared.settings import Settings

Rows = Any
Following = Callable[[Database, str], AbstractAsyncContextManager[Any]]

_ANSWER = KeptAnswer(200, None, None, b"")
_STREAMS = [
    {"$currentOp": {"allUsers": True, "idleCursors": True}},
    {"$match": {"cursor.tailable": True, "ns": {"$regex": "test_motor_feed"}}},
]


async def rename(database: Database, user: UUID, moment: datetime, name: str) -> None:
    async with database.unit_of_work() as unit:
        await unit.users.update(user, UserChange(moment, name=name, name_key=name), None)


async def rename_keyed(database: Database, user: UUID, moment: datetime, name: str) -> None:
    """In a transaction that has begun for a while before it changes the row, and ends a while after."""

    async def effect(unit: UnitOfWork) -> KeptAnswer:
        await asyncio.sleep(random.random() * 0.005)
        await unit.users.update(user, UserChange(moment, name=name, name_key=name), None)
        await asyncio.sleep(random.random() * 0.005)
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
    database: Database, new_user: Callable[[str], UserRecord], now: datetime, following: Following
) -> None:
    users = [new_user(f"written{place}") for place in range(8)]
    head = await database.events.head()

    async def write(writer: int) -> None:
        for turn in range(12):
            # mostly rows of one's own: who collides in a transaction starts over
            place = 0 if turn % 6 == 0 else writer
            way = rename_keyed if (writer + turn) % 3 else rename
            await way(database, users[place].id, now, f"{writer} {turn}")

    async with following(database, head) as follower:
        async with database.unit_of_work() as unit:
            await unit.users.create_many(users)
        await asyncio.gather(*(write(writer) for writer in range(4)))
        await asyncio.gather(*(write(writer) for writer in range(4, 8)))
        await follower.until(8 + 96)
        await asyncio.sleep(0.1)
    versions = defaultdict(list)
    for event in follower.events:
        versions[event.resource_id].append(event.version)
    assert sum(map(len, versions.values())) == 8 + 96
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    assert [event.position for event in follower.events] == sorted({e.position for e in follower.events})
    assert await read_on(database, head, 3) == follower.events


async def test_every_commit_after_a_head_lies_beyond_it(
    database: Database, stored_user: UserRecord, now: datetime
) -> None:
    async def write() -> None:
        for turn in range(40):
            await rename(database, stored_user.id, now, f"N{turn}")

    writing = asyncio.gather(write(), write())
    while not writing.done():
        head = await database.events.head()
        async with database.reader() as reader:
            known = (await reader.users.get(stored_user.id)).version
        await rename(database, stored_user.id, now, f"beyond {known}")
        found = [entry.version for entry in await database.events.after(head, 99)]
        assert found == list(range(found[0], found[0] + len(found)))
        assert found[0] <= known + 1 <= found[-1]
    await writing


@pytest.fixture
async def patient(settings: Settings) -> AsyncIterator[Database]:
    """Where there is nothing new, the server lets the follower wait for longer than anything else is."""
    async with open_database(settings.model_copy(update={"db_timeout": 100})) as opened:
        yield opened


async def test_an_entry_is_heard_at_once_and_what_is_none_makes_none(
    database: Database,
    patient: Database,
    stored_user: UserRecord,
    new_document: Callable[..., DocumentRecord],
    now: datetime,
    rows: Rows,
    following: Following,
) -> None:
    async with following(patient, await patient.events.head()) as follower:
        for turn in range(5):
            await asyncio.sleep(0.05)
            await rename(database, stored_user.id, now, f"N{turn}")
            await database.events.announce()
            await follower.until(turn + 1)
        async with database.unit_of_work() as unit:
            await unit.documents.create(new_document(stored_user, "touches its owner", text="x" * 9_000))
            await unit.rooms.post("room", "{}", now, counted=True)
        # posts that are removed were never asked for as they were before
        await rows.room_posts.delete_many({})
        await rename(database, stored_user.id, now, "last")
        await follower.until(8)
    assert [event.type for event in follower.events[-2:]] == ["document.created", "user.updated"]
    assert [post.frame for post in follower.posts] == ["{}"]


async def test_following_takes_no_thread_of_the_requests(
    patient: Database, settings: Settings, following: Following
) -> None:
    async with following(patient, await patient.events.head()):
        async with asyncio.timeout(10):
            await asyncio.gather(*(patient.ping() for _ in range(20 * settings.pool_size)))


@pytest.mark.parametrize("fault", ["cut", "freeze"])
async def test_a_follower_whose_connection_is_lost_is_told(settings: Settings, fault: str) -> None:
    async with open_relay(settings.mongodb_url) as relay:
        # who is cut off does not wait for a time-out
        seconds = 60 if fault == "cut" else settings.db_timeout
        changed = {"mongodb_url": relay.url, "db_timeout": seconds}
        async with open_database(settings.model_copy(update=changed)) as opened:
            following = opened.events.follow(await opened.events.head())
            assert await anext(following) == []
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


async def test_who_leaves_takes_the_stream_along(
    database: Database, rows: Rows, stored_user: UserRecord, following: Following
) -> None:
    async def streams() -> set[int]:
        found = await (await rows.client.admin.aggregate(_STREAMS)).to_list()
        return {stream["cursor"]["cursorId"] for stream in found}

    before = await streams()
    head = await database.events.head()
    for step in range(20):
        task = asyncio.create_task(database.events.after(head, 9))
        await asyncio.sleep(step * 0.0005)
        task.cancel()
        await asyncio.wait([task])
    for _ in range(3):
        async with following(database, head):
            pass
    async with asyncio.timeout(10):
        while await streams() - before:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "lost",
    [
        "",
        "x",
        "82",
        "82" + "0" * 15,
        "82" + "0" * 16 + "G0",
        "82" + "F" * 16,
        "82" + "8" * 40,
    ],
)
async def test_a_position_of_no_log_is_lost(database: Database, lost: str) -> None:
    with pytest.raises(PositionLost):
        await database.events.after(lost, 9)
    with pytest.raises(PositionLost):
        async for _ in database.events.follow(lost):
            pass


async def test_a_position_with_something_changed_in_it_is_lost_or_harmless(
    database: Database, stored_user: UserRecord, now: datetime
) -> None:
    head = await database.events.head()
    await rename(database, stored_user.id, now, "B")
    (entry,) = await database.events.after(head, 9)
    random.seed(7)
    lost = 0
    for _ in range(200):
        place = random.randrange(len(entry.position))
        changed = f"{entry.position[:place]}{random.choice('0123456789ABCDEF')}{entry.position[place + 1 :]}"
        try:
            await database.events.after(changed, 1)
        except PositionLost:
            lost += 1
    assert lost > 100


async def test_an_entry_whose_row_as_it_was_is_gone_is_lost(
    database: Database, stored_user: UserRecord, now: datetime, rows: Rows
) -> None:
    head = await database.events.head()
    await rename(database, stored_user.id, now, "B")
    await rows.client["config"]["system.preimages"].delete_many({})
    with pytest.raises(PositionLost):
        await database.events.after(head, 9)


async def test_positions_hold_over_a_killed_server(
    database: Database, server: Server, stored_user: UserRecord, now: datetime, following: Following
) -> None:
    head = await database.events.head()
    await rename(database, stored_user.id, now, "before")
    (before,) = await database.events.after(head, 9)
    async with following(database, head) as follower:
        await follower.until(1)
    await server.kill()
    await server.start()
    async with following(database, before.position) as follower:
        await rename(database, stored_user.id, clock.now(), "after")
        await follower.until(1)
    assert [event.version for event in follower.events] == [3]
    assert await read_on(database, head, 1) == [before, *follower.events]
