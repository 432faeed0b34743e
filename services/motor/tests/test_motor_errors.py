"""What this layer makes of the driver's errors, each provoked on a real server."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from assay.stand import Database as Server
from motor_service.database import Database, open_database
from motor_service.models import from_user
from shared.errors import TimedOut, Unavailable
from shared.schemas.documents import DocumentRecord
from shared.schemas.users import UserRecord
from shared.settings import Settings

Rows = Any
NewUser = Callable[[str], UserRecord]
NewDocument = Callable[..., DocumentRecord]
Failing = Callable[..., AbstractAsyncContextManager[None]]
SLOW = {"$where": "sleep(10000) || true"}
SLACK = 4
"""Seconds that a busy machine may add to any bound."""


@pytest.fixture
async def once(settings: Settings) -> AsyncIterator[Database]:
    """Sends no command again, as the driver does with some errors for as long as it has time."""
    url = f"{settings.mongodb_url}&retryWrites=false&retryReads=false"
    async with open_database(settings.model_copy(update={"mongodb_url": url})) as opened:
        yield opened


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
    assert time.monotonic() - started < settings.db_timeout + SLACK
    async with asyncio.timeout(10):
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
        assert settings.pool_timeout <= time.monotonic() - started < settings.pool_timeout + SLACK
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
        assert time.monotonic() - started < settings.db_timeout + SLACK
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
    assert time.monotonic() - started < settings.db_timeout + SLACK
    started = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        async with database.unit_of_work() as work:
            await work.users.create(new_user("never"))
    assert not refused.value.outcome_unknown
    assert time.monotonic() - started < settings.db_timeout + SLACK
    await server.start()
    async with database.reader() as reader:
        assert (await reader.users.get(user.id)).name == "kept"


@pytest.mark.parametrize(
    "code",
    [
        # away, or not the primary: in the last ones' replies the driver sees more than a number
        *(6, 7, 89, 133, 134, 384, 9001, 91, 10107, 11600),
        # given up
        *(175, 234, 237, 251, 290, 355, 11601),
        # held by others
        *(46, 112, 208, 267),
        # without room
        *(365, 388, 402, 433, 449, 462, 14031),
        # moved
        *(63, 150, 250, 272),
        # blocked
        371,
    ],
)
async def test_what_the_server_cannot_do_now_is_no_defect(
    once: Database, failing: Failing, new_user: NewUser, code: int
) -> None:
    user = new_user(f"code{code}")
    async with failing("insert", errorCode=code):
        with pytest.raises(Unavailable) as failed:
            async with once.unit_of_work() as work:
                await work.users.create(user)
    assert failed.value.outcome_unknown
    async with failing("find", errorCode=code):
        with pytest.raises(Unavailable) as failed:
            async with once.reader() as reader:
                await reader.users.get(user.id)
    assert not failed.value.outcome_unknown


@pytest.mark.parametrize("label", ["RetryableWriteError", "RetryableError", "SystemOverloadedError"])
async def test_an_error_that_may_pass_by_its_label_is_no_defect(
    once: Database, failing: Failing, new_user: NewUser, label: str
) -> None:
    async with failing("insert", errorCode=8, errorLabels=[label]):
        with pytest.raises(Unavailable) as failed:
            async with once.unit_of_work() as work:
                await work.users.create(new_user(label))
    assert failed.value.outcome_unknown


@pytest.mark.parametrize("code", [13, 20])
async def test_what_the_server_never_does_stays_a_defect(
    database: Database, failing: Failing, new_user: NewUser, code: int
) -> None:
    async with failing("insert", errorCode=code):
        with pytest.raises(OperationFailure):
            async with database.unit_of_work() as work:
                await work.users.create(new_user(f"code{code}"))


@pytest.mark.parametrize("command", ["insert", "commitTransaction"])
@pytest.mark.parametrize("code", [79, 100])
async def test_a_write_that_is_stored_and_not_confirmed_may_hold(
    database: Database,
    failing: Failing,
    new_user: NewUser,
    new_document: NewDocument,
    rows: Rows,
    command: str,
    code: int,
) -> None:
    user = new_user(f"unconfirmed{command}{code}".lower())
    document = new_document(user, "a title")

    async def write() -> None:
        async with database.unit_of_work() as work:
            if command == "insert":
                await work.users.create(user)
            else:
                await work.documents.create(document)

    if command == "commitTransaction":
        async with database.unit_of_work() as work:
            await work.users.create(user)
    async with failing(command, writeConcernError={"code": code, "errmsg": "not now"}):
        with pytest.raises(Unavailable) as failed:
            await write()
    assert failed.value.outcome_unknown
    assert await rows.users.find_one({"_id": user.id})
    assert await rows.documents.count_documents({"_id": document.id}) == (command == "commitTransaction")


async def test_many_writes_that_are_stored_and_not_confirmed_may_hold(
    database: Database, failing: Failing, new_user: NewUser, rows: Rows
) -> None:
    user = new_user("unconfirmedmany")
    async with failing("insert", writeConcernError={"code": 100, "errmsg": "not now"}):
        with pytest.raises(Unavailable) as failed:
            async with database.unit_of_work() as work:
                await work._conn.users.insert_many([from_user(user)])
    assert failed.value.outcome_unknown
    assert await rows.users.find_one({"_id": user.id})


async def test_a_password_that_is_not_the_servers_any_more_is_unavailable(
    settings: Settings, rows: Rows
) -> None:
    await rows.client.admin.command("createUser", "ada", pwd="old", roles=["root"])
    url = settings.mongodb_url.replace("://", "://ada:old@") + "&authSource=admin"
    async with open_database(settings.model_copy(update={"mongodb_url": url})) as database:
        await database.ping()
    await rows.client.admin.command("updateUser", "ada", pwd="new")
    async with open_database(settings.model_copy(update={"mongodb_url": url})) as database:
        with pytest.raises(Unavailable):
            await database.ping()
    await rows.client.admin.command("dropUser", "ada")
