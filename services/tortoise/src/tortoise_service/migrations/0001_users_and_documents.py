"""Users, documents, the change feed's log, secrets. Functions and triggers are SQL: Tortoise has no word for
them."""

from tortoise import fields, migrations
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.contrib.postgres.indexes import GinIndex
from tortoise.fields.base import OnDelete
from tortoise.fields.db_defaults import SqlDefault
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint

from shared.rules.ids import new_id
from tortoise_service.models import (
    ContentField,
    IdField,
    KeyField,
    MomentField,
    NameField,
    PositionField,
    TransactionField,
)

# Every change writes its events in its own statement, one for each row, cascades included: a trigger of the
# statement sees all of its rows as one set.
_EVENTS = """
CREATE FUNCTION log_user_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (type, resource_id, owner_id, version, at)
        SELECT 'user.created', id, id, version, created_at FROM new_rows;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO events (type, resource_id, owner_id, version, at)
        SELECT 'user.updated', id, id, version, updated_at FROM new_rows;
    ELSE
        INSERT INTO events (type, resource_id, owner_id, version, at)
        SELECT 'user.deleted', id, id, version + 1, date_trunc('milliseconds', clock_timestamp()) FROM old_rows;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION log_document_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (type, resource_id, owner_id, version, at)
        SELECT 'document.created', id, owner_id, version, created_at FROM new_rows;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO events (type, resource_id, owner_id, previous_owner_id, version, at)
        SELECT 'document.updated', id, is_now.owner_id, nullif(was.owner_id, is_now.owner_id), is_now.version,
            is_now.updated_at
        FROM new_rows AS is_now JOIN old_rows AS was USING (id);
    ELSE
        INSERT INTO events (type, resource_id, owner_id, version, at)
        SELECT 'document.deleted', id, owner_id, version + 1, date_trunc('milliseconds', clock_timestamp())
        FROM old_rows;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_created AFTER INSERT ON users
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_user_events();
CREATE TRIGGER users_updated AFTER UPDATE ON users
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_user_events();
CREATE TRIGGER users_deleted AFTER DELETE ON users
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_user_events();

CREATE TRIGGER documents_created AFTER INSERT ON documents
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_document_events();
CREATE TRIGGER documents_updated AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
    EXECUTE FUNCTION log_document_events();
CREATE TRIGGER documents_deleted AFTER DELETE ON documents
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_document_events();
"""  # noqa: E501


class Migration(migrations.Migration):
    initial = True

    operations = [  # noqa: RUF012 - Tortoise's form
        ops.CreateModel(
            name="UserRow",
            fields=[
                ("id", IdField(primary_key=True, default=new_id)),
                ("email", fields.TextField()),
                ("email_key", KeyField()),
                ("name", fields.TextField()),
                ("name_key", KeyField()),
                ("version", fields.IntField()),
                ("created_at", MomentField()),
                ("updated_at", MomentField()),
            ],
            options={
                "table": "users",
                "app": "service",
                "indexes": [
                    Index(fields=["created_at", "id"], name="users_by_created_at"),
                    Index(fields=["name_key", "id"], name="users_by_name"),
                ],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        # constraints among the options of a new model are noted, but not made
        ops.AddConstraint("UserRow", UniqueConstraint(fields=("email_key",), name="users_email_key_unique")),
        ops.CreateModel(
            name="DocumentRow",
            fields=[
                ("id", IdField(primary_key=True, default=new_id)),
                (
                    "owner",
                    fields.ForeignKeyField(
                        "service.UserRow",
                        source_field="owner_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="documents",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("title", fields.TextField()),
                ("title_key", KeyField()),
                ("title_words", ArrayField("text")),
                ("content", ContentField()),
                ("content_bytes", fields.IntField()),
                ("tags", ArrayField("text")),
                ("version", fields.IntField()),
                ("created_at", MomentField()),
                ("updated_at", MomentField()),
            ],
            options={
                "table": "documents",
                "app": "service",
                "indexes": [
                    Index(fields=["created_at", "id"], name="documents_by_created_at"),
                    Index(fields=["updated_at", "id"], name="documents_by_updated_at"),
                    Index(fields=["title_key", "id"], name="documents_by_title"),
                    Index(fields=["owner_id", "created_at", "id"], name="documents_by_owner"),
                    GinIndex(fields=["tags"], name="documents_by_tag"),
                    GinIndex(fields=["title_words"], name="documents_by_word"),
                ],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        # a foreign key's name cannot be given to Tortoise
        ops.RunSQL("ALTER TABLE documents RENAME CONSTRAINT documents_owner_id_fkey TO documents_owner"),
        ops.CreateModel(
            name="EventRow",
            fields=[
                ("seq", PositionField(primary_key=True, generated=True)),
                ("xid", TransactionField(db_default=SqlDefault("pg_current_xact_id()"))),
                ("type", fields.TextField()),
                ("resource_id", IdField()),
                ("owner_id", IdField()),
                ("previous_owner_id", IdField(null=True)),
                ("version", fields.IntField()),
                ("at", MomentField()),
            ],
            options={
                "table": "events",
                "app": "service",
                "indexes": [Index(fields=["xid", "seq"], name="events_by_position")],
                "pk_attr": "seq",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="SecretRow",
            fields=[("name", NameField(primary_key=True)), ("value", fields.BinaryField())],
            options={"table": "secrets", "app": "service", "pk_attr": "name"},
            bases=["Model"],
        ),
        ops.RunSQL(_EVENTS),
    ]
