"""Attachments on asyncpg."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import ForeignKeyViolationError

from asyncpg_service.models import ATTACHMENT, Connection, to_attachment
from asyncpg_service.statements import Arguments, newest_page
from shared import ports
from shared.errors import NotFound, PreconditionFailed
from shared.rules.etags import Digests
from shared.schemas.attachments import Attachment
from shared.schemas.pages import Newest

_INSERT = f"INSERT INTO attachments ({ATTACHMENT}) VALUES ($1, $2, $3, $4, $5, $6, $7)"
_SELECT = f"SELECT {ATTACHMENT} FROM attachments WHERE id = $1"
_DELETE = "DELETE FROM attachments WHERE id = $1 AND ($2::text[] IS NULL OR sha256 = ANY ($2)) RETURNING id"
_KNOWN = "SELECT id FROM attachments WHERE id = ANY ($1)"


class Attachments(ports.attachments.Attachments):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, attachment: Attachment) -> None:
        try:
            await self._conn.execute(
                _INSERT,
                attachment.id,
                attachment.document_id,
                attachment.filename,
                attachment.media_type,
                attachment.size,
                attachment.sha256,
                attachment.created_at,
            )
        except ForeignKeyViolationError as error:
            raise NotFound from error

    async def get(self, attachment_id: UUID) -> Attachment:
        row = await self._conn.fetchrow(_SELECT, attachment_id)
        if row is None:
            raise NotFound
        return to_attachment(row)

    async def list(self, listing: Newest) -> Sequence[Attachment]:
        arguments = Arguments()
        statement = f"SELECT {ATTACHMENT} FROM attachments {newest_page('document_id', listing, arguments)}"
        return [to_attachment(row) for row in await self._conn.fetch(statement, *arguments)]

    async def delete(self, attachment_id: UUID, expected: Digests) -> None:
        accepted = None if expected is None else sorted(expected)
        if await self._conn.fetchval(_DELETE, attachment_id, accepted) is None:
            await self.get(attachment_id)
            # nothing changes an attachment: the one that is there is not what was expected
            raise PreconditionFailed

    async def known(self, attachment_ids: Sequence[UUID]) -> set[UUID]:
        return {row["id"] for row in await self._conn.fetch(_KNOWN, attachment_ids)}
