"""Documents, as whole operations."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from shared.rules.etags import Versions
from shared.schemas.documents import Document, DocumentChange, DocumentListing, DocumentRecord, OwnedDocument


class Documents(Protocol):
    async def create(self, document: DocumentRecord) -> None:
        """Stores the document. Raises UnknownOwner. DOC-1"""

    async def create_many(self, documents: Sequence[DocumentRecord]) -> None:
        """Stores all documents or none. Raises UnknownOwner with the places of all whose owner does not
        exist. A constant number of round trips. DOC-5"""

    async def get(self, document_id: UUID) -> Document:
        """The document. Raises NotFound. DOC-2"""

    async def get_with_owner(self, document_id: UUID) -> OwnedDocument:
        """The document and its owner, in one round trip. Raises NotFound. DOC-2"""

    async def list(self, listing: DocumentListing) -> Sequence[Document]:
        """A stretch of the documents, in one round trip. DOC-6, GEN-9"""

    async def list_with_owners(self, listing: DocumentListing) -> Sequence[OwnedDocument]:
        """The same with the owners, in a constant number of round trips. DOC-6"""

    async def count(self, owner_id: UUID) -> int:
        """How many documents the user owns. USR-8"""

    async def latest(self, owner_id: UUID, count: int) -> Sequence[Document]:
        """The newest documents of the user, newest first. USR-8"""

    async def update(self, document_id: UUID, change: DocumentChange, expected: Versions) -> Document:
        """Sets the fields and counts the version up where any differs by value, and answers the document as
        it then is. Raises NotFound, PreconditionFailed. DOC-3, GEN-10"""

    async def delete(self, document_id: UUID, expected: Versions) -> None:
        """Removes the document and all that is its own, in one step. Raises NotFound, PreconditionFailed.
        DOC-4, GEN-10"""

    async def transfer(
        self, document_ids: Sequence[UUID], from_owner_id: UUID, to_owner_id: UUID, moment: datetime
    ) -> int:
        """Gives all documents to the new owner or none, each a version up, and answers how many; to the same
        owner nothing changes. Raises TransferConflict with the places of the documents that are missing or
        not the giving owner's, or with the owner that does not exist. DOC-8"""
