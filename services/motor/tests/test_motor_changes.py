"""Every change leaves its entry for the change feed in the same atomic step, to be read from any position."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from assay.stand import Database as Server
from motor_service.database import Database
from shared.errors import EmailTaken, UnknownOwner
from shared.rules import clock
from shared.schemas.documents import DocumentChange, DocumentRecord
from shared.schemas.users import UserChange, UserRecord

Rows = Any
Token = dict[str, Any]
Entry = dict[str, Any]

_FIELDS = "$updateDescription.updatedFields"
_BEFORE = "$fullDocumentBeforeChange"
_IS_CHANGE = {
    "ns.coll": {"$in": ["users", "documents"]},
    "$or": [
        {"operationType": {"$in": ["insert", "delete"]}},
        # what a new document does to its owner is no change that a client sees
        {"operationType": "update", "updateDescription.updatedFields.version": {"$exists": True}},
    ],
}
_ENTRY = {
    "collection": "$ns.coll",
    "operation": "$operationType",
    "resource_id": "$documentKey._id",
    "owner_id": {"$ifNull": ["$fullDocument.owner_id", f"{_FIELDS}.owner_id", f"{_BEFORE}.owner_id"]},
    "previous_owner_id": {
        "$cond": [{"$ne": [{"$type": f"{_FIELDS}.owner_id"}, "missing"]}, f"{_BEFORE}.owner_id", None]
    },
    "version": {
        "$ifNull": ["$fullDocument.version", f"{_FIELDS}.version", {"$add": [f"{_BEFORE}.version", 1]}]
    },
    "at": {"$ifNull": ["$fullDocument.created_at", f"{_FIELDS}.updated_at", "$wallTime"]},
}


async def head(rows: Rows) -> Token:
    cursor = await _send(rows, _aggregate(None))
    await _close(rows, cursor)
    token: Token = cursor["postBatchResumeToken"]
    return token


async def read(rows: Rows, after: Token) -> list[Entry]:
    """All entries after a position, by commands that do not wait."""
    cursor = await _send(rows, _aggregate(after))
    entries: list[Entry] = cursor["firstBatch"]
    while True:
        more = {"getMore": cursor["id"], "collection": "$cmd.aggregate", "maxTimeMS": 50}
        batch = (await _send(rows, more))["nextBatch"]
        if not batch:
            await _close(rows, cursor)
            return entries
        entries += batch


async def _send(rows: Rows, command: dict[str, Any]) -> Rows:
    return (await rows.command(command, codec_options=rows.codec_options))["cursor"]


async def _close(rows: Rows, cursor: Rows) -> None:
    await rows.command({"killCursors": "$cmd.aggregate", "cursors": [cursor["id"]]})


def _aggregate(after: Token | None) -> dict[str, Any]:
    stream: dict[str, Any] = {"fullDocumentBeforeChange": "required"}
    if after is not None:
        stream["resumeAfter"] = after
    pipeline = [{"$changeStream": stream}, {"$match": _IS_CHANGE}, {"$project": _ENTRY}]
    return {"aggregate": 1, "pipeline": pipeline, "cursor": {}}


def told(entries: list[Entry]) -> list[tuple[str, str, UUID, UUID | None, int]]:
    return [
        (e["collection"], e["operation"], e["resource_id"], e.get("owner_id"), e["version"]) for e in entries
    ]


async def test_every_change_is_told_once_and_a_restart_loses_none(
    database: Database,
    server: Server,
    rows: Rows,
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    start = await head(rows)
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
    entries = await read(rows, start)
    assert told(entries[:7]) == [
        ("users", "insert", ada.id, None, 1),
        ("users", "insert", bob.id, None, 1),
        ("users", "insert", eve.id, None, 1),
        ("users", "update", ada.id, None, 2),
        ("documents", "insert", first.id, ada.id, 1),
        ("documents", "insert", second.id, ada.id, 1),
        ("documents", "insert", third.id, ada.id, 1),
    ]
    moved = sorted([(first.id, 3), (second.id, 2)])
    assert told(entries[7:]) == [
        ("documents", "update", first.id, ada.id, 2),
        *(("documents", "update", document_id, bob.id, version) for document_id, version in moved),
        ("documents", "delete", second.id, bob.id, 3),
        ("users", "delete", bob.id, None, 2),
        ("documents", "delete", first.id, bob.id, 4),
        ("users", "delete", ada.id, None, 3),
        ("documents", "delete", third.id, ada.id, 2),
    ]
    assert [entry["previous_owner_id"] for entry in entries[7:11]] == [None, ada.id, ada.id, None]
    assert entries[0]["at"] == ada.created_at
    assert all(entry["at"] for entry in entries)
    # several who resume at the same moment, each from another position
    tails = await asyncio.gather(*(read(rows, entry["_id"]) for entry in entries))
    assert [told(tail) for tail in tails] == [told(entries[place:]) for place in range(1, len(entries) + 1)]


async def test_entries_of_one_row_come_in_the_order_of_its_versions_among_concurrent_writers(
    database: Database,
    rows: Rows,
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    start = await head(rows)
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
    entries = await read(rows, start)
    for document in documents:
        versions = [entry["version"] for entry in entries if entry["resource_id"] == document.id]
        assert versions == [1, 2, 3, 4]
    assert len(entries) == 4 * len(documents) + 2
