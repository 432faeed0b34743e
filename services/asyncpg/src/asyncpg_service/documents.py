"""Documents on asyncpg."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson
from asyncpg import ForeignKeyViolationError

from asyncpg_service.models import (
    DOCUMENT,
    USER,
    Connection,
    to_document,
    to_owned_document,
)
from asyncpg_service.statements import Arguments, accepted, documents_page, savepoint
from shared import ports
from shared.errors import NotFound, PreconditionFailed, TransferConflict, UnknownOwner
from shared.rules.etags import Versions
from shared.schemas.documents import Document, DocumentChange, DocumentListing, DocumentRecord, OwnedDocument

_COLUMNS = """
    id, owner_id, title, title_key, title_words, content, content_bytes, tags, version, created_at, updated_at
"""
_INSERT = f"""
    INSERT INTO documents ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9)
"""
# unnest takes no arrays of different lengths apart: words and tags travel as JSON
_INSERT_MANY = f"""
    INSERT INTO documents ({_COLUMNS})
    SELECT id, owner_id, title, title_key, ARRAY(SELECT jsonb_array_elements_text(title_words)),
        content, content_bytes, ARRAY(SELECT jsonb_array_elements_text(tags)), 1, $9, $9
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::integer[], $8::jsonb[]
    ) AS new (id, owner_id, title, title_key, title_words, content, content_bytes, tags)
"""
_OWNERS = "SELECT id FROM users WHERE id = ANY ($1)"
_SELECT = f"SELECT {DOCUMENT} FROM documents WHERE id = $1"
_WITH_OWNER = f"SELECT {DOCUMENT}, {USER} FROM documents JOIN users ON users.id = documents.owner_id"
_COUNT = "SELECT count(*) FROM documents WHERE owner_id = $1"
_LATEST = f"""
    SELECT {DOCUMENT} FROM documents WHERE owner_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2
"""
# nothing is written where nothing differs: the version, and with it every ETag, stays
_UPDATE = f"""
    UPDATE documents
    SET title = coalesce($3, title), title_key = coalesce($4, title_key),
        title_words = coalesce($5, title_words), content = coalesce($6, content),
        content_bytes = coalesce($7, content_bytes), tags = coalesce($8, tags),
        version = version + 1, updated_at = $9
    WHERE id = $1 AND ($2::integer[] IS NULL OR version = ANY ($2))
        AND (title, content, tags)
            IS DISTINCT FROM (coalesce($3, title), coalesce($6, content), coalesce($8, tags))
    RETURNING {DOCUMENT}
"""
_DELETE = "DELETE FROM documents WHERE id = $1 AND ($2::integer[] IS NULL OR version = ANY ($2)) RETURNING id"
# locks are taken in the order of ids, so that opposite transfers wait for each other and never in a circle
_TRANSFER = """
    WITH owned AS (
        SELECT id FROM documents WHERE id = ANY ($1) AND owner_id = $2 ORDER BY id FOR UPDATE
    ), moved AS (
        UPDATE documents SET owner_id = $3, version = version + 1, updated_at = $4
        FROM owned
        WHERE documents.id = owned.id AND $2 <> $3
            AND (SELECT count(*) FROM owned) = cardinality($1::uuid[])
    )
    SELECT id FROM owned
"""


class Documents(ports.documents.Documents):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, document: DocumentRecord) -> None:
        try:
            await self._conn.execute(
                _INSERT,
                document.id,
                document.owner_id,
                document.title,
                document.title_key,
                document.title_words,
                document.content_json,
                len(document.content_json),
                document.tags,
                document.created_at,
            )
        except ForeignKeyViolationError as error:
            raise UnknownOwner from error

    async def create_many(self, documents: Sequence[DocumentRecord]) -> None:
        try:
            async with savepoint(self._conn):
                await self._conn.execute(
                    _INSERT_MANY,
                    [document.id for document in documents],
                    [document.owner_id for document in documents],
                    [document.title for document in documents],
                    [document.title_key for document in documents],
                    [orjson.dumps(document.title_words) for document in documents],
                    [document.content_json for document in documents],
                    [len(document.content_json) for document in documents],
                    [orjson.dumps(document.tags) for document in documents],
                    documents[0].created_at,
                )
        except ForeignKeyViolationError as error:
            raise UnknownOwner(await self._ownerless(documents)) from error

    async def get(self, document_id: UUID) -> Document:
        row = await self._conn.fetchrow(_SELECT, document_id)
        if row is None:
            raise NotFound
        return to_document(row)

    async def get_with_owner(self, document_id: UUID) -> OwnedDocument:
        row = await self._conn.fetchrow(f"{_WITH_OWNER} WHERE documents.id = $1", document_id)
        if row is None:
            raise NotFound
        return to_owned_document(row)

    async def list(self, listing: DocumentListing) -> Sequence[Document]:
        arguments = Arguments()
        statement = f"SELECT {DOCUMENT} FROM documents {documents_page(listing, arguments)}"
        return [to_document(row) for row in await self._conn.fetch(statement, *arguments)]

    async def list_with_owners(self, listing: DocumentListing) -> Sequence[OwnedDocument]:
        arguments = Arguments()
        statement = f"{_WITH_OWNER} {documents_page(listing, arguments)}"
        return [to_owned_document(row) for row in await self._conn.fetch(statement, *arguments)]

    async def count(self, owner_id: UUID) -> int:
        count: int = await self._conn.fetchval(_COUNT, owner_id)
        return count

    async def latest(self, owner_id: UUID, count: int) -> Sequence[Document]:
        return [to_document(row) for row in await self._conn.fetch(_LATEST, owner_id, count)]

    async def update(self, document_id: UUID, change: DocumentChange, expected: Versions) -> Document:
        while True:
            row = await self._conn.fetchrow(
                _UPDATE,
                document_id,
                accepted(expected),
                change.title,
                change.title_key,
                change.title_words,
                change.content_json,
                None if change.content_json is None else len(change.content_json),
                change.tags,
                change.updated_at,
            )
            if row is not None:
                return to_document(row)
            stored = await self.get(document_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed
            if not change.differs(stored):
                return stored

    async def delete(self, document_id: UUID, expected: Versions) -> None:
        while await self._conn.fetchval(_DELETE, document_id, accepted(expected)) is None:
            stored = await self.get(document_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed

    async def transfer(
        self, document_ids: Sequence[UUID], from_owner_id: UUID, to_owner_id: UUID, moment: datetime
    ) -> int:
        try:
            rows = await self._conn.fetch(_TRANSFER, document_ids, from_owner_id, to_owner_id, moment)
        except ForeignKeyViolationError as error:
            raise TransferConflict(unknown_owner="to_owner_id") from error
        owned = {row["id"] for row in rows}
        missing = [place for place, document_id in enumerate(document_ids) if document_id not in owned]
        if missing:
            raise TransferConflict(missing)
        return len(document_ids)

    async def _ownerless(self, documents: Sequence[DocumentRecord]) -> Sequence[int]:
        asked = {document.owner_id for document in documents}
        known = {row["id"] for row in await self._conn.fetch(_OWNERS, asked)}
        return [place for place, document in enumerate(documents) if document.owner_id not in known]
