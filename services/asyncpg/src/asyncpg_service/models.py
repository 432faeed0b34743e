"""How rows become the shared objects. The tables are declared in `migrations/`."""

from asyncpg import Connection as DirectConnection
from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy

from shared.schemas.activity import Activity
from shared.schemas.attachments import Attachment
from shared.schemas.documents import Document, OwnedDocument
from shared.schemas.events import EventRecord
from shared.schemas.notifications import Notification
from shared.schemas.users import User

Connection = DirectConnection | PoolConnectionProxy

USER = "users.id, users.email, users.name, users.version, users.created_at, users.updated_at"
DOCUMENT = (
    "documents.id, documents.owner_id, documents.title, documents.content, documents.tags,"
    " documents.version, documents.created_at, documents.updated_at"
)
ATTACHMENT = "id, document_id, filename, media_type, size, sha256, created_at"
ACTIVITY = "id, user_id, action, detail, created_at"
NOTIFICATION = "id, user_id, subject, body, status, attempts, created_at, sent_at"
EVENT = "xid, seq, type, resource_id, owner_id, previous_owner_id, version, at"


def to_user(row: Record) -> User:
    return User(*row)


def to_document(row: Record) -> Document:
    return Document(*row)


def to_owned_document(row: Record) -> OwnedDocument:
    """From the columns of the document and then those of its owner."""
    columns = tuple(row)
    return OwnedDocument(*(*columns[:8], User(*columns[8:])))


def to_attachment(row: Record) -> Attachment:
    return Attachment(*row)


def to_activity(row: Record) -> Activity:
    return Activity(*row)


def to_notification(row: Record) -> Notification:
    return Notification(*row)


def position(xid: int, seq: int) -> str:
    """Sorts as the two numbers do.

    >>> position(750, 1)
    '00000000000002ee0000000000000001'
    """
    return f"{xid:016x}{seq:016x}"


def to_event(row: Record) -> EventRecord:
    """From what goes before them and then the columns of `EVENT`, the first two of which are the position."""
    _, xid, seq, *rest = row
    return EventRecord(position(xid, seq), *rest)
