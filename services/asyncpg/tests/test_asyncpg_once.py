"""Keyed requests: effect and answer in one transaction, whatever comes in between."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from secrets import token_bytes

import asyncpg
import pytest

from asyncpg_service.database import Database
from shared.errors import EmailTaken, KeyReused, NotFound, Refused
from shared.ports.backend import UnitOfWork
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.users import UserRecord

AUser = Callable[[], UserRecord]

_DONE = KeptAnswer(201, "/users/1", '"1"', b'{"id": 1}')
_REFUSED = KeptAnswer(409, None, None, b"taken")
_BUSY = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"


@pytest.fixture
def request_(now: datetime) -> KeyedRequest:
    return KeyedRequest(token_bytes(32), token_bytes(32), now, now - timedelta(hours=24))


def creates(*users: UserRecord) -> Callable[[UnitOfWork], Awaitable[KeptAnswer]]:
    async def effect(unit: UnitOfWork) -> KeptAnswer:
        for user in users:
            await unit.users.create(user)
        return _DONE

    return effect


def keeps(_: Refused) -> KeptAnswer:
    return _REFUSED


def keeps_none(_: Refused) -> None:
    return None


async def is_stored(database: Database, user: UserRecord) -> bool:
    async with database.reader() as reader:
        try:
            await reader.users.get(user.id)
        except NotFound:
            return False
    return True


async def test_the_second_time_the_kept_answer_comes_and_nothing_happens(
    database: Database, request_: KeyedRequest, a_user: AUser
) -> None:
    first, second = a_user(), a_user()
    assert await database.once(request_, creates(first), keeps) == (_DONE, False)
    assert await database.once(request_, creates(second), keeps) == (_DONE, True)
    assert await is_stored(database, first)
    assert not await is_stored(database, second)


async def test_a_key_belongs_to_one_request(
    database: Database, request_: KeyedRequest, a_user: AUser
) -> None:
    await database.once(request_, creates(a_user()), keeps)
    other = a_user()
    with pytest.raises(KeyReused):
        await database.once(replace(request_, fingerprint=token_bytes(32)), creates(other), keeps)
    assert not await is_stored(database, other)


async def test_two_at_once_take_effect_once(
    database: Database, request_: KeyedRequest, a_user: AUser
) -> None:
    users = [a_user() for _ in range(4)]
    answers = await asyncio.gather(*(database.once(request_, creates(user), keeps) for user in users))
    assert [answer for answer, _ in answers] == [_DONE] * 4
    assert sorted(was_kept for _, was_kept in answers) == [False, True, True, True]
    assert sum([await is_stored(database, user) for user in users]) == 1


async def test_a_refusal_is_kept_and_its_effect_taken_back(
    database: Database, request_: KeyedRequest, a_user: AUser, stored_user: UserRecord
) -> None:
    user = a_user()
    refused = creates(user, replace(a_user(), email_key=stored_user.email_key))
    assert await database.once(request_, refused, keeps) == (_REFUSED, False)
    assert await database.once(request_, creates(user), keeps) == (_REFUSED, True)
    assert not await is_stored(database, user)


async def test_a_refusal_that_is_not_to_be_kept_leaves_the_key_free(
    database: Database, request_: KeyedRequest, a_user: AUser, stored_user: UserRecord
) -> None:
    user = a_user()
    with pytest.raises(EmailTaken):
        await database.once(request_, creates(user, stored_user), keeps_none)
    assert await database.once(request_, creates(user), keeps) == (_DONE, False)


async def test_a_failure_keeps_nothing(database: Database, request_: KeyedRequest, a_user: AUser) -> None:
    user = a_user()

    async def fails(unit: UnitOfWork) -> KeptAnswer:
        await unit.users.create(user)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.once(request_, fails, keeps)
    assert not await is_stored(database, user)
    assert await database.once(request_, creates(user), keeps) == (_DONE, False)


async def test_an_expired_key_is_taken_anew(
    database: Database, request_: KeyedRequest, a_user: AUser
) -> None:
    await database.once(request_, creates(a_user()), keeps)
    later = replace(request_, fingerprint=token_bytes(32), expired=request_.moment + timedelta(seconds=1))
    user = a_user()
    assert await database.once(later, creates(user), keeps) == (_DONE, False)
    assert await is_stored(database, user)


async def test_a_batch_that_is_refused_says_why_inside_the_transaction_too(
    database: Database, request_: KeyedRequest, a_user: AUser, stored_user: UserRecord
) -> None:
    batch = [a_user(), replace(a_user(), email_key=stored_user.email_key), a_user()]
    found: list[Refused] = []

    async def effect(unit: UnitOfWork) -> KeptAnswer:
        await unit.users.create_many(batch)
        return _DONE

    def kept(error: Refused) -> KeptAnswer:
        found.append(error)
        return _REFUSED

    assert await database.once(request_, effect, kept) == (_REFUSED, False)
    (error,) = found
    assert isinstance(error, EmailTaken)
    assert error.places == (1,)
    assert not await is_stored(database, batch[0])


async def test_cancelled_at_any_moment_no_connection_stays_in_a_transaction(
    database: Database, request_: KeyedRequest, a_user: AUser, outside: asyncpg.Connection
) -> None:
    for step in range(60):
        keyed = replace(request_, key=token_bytes(32))
        task = asyncio.create_task(database.once(keyed, creates(a_user()), keeps))
        await asyncio.sleep(step * 0.0001)
        task.cancel()
        await asyncio.wait([task])
    assert database.pool().in_use == 0
    async with asyncio.timeout(10):
        while await outside.fetchval(_BUSY) > 1:
            await asyncio.sleep(0.01)
    assert await database.once(request_, creates(a_user()), keeps) == (_DONE, False)
