"""Keyed requests: effect and answer in one transaction, whatever comes in between."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any
from uuid import uuid4

import pytest

from assay.stand.relay import open_relay
from motor_service.database import Database, open_database
from shared.errors import EmailTaken, KeyReused, NotFound, Refused, TransferConflict
from shared.ports.backend import UnitOfWork
from shared.schemas.documents import DocumentRecord
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.users import UserRecord
from shared.settings import Settings

Rows = Any
AUser = Callable[[], UserRecord]
Effect = Callable[[UnitOfWork], Awaitable[KeptAnswer]]

_DONE = KeptAnswer(201, "/users/1", '"1"', b'{"id": 1}')
_REFUSED = KeptAnswer(409, None, None, b"taken")
_IDLE_TRANSACTIONS = [
    {"$currentOp": {"allUsers": True, "idleSessions": True}},
    {"$match": {"transaction": {"$exists": True}}},
]


@pytest.fixture
def keyed(now: datetime) -> KeyedRequest:
    return KeyedRequest(token_bytes(32), token_bytes(32), now, now - timedelta(hours=24))


@pytest.fixture
def a_user(new_user: Callable[[str], UserRecord]) -> AUser:
    return lambda: new_user(f"u{uuid4().hex}")


def creates(*users: UserRecord) -> Effect:
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
    database: Database, keyed: KeyedRequest, a_user: AUser
) -> None:
    first, second = a_user(), a_user()
    assert await database.once(keyed, creates(first), keeps) == (_DONE, False)
    assert await database.once(keyed, creates(second), keeps) == (_DONE, True)
    assert await is_stored(database, first)
    assert not await is_stored(database, second)


async def test_a_key_belongs_to_one_request(database: Database, keyed: KeyedRequest, a_user: AUser) -> None:
    await database.once(keyed, creates(a_user()), keeps)
    other = a_user()
    with pytest.raises(KeyReused):
        await database.once(replace(keyed, fingerprint=token_bytes(32)), creates(other), keeps)
    assert not await is_stored(database, other)


async def test_those_who_come_at_once_take_effect_once(
    database: Database, other: Database, keyed: KeyedRequest, a_user: AUser
) -> None:
    users = [a_user() for _ in range(6)]
    answers = await asyncio.gather(
        *((database, other)[place % 2].once(keyed, creates(user), keeps) for place, user in enumerate(users))
    )
    assert [answer for answer, _ in answers] == [_DONE] * 6
    assert sorted(was_kept for _, was_kept in answers) == [False, *[True] * 5]
    assert sum([await is_stored(database, user) for user in users]) == 1


async def test_a_refusal_is_kept_and_its_effect_taken_back(
    database: Database, keyed: KeyedRequest, a_user: AUser, stored_user: UserRecord
) -> None:
    user = a_user()
    refused = creates(user, replace(a_user(), email_key=stored_user.email_key))
    assert await database.once(keyed, refused, keeps) == (_REFUSED, False)
    assert await database.once(keyed, creates(user), keeps) == (_REFUSED, True)
    assert not await is_stored(database, user)


async def test_a_refusal_is_answered_with_what_somebody_else_kept_in_between(
    database: Database, other: Database, keyed: KeyedRequest, a_user: AUser
) -> None:
    user = a_user()
    took_over = asyncio.Event()

    async def refuses(_: UnitOfWork) -> KeptAnswer:
        raise EmailTaken

    async def take_over() -> None:
        await other.once(keyed, creates(user), keeps)
        took_over.set()

    def keeps_late(_: Refused) -> KeptAnswer:
        # the refused transaction is gone: until its answer is kept, the key is anybody's
        asyncio.get_running_loop().create_task(take_over())
        return _REFUSED

    first, _ = await database.once(keyed, refuses, keeps_late)
    await took_over.wait()
    assert await database.once(keyed, refuses, keeps) == (first, True)
    assert await is_stored(database, user) == (first == _DONE)


async def test_a_refusal_that_is_not_to_be_kept_leaves_the_key_free(
    database: Database, keyed: KeyedRequest, a_user: AUser, stored_user: UserRecord
) -> None:
    user = a_user()
    with pytest.raises(EmailTaken):
        await database.once(keyed, creates(user, stored_user), keeps_none)
    assert await database.once(keyed, creates(user), keeps) == (_DONE, False)


async def test_a_failure_keeps_nothing(database: Database, keyed: KeyedRequest, a_user: AUser) -> None:
    user = a_user()

    async def fails(unit: UnitOfWork) -> KeptAnswer:
        await unit.users.create(user)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.once(keyed, fails, keeps)
    assert not await is_stored(database, user)
    assert await database.once(keyed, creates(user), keeps) == (_DONE, False)


async def test_an_expired_key_is_taken_anew(database: Database, keyed: KeyedRequest, a_user: AUser) -> None:
    await database.once(keyed, creates(a_user()), keeps)
    later = replace(keyed, fingerprint=token_bytes(32), expired=keyed.moment + timedelta(seconds=1))
    user = a_user()
    assert await database.once(later, creates(user), keeps) == (_DONE, False)
    assert await is_stored(database, user)


async def test_an_answer_longer_than_a_document_may_be_is_kept_whole_and_forgotten_whole(
    database: Database, keyed: KeyedRequest, a_user: AUser, rows: Rows
) -> None:
    long = replace(_DONE, body=token_bytes(1_000_000) * 21)

    async def effect(_: UnitOfWork) -> KeptAnswer:
        return long

    assert await database.once(keyed, effect, keeps) == (long, False)
    assert await database.once(keyed, creates(a_user()), keeps) == (long, True)
    await database.forget(keyed.moment)
    assert await database.once(keyed, creates(a_user()), keeps) == (long, True)
    await database.forget(keyed.moment + timedelta(seconds=1))
    assert not await rows.idempotency_keys.count_documents({})
    assert not await rows.idempotency_parts.count_documents({})


async def test_what_is_refused_says_why_inside_the_transaction_too(
    database: Database,
    keyed: KeyedRequest,
    a_user: AUser,
    stored_user: UserRecord,
    new_document: Callable[..., DocumentRecord],
) -> None:
    batch = [a_user(), replace(a_user(), email_key=stored_user.email_key), a_user()]
    taker, document = a_user(), new_document(stored_user, "one")
    found: list[Refused] = []

    async def create(unit: UnitOfWork) -> KeptAnswer:
        await unit.users.create_many(batch)
        return _DONE

    async def transfer(unit: UnitOfWork) -> KeptAnswer:
        await unit.users.create(taker)
        await unit.documents.create(document)
        await unit.documents.transfer([document.id, uuid4()], stored_user.id, taker.id, keyed.moment)
        return _DONE

    def kept(error: Refused) -> KeptAnswer:
        found.append(error)
        return _REFUSED

    for effect in (create, transfer):
        assert await database.once(replace(keyed, key=token_bytes(32)), effect, kept) == (_REFUSED, False)
    taken, conflict = found
    assert isinstance(taken, EmailTaken)
    assert isinstance(conflict, TransferConflict)
    assert (taken.places, conflict.places) == ((1,), (1,))
    for user in (batch[0], taker):
        assert not await is_stored(database, user)


async def test_keyed_requests_that_want_one_row_take_turns(
    settings: Settings,
    keyed: KeyedRequest,
    stored_user: UserRecord,
    new_document: Callable[..., DocumentRecord],
    rows: Rows,
) -> None:
    # as two processes have it, and nobody is given up: what is tried again takes turns
    patient = settings.model_copy(update={"db_timeout": 60, "pool_timeout": 60})
    async with open_database(patient) as one, open_database(patient) as other:

        async def create(place: int) -> tuple[KeptAnswer, bool]:
            document = new_document(stored_user, f"title {place}")

            async def effect(unit: UnitOfWork) -> KeptAnswer:
                await unit.documents.create(document)
                return _DONE

            request = replace(keyed, key=token_bytes(32))
            return await (one, other)[place % 2].once(request, effect, keeps)

        assert await asyncio.gather(*map(create, range(30))) == [(_DONE, False)] * 30
    assert await rows.documents.count_documents({"owner_id": stored_user.id}) == 30


async def test_a_commit_whose_answer_is_lost_is_kept_once(
    settings: Settings, keyed: KeyedRequest, a_user: AUser
) -> None:
    user = a_user()
    async with (
        open_relay(settings.mongodb_url) as relay,
        open_database(settings.model_copy(update={"mongodb_url": relay.url})) as database,
    ):
        await database.ping()
        relay.lose_answer(b"commitTransaction\0")
        assert await database.once(keyed, creates(user), keeps) == (_DONE, False)
        assert await database.once(keyed, creates(user), keeps) == (_DONE, True)
    assert relay.lost_answers == 1


async def test_cancelled_at_any_moment_no_transaction_stays_open(
    database: Database, keyed: KeyedRequest, a_user: AUser, rows: Rows
) -> None:
    for step in range(40):
        task = asyncio.create_task(
            database.once(replace(keyed, key=token_bytes(32)), creates(a_user()), keeps)
        )
        await asyncio.sleep(step * 0.0005)
        task.cancel()
        await asyncio.wait([task])
    assert database.pool().in_use == 0
    async with asyncio.timeout(10):
        while await (await rows.client.admin.aggregate(_IDLE_TRANSACTIONS)).to_list():
            await asyncio.sleep(0.02)
    assert await database.once(keyed, creates(a_user()), keeps) == (_DONE, False)
