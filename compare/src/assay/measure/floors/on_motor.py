"""Bare ASGI and Motor: the commands that the motor service sends, and nothing around them."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import orjson
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorDatabase
from pymongo import ReturnDocument
from pymongo.read_concern import ReadConcern

from assay.measure.floors.application import (
    CHANGED,
    NOT_FOUND,
    Answer,
    Handler,
    Message,
    Receive,
    if_match,
    listed,
    read_json,
    written,
)
from shared.rules.clock import now
from shared.rules.ids import new_id
from shared.settings import Settings, database_of

Row: TypeAlias = dict[str, Any]
Work: TypeAlias = Callable[[AsyncIOMotorClientSession], Coroutine[Any, Any, None]]

_USER = dict.fromkeys(("email", "name", "version", "created_at", "updated_at"), 1)
_DOCUMENT = dict.fromkeys(("owner_id", "title", "content", "tags", "version", "created_at", "updated_at"), 1)
_WITH_OWNER: list[Row] = [
    {"$lookup": {"from": "users", "localField": "owner_id", "foreignField": "_id", "as": "owner"}},
    {"$unwind": "$owner"},
    {"$project": {**_DOCUMENT, **{f"owner.{field}": 1 for field in ("_id", *_USER)}}},
]
_NEWEST = [("created_at", -1), ("_id", -1)]
# an owner is touched by whoever gives him a document, and by that meets whoever deletes him
_GIVEN = {"$inc": {"given": 1}}


def _seen(row: Row) -> Row:
    row["id"] = row.pop("_id")
    return row


def _created(row: Row) -> Row:
    """Without what is stored for the database alone."""
    for beside in ("email_key", "name_key", "title_key", "title_words", "content_bytes"):
        row.pop(beside, None)
    return _seen(row)


def _user_row(user: Row) -> Row:
    email, name, moment = user["email"], user["name"], now()
    keys = {"email_key": email.lower(), "name_key": name.lower()}
    return {"_id": new_id(), **user, **keys, "version": 1, "created_at": moment, "updated_at": moment}


def _document_row(document: Row) -> Row:
    moment, key = now(), document["title"].lower()
    return {
        "_id": new_id(),
        **document,
        "owner_id": uuid.UUID(document["owner_id"]),
        "title_key": key,
        "title_words": key.split(),
        "content_bytes": len(orjson.dumps(document["content"])),
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
    }


class _Operations:
    def __init__(self, database: AsyncIOMotorDatabase[Row]) -> None:
        self._client = database.client
        self._users = database["users"]
        self._documents = database["documents"]
        # one point in time for both collections
        self._at_once = self._documents.with_options(read_concern=ReadConcern("snapshot"))
        # of transactions that give the same owner something the server lets one through
        self._turn = asyncio.Lock()
        self.creations: dict[str, Callable[[Receive], Awaitable[Answer]]] = {
            "/users": self.create_user,
            "/users/batch": self.create_users,
            "/documents/batch": self.create_documents,
        }

    async def get_user(self, user_id: str) -> Answer:
        row = await self._users.find_one({"_id": uuid.UUID(user_id)}, _USER)
        return NOT_FOUND if row is None else Answer(200, written(_seen(row)))

    async def get_document(self, document_id: str) -> Answer:
        found = self._at_once.aggregate([{"$match": {"_id": uuid.UUID(document_id)}}, *_WITH_OWNER])
        rows = await found.to_list(None)
        if not rows:
            return NOT_FOUND
        _seen(rows[0]["owner"])
        return Answer(200, written(_seen(rows[0])))

    async def list_documents(self, query: bytes) -> Answer:
        asked = dict(parse_qsl(query.decode()))
        size = int(asked["limit"]) + 1
        owned = {"owner_id": uuid.UUID(asked["owner_id"])}
        found = self._documents.find(owned, _DOCUMENT, sort=_NEWEST, limit=size, batch_size=size)
        rows = await found.to_list(None)
        return Answer(200, listed([_seen(row) for row in rows[: size - 1]]))

    async def create_user(self, receive: Receive) -> Answer:
        row = _user_row(await read_json(receive))
        await self._users.insert_one(row)
        return Answer(201, written(_created(row)))

    async def create_users(self, receive: Receive) -> Answer:
        rows = [_user_row(user) for user in await read_json(receive)]

        async def insert(session: AsyncIOMotorClientSession) -> None:
            await self._users.insert_many(rows, session=session)

        await self._in_transaction(insert)
        return Answer(201, listed([_created(row) for row in rows]))

    async def create_documents(self, receive: Receive) -> Answer:
        rows = [_document_row(document) for document in await read_json(receive)]
        owners = {"_id": {"$in": list({row["owner_id"] for row in rows})}}

        async def insert(session: AsyncIOMotorClientSession) -> None:
            await self._users.update_many(owners, _GIVEN, session=session)
            await self._documents.insert_many(rows, session=session)

        async with self._turn:
            await self._in_transaction(insert)
        return Answer(201, listed([_created(row) for row in rows]))

    async def patch_document(self, document_id: str, version: int, receive: Receive) -> Answer:
        change = await read_json(receive)
        title, tags, key = change["title"], change["tags"], change["title"].lower()
        fields = {"title": title, "title_key": key, "title_words": key.split(), "tags": tags}
        differs = [{"title": {"$ne": title}}, {"tags": {"$ne": tags}}]
        row = await self._documents.find_one_and_update(
            {"_id": uuid.UUID(document_id), "version": {"$in": [version]}, "$or": differs},
            {"$set": {**fields, "updated_at": now()}, "$inc": {"version": 1}},
            projection=_DOCUMENT,
            return_document=ReturnDocument.AFTER,
        )
        return CHANGED if row is None else Answer(200, written(_seen(row)), row["version"])

    async def _in_transaction(
        self, work: Callable[[AsyncIOMotorClientSession], Coroutine[Any, Any, None]]
    ) -> None:
        async with await self._client.start_session(causal_consistency=False) as session:
            await session.with_transaction(work)


@asynccontextmanager
async def on_motor(settings: Settings) -> AsyncGenerator[Handler]:
    client: AsyncIOMotorClient[Row] = AsyncIOMotorClient(
        settings.mongodb_url,
        minPoolSize=settings.pool_size,
        maxPoolSize=settings.pool_size,
        uuidRepresentation="standard",
        tz_aware=True,
        w="majority",
        journal=True,
    )
    operations = _Operations(client[database_of(settings.mongodb_url)])

    async def handle(scope: Message, receive: Receive) -> Answer:
        method, path = scope["method"], scope["path"]
        if method == "GET" and path.startswith("/users/"):
            return await operations.get_user(path[7:])
        if method == "GET" and path.startswith("/documents/"):
            return await operations.get_document(path[11:])
        if method == "GET" and path == "/documents":
            return await operations.list_documents(scope["query_string"])
        if method == "POST" and path in operations.creations:
            return await operations.creations[path](receive)
        if method == "PATCH" and path.startswith("/documents/"):
            return await operations.patch_document(path[11:], if_match(scope), receive)
        return NOT_FOUND

    try:
        yield handle
    finally:
        client.close()
