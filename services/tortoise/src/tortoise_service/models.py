"""The tables as Tortoise declares them, and how their rows become the shared objects."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from tortoise import Model, fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.contrib.postgres.indexes import GinIndex
from tortoise.fields.base import Field
from tortoise.fields.db_defaults import SqlDefault
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint

from shared.rules.ids import new_id
from shared.rules.json_content import read_stored
from shared.schemas.documents import Document, OwnedDocument
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
    xid = TransactionField(db_default=SqlDefault("pg_current_xact_id()"))
    type = fields.TextField()
    resource_id = IdField()
    owner_id = IdField()
    previous_owner_id = IdField(null=True)
    version = fields.IntField()
    at = MomentField()

    class Meta:
        table = "events"
        indexes = (Index(fields=("xid", "seq"), name="events_by_position"),)


class SecretRow(Model):
    name = NameField(primary_key=True)
    value = fields.BinaryField()

    class Meta:
        table = "secrets"


def to_user(row: UserRow) -> User:
    return User(row.id, row.email, row.name, row.version, row.created_at, row.updated_at)


def to_document(row: DocumentRow) -> Document:
    return Document(*_document(row))


def to_owned_document(row: DocumentRow) -> OwnedDocument:
    """From a row that was selected with its owner."""
    return OwnedDocument(*(*_document(row), to_user(row.owner)))


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
