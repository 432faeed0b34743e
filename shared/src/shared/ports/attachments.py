"""Attachments, as whole operations. Their bytes are not the layer's: `shared.work.files` keeps them."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from shared.rules.etags import Digests
from shared.schemas.attachments import Attachment
from shared.schemas.pages import Newest


class Attachments(Protocol):
    async def create(self, attachment: Attachment) -> None:
        """Stores the attachment. Raises NotFound where its document is missing. FIL-1"""

    async def get(self, attachment_id: UUID) -> Attachment:
        """The attachment. Raises NotFound. FIL-2"""

    async def list(self, listing: Newest) -> Sequence[Attachment]:
        """A stretch of a document's attachments, in one round trip. FIL-2"""

    async def delete(self, attachment_id: UUID, expected: Digests) -> None:
        """Removes the attachment. Raises NotFound, PreconditionFailed. FIL-2, GEN-10"""

    async def known(self, attachment_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the ids that are stored. FIL-3"""
