"""What this layer makes of the driver's errors, each provoked on a real server."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from assay.stand import Database as Server
from motor_service.database import Database
from shared.errors import TimedOut, Unavailable
from shared.schemas.users import UserRecord
from shared.settings import Settings

Rows = Any
NewUser = Callable[[str], UserRecord]
SLOW = {"$where": "sleep(10000) || true"}


async def _running(rows: Rows) -> list[dict[str, Any]]:
    operations = await (await rows.client.admin.aggregate([{"$currentOp": {}}])).to_list()
    return [operation for operation in operations if operation.get("ns") == f"{rows.name}.users"]


async def test_a_slow_statement_is_timed_out_and_ends_on_the_server_too(
    database: Database, settings: Settings, new_user: NewUser, rows: Rows
) -> None:
    async with database.unit_of_work() as work:
        await work.users.create(new_user("slow"))
    started = time.monotonic()
    with pytest.raises(TimedOut):
        async with database.reader() as reader:
            await reader._conn.users.find_one(SLOW)
    assert time.monotonic() - started < settings.db_timeout
    async with asyncio.timeout(2):
        while await _running(rows):
            await asyncio.sleep(0.05)


async def test_a_full_pool_is_unavailable_after_its_time_out(database: Database, settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(settings.pool_size):
            await stack.enter_async_context(database.reader())
        assert database.pool().in_use == settings.pool_size
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await database.ping()
        assert settings.pool_timeout <= time.monotonic() - started < settings.pool_timeout + 0.5
    await database.ping()


async def test_a_frozen_server_costs_a_request_no_more_than_its_time(
    database: Database, server: Server, settings: Settings, new_user: NewUser
) -> None:
    await database.ping()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises((TimedOut, Unavailable)):
            async with database.unit_of_work() as work:
                await work.users.delete(new_user("nobody").id, None)
        assert time.monotonic() - started < settings.db_timeout
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await asyncio.sleep(1)
    await database.ping()


async def test_a_server_lost_during_a_write_leaves_its_outcome_unknown_and_is_found_again(
    database: Database, server: Server, settings: Settings, new_user: NewUser
) -> None:
    user = new_user("kept")
    async with database.unit_of_work() as work:
        await work.users.create(user)

    async def write() -> None:
        async with database.unit_of_work() as work:
            await work._conn.users.update_one(SLOW, {"$set": {"name": "lost"}})

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.3)
    await server.kill()
    started = time.monotonic()
    with pytest.raises(Unavailable) as lost:
        await writing
    assert lost.value.outcome_unknown
    assert time.monotonic() - started < settings.db_timeout
    started = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        async with database.unit_of_work() as work:
            await work.users.create(new_user("never"))
    assert not refused.value.outcome_unknown
    assert time.monotonic() - started < settings.db_timeout
    await server.start()
    started = time.monotonic()
    async with database.reader() as reader:
        assert (await reader.users.get(user.id)).name == "kept"
    assert time.monotonic() - started < 1
