"""Every change leaves its entry for the change feed in the same atomic step, to be read from any position."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest

from assay.stand import Database as Server
from motor_service.database import Database
from shared.errors import EmailTaken, UnknownOwner
from shared.rules import clock
from shared.schemas.documents import DocumentChange, DocumentRecord
from shared.schemas.events import EventRecord
from shared.schemas.users import UserChange, UserRecord


def told(entries: Sequence[EventRecord]) -> list[tuple[str, UUID, UUID, int]]:
    return [(entry.type, entry.resource_id, entry.owner_id, entry.version) for entry in entries]


async def test_every_change_is_told_once_and_a_restart_loses_none(
    database: Database,
    server: Server,
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    start = await database.events.head()
    ada, bob, eve = (new_user(name) for name in ("ada", "bob", "eve"))
    first, second, third = (new_document(ada, title, state=title) for title in ("one", "two", "three"))
    async with database.unit_of_work() as work:
        await work.users.create(ada)
        await work.users.create_many([bob, eve])
        await work.users.update(ada.id, UserChange(clock.now(), name="Ada", name_key="ada"), None)
        await work.users.update(ada.id, UserChange(clock.now(), name="Ada", name_key="ada"), None)
        with pytest.raises(EmailTaken):
            await work.users.create_many([new_user("new"), new_user("bob")])
        await work.documents.create(first)
        await work.documents.create_many([second, third])
        with pytest.raises(UnknownOwner):
            await work.documents.create(new_document(new_user("nobody"), "none"))
    await server.kill()
    await server.start()
    async with database.unit_of_work() as work:
        await work.documents.update(first.id, DocumentChange(clock.now(), tags=["x"]), frozenset({1}))
        await work.documents.transfer([second.id, first.id], ada.id, bob.id, clock.now())
        await work.documents.delete(second.id, None)
        await work.users.delete(bob.id, None)
        await work.users.delete(ada.id, None)
    entries = await database.events.after(start, 200)
    assert told(entries[:7]) == [
        ("user.created", ada.id, ada.id, 1),
        ("user.created", bob.id, bob.id, 1),
        ("user.created", eve.id, eve.id, 1),
        ("user.updated", ada.id, ada.id, 2),
        ("document.created", first.id, ada.id, 1),
        ("document.created", second.id, ada.id, 1),
        ("document.created", third.id, ada.id, 1),
    ]
    moved = sorted([(first.id, 3), (second.id, 2)])
    assert told(entries[7:]) == [
        ("document.updated", first.id, ada.id, 2),
        *(("document.updated", document_id, bob.id, version) for document_id, version in moved),
        ("document.deleted", second.id, bob.id, 3),
        ("user.deleted", bob.id, bob.id, 2),
        ("document.deleted", first.id, bob.id, 4),
        ("user.deleted", ada.id, ada.id, 3),
        ("document.deleted", third.id, ada.id, 2),
    ]
    assert [entry.previous_owner_id for entry in entries[7:11]] == [None, ada.id, ada.id, None]
    assert entries[0].at == ada.created_at
    assert [entry.position for entry in entries] == sorted({entry.position for entry in entries})
    # several who resume at the same moment, each from another position
    tails = await asyncio.gather(*(database.events.after(entry.position, 200) for entry in entries))
    assert tails == [entries[place:] for place in range(1, len(entries) + 1)]
    assert await database.events.after(await database.events.head(), 200) == []


async def test_entries_of_one_row_come_in_the_order_of_its_versions_among_concurrent_writers(
    database: Database,
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    start = await database.events.head()
    owner = new_user("owner")
    documents = [new_document(owner, f"title {place}") for place in range(20)]
    async with database.unit_of_work() as work:
        await work.users.create(owner)

    async def write(document: DocumentRecord) -> None:
        for place in range(3):
            async with database.unit_of_work() as work:
                if place == 0:
                    await work.documents.create(document)
                else:
                    change = DocumentChange(clock.now(), tags=[str(place)])
                    await work.documents.update(document.id, change, frozenset({place}))

    await asyncio.gather(*map(write, documents))
    async with database.unit_of_work() as work:
        await work.users.delete(owner.id, None)
    entries = await database.events.after(start, 200)
    for document in documents:
        versions = [entry.version for entry in entries if entry.resource_id == document.id]
        assert versions == [1, 2, 3, 4]
    assert len(entries) == 4 * len(documents) + 2
