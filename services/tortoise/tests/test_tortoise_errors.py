"""What real failures of a real server become, and that the pool is whole after them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest
from tortoise.exceptions import OperationalError

from assay.stand import Databases
from shared.errors import NotFound, TimedOut, Unavailable
from shared.rules import clock
from shared.schemas.documents import DocumentRecord
from shared.schemas.users import UserPatch, UserRecord, user_change
from tortoise_service import service
from tortoise_service.database import Database

MakeUser = Callable[[], UserRecord]
MakeDocument = Callable[[UUID], DocumentRecord]

NOBODY = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
# those of this layer that wait for a lock
KILL_WAITING = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'assay-tortoise' AND wait_event_type = 'Lock'
"""


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Nobody else reads or writes users."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()


async def read(database: Database) -> None:
    async with database.reader() as reader:
        await reader.users.get(NOBODY)


async def change(database: Database) -> None:
    async with database.unit_of_work() as work:
        await work.users.update(NOBODY, user_change(UserPatch(name="Grace"), clock.now()), None)


async def whole(database: Database) -> None:
    """Both places of the pool are free and answer, side by side."""
    answers = await asyncio.gather(read(database), read(database), return_exceptions=True)
    assert [type(answer) for answer in answers] == [NotFound, NotFound]
    state = database.pool()
    assert (state.in_use, state.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("57014", (TimedOut, None)),
        ("55P03", (TimedOut, None)),
        # refused, with nothing that holds
        ("25P03", (Unavailable, False)),
        ("25P04", (Unavailable, False)),
        ("40001", (Unavailable, False)),
        ("40P01", (Unavailable, False)),
        ("53100", (Unavailable, False)),
        ("53200", (Unavailable, False)),
        ("53300", (Unavailable, False)),
        # lost, or told so by the server or by a pooler
        ("08006", (Unavailable, True)),
        ("40003", (Unavailable, True)),
        ("57P01", (Unavailable, True)),
        ("58000", (Unavailable, True)),
        ("58030", (Unavailable, True)),
        # defects, of ours or of the settings
        ("22012", (OperationalError, None)),
        ("26000", (asyncpg.PostgresError, None)),
        ("42501", (OperationalError, None)),
        ("54000", (asyncpg.PostgresError, None)),
        ("55000", (asyncpg.PostgresError, None)),
    ],
)
async def test_a_state_of_the_server_is_an_error_of_the_port(
    database: Database, sqlstate: str, expected: tuple[type[Exception], bool | None]
) -> None:
    statement = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$"
    with pytest.raises(expected[0]) as raised:
        async with database.unit_of_work() as work:
            await work._client.execute_script(statement)
    assert getattr(raised.value, "outcome_unknown", None) == expected[1]


async def test_a_server_without_numbers_for_transactions_is_unavailable(database: Database) -> None:
    message = (
        "database is not accepting commands that assign new transaction IDs to avoid wraparound data loss"
    )
    statement = f"DO $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = '54000'; END $$"
    with pytest.raises(Unavailable) as raised:
        async with database.unit_of_work() as work:
            await work._client.execute_script(statement)
    assert not raised.value.outcome_unknown


@pytest.mark.parametrize("operate", [read, change])
async def test_a_statement_that_takes_too_long_is_timed_out(
    database: Database, url: str, operate: Callable[[Database], Awaitable[None]]
) -> None:
    async with locked(url):
        with pytest.raises(TimedOut):
            await operate(database)
    await whole(database)


@pytest.mark.parametrize(("operate", "outcome_unknown"), [(read, False), (change, True)])
async def test_a_connection_that_is_killed_leaves_a_change_open(
    database: Database, url: str, operate: Callable[[Database], Awaitable[None]], *, outcome_unknown: bool
) -> None:
    async with locked(url) as connection:
        operating = asyncio.ensure_future(operate(database))
        while not await connection.fetch(KILL_WAITING):
            await asyncio.sleep(0.01)
        with pytest.raises(Unavailable) as failed:
            await operating
    assert failed.value.outcome_unknown is outcome_unknown
    await whole(database)


async def test_a_full_pool_is_unavailable_after_the_time_to_wait(database: Database) -> None:
    started = asyncio.get_running_loop().time()
    async with database.reader(), database.reader():
        assert database.pool().in_use == 2
        with pytest.raises(Unavailable) as failed:
            await change(database)
    assert not failed.value.outcome_unknown
    assert 0.9 < asyncio.get_running_loop().time() - started < 10
    await whole(database)


async def test_a_transfer_that_is_cancelled_keeps_nothing(
    database: Database, url: str, make_user: MakeUser, make_document: MakeDocument
) -> None:
    owner = make_user()
    document = make_document(owner.id)
    async with database.unit_of_work() as work:
        await work.users.create(owner)
        await work.documents.create(document)

    async def give() -> None:
        async with database.unit_of_work() as work:
            await work.documents.transfer([document.id], owner.id, NOBODY, clock.now())

    async with locked(url):  # the new owner is looked up there, with the document locked and changed
        giving = asyncio.ensure_future(give())
        await asyncio.sleep(0.2)
        giving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await giving
    await whole(database)
    async with database.unit_of_work() as work:
        assert (await work.documents.get(document.id)).version == 1
        await work.documents.delete(document.id, frozenset({1}))


async def test_a_server_that_is_gone_is_unavailable_and_found_again(
    database: Database, stand: Databases
) -> None:
    server = stand[service.database]
    await server.kill()
    try:
        with pytest.raises(Unavailable):
            await read(database)
        # until its end is noticed, a connection takes a statement of which nobody knows what became
        async with asyncio.timeout(10):
            is_unknown = True
            while is_unknown:
                with pytest.raises(Unavailable) as failed:
                    await change(database)
                is_unknown = failed.value.outcome_unknown
    finally:
        await server.start()
    with pytest.raises(NotFound):
        await read(database)
    await whole(database)
