"""Rooms: each post once, in its place, to all who listen, whatever its size."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from shared.rules import clock
from shared.schemas.rooms import Client, Post, inbox
from tortoise_service.database import Database
from tortoise_service.rooms import Rooms

Following = Callable[[Database, str], AbstractAsyncContextManager[Any]]

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
# on both sides of what the bus takes, and quotes and letters that grow on it
FRAMES = [
    "{}",
    "x" * 65_000,
    '\u00e9\U0001f600"\\\n' * 900,
    *("y" * size for size in range(7_780, 8_010, 7)),
    "",
]


@pytest.fixture
def room() -> str:
    return f"room-{uuid4()}"


@pytest.fixture
def now() -> datetime:
    return clock.now()


@pytest.fixture
async def client(database: Database, now: datetime) -> Client:
    arrived = Client(uuid4(), "Ada", [])
    async with database.unit_of_work() as work:
        await work.rooms.arrive(arrived, now + MINUTE)
    return arrived


async def logged(database: Database, room: str, after: int = 0) -> list[Post]:
    async with database.unit_of_work() as work:
        return list(await work.rooms.after(room, after))


def farewell(client: Client, room: str) -> str:
    return f"{client.name} left {room}"


async def expire_all(database: Database, now: datetime) -> None:
    more = True
    while more:
        async with database.unit_of_work() as work:
            more = await work.rooms.expire(now, farewell)


async def test_a_post_of_any_size_arrives_in_its_place(
    database: Database, room: str, now: datetime, following: Following
) -> None:
    async with following(database, await database.events.head()) as follower:
        for frame in FRAMES:
            async with database.unit_of_work() as work:
                await work.rooms.post(room, frame, now, counted=True)
        await follower.until(len(FRAMES))
    assert follower.posts == [Post(room, place, place, frame) for place, frame in enumerate(FRAMES, 1)]
    assert await logged(database, room, 3) == follower.posts[3:]


async def test_posts_of_posters_at_once_have_places_without_gaps_in_order(
    wide: Database, room: str, now: datetime, following: Following
) -> None:
    async def post(poster: int) -> list[int]:
        places = []
        for turn in range(40):
            async with wide.unit_of_work() as work:
                frame = f"{poster} {turn}"
                places.append(await work.rooms.post(room, frame, now, counted=bool(turn % 4)))
        return places

    head = await wide.events.head()
    async with following(wide, head) as one, following(wide, head) as other:
        posted = await asyncio.gather(post(1), post(2))
        await one.until(80)
        await other.until(80)
    assert sorted(place for places in posted for place in places) == list(range(1, 81))
    assert [heard.place for heard in one.posts] == list(range(1, 81))
    assert one.posts == other.posts == await logged(wide, room)
    counted = [heard for heard in one.posts if heard.seq is not None]
    assert [heard.seq for heard in counted] == list(range(1, 61))
    assert all(int(heard.frame.split()[1]) % 4 for heard in counted)


async def test_a_direct_post_reaches_the_inbox_of_who_is_known_then(
    database: Database, client: Client, now: datetime, following: Following, outside: asyncpg.Connection
) -> None:
    async with following(database, await database.events.head()) as follower:
        async with database.unit_of_work() as work:
            assert not await work.rooms.direct(uuid4(), "{}", now)
            assert not await work.rooms.direct(client.id, "{}", now + MINUTE)
            assert await work.rooms.direct(client.id, "{}", now)
            await follower.until(1)
            await work.rooms.depart(client.id)
            assert not await work.rooms.direct(client.id, "{}", now)
    assert follower.posts == [Post(inbox(client.id), 1, None, "{}")]
    assert await logged(database, inbox(client.id)) == []
    assert not await outside.fetchval("SELECT count(*) FROM rooms WHERE name = $1", inbox(client.id))


async def test_a_client_that_nobody_renews_leaves_its_rooms_once(
    wide: Database, room: str, now: datetime
) -> None:
    arrived = [Client(uuid4(), f"N{number}", [room, f"{room} {number}"]) for number in range(9)]
    late, kept = arrived[:5], [client.id for client in arrived[5:]]
    async with wide.unit_of_work() as work:
        for client in arrived:
            await work.rooms.arrive(client, now)
        assert await work.rooms.direct(late[0].id, "{}", now - MINUTE)
        assert {*await work.rooms.renew([*kept, uuid4()], now + MINUTE)} == {*kept}
        assert {*await work.rooms.renew(kept, now + MINUTE)} == {*kept}
    await asyncio.gather(*(expire_all(wide, now) for _ in range(4)))
    told = [post.frame for post in await logged(wide, room)]
    assert sorted(told) == [farewell(client, room) for client in late]
    for client in late:
        own = client.rooms[1]
        assert [post.frame for post in await logged(wide, own)] == [farewell(client, own)]
        assert await logged(wide, inbox(client.id)) == []
    async with wide.unit_of_work() as work:
        assert {*await work.rooms.renew([client.id for client in arrived], now + MINUTE)} == {*kept}


async def test_who_was_told_to_have_left_one_room_is_renewed_no_more(
    database: Database, room: str, now: datetime
) -> None:
    client = Client(uuid4(), "Ada", [room, f"{room} too"])
    async with database.unit_of_work() as work:
        await work.rooms.arrive(client, now - MINUTE)
        # late, and nobody has noticed
        assert [*await work.rooms.renew([client.id], now)] == [client.id]
    async with database.unit_of_work() as work:
        assert await work.rooms.expire(now, farewell)
    async with database.unit_of_work() as work:
        assert [*await work.rooms.renew([client.id], now + MINUTE)] == []
    await expire_all(database, now)
    for name in client.rooms:
        assert [post.frame for post in await logged(database, name)] == [farewell(client, name)]


async def test_a_farewell_that_breaks_off_is_told_by_the_next_who_tries(
    database: Database, room: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(uuid4(), "Ada", [room])
    async with database.unit_of_work() as work:
        await work.rooms.arrive(client, now)

    async def break_off(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        # the second half of a step
        patch.setattr(Rooms, "_expel", break_off)
        with pytest.raises(RuntimeError):
            await expire_all(database, now)
    assert await logged(database, room) == []
    await expire_all(database, now)
    assert [post.frame for post in await logged(database, room)] == [farewell(client, room)]


async def test_old_posts_are_forgotten_and_rooms_that_nobody_is_in(
    database: Database, client: Client, room: str, now: datetime, outside: asyncpg.Connection
) -> None:
    left, young = f"left-{room}", f"young-{room}"
    async with database.unit_of_work() as work:
        await work.rooms.move(client.id, [room])
        for old in (room, left, young):
            await work.rooms.post(old, "{}", now - 2 * DAY, counted=True)
        await work.rooms.post(young, "{}", now, counted=True)
        await work.rooms.direct(client.id, "{}", now - 2 * DAY)
    await database.forget(now - DAY)
    names = {row["name"] for row in await outside.fetch("SELECT name FROM rooms")}
    assert names >= {room, young, inbox(client.id)}
    assert left not in names
    assert await logged(database, room) == []
    assert [post.place for post in await logged(database, young)] == [2]
    async with database.unit_of_work() as work:
        assert await work.rooms.post(room, "{}", now, counted=True) == 2
