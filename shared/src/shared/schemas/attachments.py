"""Attachments: what is known of a file; its bytes are in the file store."""

from dataclasses import dataclass
from uuid import UUID

from shared.schemas.times import Time


@dataclass(frozen=True, slots=True)
class Attachment:
    """`size` in bytes; `sha256` in lower-case hexadecimal digits. The filename is metadata: never a path."""

    id: UUID
    document_id: UUID
    filename: str
    media_type: str
    size: int
    sha256: str
    created_at: Time
