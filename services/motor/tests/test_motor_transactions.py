"""Transactions of two processes collide on the server: the turns that those of one process take do not help
there, so each of these tests opens the layer twice."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

import pytest
from pymongo.errors import WriteError

from motor_service.database import Database
from motor_service.migrations import migrate
from shared.errors import NotFound, TransferConflict, UnknownOwner
from shared.rules import clock
from shared.schemas.attachments import Attachment
from shared.schemas.documents import DocumentRecord
from shared.schemas.users import UserRecord
from shared.settings import Settings

Rows = Any
NewUser = Callable[[str], UserRecord]
NewDocument = Callable[..., DocumentRecord]
Failing = Callable[..., AbstractAsyncContextManager[None]]


async def outcome(operation: Awaitable[object]) -> str:
    try:
        await operation
    except (NotFound, TransferConflict, UnknownOwner) as refused:
        return type(refused).__name__
    return "done"


async def create(database: Database, document: DocumentRecord) -> None:
    async with database.unit_of_work() as work:
        await work.documents.create(document)


async def delete(database: Database, user: UserRecord) -> None:
    async with database.unit_of_work() as work:
        await work.users.delete(user.id, None)


async def test_no_document_outlives_an_owner_who_is_deleted_at_the_same_moment(
    database: Database, other: Database, rows: Rows, new_user: NewUser, new_document: NewDocument
) -> None:
    found: Counter[str] = Counter()
    for place in range(10):
        user = new_user(f"leaving{place}")
        async with database.unit_of_work() as work:
            await work.users.create(user)
        creates = (create(database, new_document(user, f"title {n}")) for n in range(10))
        outcomes = await asyncio.gather(outcome(delete(other, user)), *map(outcome, creates))
        assert outcomes[0] == "done"
        found.update(outcomes[1:])
        assert await rows.documents.count_documents({"owner_id": user.id}) == 0
    assert set(found) <= {"done", "UnknownOwner"}


async def test_of_opposite_transfers_each_holds_whole_or_not_at_all(
    database: Database, other: Database, rows: Rows, new_user: NewUser, new_document: NewDocument
) -> None:
    ada, bob = new_user("ada"), new_user("bob")
    documents = [new_document(ada, f"title {place}") for place in range(20)]
    ids = [document.id for document in documents]
    async with database.unit_of_work() as work:
        await work.users.create_many([ada, bob])
        await work.documents.create_many(documents)

    async def transfer(place: int) -> None:
        giver, taker = (ada, bob) if place % 4 < 2 else (bob, ada)
        async with (database, other)[place % 2].unit_of_work() as work:
            await work.documents.transfer(ids, giver.id, taker.id, clock.now())

    outcomes = Counter(await asyncio.gather(*(outcome(transfer(place)) for place in range(20))))
    assert set(outcomes) <= {"done", "TransferConflict"}
    states = {(row["owner_id"], row["version"]) async for row in rows.documents.find({"_id": {"$in": ids}})}
    assert len(states) == 1
    assert states.pop()[1] == 1 + outcomes["done"]


@pytest.mark.parametrize("is_refused", [False, True])
async def test_who_leaves_at_the_end_of_a_transaction_holds_nobody_up(
    database: Database, failing: Failing, new_user: NewUser, new_document: NewDocument, *, is_refused: bool
) -> None:
    user = new_user(f"hasty{is_refused}".lower())
    if not is_refused:
        async with database.unit_of_work() as work:
            await work.users.create(user)
    longest = 0.0
    async with failing("commitTransaction", "abortTransaction", blockConnection=True, blockTimeMS=2000):
        creating = asyncio.create_task(create(database, new_document(user, "a title")))
        await asyncio.sleep(0.3)
        creating.cancel()
        while not creating.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)
    assert creating.cancelled()
    assert longest < 1.5


async def test_a_user_leaves_with_more_documents_than_one_reply_names(
    database: Database,
    failing: Failing,
    rows: Rows,
    new_user: NewUser,
    new_document: NewDocument,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = new_user("prolific")
    documents = [new_document(user, f"title {n}") for n in range(5)]
    async with database.unit_of_work() as work:
        await work.users.create(user)
        await work.documents.create_many(documents)
        for document in documents:
            attachment = Attachment(uuid4(), document.id, "a.txt", "text/plain", 1, "00", clock.now())
            await work.attachments.create(attachment)
    monkeypatch.setattr("motor_service.users._AT_ONCE", 2)
    # what the server answers where the distinct ids are more than 16 MB
    async with failing("distinct", errorCode=17217):
        await delete(database, user)
    left = {"document_id": {"$in": [document.id for document in documents]}}
    assert await rows.attachments.count_documents(left) == 0
    assert await rows.documents.count_documents({"owner_id": user.id}) == 0


async def test_migrations_may_run_at_once_and_again(settings: Settings, rows: Rows) -> None:
    await rows.client.drop_database(rows.name)
    await asyncio.gather(*(migrate(settings) for _ in range(3)))
    await migrate(settings)
    assert [row["_id"] async for row in rows.schema_migrations.find()] == [
        "0001_users_and_documents",
        "0002_background_and_real_time",
    ]


@pytest.mark.parametrize("field", ["owner_id", "title_words", "content"])
async def test_the_collection_refuses_a_row_of_another_form(
    database: Database, rows: Rows, new_user: NewUser, new_document: NewDocument, field: str
) -> None:
    user = new_user(f"form{field}".replace("_", ""))
    document = new_document(user, "a title")
    async with database.unit_of_work() as work:
        await work.users.create(user)
        await work.documents.create(document)
    with pytest.raises(WriteError):
        await rows.documents.update_one({"_id": document.id}, {"$set": {field: 5}})
    with pytest.raises(WriteError):
        await rows.documents.update_one({"_id": document.id}, {"$set": {"unknown": 5}})
