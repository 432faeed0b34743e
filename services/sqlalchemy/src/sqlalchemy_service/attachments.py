"""Attachments on SQLAlchemy."""

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from asyncpg import ForeignKeyViolationError
from sqlalchemy import Text, Uuid, any_, bindparam, delete, insert, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared import ports
from shared.errors import NotFound, PreconditionFailed
from shared.rules.etags import Digests
from shared.schemas.attachments import Attachment
from shared.schemas.pages import Newest
from sqlalchemy_service.models import ATTACHMENT, ATTACHMENTS, AttachmentRow
from sqlalchemy_service.statements import newest

_INSERT = insert(ATTACHMENTS)
_SELECT = select(ATTACHMENT).where(AttachmentRow.id == bindparam("attachment_id"))
_EXPECTED = bindparam("expected", type_=ARRAY(Text))
_DELETE = (
    delete(ATTACHMENTS)
    .where(
        ATTACHMENTS.c.id == bindparam("attachment_id"),
        or_(_EXPECTED.is_(None), ATTACHMENTS.c.sha256 == any_(_EXPECTED)),
    )
    .returning(ATTACHMENTS.c.id)
)
_KNOWN = select(AttachmentRow.id).where(AttachmentRow.id == any_(bindparam("ids", type_=ARRAY(Uuid))))


class Attachments(ports.attachments.Attachments):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(self, attachment: Attachment) -> None:
        try:
            await self._session.execute(_INSERT, asdict(attachment))
        except IntegrityError as error:
            if isinstance(error.driver_exception, ForeignKeyViolationError):
                raise NotFound from error
            raise

    async def get(self, attachment_id: UUID) -> Attachment:
        attachment = await self._session.scalar(_SELECT, {"attachment_id": attachment_id})
        if attachment is None:
            raise NotFound
        return attachment

    async def list(self, listing: Newest) -> Sequence[Attachment]:
        page = newest(ATTACHMENT, AttachmentRow, AttachmentRow.document_id, listing)
        return (await self._session.scalars(page)).all()

    async def delete(self, attachment_id: UUID, expected: Digests) -> None:
        arguments = {
            "attachment_id": attachment_id,
            "expected": None if expected is None else sorted(expected),
        }
        if await self._session.scalar(_DELETE, arguments) is None:
            # an attachment never changes: if it is there, it has another digest
            await self.get(attachment_id)
            raise PreconditionFailed

    async def known(self, attachment_ids: Sequence[UUID]) -> set[UUID]:
        return set(await self._session.scalars(_KNOWN, {"ids": attachment_ids}))
