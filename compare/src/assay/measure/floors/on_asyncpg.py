"""Bare ASGI and asyncpg: one statement for each request, from the driver's own statement cache.

Contents pass as the text that they are on the wire, in neither direction are they taken apart.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import orjson

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
from shared.settings import Settings, postgresql_url

# as text, because the serializer knows no subclass of UUID
_USER = "users.id::text AS id, email, name, users.version, users.created_at, users.updated_at"
_DOCUMENT = """
    documents.id::text AS id, documents.owner_id::text AS owner_id, documents.title, documents.content,
    documents.tags, documents.version, documents.created_at, documents.updated_at
"""
_GET_USER = f"SELECT {_USER} FROM users WHERE id = $1"  # noqa: S608 - of constants alone
_GET_DOCUMENT = f"""
    SELECT {_DOCUMENT}, users.id::text, users.email, users.name, users.version, users.created_at,
        users.updated_at
    FROM documents JOIN users ON users.id = documents.owner_id WHERE documents.id = $1
"""  # noqa: S608 - of constants alone
_LIST_DOCUMENTS = f"""
    SELECT {_DOCUMENT} FROM documents WHERE owner_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2
"""  # noqa: S608 - of constants alone
_CREATE_USER = """
    INSERT INTO users (id, email, email_key, name, name_key, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, 1, $6, $6)
"""
_CREATE_USERS = """
    INSERT INTO users (id, email, email_key, name, name_key, version, created_at, updated_at)
    SELECT id, email, email_key, name, name_key, 1, $6, $6
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
        AS new (id, email, email_key, name, name_key)
    ORDER BY email_key
"""
_CREATE_DOCUMENTS = """
    INSERT INTO documents (id, owner_id, title, title_key, title_words, content, content_bytes, tags, version,
        created_at, updated_at)
    SELECT id, owner_id, title, title_key, ARRAY(SELECT jsonb_array_elements_text(title_words)),
        content, content_bytes, ARRAY(SELECT jsonb_array_elements_text(tags)), 1, $9, $9
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::integer[], $8::jsonb[]
    ) AS new (id, owner_id, title, title_key, title_words, content, content_bytes, tags)
"""
_PATCH_DOCUMENT = f"""
    UPDATE documents
    SET title = $3, title_key = $4, title_words = $5, tags = $6, version = version + 1, updated_at = $7
    WHERE id = $1 AND version = $2 AND (title, tags) IS DISTINCT FROM ($3, $6)
    RETURNING {_DOCUMENT}
"""  # noqa: S608 - of constants alone
_OWNER = ("id", "email", "name", "version", "created_at", "updated_at")
_OF_DOCUMENT = 8
"""Columns, before those of its owner."""


async def leave_as_is(_connection: object) -> None:
    """A floor leaves no session state behind, and the pool's own reset is a round trip."""


def _document(row: asyncpg.Record) -> dict[str, Any]:
    found = dict(row)
    found["content"] = orjson.Fragment(found["content"])
    return found


class _Operations:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.creations: dict[str, Callable[[Receive], Awaitable[Answer]]] = {
            "/users": self.create_user,
            "/users/batch": self.create_users,
            "/documents/batch": self.create_documents,
        }

    async def get_user(self, user_id: str) -> Answer:
        row = await self._pool.fetchrow(_GET_USER, user_id)
        return NOT_FOUND if row is None else Answer(200, written(dict(row)))

    async def get_document(self, document_id: str) -> Answer:
        row = await self._pool.fetchrow(_GET_DOCUMENT, document_id)
        if row is None:
            return NOT_FOUND
        columns, names = tuple(row), tuple(row.keys())
        found: dict[str, Any] = dict(zip(names[:_OF_DOCUMENT], columns[:_OF_DOCUMENT], strict=True))
        found["content"] = orjson.Fragment(found["content"])
        found["owner"] = dict(zip(_OWNER, columns[_OF_DOCUMENT:], strict=True))
        return Answer(200, written(found))

    async def list_documents(self, query: bytes) -> Answer:
        asked = dict(parse_qsl(query.decode()))
        limit = int(asked["limit"])
        rows = await self._pool.fetch(_LIST_DOCUMENTS, asked["owner_id"], limit + 1)
        return Answer(200, listed([_document(row) for row in rows[:limit]]))

    async def create_user(self, receive: Receive) -> Answer:
        user, user_id, moment = await read_json(receive), new_id(), now()
        email, name = user["email"], user["name"]
        await self._pool.execute(_CREATE_USER, user_id, email, email.lower(), name, name.lower(), moment)
        stored = {"id": user_id, **user, "version": 1, "created_at": moment, "updated_at": moment}
        return Answer(201, written(stored))

    async def create_users(self, receive: Receive) -> Answer:
        users, moment = await read_json(receive), now()
        ids = [new_id() for _ in users]
        emails, names = [user["email"] for user in users], [user["name"] for user in users]
        keys, name_keys = [email.lower() for email in emails], [name.lower() for name in names]
        await self._pool.execute(_CREATE_USERS, ids, emails, keys, names, name_keys, moment)
        common = {"version": 1, "created_at": moment, "updated_at": moment}
        return Answer(
            201, listed([{"id": id_, **user, **common} for id_, user in zip(ids, users, strict=True)])
        )

    async def create_documents(self, receive: Receive) -> Answer:
        documents, moment = await read_json(receive), now()
        ids = [new_id() for _ in documents]
        keys = [document["title"].lower() for document in documents]
        contents = [orjson.dumps(document["content"]) for document in documents]
        await self._pool.execute(
            _CREATE_DOCUMENTS,
            ids,
            [document["owner_id"] for document in documents],
            [document["title"] for document in documents],
            keys,
            [orjson.dumps(key.split()).decode() for key in keys],
            [content.decode() for content in contents],
            [len(content) for content in contents],
            [orjson.dumps(document["tags"]).decode() for document in documents],
            moment,
        )
        common = {"version": 1, "created_at": moment, "updated_at": moment}
        stored = [
            {"id": row_id, **document, **common} for row_id, document in zip(ids, documents, strict=True)
        ]
        return Answer(201, listed(stored))

    async def patch_document(self, document_id: str, version: int, receive: Receive) -> Answer:
        change = await read_json(receive)
        title, key = change["title"], change["title"].lower()
        row = await self._pool.fetchrow(
            _PATCH_DOCUMENT, document_id, version, title, key, key.split(), change["tags"], now()
        )
        return CHANGED if row is None else Answer(200, written(_document(row)), row["version"])


@asynccontextmanager
async def on_asyncpg(settings: Settings) -> AsyncGenerator[Handler]:
    async with asyncpg.create_pool(
        postgresql_url(settings.database_url),
        min_size=settings.pool_size,
        max_size=settings.pool_size,
        reset=leave_as_is,
    ) as pool:
        operations = _Operations(pool)

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

        yield handle
