"""Errors of a real server, and what the layer makes of them; and how the pool comes back."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from assay.stand import Databases
from shared.errors import TimedOut, Unavailable
from shared.rules import clock
from shared.schemas.users import UserChange, UserRecord
from sqlalchemy_service.database import Database

Opened = Callable[..., AbstractAsyncContextManager[Database]]

_OURS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'assay-sqlalchemy'"


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
        ("22012", (DBAPIError, None)),
        ("26000", (DBAPIError, None)),
        ("42501", (DBAPIError, None)),
        ("54000", (DBAPIError, None)),
        ("55000", (DBAPIError, None)),
    ],
)
async def test_a_state_of_the_server_is_an_error_of_the_port(
    database: Database, sqlstate: str, expected: tuple[type[Exception], bool | None]
) -> None:
    statement = text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$")
    with pytest.raises(expected[0]) as raised:
        async with database.unit_of_work() as work:
            await work._session.execute(statement)
    assert getattr(raised.value, "outcome_unknown", None) == expected[1]


async def test_a_server_without_numbers_for_transactions_is_unavailable(database: Database) -> None:
    message = (
        "database is not accepting commands that assign new transaction IDs to avoid wraparound data loss"
    )
    statement = text(f"DO $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = '54000'; END $$")
    with pytest.raises(Unavailable) as raised:
        async with database.unit_of_work() as work:
            await work._session.execute(statement)
    assert not raised.value.outcome_unknown


async def create(database: Database, user: UserRecord) -> None:
    async with database.unit_of_work() as work:
        await work.users.create(user)


async def rename(database: Database, user: UserRecord, name: str) -> None:
    async with database.unit_of_work() as work:
        await work.users.update(user.id, UserChange(clock.now(), name=name, name_key=name), None)


async def read(database: Database, user: UserRecord) -> None:
    async with database.reader() as reader:
        await reader.users.get(user.id)


async def lock(direct: asyncpg.Connection, user: UserRecord) -> None:
    await direct.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", user.id)


async def until_waiting(direct: asyncpg.Connection) -> int:
    """The session of ours that waits for a lock."""
    while True:
        # in a transaction the view stays as it was first seen
        await direct.execute("SELECT pg_stat_clear_snapshot()")
        pid: int | None = await direct.fetchval(f"{_OURS} AND wait_event_type = 'Lock'")
        if pid is not None:
            return pid
        await asyncio.sleep(0.01)


async def test_a_wait_for_a_lock_ends(
    opened: Opened, direct: asyncpg.Connection, new_user: Callable[[str], UserRecord]
) -> None:
    user = new_user("Ada")
    async with opened(db_timeout=4) as database:
        await create(database, user)
        async with direct.transaction():
            await lock(direct, user)
            with pytest.raises(TimedOut):
                await rename(database, user, "Ben")
        await rename(database, user, "Ben")
        assert database.pool().in_use == 0


async def test_a_connection_that_ends_in_a_change_leaves_its_outcome_unknown(
    database: Database, direct: asyncpg.Connection, new_user: Callable[[str], UserRecord]
) -> None:
    user = new_user("Ada")
    await create(database, user)
    async with direct.transaction():
        await lock(direct, user)
        change = asyncio.create_task(rename(database, user, "Ben"))
        await direct.execute("SELECT pg_terminate_backend($1)", await until_waiting(direct))
        with pytest.raises(Unavailable) as raised:
            await change
    assert raised.value.outcome_unknown
    await rename(database, user, "Ben")


async def test_a_full_pool_refuses_after_its_time(
    opened: Opened, direct: asyncpg.Connection, new_user: Callable[[str], UserRecord]
) -> None:
    user = new_user("Ada")
    async with opened(pool_timeout=1, db_timeout=30) as database:
        await create(database, user)
        async with direct.transaction():
            await lock(direct, user)
            changes = [asyncio.create_task(rename(database, user, name)) for name in ("Ben", "Cy")]
            await until_waiting(direct)
            begin = time.monotonic()
            with pytest.raises(Unavailable) as raised:
                await read(database, user)
            assert 0.9 < time.monotonic() - begin < 10
            assert not raised.value.outcome_unknown
            assert database.pool().in_use == 2
        await asyncio.gather(*changes)
        assert database.pool().in_use == 0


async def test_a_cancelled_request_gives_its_place_back(
    database: Database, direct: asyncpg.Connection, new_user: Callable[[str], UserRecord]
) -> None:
    user = new_user("Ada")
    await create(database, user)
    async with direct.transaction():
        await lock(direct, user)
        for _ in range(3):
            change = asyncio.create_task(rename(database, user, "Ben"))
            await until_waiting(direct)
            change.cancel()
            with pytest.raises(asyncio.CancelledError):
                await change
        assert database.pool().in_use == 0
        await read(database, user)


async def test_connections_that_the_server_ended_are_replaced_unnoticed(
    database: Database, direct: asyncpg.Connection, new_user: Callable[[str], UserRecord]
) -> None:
    user = new_user("Ada")
    await create(database, user)
    await direct.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({_OURS}) AS ours")
    await asyncio.sleep(0.1)  # the loop hears of it
    await asyncio.gather(*(read(database, user) for _ in range(4)))


async def test_a_server_that_is_gone_is_unavailable_until_it_is_back(
    databases: Databases, database: Database, new_user: Callable[[str], UserRecord]
) -> None:
    user = new_user("Ada")
    await create(database, user)
    server = databases["postgresql"]
    await server.kill()
    try:
        # until its end is noticed, a connection takes a statement of which nobody knows what became
        async with asyncio.timeout(10):
            is_unknown = True
            while is_unknown:
                with pytest.raises(Unavailable) as raised:
                    await rename(database, user, "Ben")
                is_unknown = raised.value.outcome_unknown
    finally:
        await server.start()
    await read(database, user)
    assert database.pool().in_use == 0


async def test_a_plan_that_the_schema_outdates_is_made_again(
    database: Database, direct: asyncpg.Connection, new_user: Callable[[str], UserRecord]
) -> None:
    user = new_user("Ada")
    await create(database, user)
    try:
        for column_type in ("varchar", "text"):
            for _ in range(4):  # the pool's connections take turns
                await read(database, user)
            await direct.execute(f"ALTER TABLE users ALTER COLUMN email TYPE {column_type}")
            with pytest.raises(Unavailable) as raised:
                await read(database, user)
            assert not raised.value.outcome_unknown
            await read(database, user)
    finally:
        await direct.execute("ALTER TABLE users ALTER COLUMN email TYPE text")
