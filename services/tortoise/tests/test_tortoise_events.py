"""Every change leaves its events, in the same step, one for each row."""

from collections.abc import AsyncIterator, Callable
from uuid import UUID

import asyncpg
import pytest

from shared.errors import EmailTaken, TransferConflict
from shared.rules import clock
from shared.schemas.documents import DocumentRecord, document_change
from shared.schemas.users import UserPatch, UserRecord, user_change
from tortoise_service.database import Database

MakeUser = Callable[[], UserRecord]
MakeDocument = Callable[[UUID], DocumentRecord]
Event = tuple[str, UUID, UUID, UUID | None, int]


class Log:
    """The events that were written since it was last read."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._seen = 0

    async def new(self) -> list[Event]:
        rows = await self._connection.fetch(
            "SELECT type, resource_id, owner_id, previous_owner_id, version, seq FROM events"
            " WHERE seq > $1 ORDER BY seq",
            self._seen,
        )
        self._seen = rows[-1]["seq"] if rows else self._seen
        return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


@pytest.fixture
async def log(url: str) -> AsyncIterator[Log]:
    connection = await asyncpg.connect(url)
    log = Log(connection)
    await log.new()
    yield log
    await connection.close()


async def test_users(database: Database, log: Log, make_user: MakeUser) -> None:
    one, two, three = make_user(), make_user(), make_user()
    async with database.unit_of_work() as work:
        await work.users.create(one)
        await work.users.create_many([two, three])
        await work.users.update(one.id, user_change(UserPatch(name="Grace"), clock.now()), frozenset({1}))
        await work.users.delete(one.id, None)
    assert await log.new() == [
        ("user.created", one.id, one.id, None, 1),
        ("user.created", two.id, two.id, None, 1),
        ("user.created", three.id, three.id, None, 1),
        ("user.updated", one.id, one.id, None, 2),
        ("user.deleted", one.id, one.id, None, 3),
    ]


async def test_documents_and_the_cascade(
    database: Database, log: Log, make_user: MakeUser, make_document: MakeDocument
) -> None:
    giver, taker = make_user(), make_user()
    one, two = make_document(giver.id), make_document(giver.id)
    async with database.unit_of_work() as work:
        await work.users.create_many([giver, taker])
        await log.new()
        await work.documents.create(one)
        await work.documents.create_many([two])
        await work.documents.update(one.id, document_change(clock.now(), "New", None, None), None)
        await work.documents.transfer([one.id], giver.id, taker.id, clock.now())
        await work.users.delete(taker.id, None)
        await work.documents.delete(two.id, None)
    expected = [
        ("document.created", one.id, giver.id, None, 1),
        ("document.created", two.id, giver.id, None, 1),
        ("document.updated", one.id, giver.id, None, 2),
        ("document.updated", one.id, taker.id, giver.id, 3),
        ("document.deleted", one.id, taker.id, None, 4),
        ("user.deleted", taker.id, taker.id, None, 2),
        ("document.deleted", two.id, giver.id, None, 2),
    ]
    assert sorted(await log.new(), key=repr) == sorted(expected, key=repr)


async def test_what_changes_nothing_leaves_none(
    database: Database, log: Log, make_user: MakeUser, make_document: MakeDocument
) -> None:
    owner = make_user()
    document = make_document(owner.id)
    same = document_change(clock.now(), document.title, None, document.tags)
    async with database.unit_of_work() as work:
        await work.users.create(owner)
        await work.documents.create(document)
        await log.new()
        assert (await work.documents.update(document.id, same, None)).version == 1
        assert await work.documents.transfer([document.id], owner.id, owner.id, clock.now()) == 1
        with pytest.raises(TransferConflict):
            await work.documents.transfer([document.id], owner.id, document.id, clock.now())
        with pytest.raises(EmailTaken):
            await work.users.create_many([make_user(), owner])
    assert await log.new() == []
