"""Documents on Tortoise ORM."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pypika_tortoise.dialects import PostgreSQLQuery
from pypika_tortoise.functions import Count
from pypika_tortoise.queries import AliasedQuery, QueryBuilder
from pypika_tortoise.terms import Bracket
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import DoesNotExist, IntegrityError
from tortoise.expressions import F, Q
from tortoise.queryset import QuerySet

from shared import ports
from shared.errors import NotFound, PreconditionFailed, TransferConflict, UnknownOwner
from shared.rules.etags import Versions
from shared.schemas.documents import Document, DocumentChange, DocumentListing, DocumentRecord, OwnedDocument
from tortoise_service.models import DocumentRow, UserRow, to_document, to_owned_document
from tortoise_service.statements import (
    After,
    Among,
    Holds,
    insert_many,
    savepoint,
    update_returning,
    with_versions,
)

_SORT_KEYS = {"created_at": "created_at", "updated_at": "updated_at", "title": "title_key"}


class Documents(ports.documents.Documents):
    def __init__(self, client: BaseDBAsyncClient) -> None:
        self._client = client

    async def create(self, document: DocumentRecord) -> None:
        try:
            await DocumentRow.create(using_db=self._client, **_columns(document), content=document.content)
        except IntegrityError as error:
            raise UnknownOwner from error

    async def create_many(self, documents: Sequence[DocumentRecord]) -> None:
        rows = [
            {**_columns(document), "content": orjson.Fragment(document.content_json)}
            for document in documents
        ]
        try:
            async with savepoint(self._client):
                await insert_many(self._client, DocumentRow, orjson.dumps(rows))
        except IntegrityError as error:
            raise UnknownOwner(await self._ownerless(documents)) from error

    async def get(self, document_id: UUID) -> Document:
        try:
            return to_document(await DocumentRow.get(id=document_id, using_db=self._client))
        except DoesNotExist as error:
            raise NotFound from error

    async def get_with_owner(self, document_id: UUID) -> OwnedDocument:
        rows = DocumentRow.get(id=document_id, using_db=self._client).select_related("owner")
        try:
            return to_owned_document(await rows)
        except DoesNotExist as error:
            raise NotFound from error

    async def list(self, listing: DocumentListing) -> Sequence[Document]:
        return [to_document(row) for row in await listed(self._client, listing)]

    async def list_with_owners(self, listing: DocumentListing) -> Sequence[OwnedDocument]:
        rows = listed(self._client, listing).select_related("owner")
        return [to_owned_document(row) for row in await rows]

    async def count(self, owner_id: UUID) -> int:
        return await DocumentRow.filter(owner_id=owner_id).using_db(self._client).count()

    async def latest(self, owner_id: UUID, count: int) -> Sequence[Document]:
        rows = DocumentRow.filter(owner_id=owner_id).order_by("-created_at", "-id").limit(count)
        return [to_document(row) for row in await rows.using_db(self._client)]

    async def update(self, document_id: UUID, change: DocumentChange, expected: Versions) -> Document:
        while True:
            row = await self._changed(document_id, change, expected)
            if row is not None:
                return to_document(row)
            stored = await self.get(document_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed
            if not change.differs(stored):
                return stored

    async def delete(self, document_id: UUID, expected: Versions) -> None:
        rows = with_versions(DocumentRow.filter(id=document_id), expected).using_db(self._client)
        while not await rows.delete():
            stored = await self.get(document_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed

    async def transfer(
        self, document_ids: Sequence[UUID], from_owner_id: UUID, to_owner_id: UUID, moment: datetime
    ) -> int:
        statement = _transfer(document_ids, from_owner_id, to_owner_id, moment)
        try:
            rows = await self._client.execute_query_dict(*statement.get_parameterized_sql())
        except IntegrityError as error:
            raise TransferConflict(unknown_owner="to_owner_id") from error
        owned = {row["id"] for row in rows}
        missing = [place for place, document_id in enumerate(document_ids) if document_id not in owned]
        if missing:
            raise TransferConflict(missing)
        return len(document_ids)

    async def _changed(
        self, document_id: UUID, change: DocumentChange, expected: Versions
    ) -> DocumentRow | None:
        """The row as it now is; None where the change found no row of these versions that differs from it:
        nothing is written then, so that the version, and with it every ETag, stays."""
        sets = _sets(change)
        if not sets:
            return None
        compared = (Q(**{f"{name}__not": value}) for name, value in sets.items() if name in _COMPARED)
        rows = with_versions(DocumentRow.filter(Q(*compared, join_type=Q.OR), id=document_id), expected)
        changed = await update_returning(
            self._client, rows, **sets, version=F("version") + 1, updated_at=change.updated_at
        )
        return changed[0] if changed else None

    async def _ownerless(self, documents: Sequence[DocumentRecord]) -> Sequence[int]:
        asked = {document.owner_id for document in documents}
        rows = UserRow.filter(Among("id", list(asked), "uuid")).using_db(self._client)
        known = {user_id for (user_id,) in await rows.values_list("id")}
        return [place for place, document in enumerate(documents) if document.owner_id not in known]


def listed(client: BaseDBAsyncClient, listing: DocumentListing) -> QuerySet[DocumentRow]:
    key, descending = _SORT_KEYS[listing.sort], "-" if listing.descending else ""
    filters: list[Q] = [Holds(condition) for condition in listing.where]
    if listing.owner_id is not None:
        filters.append(Q(owner_id=listing.owner_id))
    if listing.tags:
        filters.append(Q(tags__contains=listing.tags))
    if listing.words:
        filters.append(Q(title_words__contains=listing.words))
    if listing.after is not None:
        filters.append(After(key, listing.after, descending=listing.descending))
    rows = DocumentRow.all(using_db=client).filter(*filters)
    rows = rows.order_by(f"{descending}{key}", f"{descending}id")
    return rows if listing.limit is None else rows.limit(listing.limit)


_COMPARED = ("title", "content", "tags")


def _columns(document: DocumentRecord) -> dict[str, Any]:
    """All but the content, of which there are two forms."""
    return {
        "id": document.id,
        "owner_id": document.owner_id,
        "title": document.title,
        "title_key": document.title_key,
        "title_words": document.title_words,
        "content_bytes": len(document.content_json),
        "tags": document.tags,
        "version": 1,
        "created_at": document.created_at,
        "updated_at": document.created_at,
    }


def _sets(change: DocumentChange) -> dict[str, Any]:
    sets: dict[str, Any] = {}
    if change.title is not None:
        sets |= {"title": change.title, "title_key": change.title_key, "title_words": change.title_words}
    if change.content_json is not None:
        sets |= {"content": change.content_json, "content_bytes": len(change.content_json)}
    if change.tags is not None:
        sets["tags"] = change.tags
    return sets


def _transfer(
    document_ids: Sequence[UUID], from_owner_id: UUID, to_owner_id: UUID, moment: datetime
) -> QueryBuilder:
    """Answers the ids that the giving owner has, and moves them if they are all. Locks are taken in the order
    of ids, so that opposite transfers wait for each other and never in a circle."""
    documents, owned = DocumentRow.get_table(), AliasedQuery("owned")
    found = (
        PostgreSQLQuery.from_(documents)
        .select(documents.id)
        .where(Among("id", document_ids, "uuid").criterion(documents))
        .where(documents.owner_id == from_owner_id)
        .orderby(documents.id)
        .for_update()
    )
    statement = PostgreSQLQuery.with_(found, "owned").from_(owned).select(owned.id)
    if from_owner_id == to_owner_id:
        return statement
    count = Bracket(PostgreSQLQuery.from_(owned).select(Count("*")))
    moved = (
        PostgreSQLQuery.update(documents)
        .set(documents.owner_id, to_owner_id)
        .set(documents.version, documents.version + 1)
        .set(documents.updated_at, moment)
        .from_(owned)
        .where(documents.id == owned.id)
        .where(count.eq(len(document_ids)))
    )
    return statement.with_(moved, "moved")
