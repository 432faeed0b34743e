"""Rooms: each post once, in its place, to all who listen, whatever its size."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from asyncpg_service.database import Database
from asyncpg_service.rooms import Rooms
from shared.schemas.rooms import Client, Post, inbox

Following = Callable[[Database, str], AbstractAsyncContextManager[Any]]

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@pytest.fixture
def room() -> str:
    return f"room {uuid4()}"


@pytest.fixture
async def client(database: Database, now: datetime) -> Client:
    client = Client(uuid4(), "Ada", [])
    async with database.unit_of_work() as unit:
        await unit.rooms.arrive(client, now + _MINUTE)
    return client


async def logged(database: Database, room: str) -> list[Post]:
    async with database.unit_of_work() as unit:
        return list(await unit.rooms.after(room, 0))


def farewell(client: Client, room: str) -> str:
    return f"{client.name} left {room}"


async def expire_all(database: Database, now: datetime) -> None:
    more = True
    while more:
        async with database.unit_of_work() as unit:
            more = await unit.rooms.expire(now, farewell)


async def test_a_post_of_any_size_arrives_in_its_place(
    database: Database, room: str, now: datetime, following: Following
) -> None:
    frames = [
        "{}",
        "x" * 65_000,
        '\u00e9\U0001f600"\\\n' * 900,
        *("y" * size for size in range(7_780, 8_010, 7)),
    ]
    async with following(database, await database.events.head()) as follower:
        for frame in frames:
            async with database.unit_of_work() as unit:
                await unit.rooms.post(room, frame, now, counted=True)
        await follower.until(len(frames))
    assert follower.posts == [Post(room, place, place, frame) for place, frame in enumerate(frames, 1)]
    assert await logged(database, room) == follower.posts


async def test_posts_of_posters_at_once_have_places_without_gaps_in_order(
    database: Database, room: str, now: datetime, following: Following
) -> None:
    async def post(poster: int) -> list[int]:
        places = []
        for turn in range(40):
            async with database.unit_of_work() as unit:
                places.append(await unit.rooms.post(room, f"{poster} {turn}", now, counted=bool(turn % 4)))
        return places

    async with (
        following(database, await database.events.head()) as one,
        following(database, await database.events.head()) as other,
    ):
        places = await asyncio.gather(post(1), post(2))
        await one.until(80)
        await other.until(80)
    assert sorted(place for found in places for place in found) == list(range(1, 81))
    assert [post.place for post in one.posts] == list(range(1, 81))
    assert one.posts == other.posts == await logged(database, room)
    counted = [post for post in one.posts if post.seq is not None]
    assert [post.seq for post in counted] == list(range(1, 61))
    assert all(int(post.frame.split()[1]) % 4 for post in counted)


async def test_a_direct_post_reaches_the_inbox_of_who_is_known_then(
    database: Database, client: Client, now: datetime, following: Following, outside: asyncpg.Connection
) -> None:
    async with following(database, await database.events.head()) as follower:
        async with database.unit_of_work() as unit:
            assert not await unit.rooms.direct(uuid4(), "{}", now)
            assert not await unit.rooms.direct(client.id, "{}", now + _MINUTE)
            assert await unit.rooms.direct(client.id, "{}", now)
            await follower.until(1)
            assert follower.posts == [Post(inbox(client.id), 1, None, "{}")]
            await unit.rooms.depart(client.id)
            assert not await unit.rooms.direct(client.id, "{}", now)
    assert await logged(database, inbox(client.id)) == []
    assert not await outside.fetchval("SELECT count(*) FROM rooms WHERE name = $1", inbox(client.id))


async def test_a_client_that_nobody_renews_leaves_its_rooms_once(
    database: Database, room: str, now: datetime
) -> None:
    arrived = [Client(uuid4(), f"N{number}", [room, f"{room} {number}"]) for number in range(9)]
    late, kept = arrived[:5], [client.id for client in arrived[5:]]
    async with database.unit_of_work() as unit:
        for client in arrived:
            await unit.rooms.arrive(client, now)
        assert await unit.rooms.direct(late[0].id, "{}", now - _MINUTE)
        assert {*await unit.rooms.renew([*kept, uuid4()], now + _MINUTE)} == {*kept}
        assert {*await unit.rooms.renew(kept, now + _MINUTE)} == {*kept}
    await asyncio.gather(*(expire_all(database, now) for _ in range(4)))
    told = [post.frame for post in await logged(database, room)]
    assert sorted(told) == [farewell(client, room) for client in late]
    for client in late:
        own = client.rooms[1]
        assert [post.frame for post in await logged(database, own)] == [farewell(client, own)]
        assert await logged(database, inbox(client.id)) == []
    async with database.unit_of_work() as unit:
        assert {*await unit.rooms.renew([client.id for client in arrived], now + _MINUTE)} == {*kept}


async def test_who_was_told_to_have_left_one_room_is_renewed_no_more(
    database: Database, room: str, now: datetime
) -> None:
    client = Client(uuid4(), "Ada", [room, f"{room} too"])
    async with database.unit_of_work() as unit:
        await unit.rooms.arrive(client, now - _MINUTE)
        # late, and nobody has noticed
        assert [*await unit.rooms.renew([client.id], now)] == [client.id]
    async with database.unit_of_work() as unit:
        assert await unit.rooms.expire(now, farewell)
    async with database.unit_of_work() as unit:
        assert [*await unit.rooms.renew([client.id], now + _MINUTE)] == []
    await expire_all(database, now)
    for name in client.rooms:
        assert [post.frame for post in await logged(database, name)] == [farewell(client, name)]


async def test_a_farewell_that_breaks_off_is_told_by_the_next_who_tries(
    database: Database, room: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(uuid4(), "Ada", [room])
    async with database.unit_of_work() as unit:
        await unit.rooms.arrive(client, now)

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
    left, young = f"left {room}", f"young {room}"
    async with database.unit_of_work() as unit:
        await unit.rooms.move(client.id, [room])
        for old in (room, left, young):
            await unit.rooms.post(old, "{}", now - 2 * _DAY, counted=True)
        await unit.rooms.post(young, "{}", now, counted=True)
        await unit.rooms.direct(client.id, "{}", now - 2 * _DAY)
    await database.forget(now - _DAY)
    kept = {row["name"] for row in await outside.fetch("SELECT name FROM rooms")}
    assert {room, young, inbox(client.id)} <= kept
    assert left not in kept
    assert [post.place for post in await logged(database, young)] == [2]
    assert await logged(database, room) == []
    async with database.unit_of_work() as unit:
        assert await unit.rooms.post(room, "{}", now, counted=True) == 2
