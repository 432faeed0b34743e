"""Attachments on Motor."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from motor_service.models import ATTACHMENT_ADDED, Row, from_attachment, to_attachment, touched
from motor_service.statements import NEWEST, Connection, Session, newest_of
from shared import ports
from shared.errors import NotFound, PreconditionFailed
from shared.rules.etags import Digests
from shared.schemas.attachments import Attachment
from shared.schemas.pages import Newest

_ADDED = touched(ATTACHMENT_ADDED)


class Attachments(ports.attachments.Attachments):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, attachment: Attachment) -> None:
        await self._conn.transaction([attachment.document_id], partial(self._insert, attachment))

    async def get(self, attachment_id: UUID) -> Attachment:
        row = await self._conn.attachments.find_one({"_id": attachment_id}, session=self._conn.session)
        if row is None:
            raise NotFound
        return to_attachment(row)

    async def list(self, listing: Newest) -> Sequence[Attachment]:
        rows = self._conn.attachments.find(
            newest_of("document_id", listing),
            sort=NEWEST,
            limit=listing.limit,
            batch_size=listing.limit,
            session=self._conn.session,
        )
        return [to_attachment(row) for row in await rows.to_list(None)]

    async def delete(self, attachment_id: UUID, expected: Digests) -> None:
        filters: Row = {"_id": attachment_id}
        if expected is not None:
            filters["sha256"] = {"$in": sorted(expected)}
        gone = await self._conn.attachments.delete_one(filters, session=self._conn.session)
        if not gone.deleted_count:
            await self.get(attachment_id)
            # nothing changes an attachment: the one that is there is not what was expected
            raise PreconditionFailed

    async def known(self, attachment_ids: Sequence[UUID]) -> set[UUID]:
        rows = self._conn.attachments.find(
            {"_id": {"$in": attachment_ids}},
            {"_id": 1},
            batch_size=len(attachment_ids) + 1,
            session=self._conn.session,
        )
        return {row["_id"] for row in await rows.to_list(None)}

    async def _insert(self, attachment: Attachment, session: Session) -> None:
        document = {"_id": attachment.document_id}
        if not (await self._conn.documents.update_one(document, _ADDED, session=session)).matched_count:
            raise NotFound
        await self._conn.attachments.insert_one(from_attachment(attachment), session=session)
