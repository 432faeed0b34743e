"""Attachments, activity, notifications, kept answers, rooms; and events that say in which order they were
written."""

from tortoise import fields, migrations
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index, PartialIndex
from tortoise.migrations import operations as ops

from shared.rules.ids import new_id
from tortoise_service.models import (
    ContentField,
    DigestField,
    IdField,
    MomentField,
    RoomField,
    TransactionField,
)

# A foreign key's name cannot be given to Tortoise, nor a key of two columns.
_TABLES = """
ALTER TABLE attachments RENAME CONSTRAINT attachments_document_id_fkey TO attachments_document;
ALTER TABLE activity RENAME CONSTRAINT activity_user_id_fkey TO activity_user;
ALTER TABLE notifications RENAME CONSTRAINT notifications_user_id_fkey TO notifications_user;

CREATE TABLE room_posts (
    room text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    seq bigint,
    frame text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT room_posts_pkey PRIMARY KEY (room, place)
);

CREATE INDEX room_posts_by_at ON room_posts (at);
"""

# A transaction may have its number long before it waits its turn at a row: then it changes the row after one
# with a greater number. So a row remembers the greatest number of its history, and its next event gets no
# less: by (xid, seq) the events of a resource are in the order of its versions, and none comes late.
_EVENTS = """
ALTER TABLE users ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE documents ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();

CREATE FUNCTION remember_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.xid := greatest(pg_current_xact_id(), OLD.xid);
    RETURN NEW;
END
$$;

CREATE TRIGGER users_remember BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION remember_transaction();
CREATE TRIGGER documents_remember BEFORE UPDATE ON documents
    FOR EACH ROW EXECUTE FUNCTION remember_transaction();

CREATE OR REPLACE FUNCTION log_user_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (xid, type, resource_id, owner_id, version, at)
        SELECT xid, 'user.created', id, id, version, created_at FROM new_rows;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO events (xid, type, resource_id, owner_id, version, at)
        SELECT xid, 'user.updated', id, id, version, updated_at FROM new_rows;
    ELSE
        INSERT INTO events (xid, type, resource_id, owner_id, version, at)
        SELECT greatest(pg_current_xact_id(), xid), 'user.deleted', id, id, version + 1,
            date_trunc('milliseconds', clock_timestamp())
        FROM old_rows;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION log_document_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (xid, type, resource_id, owner_id, version, at)
        SELECT xid, 'document.created', id, owner_id, version, created_at FROM new_rows;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO events (xid, type, resource_id, owner_id, previous_owner_id, version, at)
        SELECT is_now.xid, 'document.updated', id, is_now.owner_id, nullif(was.owner_id, is_now.owner_id),
            is_now.version, is_now.updated_at
        FROM new_rows AS is_now JOIN old_rows AS was USING (id);
    ELSE
        INSERT INTO events (xid, type, resource_id, owner_id, version, at)
        SELECT greatest(pg_current_xact_id(), xid), 'document.deleted', id, owner_id, version + 1,
            date_trunc('milliseconds', clock_timestamp())
        FROM old_rows;
    END IF;
    RETURN NULL;
END
$$;
"""


def _model(
    name: str, table: str, key: str, fields: list[tuple[str, ops.FieldLike]], indexes: list[Index]
) -> ops.CreateModel:
    options = {"table": table, "app": "service", "indexes": indexes, "pk_attr": key}
    return ops.CreateModel(name=name, fields=fields, options=options, bases=["Model"])


def _belongs(to: str, column: str, related_name: str) -> ops.FieldLike:
    return fields.ForeignKeyField(
        f"service.{to}",
        source_field=column,
        db_constraint=True,
        to_field="id",
        related_name=related_name,
        on_delete=OnDelete.CASCADE,
    )


class Migration(migrations.Migration):
    dependencies = [("service", "0001_users_and_documents")]  # noqa: RUF012 - Tortoise's form

    operations = [  # noqa: RUF012
        _model(
            "AttachmentRow",
            "attachments",
            "id",
            [
                ("id", IdField(primary_key=True, default=new_id)),
                ("document", _belongs("DocumentRow", "document_id", "attachments")),
                ("filename", fields.TextField()),
                ("media_type", fields.TextField()),
                ("size", fields.BigIntField()),
                ("sha256", fields.TextField()),
                ("created_at", MomentField()),
            ],
            [Index(fields=["document_id", "created_at", "id"], name="attachments_by_document")],
        ),
        _model(
            "ActivityRow",
            "activity",
            "id",
            [
                ("id", IdField(primary_key=True, default=new_id)),
                ("user", _belongs("UserRow", "user_id", "activity")),
                ("action", fields.TextField()),
                ("detail", ContentField()),
                ("created_at", MomentField()),
            ],
            [Index(fields=["user_id", "created_at", "id"], name="activity_by_user")],
        ),
        _model(
            "NotificationRow",
            "notifications",
            "id",
            [
                ("id", IdField(primary_key=True, default=new_id)),
                ("user", _belongs("UserRow", "user_id", "notifications")),
                ("subject", fields.TextField()),
                ("body", fields.TextField()),
                ("status", fields.TextField()),
                ("attempts", fields.IntField()),
                ("created_at", MomentField()),
                ("sent_at", MomentField(null=True)),
                ("due_at", MomentField()),
                ("lease", IdField(null=True)),
            ],
            [
                Index(fields=["user_id", "created_at", "id"], name="notifications_by_user"),
                PartialIndex(fields=["due_at"], name="notifications_due", condition={"status": "queued"}),
            ],
        ),
        _model(
            "KeyRow",
            "idempotency_keys",
            "key",
            [
                ("key", DigestField(primary_key=True)),
                ("fingerprint", fields.BinaryField()),
                ("status", fields.IntField(null=True)),
                ("location", fields.TextField(null=True)),
                ("etag", fields.TextField(null=True)),
                ("body", fields.BinaryField(null=True)),
                ("created_at", MomentField()),
            ],
            [Index(fields=["created_at"], name="idempotency_keys_by_created_at")],
        ),
        _model(
            "ClientRow",
            "clients",
            "id",
            [
                ("id", IdField(primary_key=True, default=new_id)),
                ("name", fields.TextField()),
                ("rooms", ArrayField("text")),
                ("expires_at", MomentField()),
            ],
            [Index(fields=["expires_at"], name="clients_by_expires_at")],
        ),
        _model(
            "RoomRow",
            "rooms",
            "name",
            [
                ("name", RoomField(primary_key=True)),
                ("place", fields.BigIntField()),
                ("seq", fields.BigIntField()),
                ("posted_at", MomentField()),
            ],
            [Index(fields=["posted_at"], name="rooms_by_posted_at")],
        ),
        ops.RunSQL(_TABLES),
        ops.AddIndex("EventRow", Index(fields=["at"], name="events_by_at")),
        ops.RunSQL(_EVENTS),
        ops.AlterField("EventRow", "xid", TransactionField()),
    ]
