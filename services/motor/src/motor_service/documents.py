"""Documents on Motor."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from pymongo import ReturnDocument

from motor_service.models import (
    ATTACHMENT_ADDED,
    DOCUMENT,
    DOCUMENT_GIVEN,
    OWNED,
    Row,
    from_document,
    identified,
    to_document,
    to_owned_document,
    touched,
)
from motor_service.models import stored as stored_content
from motor_service.statements import NEWEST, Connection, Session, document_order, documents_of
from shared import ports
from shared.errors import NotFound, PreconditionFailed, TransferConflict, UnknownOwner
from shared.rules.etags import Versions
from shared.schemas.documents import Document, DocumentChange, DocumentListing, DocumentRecord, OwnedDocument

_WITH_OWNER: Sequence[Row] = [
    {"$lookup": {"from": "users", "localField": "owner_id", "foreignField": "_id", "as": "owner"}},
    {"$unwind": "$owner"},
    {"$project": OWNED},
]
_GIVEN = touched(DOCUMENT_GIVEN)


class _NotAllOwned(Exception):
    """A transfer found fewer documents of the giving owner than it was asked to move; nothing changed."""


class Documents(ports.documents.Documents):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, document: DocumentRecord) -> None:
        await self._conn.transaction([document.owner_id], partial(self._insert_one, document))

    async def create_many(self, documents: Sequence[DocumentRecord]) -> None:
        rows = [from_document(document) for document in documents]
        owners = [document.owner_id for document in documents]
        await self._conn.transaction(owners, partial(self._insert_many, documents, rows))

    async def get(self, document_id: UUID) -> Document:
        row = await self._conn.documents.find_one({"_id": document_id}, DOCUMENT, session=self._conn.session)
        if row is None:
            raise NotFound
        return to_document(row)

    async def get_with_owner(self, document_id: UUID) -> OwnedDocument:
        found = self._conn.documents_at_once.aggregate(
            [{"$match": {"_id": document_id}}, *_WITH_OWNER], session=self._conn.session
        )
        rows = await found.to_list(None)
        if not rows:
            raise NotFound
        return to_owned_document(rows[0])

    async def list(self, listing: DocumentListing) -> Sequence[Document]:
        rows = self._conn.documents.find(
            documents_of(listing),
            DOCUMENT,
            sort=document_order(listing),
            limit=listing.limit or 0,
            batch_size=listing.limit or 0,
            session=self._conn.session,
        )
        return [to_document(row) for row in await rows.to_list(None)]

    async def list_with_owners(self, listing: DocumentListing) -> Sequence[OwnedDocument]:
        page: list[Row] = [{"$match": documents_of(listing)}, {"$sort": dict(document_order(listing))}]
        size: dict[str, int] = {}
        if listing.limit is not None:
            page.append({"$limit": listing.limit})
            size["batchSize"] = listing.limit + 1
        rows = self._conn.documents_at_once.aggregate(
            [*page, *_WITH_OWNER], session=self._conn.session, **size
        )
        return [to_owned_document(row) for row in await rows.to_list(None)]

    async def count(self, owner_id: UUID) -> int:
        return await self._conn.documents.count_documents({"owner_id": owner_id}, session=self._conn.session)

    async def latest(self, owner_id: UUID, count: int) -> Sequence[Document]:
        rows = self._conn.documents.find(
            {"owner_id": owner_id},
            DOCUMENT,
            sort=NEWEST,
            limit=count,
            batch_size=count,
            session=self._conn.session,
        )
        return [to_document(row) for row in await rows.to_list(None)]

    async def update(self, document_id: UUID, change: DocumentChange, expected: Versions) -> Document:
        fields = _changed(change)
        while True:
            row = await self._set(document_id, change, fields, expected)
            if row is not None:
                return to_document(row)
            stored = await self.get(document_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed
            if not change.differs(stored):
                return stored

    async def delete(self, document_id: UUID, expected: Versions) -> None:
        conn = self._conn
        filters = identified(document_id, expected)
        while True:
            # without attachments, as most are, one command is all
            bare = {**filters, ATTACHMENT_ADDED: {"$exists": False}}
            if (await conn.documents.delete_one(bare, session=conn.session)).deleted_count:
                return
            stored = await self.get(document_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed
            if await conn.transaction([document_id], partial(self._delete, document_id, filters)):
                return

    async def transfer(
        self, document_ids: Sequence[UUID], from_owner_id: UUID, to_owner_id: UUID, moment: datetime
    ) -> int:
        while True:
            if from_owner_id != to_owner_id:
                # what a larger transaction has done it cannot take back in part: it looks before it moves
                if self._conn.session is not None:
                    await self._require_all(document_ids, from_owner_id)
                move = partial(self._move, document_ids, from_owner_id, to_owner_id, moment)
                try:
                    await self._conn.transaction([from_owner_id, to_owner_id], move)
                except _NotAllOwned:
                    pass
                else:
                    return len(document_ids)
            await self._require_all(document_ids, from_owner_id)
            if from_owner_id == to_owner_id:
                return len(document_ids)

    async def _insert_one(self, document: DocumentRecord, session: Session) -> None:
        owner = {"_id": document.owner_id}
        if not (await self._conn.users.update_one(owner, _GIVEN, session=session)).matched_count:
            raise UnknownOwner
        await self._conn.documents.insert_one(from_document(document), session=session)

    async def _insert_many(
        self, documents: Sequence[DocumentRecord], rows: Sequence[Row], session: Session
    ) -> None:
        asked = {document.owner_id for document in documents}
        owners = {"_id": {"$in": list(asked)}}
        found = await self._conn.users.update_many(owners, _GIVEN, session=session)
        if found.matched_count < len(asked):
            known = set(await self._conn.users.distinct("_id", owners, session=session))
            raise UnknownOwner(
                [place for place, document in enumerate(documents) if document.owner_id not in known]
            )
        await self._conn.documents.insert_many(rows, session=session)

    async def _move(
        self,
        document_ids: Sequence[UUID],
        from_owner_id: UUID,
        to_owner_id: UUID,
        moment: datetime,
        session: Session,
    ) -> None:
        moved = await self._conn.documents.update_many(
            {"_id": {"$in": document_ids}, "owner_id": from_owner_id},
            {"$set": {"owner_id": to_owner_id, "updated_at": moment}, "$inc": {"version": 1}},
            session=session,
        )
        if moved.matched_count < len(document_ids):
            raise _NotAllOwned
        owner = {"_id": to_owner_id}
        if not (await self._conn.users.update_one(owner, _GIVEN, session=session)).matched_count:
            raise TransferConflict(unknown_owner="to_owner_id")

    async def _require_all(self, document_ids: Sequence[UUID], owner_id: UUID) -> None:
        rows = self._conn.documents.find(
            {"_id": {"$in": document_ids}, "owner_id": owner_id},
            {"_id": 1},
            batch_size=len(document_ids) + 1,
            session=self._conn.session,
        )
        owned = {row["_id"] for row in await rows.to_list(None)}
        missing = [place for place, document_id in enumerate(document_ids) if document_id not in owned]
        if missing:
            raise TransferConflict(missing)

    async def _delete(self, document_id: UUID, filters: Row, session: Session) -> bool:
        if not (await self._conn.documents.delete_one(filters, session=session)).deleted_count:
            return False
        await self._conn.attachments.delete_many({"document_id": document_id}, session=session)
        return True

    async def _set(
        self, document_id: UUID, change: DocumentChange, fields: Row, expected: Versions
    ) -> Row | None:
        """The document as it then is, or None where nothing is written: the version, and with it every ETag,
        stays where nothing differs."""
        if not fields:
            return None
        differs = [{name: {"$ne": fields[name]}} for name in ("title", "content", "tags") if name in fields]
        changed: Row | None = await self._conn.documents.find_one_and_update(
            {**identified(document_id, expected), "$or": differs},
            {"$set": {**fields, "updated_at": change.updated_at}, "$inc": {"version": 1}},
            projection=DOCUMENT,
            return_document=ReturnDocument.AFTER,
            session=self._conn.session,
        )
        return changed


def _changed(change: DocumentChange) -> Row:
    fields = {
        "title": change.title,
        "title_key": change.title_key,
        "title_words": change.title_words,
        "content": None if change.content is None else stored_content(change.content),
        "content_bytes": None if change.content_json is None else len(change.content_json),
        "tags": change.tags,
    }
    return {name: value for name, value in fields.items() if value is not None}
