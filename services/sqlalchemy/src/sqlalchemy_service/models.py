"""The tables, and how their columns become the shared objects. Triggers are in `migrations/`."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Row,
    Select,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Bundle, DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import UserDefinedType

from shared.schemas.activity import Activity
from shared.schemas.attachments import Attachment
from shared.schemas.documents import Document, OwnedDocument
from shared.schemas.notifications import Notification
from shared.schemas.rooms import Post
from shared.schemas.users import User

Shared = TypeVar("Shared")

KEY = Text(collation="C")
"""Keys compare by code point whatever the database's own collation is."""

WRITTEN = JSONB(none_as_null=True)
"""Goes in as the compact JSON that the rules wrote and comes back restored, by the engine's serializers."""


class TransactionId(UserDefinedType[int]):
    """A transaction's number, 64 bits wide, that never wraps."""

    cache_ok = True
    render_bind_cast = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention={"pk": "%(table_name)s_pkey"})
    type_annotation_map = {  # noqa: RUF012 - the name and form that the mapper asks for
        str: Text,
        datetime: DateTime(timezone=True),
        list[str]: ARRAY(Text, dimensions=1),
        dict[str, Any]: WRITTEN,
        bytes: LargeBinary,
    }


class UserRow(Base):
    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    email_key: Mapped[str] = mapped_column(KEY)
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(KEY)
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    xid: Mapped[int] = mapped_column(TransactionId, server_default=text("pg_current_xact_id()"))

    __table_args__ = (
        UniqueConstraint("email_key", name="users_email_key_unique"),
        Index("users_by_created_at", "created_at", "id"),
        Index("users_by_name", "name_key", "id"),
    )


class DocumentRow(Base):
    __tablename__ = "documents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey(UserRow.id, name="documents_owner", ondelete="CASCADE"))
    title: Mapped[str]
    title_key: Mapped[str] = mapped_column(KEY)
    title_words: Mapped[list[str]]
    content: Mapped[dict[str, Any]]
    content_bytes: Mapped[int]
    tags: Mapped[list[str]]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    xid: Mapped[int] = mapped_column(TransactionId, server_default=text("pg_current_xact_id()"))

    owner: Mapped[UserRow] = relationship()

    __table_args__ = (
        Index("documents_by_created_at", "created_at", "id"),
        Index("documents_by_updated_at", "updated_at", "id"),
        Index("documents_by_title", "title_key", "id"),
        Index("documents_by_owner", "owner_id", "created_at", "id"),
        Index("documents_by_tag", "tags", postgresql_using="gin"),
        Index("documents_by_word", "title_words", postgresql_using="gin"),
    )


class AttachmentRow(Base):
    __tablename__ = "attachments"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    document_id: Mapped[UUID] = mapped_column(
        ForeignKey(DocumentRow.id, name="attachments_document", ondelete="CASCADE")
    )
    filename: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    created_at: Mapped[datetime]

    __table_args__ = (Index("attachments_by_document", "document_id", "created_at", "id"),)


class ActivityRow(Base):
    __tablename__ = "activity"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(UserRow.id, name="activity_user", ondelete="CASCADE"))
    action: Mapped[str]
    detail: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]

    __table_args__ = (Index("activity_by_user", "user_id", "created_at", "id"),)


class NotificationRow(Base):
    """The outbox of mails. A worker that takes one makes it due again when its lease ends."""

    __tablename__ = "notifications"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey(UserRow.id, name="notifications_user", ondelete="CASCADE")
    )
    subject: Mapped[str]
    body: Mapped[str]
    status: Mapped[str]
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    due_at: Mapped[datetime]
    lease: Mapped[UUID | None]

    __table_args__ = (
        Index("notifications_by_user", "user_id", "created_at", "id"),
        Index("notifications_due", "due_at", postgresql_where=text("status = 'queued'")),
    )


class EventRow(Base):
    """The change feed's log, written by triggers. A reader follows (xid, seq) up to the oldest transaction
    that still runs."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    xid: Mapped[int] = mapped_column(TransactionId)
    type: Mapped[str]
    resource_id: Mapped[UUID]
    owner_id: Mapped[UUID]
    previous_owner_id: Mapped[UUID | None]
    version: Mapped[int]
    at: Mapped[datetime]

    __table_args__ = (Index("events_by_position", "xid", "seq"), Index("events_by_at", "at"))


class KeptAnswerRow(Base):
    """Answers that are kept for requests that may be repeated; without a status while the first is under
    way."""

    __tablename__ = "idempotency_keys"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int | None]
    location: Mapped[str | None]
    etag: Mapped[str | None]
    body: Mapped[bytes | None]
    created_at: Mapped[datetime]

    __table_args__ = (Index("idempotency_keys_by_created_at", "created_at"),)


class ClientRow(Base):
    """Who is connected to any process."""

    __tablename__ = "clients"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    rooms: Mapped[list[str]]
    expires_at: Mapped[datetime]

    __table_args__ = (Index("clients_by_expires_at", "expires_at"),)


class RoomRow(Base):
    """How far each room's log has come."""

    __tablename__ = "rooms"

    name: Mapped[str] = mapped_column(KEY, primary_key=True)
    place: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger)
    posted_at: Mapped[datetime]

    __table_args__ = (Index("rooms_by_posted_at", "posted_at"),)


class PostRow(Base):
    __tablename__ = "room_posts"

    room: Mapped[str] = mapped_column(KEY, primary_key=True)
    place: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int | None] = mapped_column(BigInteger)
    frame: Mapped[str]
    at: Mapped[datetime]

    __table_args__ = (Index("room_posts_by_at", "at"),)


class SecretRow(Base):
    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes]


class Shaped(Bundle[Shared]):
    """Columns that are read as one object of the shared schemas: no mapped instances in between."""

    inherit_cache = True

    def __init__(self, shape: Callable[..., Shared], *columns: Any) -> None:
        super().__init__(shape.__name__, *columns, single_entity=True)
        self._shape = shape

    def create_row_processor(
        self, query: Select[Any], procs: Sequence[Callable[[Row[Any]], Any]], labels: Sequence[str]
    ) -> Callable[[Row[Any]], Shared]:
        shape = self._shape
        return lambda row: shape(*[column(row) for column in procs])


USERS = Base.metadata.tables["users"]
DOCUMENTS = Base.metadata.tables["documents"]
ATTACHMENTS = Base.metadata.tables["attachments"]
ENTRIES = Base.metadata.tables["activity"]
NOTIFICATIONS = Base.metadata.tables["notifications"]
EVENTS = Base.metadata.tables["events"]
KEPT_ANSWERS = Base.metadata.tables["idempotency_keys"]
CLIENTS = Base.metadata.tables["clients"]
ROOMS = Base.metadata.tables["rooms"]
POSTS = Base.metadata.tables["room_posts"]

_USER = [field.name for field in fields(User)]
_DOCUMENT = [field.name for field in fields(Document)]

USER = Shaped(User, *(getattr(UserRow, name) for name in _USER))
DOCUMENT = Shaped(Document, *(getattr(DocumentRow, name) for name in _DOCUMENT))
OWNED_DOCUMENT = Shaped(OwnedDocument, *DOCUMENT.exprs, USER)
ATTACHMENT = Shaped(Attachment, *(getattr(AttachmentRow, field.name) for field in fields(Attachment)))
ACTIVITY = Shaped(Activity, *(getattr(ActivityRow, field.name) for field in fields(Activity)))
NOTIFICATION = Shaped(Notification, *(getattr(NotificationRow, field.name) for field in fields(Notification)))
POST = Shaped(Post, *(getattr(PostRow, field.name) for field in fields(Post)))

USER_COLUMNS = [USERS.c[name] for name in _USER]
"""What a statement on the table itself returns of a user, in the order of `User`."""

DOCUMENT_COLUMNS = [DOCUMENTS.c[name] for name in _DOCUMENT]
"""What a statement on the table itself returns of a document, in the order of `Document`."""
