"""Keyed requests: the effect and its answer in one transaction, whatever comes in between."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from secrets import token_bytes

import asyncpg
import pytest

from shared.errors import EmailTaken, KeyReused, NotFound, Refused, TimedOut, Unavailable, UnknownOwner
from shared.ports.backend import UnitOfWork
from shared.rules import clock
from shared.schemas.documents import DocumentRecord
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.users import UserRecord
from sqlalchemy_service.database import Database

NewUser = Callable[[str], UserRecord]
Opened = Callable[..., AbstractAsyncContextManager[Database]]

DONE = KeptAnswer(201, "/users/1", '"1"', b'{"id": 1}')
REFUSED = KeptAnswer(409, None, None, b"taken")

_IN_TRANSACTION = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'assay-sqlalchemy' AND xact_start IS NOT NULL
"""


@pytest.fixture
def keyed() -> KeyedRequest:
    now = clock.now()
    return KeyedRequest(token_bytes(32), token_bytes(32), now, now - timedelta(hours=24))


def creates(*users: UserRecord) -> Callable[[UnitOfWork], Awaitable[KeptAnswer]]:
    async def effect(work: UnitOfWork) -> KeptAnswer:
        for user in users:
            await work.users.create(user)
        return DONE

    return effect


def keeps(_: Refused) -> KeptAnswer:
    return REFUSED


async def is_stored(database: Database, user: UserRecord) -> bool:
    async with database.reader() as reader:
        try:
            await reader.users.get(user.id)
        except NotFound:
            return False
    return True


async def test_the_second_time_the_kept_answer_comes_and_nothing_happens(
    database: Database, keyed: KeyedRequest, new_user: NewUser
) -> None:
    first, second = new_user("Ada"), new_user("Ben")
    assert await database.once(keyed, creates(first), keeps) == (DONE, False)
    assert await database.once(keyed, creates(second), keeps) == (DONE, True)
    assert await is_stored(database, first)
    assert not await is_stored(database, second)


async def test_a_key_belongs_to_one_request(
    database: Database, keyed: KeyedRequest, new_user: NewUser
) -> None:
    await database.once(keyed, creates(), keeps)
    other = new_user("Ada")
    with pytest.raises(KeyReused):
        await database.once(replace(keyed, fingerprint=token_bytes(32)), creates(other), keeps)
    assert not await is_stored(database, other)


async def test_any_number_at_once_takes_effect_once(
    opened: Opened, keyed: KeyedRequest, new_user: NewUser
) -> None:
    users = [new_user("Ada") for _ in range(4)]
    async with opened(pool_size=4) as database:
        answers = await asyncio.gather(*(database.once(keyed, creates(user), keeps) for user in users))
        assert [answer for answer, _ in answers] == [DONE] * 4
        assert sorted(was_kept for _, was_kept in answers) == [False, True, True, True]
        assert sum([await is_stored(database, user) for user in users]) == 1


async def test_a_refusal_is_kept_and_its_effect_taken_back(
    database: Database, keyed: KeyedRequest, new_user: NewUser, stored_user: UserRecord
) -> None:
    user = new_user("Ben")
    taken = replace(new_user("Cy"), email_key=stored_user.email_key)
    assert await database.once(keyed, creates(user, taken), keeps) == (REFUSED, False)
    assert await database.once(keyed, creates(user), keeps) == (REFUSED, True)
    assert not await is_stored(database, user)


async def test_a_refusal_that_is_not_to_be_kept_leaves_the_key_free(
    database: Database, keyed: KeyedRequest, new_user: NewUser, stored_user: UserRecord
) -> None:
    user = new_user("Ben")
    with pytest.raises(EmailTaken):
        await database.once(keyed, creates(user, stored_user), lambda _: None)
    assert await database.once(keyed, creates(user), keeps) == (DONE, False)


async def test_a_failure_keeps_nothing(database: Database, keyed: KeyedRequest, new_user: NewUser) -> None:
    user = new_user("Ada")

    async def fail(work: UnitOfWork) -> KeptAnswer:
        await work.users.create(user)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.once(keyed, fail, keeps)
    assert not await is_stored(database, user)
    assert await database.once(keyed, creates(user), keeps) == (DONE, False)


async def test_an_expired_key_is_taken_anew(
    database: Database, keyed: KeyedRequest, new_user: NewUser
) -> None:
    await database.once(keyed, creates(), keeps)
    later = replace(keyed, fingerprint=token_bytes(32), expired=keyed.moment + timedelta(seconds=1))
    user = new_user("Ada")
    assert await database.once(later, creates(user), keeps) == (DONE, False)
    assert await is_stored(database, user)


async def test_a_refused_batch_says_why_inside_the_transaction_too(
    database: Database,
    keyed: KeyedRequest,
    new_user: NewUser,
    new_document: Callable[..., DocumentRecord],
    stored_user: UserRecord,
) -> None:
    users = [new_user("Ben"), replace(new_user("Cy"), email_key=stored_user.email_key)]
    documents = [new_document(stored_user.id), new_document(users[0].id)]
    refusals: list[Refused] = []

    async def effect(work: UnitOfWork) -> KeptAnswer:
        with pytest.raises(EmailTaken) as taken:
            await work.users.create_many(users)
        assert taken.value.places == (1,)
        await work.documents.create_many(documents)
        return DONE

    def keep(refused: Refused) -> KeptAnswer:
        refusals.append(refused)
        return REFUSED

    assert await database.once(keyed, effect, keep) == (REFUSED, False)
    (refused,) = refusals
    assert isinstance(refused, UnknownOwner)
    assert refused.places == (1,)
    async with database.reader() as reader:
        assert await reader.documents.count(stored_user.id) == 0


async def test_a_change_after_a_keyed_one_commits_itself_again(
    database: Database, keyed: KeyedRequest, new_user: NewUser, direct: asyncpg.Connection
) -> None:
    users = [new_user("Ada"), new_user("Ben")]
    await asyncio.gather(
        *(database.once(replace(keyed, key=token_bytes(32)), creates(), keeps) for _ in range(2))
    )
    async with database.unit_of_work() as one, database.unit_of_work() as other:
        await one.users.create(users[0])
        await other.users.create(users[1])
        stored = "SELECT count(*) FROM users WHERE id = ANY ($1)"
        assert await direct.fetchval(stored, [user.id for user in users]) == 2


async def none_in_transaction(direct: asyncpg.Connection) -> None:
    async with asyncio.timeout(10):
        while await direct.fetchval(_IN_TRANSACTION):
            await asyncio.sleep(0.01)


async def test_cancelled_at_any_moment_no_connection_stays_in_a_transaction(
    database: Database, keyed: KeyedRequest, new_user: NewUser, direct: asyncpg.Connection
) -> None:
    for step in range(50):
        request = replace(keyed, key=token_bytes(32))
        task = asyncio.create_task(database.once(request, creates(new_user("Ada")), keeps))
        await asyncio.sleep(step * 0.0002)
        task.cancel()
        await asyncio.wait([task])
    assert database.pool().in_use == 0
    await none_in_transaction(direct)
    assert await database.once(keyed, creates(new_user("Ada")), keeps) == (DONE, False)


async def test_a_transaction_that_is_given_up_leaves_no_connection_in_it(
    opened: Opened, keyed: KeyedRequest, new_user: NewUser, direct: asyncpg.Connection
) -> None:
    user = new_user("Ada")
    async with opened(db_timeout=4) as database:
        async with direct.transaction():
            # its e-mail is neither free nor taken yet
            await direct.execute(
                "INSERT INTO users VALUES ($1, 'e', $2, 'n', 'n', 1, now(), now())", user.id, user.email_key
            )
            with pytest.raises(TimedOut):
                await database.once(keyed, creates(user), keeps)
            assert database.pool().in_use == 0
        await direct.execute("DELETE FROM users WHERE id = $1", user.id)
        await none_in_transaction(direct)
        assert await database.once(keyed, creates(user), keeps) == (DONE, False)
        assert await is_stored(database, user)


async def test_a_connection_that_ends_before_the_commit_left_nothing(
    database: Database, keyed: KeyedRequest, new_user: NewUser, direct: asyncpg.Connection
) -> None:
    user = new_user("Ada")

    async def lose(work: UnitOfWork) -> KeptAnswer:
        await work.users.create(user)
        ours = "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'"
        await direct.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({ours}) AS ours")
        return DONE

    with pytest.raises(Unavailable) as raised:
        await database.once(keyed, lose, keeps)
    assert not raised.value.outcome_unknown
    assert database.pool().in_use == 0
    assert not await is_stored(database, user)
    assert await database.once(keyed, creates(user), keeps) == (DONE, False)
