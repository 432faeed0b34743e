"""Rooms: posts that all processes hear, in order, whoever posts at once; and who is there."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from secrets import token_bytes
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from shared.ports.backend import UnitOfWork
from shared.rules import clock
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.rooms import Client, Post, inbox
from sqlalchemy_service.database import Database
from sqlalchemy_service.rooms import Rooms

Opened = Callable[..., AbstractAsyncContextManager[Database]]
Following = Callable[[Database, str], AbstractAsyncContextManager[Any]]

NOW = clock.now()
MINUTE = timedelta(minutes=1)


@pytest.fixture
def room() -> str:
    return f"room-{uuid4()}"


async def post(database: Database, room: str, frame: str, *, counted: bool = True) -> int:
    async with database.unit_of_work() as work:
        return await work.rooms.post(room, frame, NOW, counted=counted)


async def log_of(database: Database, room: str, place: int = 0) -> list[Post]:
    async with database.unit_of_work() as work:
        return list(await work.rooms.after(room, place))


def farewell(client: Client, room: str) -> str:
    return f"{client.name} left {room}"


async def expire_all(database: Database) -> None:
    more = True
    while more:
        async with database.unit_of_work() as work:
            more = await work.rooms.expire(NOW, farewell)


async def test_posts_are_heard_as_they_are_logged_large_ones_too(
    database: Database, room: str, following: Following
) -> None:
    frames = ["joined", "hello", "ü" * 3_940, "x" * 65_536, '"quoted\\"\n', "bye"]
    async with following(database, await database.events.head()) as follower:
        for place, frame in enumerate(frames, 1):
            assert await post(database, room, frame, counted=frame != "joined") == place
        await follower.until(len(frames))
    assert follower.posts == [
        Post(room, place, place - 1 or None, frame) for place, frame in enumerate(frames, 1)
    ]
    assert await log_of(database, room) == follower.posts
    assert await log_of(database, room, 4) == follower.posts[4:]


async def test_posters_at_once_leave_no_gap(opened: Opened, room: str, following: Following) -> None:
    async with opened(pool_size=4) as database:
        async with following(database, await database.events.head()) as follower:

            async def talk(name: str) -> None:
                for turn in range(25):
                    await post(database, room, f"{name} {turn}", counted=turn % 5 != 0)

            await asyncio.gather(*(talk(name) for name in "abcd"))
            await follower.until(100)
        assert [heard.place for heard in follower.posts] == [*range(1, 101)]
        assert [heard.seq for heard in follower.posts if heard.seq] == [*range(1, 81)]
        assert await log_of(database, room) == follower.posts


async def test_a_client_is_told_directly_while_somebody_knows_it(database: Database) -> None:
    client = Client(uuid4(), "Ada", [])
    async with database.unit_of_work() as work:
        assert not await work.rooms.direct(client.id, "early", NOW)
        await work.rooms.arrive(client, NOW + MINUTE)
        assert await work.rooms.direct(client.id, "hello", NOW)
        assert not await work.rooms.direct(client.id, "late", NOW + MINUTE)
        assert await work.rooms.renew([client.id, uuid4()], NOW + 3 * MINUTE) == [client.id]
        assert await work.rooms.direct(client.id, "again", NOW + 2 * MINUTE)
        assert [heard.frame for heard in await work.rooms.after(inbox(client.id), 0)] == ["hello", "again"]
        await work.rooms.depart(client.id)
        assert not await work.rooms.direct(client.id, "gone", NOW)
        assert await work.rooms.after(inbox(client.id), 0) == []


async def test_a_client_that_nobody_renews_leaves_its_rooms_once(opened: Opened, room: str) -> None:
    arrived = [Client(uuid4(), f"N{number}", [room, f"{room} {number}"]) for number in range(9)]
    late, kept = arrived[:5], [client.id for client in arrived[5:]]
    async with opened(pool_size=4) as database:
        async with database.unit_of_work() as work:
            for client in arrived:
                await work.rooms.arrive(client, NOW)
            assert await work.rooms.direct(late[0].id, "{}", NOW - MINUTE)
            assert {*await work.rooms.renew([*kept, uuid4()], NOW + MINUTE)} == {*kept}
            assert {*await work.rooms.renew(kept, NOW + MINUTE)} == {*kept}
        await asyncio.gather(*(expire_all(database) for _ in range(4)))
        told = [post.frame for post in await log_of(database, room)]
        assert sorted(told) == [farewell(client, room) for client in late]
        for client in late:
            own = client.rooms[1]
            assert [post.frame for post in await log_of(database, own)] == [farewell(client, own)]
            assert await log_of(database, inbox(client.id)) == []
        async with database.unit_of_work() as work:
            assert {*await work.rooms.renew([client.id for client in arrived], NOW + MINUTE)} == {*kept}


async def test_who_was_told_to_have_left_one_room_is_renewed_no_more(database: Database, room: str) -> None:
    client = Client(uuid4(), "Ada", [room, f"{room} too"])
    async with database.unit_of_work() as work:
        await work.rooms.arrive(client, NOW - MINUTE)
        # late, and nobody has noticed
        assert [*await work.rooms.renew([client.id], NOW)] == [client.id]
    async with database.unit_of_work() as work:
        assert await work.rooms.expire(NOW, farewell)
    async with database.unit_of_work() as work:
        assert [*await work.rooms.renew([client.id], NOW + MINUTE)] == []
    await expire_all(database)
    for name in client.rooms:
        assert [post.frame for post in await log_of(database, name)] == [farewell(client, name)]


async def test_a_farewell_that_breaks_off_is_told_by_the_next_who_tries(
    database: Database, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(uuid4(), "Ada", [room])
    async with database.unit_of_work() as work:
        await work.rooms.arrive(client, NOW)

    async def break_off(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        # the second half of a step
        patch.setattr(Rooms, "_expel", break_off)
        with pytest.raises(RuntimeError):
            await expire_all(database)
    assert await log_of(database, room) == []
    await expire_all(database)
    assert [post.frame for post in await log_of(database, room)] == [farewell(client, room)]


async def test_old_posts_and_rooms_without_anybody_are_forgotten(
    database: Database, direct: asyncpg.Connection, room: str
) -> None:
    used, inhabited = f"{room}-used", f"{room}-inhabited"
    client = Client(uuid4(), "Ada", [inhabited])
    old = NOW - 2 * MINUTE
    async with database.unit_of_work() as work:
        await work.rooms.arrive(client, NOW + MINUTE)
        await work.rooms.direct(client.id, "hello", old)
        for name in (room, used, inhabited):
            await work.rooms.post(name, "old", old, counted=True)
        await work.rooms.post(used, "new", NOW, counted=True)
    await database.forget(NOW - MINUTE)
    assert await log_of(database, used) == [Post(used, 2, 2, "new")]
    for name, place in ((room, 1), (used, 3), (inhabited, 2), (inbox(client.id), 2)):
        assert await post(database, name, "next") == place
    assert await direct.fetchval("SELECT count(*) FROM room_posts WHERE frame = 'old'") == 0


async def test_kept_answers_are_forgotten_in_sets(database: Database, direct: asyncpg.Connection) -> None:
    async def effect(_: UnitOfWork) -> KeptAnswer:
        return KeptAnswer(201, None, None, b"")

    await direct.execute("""
        INSERT INTO idempotency_keys (key, fingerprint, status, body, created_at)
        SELECT sha256(n::text::bytea), '', 201, '', now() - interval '25 h'
        FROM generate_series(1, 12000) AS n
    """)
    kept = KeyedRequest(token_bytes(32), token_bytes(32), NOW, NOW - timedelta(hours=24))
    await database.once(kept, effect, lambda _: None)
    await database.forget(NOW - timedelta(hours=24))
    assert (await database.once(kept, effect, lambda _: None))[1]
    assert await direct.fetchval("SELECT count(*) FROM idempotency_keys WHERE fingerprint = ''") == 0
