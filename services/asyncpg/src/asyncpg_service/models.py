"""How rows become the shared objects. The tables are declared in `migrations/`."""

from asyncpg import Connection as DirectConnection
from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy

from shared.schemas.documents import Document, OwnedDocument
from shared.schemas.users import User

Connection = DirectConnection | PoolConnectionProxy

USER = "users.id, users.email, users.name, users.version, users.created_at, users.updated_at"
DOCUMENT = (
    "documents.id, documents.owner_id, documents.title, documents.content, documents.tags,"
    " documents.version, documents.created_at, documents.updated_at"
)


def to_user(row: Record) -> User:
    return User(*row)


def to_document(row: Record) -> Document:
    return Document(*row)


def to_owned_document(row: Record) -> OwnedDocument:
    """From the columns of the document and then those of its owner."""
    columns = tuple(row)
    return OwnedDocument(*(*columns[:8], User(*columns[8:])))
