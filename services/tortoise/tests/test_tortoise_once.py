"""Keyed requests: the effect and its answer hold together, once, or not at all."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from secrets import token_bytes

import asyncpg
import pytest

from shared.errors import EmailTaken, KeyReused, NotFound, Refused, TimedOut
from shared.ports.backend import Effect, UnitOfWork
from shared.rules import clock
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.users import UserRecord
from tortoise_service.database import Database

MakeUser = Callable[[], UserRecord]

DONE = KeptAnswer(201, "/users/1", '"1"', b'{"id": 1}')
REFUSED = KeptAnswer(409, None, None, b"taken")
OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'assay-tortoise' AND state LIKE 'idle in transaction%'
"""


@pytest.fixture
def keyed() -> KeyedRequest:
    moment = clock.now()
    return KeyedRequest(token_bytes(32), token_bytes(32), moment, moment - timedelta(hours=24))


def create(*users: UserRecord) -> Effect:
    async def effect(work: UnitOfWork) -> KeptAnswer:
        for user in users:
            await work.users.create(user)
        return DONE

    return effect


def kept(_: Refused) -> KeptAnswer:
    return REFUSED


def not_kept(_: Refused) -> None:
    return None


async def stored(database: Database, *users: UserRecord) -> list[bool]:
    async def is_stored(user: UserRecord) -> bool:
        try:
            await reader.users.get(user.id)
        except NotFound:
            return False
        return True

    async with database.reader() as reader:
        return [await is_stored(user) for user in users]


async def test_the_same_request_is_answered_from_what_was_kept(
    database: Database, keyed: KeyedRequest, make_user: MakeUser
) -> None:
    first, second = make_user(), make_user()
    assert await database.once(keyed, create(first), kept) == (DONE, False)
    assert await database.once(keyed, create(second), kept) == (DONE, True)
    assert await stored(database, first, second) == [True, False]


async def test_another_request_with_the_key_is_refused(
    database: Database, keyed: KeyedRequest, make_user: MakeUser
) -> None:
    user = make_user()
    await database.once(keyed, create(), kept)
    with pytest.raises(KeyReused):
        await database.once(replace(keyed, fingerprint=token_bytes(32)), create(user), kept)
    assert await stored(database, user) == [False]


async def test_several_at_once_take_effect_once(
    wide: Database, keyed: KeyedRequest, make_user: MakeUser
) -> None:
    users = [make_user() for _ in range(5)]
    answers = await asyncio.gather(*(wide.once(keyed, create(user), kept) for user in users))
    assert sorted(answers, key=lambda answer: answer[1]) == [(DONE, False)] + [(DONE, True)] * 4
    assert sum(await stored(wide, *users)) == 1


async def test_a_refusal_is_kept_and_what_came_before_it_taken_back(
    database: Database, keyed: KeyedRequest, make_user: MakeUser, stored_user: UserRecord
) -> None:
    user = make_user()
    assert await database.once(keyed, create(user, stored_user), kept) == (REFUSED, False)
    assert await database.once(keyed, create(user), kept) == (REFUSED, True)
    assert await stored(database, user) == [False]


async def test_a_refusal_that_is_not_kept_leaves_the_key_free(
    database: Database, keyed: KeyedRequest, make_user: MakeUser, stored_user: UserRecord
) -> None:
    user = make_user()
    with pytest.raises(EmailTaken):
        await database.once(keyed, create(user, stored_user), not_kept)
    assert await database.once(keyed, create(user), kept) == (DONE, False)


async def test_a_failure_keeps_nothing(
    database: Database, keyed: KeyedRequest, make_user: MakeUser, caplog: pytest.LogCaptureFixture
) -> None:
    user = make_user()

    async def fail(work: UnitOfWork) -> KeptAnswer:
        await work.users.create(user)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.once(keyed, fail, kept)
    assert await stored(database, user) == [False]
    assert await database.once(keyed, create(user), kept) == (DONE, False)
    assert caplog.records == []


async def test_an_expired_key_is_taken_anew(
    database: Database, keyed: KeyedRequest, make_user: MakeUser
) -> None:
    user = make_user()
    await database.once(keyed, create(), kept)
    later = replace(keyed, fingerprint=token_bytes(32), expired=keyed.moment + timedelta(seconds=1))
    assert await database.once(later, create(user), kept) == (DONE, False)
    assert await stored(database, user) == [True]


async def test_a_batch_finds_out_why_it_was_refused_within_the_transaction(
    database: Database, keyed: KeyedRequest, make_user: MakeUser, stored_user: UserRecord
) -> None:
    batch = [make_user(), replace(make_user(), email_key=stored_user.email_key), make_user()]
    refusals: list[Refused] = []

    async def effect(work: UnitOfWork) -> KeptAnswer:
        await work.users.create_many(batch)
        return DONE

    def note(error: Refused) -> KeptAnswer:
        refusals.append(error)
        return REFUSED

    assert await database.once(keyed, effect, note) == (REFUSED, False)
    assert [error.places for error in refusals if isinstance(error, EmailTaken)] == [(1,)]
    assert await stored(database, *batch) == [False] * 3


async def test_cancelled_at_any_moment_it_gives_its_connection_back_whole(
    database: Database,
    keyed: KeyedRequest,
    make_user: MakeUser,
    outside: asyncpg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for step in range(60):
        running = asyncio.create_task(
            database.once(replace(keyed, key=token_bytes(32)), create(make_user()), kept)
        )
        await asyncio.sleep(step * 0.00015)
        running.cancel()
        await asyncio.wait([running])
    assert database.pool().in_use == 0
    async with asyncio.timeout(10):
        while await outside.fetchval(OPEN):
            await asyncio.sleep(0.01)
    assert await database.once(keyed, create(make_user()), kept) == (DONE, False)
    assert caplog.records == []


async def test_a_key_that_somebody_holds_too_long_is_timed_out(
    database: Database, keyed: KeyedRequest, make_user: MakeUser, outside: asyncpg.Connection
) -> None:
    user = make_user()
    async with outside.transaction():
        await outside.execute(
            "INSERT INTO idempotency_keys (key, fingerprint, created_at) VALUES ($1, $2, $3)",
            keyed.key,
            keyed.fingerprint,
            keyed.moment,
        )
        with pytest.raises(TimedOut):
            await database.once(keyed, create(user), kept)
        other = replace(keyed, key=token_bytes(32))
        assert await database.once(other, create(), kept) == (DONE, False)
    assert await stored(database, user) == [False]
