"""The tables as Tortoise declares them, and how their rows become the shared objects."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import orjson
from tortoise import Model, fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.contrib.postgres.indexes import GinIndex
from tortoise.fields.base import Field
from tortoise.indexes import Index, PartialIndex
from tortoise.migrations.constraints import UniqueConstraint

from shared.rules.ids import new_id
from shared.rules.json_content import read_stored
from shared.schemas.activity import Activity
from shared.schemas.attachments import Attachment
from shared.schemas.documents import Document, OwnedDocument
from shared.schemas.events import EventRecord, EventType
from shared.schemas.idempotency import KeptAnswer
from shared.schemas.notifications import Notification, Status
from shared.schemas.rooms import Client
from shared.schemas.users import User


class IdField(fields.UUIDField[UUID]):
    """The driver reads UUIDs itself: nothing is left to convert."""

    skip_to_python_if_native = True


class MomentField(fields.DatetimeField[datetime]):
    """The driver reads times in UTC: nothing is left to convert."""

    skip_to_python_if_native = True


class KeyField(fields.TextField):
    """Text that compares by code point whatever the database's own collation is."""

    SQL_TYPE = 'TEXT COLLATE "C"'


class ContentField(fields.JSONField[dict[str, Any]]):
    """A content, given as an object or as the JSON that the rules wrote."""

    def to_db_value(self, value: Any, instance: type[Model] | Model) -> str:
        return (value if isinstance(value, bytes) else orjson.dumps(value)).decode()

    def to_python_value(self, value: Any) -> Any:
        return read_stored(value) if isinstance(value, str) else value


class PositionField(fields.BigIntField):
    """Counted up by the database."""

    class _db_postgres:  # noqa: N801 - Tortoise's name
        GENERATED_SQL = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"


class TransactionField(Field[int], int):
    """The number of the transaction that writes the row."""

    SQL_TYPE = "XID8"


class NameField(Field[str]):
    """Text that is a primary key, which Tortoise's own may not be."""

    field_type = str
    SQL_TYPE = "TEXT"


class RoomField(NameField):
    """A name that compares by code point."""

    SQL_TYPE = 'TEXT COLLATE "C"'


class DigestField(Field[bytes]):
    """Bytes that are a primary key, which Tortoise's own may not be."""

    field_type = bytes
    SQL_TYPE = "BYTEA"


# `xid`, the number of a row's last transaction, is the triggers' own business: no model reads or writes it
class UserRow(Model):
    id = IdField(primary_key=True, default=new_id)
    email = fields.TextField()
    email_key = KeyField()
    name = fields.TextField()
    name_key = KeyField()
    version = fields.IntField()
    created_at = MomentField()
    updated_at = MomentField()

    class Meta:
        table = "users"
        constraints = (UniqueConstraint(fields=("email_key",), name="users_email_key_unique"),)
        indexes = (
            Index(fields=("created_at", "id"), name="users_by_created_at"),
            Index(fields=("name_key", "id"), name="users_by_name"),
        )


class DocumentRow(Model):
    id = IdField(primary_key=True, default=new_id)
    owner: fields.ForeignKeyRelation[UserRow] = fields.ForeignKeyField(
        "service.UserRow", related_name="documents", on_delete=fields.CASCADE
    )
    owner_id: UUID
    title = fields.TextField()
    title_key = KeyField()
    title_words = ArrayField("text")
    content = ContentField()
    content_bytes = fields.IntField()
    tags = ArrayField("text")
    version = fields.IntField()
    created_at = MomentField()
    updated_at = MomentField()

    class Meta:
        table = "documents"
        indexes = (
            Index(fields=("created_at", "id"), name="documents_by_created_at"),
            Index(fields=("updated_at", "id"), name="documents_by_updated_at"),
            Index(fields=("title_key", "id"), name="documents_by_title"),
            Index(fields=("owner_id", "created_at", "id"), name="documents_by_owner"),
            GinIndex(fields=("tags",), name="documents_by_tag"),
            GinIndex(fields=("title_words",), name="documents_by_word"),
        )


# the change feed's log: a reader follows (xid, seq) up to the oldest transaction that still runs
class EventRow(Model):
    seq = PositionField(primary_key=True, generated=True)
    xid = TransactionField()
    type = fields.TextField()
    resource_id = IdField()
    owner_id = IdField()
    previous_owner_id = IdField(null=True)
    version = fields.IntField()
    at = MomentField()
    is_readable: bool
    """Where it is asked for: whether no transaction runs that may have entries before this one."""

    class Meta:
        table = "events"
        indexes = (
            Index(fields=("xid", "seq"), name="events_by_position"),
            Index(fields=("at",), name="events_by_at"),
        )


class SecretRow(Model):
    name = NameField(primary_key=True)
    value = fields.BinaryField()

    class Meta:
        table = "secrets"


class AttachmentRow(Model):
    id = IdField(primary_key=True, default=new_id)
    document: fields.ForeignKeyRelation[DocumentRow] = fields.ForeignKeyField(
        "service.DocumentRow", related_name="attachments", on_delete=fields.CASCADE
    )
    document_id: UUID
    filename = fields.TextField()
    media_type = fields.TextField()
    size = fields.BigIntField()
    sha256 = fields.TextField()
    created_at = MomentField()

    class Meta:
        table = "attachments"
        indexes = (Index(fields=("document_id", "created_at", "id"), name="attachments_by_document"),)


class ActivityRow(Model):
    id = IdField(primary_key=True, default=new_id)
    user: fields.ForeignKeyRelation[UserRow] = fields.ForeignKeyField(
        "service.UserRow", related_name="activity", on_delete=fields.CASCADE
    )
    user_id: UUID
    action = fields.TextField()
    detail = ContentField()
    created_at = MomentField()

    class Meta:
        table = "activity"
        indexes = (Index(fields=("user_id", "created_at", "id"), name="activity_by_user"),)


# the outbox of mails: a worker that takes one makes it due again when its lease ends
class NotificationRow(Model):
    id = IdField(primary_key=True, default=new_id)
    user: fields.ForeignKeyRelation[UserRow] = fields.ForeignKeyField(
        "service.UserRow", related_name="notifications", on_delete=fields.CASCADE
    )
    user_id: UUID
    subject = fields.TextField()
    body = fields.TextField()
    status = fields.TextField()
    attempts = fields.IntField()
    created_at = MomentField()
    sent_at = MomentField(null=True)
    due_at = MomentField()
    lease = IdField(null=True)

    class Meta:
        table = "notifications"
        indexes = (
            Index(fields=("user_id", "created_at", "id"), name="notifications_by_user"),
            PartialIndex(fields=("due_at",), name="notifications_due", condition={"status": "queued"}),
        )


# answers kept for requests that may be repeated; without a status while the first is under way
class KeyRow(Model):
    key = DigestField(primary_key=True)
    fingerprint = fields.BinaryField()
    status = fields.IntField(null=True)
    location = fields.TextField(null=True)
    etag = fields.TextField(null=True)
    body = fields.BinaryField(null=True)
    created_at = MomentField()

    class Meta:
        table = "idempotency_keys"
        indexes = (Index(fields=("created_at",), name="idempotency_keys_by_created_at"),)


class ClientRow(Model):
    id = IdField(primary_key=True, default=new_id)
    name = fields.TextField()
    rooms = ArrayField("text")
    expires_at = MomentField()

    class Meta:
        table = "clients"
        indexes = (Index(fields=("expires_at",), name="clients_by_expires_at"),)


# how far each room's log has come; the log itself, `room_posts`, has a key of two columns, for which Tortoise
# has no model
class RoomRow(Model):
    name = RoomField(primary_key=True)
    place = fields.BigIntField()
    seq = fields.BigIntField()
    posted_at = MomentField()

    class Meta:
        table = "rooms"
        indexes = (Index(fields=("posted_at",), name="rooms_by_posted_at"),)


def to_user(row: UserRow) -> User:
    return User(row.id, row.email, row.name, row.version, row.created_at, row.updated_at)


def to_document(row: DocumentRow) -> Document:
    return Document(*_document(row))


def to_owned_document(row: DocumentRow) -> OwnedDocument:
    """From a row that was selected with its owner."""
    return OwnedDocument(*(*_document(row), to_user(row.owner)))


def to_attachment(row: AttachmentRow) -> Attachment:
    return Attachment(
        row.id, row.document_id, row.filename, row.media_type, row.size, row.sha256, row.created_at
    )


def to_activity(row: ActivityRow) -> Activity:
    return Activity(row.id, row.user_id, row.action, row.detail, row.created_at)


def to_notification(row: NotificationRow) -> Notification:
    return Notification(
        row.id,
        row.user_id,
        row.subject,
        row.body,
        cast(Status, row.status),
        row.attempts,
        row.created_at,
        row.sent_at,
    )


def position(xid: int, seq: int) -> str:
    """Sorts as the two numbers do.

    >>> position(750, 1)
    '00000000000002ee0000000000000001'
    """
    return f"{xid:016x}{seq:016x}"


def to_event(row: EventRow) -> EventRecord:
    return EventRecord(
        position(row.xid, row.seq),
        cast(EventType, row.type),
        row.resource_id,
        row.owner_id,
        row.previous_owner_id,
        row.version,
        row.at,
    )


def to_answer(row: KeyRow) -> KeptAnswer:
    """From a row that has been answered."""
    assert row.status is not None
    assert row.body is not None
    return KeptAnswer(row.status, row.location, row.etag, bytes(row.body))


def to_client(row: ClientRow) -> Client:
    return Client(row.id, row.name, row.rooms)


def _document(row: DocumentRow) -> tuple[Any, ...]:
    return (
        row.id,
        row.owner_id,
        row.title,
        row.content,
        row.tags,
        row.version,
        row.created_at,
        row.updated_at,
    )
