"""Documents on SQLAlchemy."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from asyncpg import ForeignKeyViolationError
from sqlalchemy import (
    ColumnElement,
    Integer,
    Text,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared import ports
from shared.errors import NotFound, PreconditionFailed, TransferConflict, UnknownOwner
from shared.rules.etags import Versions
from shared.schemas.documents import Document, DocumentChange, DocumentListing, DocumentRecord, OwnedDocument
from sqlalchemy_service.models import (
    DOCUMENT,
    DOCUMENT_COLUMNS,
    DOCUMENTS,
    OWNED_DOCUMENT,
    WRITTEN,
    DocumentRow,
    UserRow,
)
from sqlalchemy_service.statements import accepted, attempt, documents_page

_TEXTS = ARRAY(Text, dimensions=1)
_MOMENT = bindparam("moment", type_=DOCUMENTS.c.created_at.type)

_INSERT = insert(DOCUMENTS)
# unnest takes no arrays of different lengths apart: words and tags travel as JSON
_NEW = (
    func.unnest(
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("owner_ids", type_=ARRAY(Uuid)),
        bindparam("titles", type_=_TEXTS),
        bindparam("title_keys", type_=_TEXTS),
        bindparam("title_words", type_=ARRAY(WRITTEN)),
        bindparam("contents", type_=ARRAY(WRITTEN)),
        bindparam("content_bytes", type_=ARRAY(Integer)),
        bindparam("tags", type_=ARRAY(WRITTEN)),
    )
    .table_valued(
        "id",
        "owner_id",
        "title",
        "title_key",
        "title_words",
        "content",
        "content_bytes",
        "tags",
    )
    .render_derived(name="new")
)


def _texts(written: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.array(select(func.jsonb_array_elements_text(written)).correlate(_NEW).scalar_subquery())


_INSERT_MANY = insert(DOCUMENTS).from_select(
    [
        "id",
        "owner_id",
        "title",
        "title_key",
        "title_words",
        "content",
        "content_bytes",
        "tags",
        "version",
        "created_at",
        "updated_at",
    ],
    select(
        _NEW.c.id,
        _NEW.c.owner_id,
        _NEW.c.title,
        _NEW.c.title_key,
        _texts(_NEW.c.title_words),
        _NEW.c.content,
        _NEW.c.content_bytes,
        _texts(_NEW.c.tags),
        literal(1, Integer),
        _MOMENT,
        _MOMENT,
    ).select_from(_NEW),
)
_OWNERS = select(UserRow.id).where(UserRow.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
_SELECT = select(DOCUMENT).where(DocumentRow.id == bindparam("document_id"))
_WITH_OWNER = select(OWNED_DOCUMENT).join(DocumentRow.owner)
_SELECT_WITH_OWNER = _WITH_OWNER.where(DocumentRow.id == bindparam("document_id"))
_COUNT = select(func.count()).where(DocumentRow.owner_id == bindparam("owner_id"))
_LATEST = (
    select(DOCUMENT)
    .where(DocumentRow.owner_id == bindparam("owner_id"))
    .order_by(DocumentRow.created_at.desc(), DocumentRow.id.desc())
    .limit(bindparam("count"))
)

_EXPECTED = bindparam("expected", type_=ARRAY(Integer))
_AT_EXPECTED = (
    DOCUMENTS.c.id == bindparam("document_id"),
    or_(_EXPECTED.is_(None), DOCUMENTS.c.version == any_(_EXPECTED)),
)
_TITLE = func.coalesce(bindparam("new_title", type_=Text), DOCUMENTS.c.title)
_CONTENT = func.coalesce(bindparam("new_content", type_=WRITTEN), DOCUMENTS.c.content)
_TAGS = func.coalesce(bindparam("new_tags", type_=_TEXTS), DOCUMENTS.c.tags)
# nothing is written where nothing differs: the version, and with it every ETag, stays
_UPDATE = (
    update(DOCUMENTS)
    .where(
        *_AT_EXPECTED,
        tuple_(DOCUMENTS.c.title, DOCUMENTS.c.content, DOCUMENTS.c.tags).is_distinct_from(
            tuple_(_TITLE, _CONTENT, _TAGS)
        ),
    )
    .values(
        title=_TITLE,
        title_key=func.coalesce(bindparam("new_title_key", type_=Text), DOCUMENTS.c.title_key),
        title_words=func.coalesce(bindparam("new_title_words", type_=_TEXTS), DOCUMENTS.c.title_words),
        content=_CONTENT,
        content_bytes=func.coalesce(bindparam("new_bytes", type_=Integer), DOCUMENTS.c.content_bytes),
        tags=_TAGS,
        version=DOCUMENTS.c.version + 1,
        updated_at=_MOMENT,
    )
    .returning(*DOCUMENT_COLUMNS)
)
_DELETE = delete(DOCUMENTS).where(*_AT_EXPECTED).returning(DOCUMENTS.c.id)

_IDS = bindparam("ids", type_=ARRAY(Uuid))
_FROM = bindparam("from_owner_id", type_=Uuid)
_TO = bindparam("to_owner_id", type_=Uuid)
# locks are taken in the order of ids, so that opposite transfers wait for each other and never in a circle
_OWNED = (
    select(DOCUMENTS.c.id)
    .where(DOCUMENTS.c.id == any_(_IDS), DOCUMENTS.c.owner_id == _FROM)
    .order_by(DOCUMENTS.c.id)
    .with_for_update()
    .cte("owned")
)
_MOVED = (
    update(DOCUMENTS)
    .where(
        DOCUMENTS.c.id == _OWNED.c.id,
        _FROM != _TO,
        select(func.count()).select_from(_OWNED).scalar_subquery() == func.cardinality(_IDS),
    )
    .values(owner_id=_TO, version=DOCUMENTS.c.version + 1, updated_at=_MOMENT)
    .cte("moved")
)
_TRANSFER = select(_OWNED.c.id).add_cte(_MOVED)


class Documents(ports.documents.Documents):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(self, document: DocumentRecord) -> None:
        try:
            await self._session.execute(
                _INSERT,
                {
                    "id": document.id,
                    "owner_id": document.owner_id,
                    "title": document.title,
                    "title_key": document.title_key,
                    "title_words": document.title_words,
                    "content": document.content_json,
                    "content_bytes": len(document.content_json),
                    "tags": document.tags,
                    "version": 1,
                    "created_at": document.created_at,
                    "updated_at": document.created_at,
                },
            )
        except IntegrityError as error:
            if isinstance(error.driver_exception, ForeignKeyViolationError):
                raise UnknownOwner from error
            raise

    async def create_many(self, documents: Sequence[DocumentRecord]) -> None:
        try:
            async with attempt(self._session):
                await self._session.execute(
                    _INSERT_MANY,
                    {
                        "ids": [document.id for document in documents],
                        "owner_ids": [document.owner_id for document in documents],
                        "titles": [document.title for document in documents],
                        "title_keys": [document.title_key for document in documents],
                        "title_words": [orjson.dumps(document.title_words) for document in documents],
                        "contents": [document.content_json for document in documents],
                        "content_bytes": [len(document.content_json) for document in documents],
                        "tags": [orjson.dumps(document.tags) for document in documents],
                        "moment": documents[0].created_at,
                    },
                )
        except IntegrityError as error:
            if isinstance(error.driver_exception, ForeignKeyViolationError):
                raise UnknownOwner(await self._ownerless(documents)) from error
            raise

    async def get(self, document_id: UUID) -> Document:
        document = await self._session.scalar(_SELECT, {"document_id": document_id})
        if document is None:
            raise NotFound
        return document

    async def get_with_owner(self, document_id: UUID) -> OwnedDocument:
        document = await self._session.scalar(_SELECT_WITH_OWNER, {"document_id": document_id})
        if document is None:
            raise NotFound
        return document

    async def list(self, listing: DocumentListing) -> Sequence[Document]:
        return (await self._session.scalars(documents_page(select(DOCUMENT), listing))).all()

    async def list_with_owners(self, listing: DocumentListing) -> Sequence[OwnedDocument]:
        return (await self._session.scalars(documents_page(_WITH_OWNER, listing))).all()

    async def count(self, owner_id: UUID) -> int:
        return (await self._session.execute(_COUNT, {"owner_id": owner_id})).scalar_one()

    async def latest(self, owner_id: UUID, count: int) -> Sequence[Document]:
        return (await self._session.scalars(_LATEST, {"owner_id": owner_id, "count": count})).all()

    async def update(self, document_id: UUID, change: DocumentChange, expected: Versions) -> Document:
        arguments = {
            "document_id": document_id,
            "expected": accepted(expected),
            "new_title": change.title,
            "new_title_key": change.title_key,
            "new_title_words": change.title_words,
            "new_content": change.content_json,
            "new_bytes": None if change.content_json is None else len(change.content_json),
            "new_tags": change.tags,
            "moment": change.updated_at,
        }
        while True:
            row = (await self._session.execute(_UPDATE, arguments)).one_or_none()
            if row is not None:
                return Document(*row)
            stored = await self.get(document_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed
            if not change.differs(stored):
                return stored

    async def delete(self, document_id: UUID, expected: Versions) -> None:
        arguments = {"document_id": document_id, "expected": accepted(expected)}
        while await self._session.scalar(_DELETE, arguments) is None:
            stored = await self.get(document_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed

    async def transfer(
        self, document_ids: Sequence[UUID], from_owner_id: UUID, to_owner_id: UUID, moment: datetime
    ) -> int:
        arguments = {
            "ids": document_ids,
            "from_owner_id": from_owner_id,
            "to_owner_id": to_owner_id,
            "moment": moment,
        }
        try:
            owned = set(await self._session.scalars(_TRANSFER, arguments))
        except IntegrityError as error:
            if isinstance(error.driver_exception, ForeignKeyViolationError):
                raise TransferConflict(unknown_owner="to_owner_id") from error
            raise
        missing = [place for place, document_id in enumerate(document_ids) if document_id not in owned]
        if missing:
            raise TransferConflict(missing)
        return len(document_ids)

    async def _ownerless(self, documents: Sequence[DocumentRecord]) -> Sequence[int]:
        asked = {document.owner_id for document in documents}
        known = set(await self._session.scalars(_OWNERS, {"ids": [*asked]}))
        return [place for place, document in enumerate(documents) if document.owner_id not in known]
