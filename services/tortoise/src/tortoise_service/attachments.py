"""Attachments on Tortoise ORM."""

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import DoesNotExist, IntegrityError

from shared import ports
from shared.errors import NotFound, PreconditionFailed
from shared.rules.etags import Digests
from shared.schemas.attachments import Attachment
from shared.schemas.pages import Newest
from tortoise_service.models import AttachmentRow, to_attachment
from tortoise_service.statements import Among, newest


class Attachments(ports.attachments.Attachments):
    def __init__(self, client: BaseDBAsyncClient) -> None:
        self._client = client

    async def create(self, attachment: Attachment) -> None:
        try:
            await AttachmentRow.create(using_db=self._client, **asdict(attachment))
        except IntegrityError as error:
            raise NotFound from error

    async def get(self, attachment_id: UUID) -> Attachment:
        try:
            return to_attachment(await AttachmentRow.get(id=attachment_id, using_db=self._client))
        except DoesNotExist as error:
            raise NotFound from error

    async def list(self, listing: Newest) -> Sequence[Attachment]:
        rows = newest(AttachmentRow.filter(document_id=listing.of), listing)
        return [to_attachment(row) for row in await rows.using_db(self._client)]

    async def delete(self, attachment_id: UUID, expected: Digests) -> None:
        rows = AttachmentRow.filter(id=attachment_id).using_db(self._client)
        if expected is not None:
            rows = rows.filter(Among("sha256", sorted(expected), "text"))
        if not await rows.delete():
            await self.get(attachment_id)
            # nothing changes an attachment: the one that is there is not what was expected
            raise PreconditionFailed

    async def known(self, attachment_ids: Sequence[UUID]) -> set[UUID]:
        rows = AttachmentRow.filter(Among("id", attachment_ids, "uuid")).using_db(self._client)
        return {attachment_id for (attachment_id,) in await rows.values_list("id")}
