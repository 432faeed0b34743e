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


async def test_a_client_that_nobody_renews_is_told_to_one_caller(
    wide: Database, client: Client, room: str, now: datetime, outside: asyncpg.Connection
) -> None:
    arrived = [Client(uuid4(), f"N{number}", []) for number in range(9)]
    late, renewed = arrived[:5], arrived[5:]
    async with wide.unit_of_work() as work:
        for other in arrived:
            await work.rooms.arrive(other, now)
            await work.rooms.arrive(other, now)
        await work.rooms.move(late[0].id, [room, "b"])
        assert await work.rooms.direct(late[0].id, "{}", now - MINUTE)
        await work.rooms.renew([other.id for other in renewed], now + MINUTE)

    async def expire() -> list[Client]:
        async with wide.unit_of_work() as work:
            return list(await work.rooms.expire(now))

    told = [gone for found in await asyncio.gather(*(expire() for _ in range(4))) for gone in found]
    ids = [gone.id for gone in told]
    assert len(ids) == len(set(ids))
    assert set(ids) >= {other.id for other in late}
    assert not set(ids) & {client.id, *(other.id for other in renewed)}
    assert Client(late[0].id, "N0", [room, "b"]) in told
    assert await logged(wide, inbox(late[0].id)) == []
    assert not await outside.fetchval("SELECT count(*) FROM rooms WHERE name = $1", inbox(late[0].id))


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
