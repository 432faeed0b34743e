"""Attachments, activity, notifications, kept answers, rooms; and a change feed whose order holds."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from sqlalchemy_service.models import TransactionId

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.Text(collation="C")
MOMENT = sa.DateTime(timezone=True)
FUNCTIONS = (
    """
    CREATE FUNCTION remember_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.xid := greatest(pg_current_xact_id(), OLD.xid);
        RETURN NEW;
    END
    $$
    """,
    """
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
    $$
    """,
    """
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
    $$
    """,
)
TRIGGERS = (
    """
    CREATE TRIGGER users_remember BEFORE UPDATE ON users
        FOR EACH ROW EXECUTE FUNCTION remember_transaction()
    """,
    """
    CREATE TRIGGER documents_remember BEFORE UPDATE ON documents
        FOR EACH ROW EXECUTE FUNCTION remember_transaction()
    """,
)


def upgrade() -> None:
    _create_belongings()
    _create_notifications()
    _create_kept_answers()
    _create_rooms()
    # A transaction may have its number long before it waits its turn at a row: then it changes the row after
    # one with a greater number. So a row remembers the greatest number of its history, and its next event
    # gets no less: by (xid, seq) the events of a resource are in the order of its versions, and none comes
    # late.
    for table in ("users", "documents"):
        op.add_column(
            table,
            sa.Column("xid", TransactionId, server_default=sa.text("pg_current_xact_id()"), nullable=False),
        )
    op.create_index("events_by_at", "events", ["at"])
    for statement in (*FUNCTIONS, *TRIGGERS):
        op.execute(statement)
    op.alter_column("events", "xid", server_default=None)


def downgrade() -> None:
    op.alter_column("events", "xid", server_default=sa.text("pg_current_xact_id()"))
    for function in ("remember_transaction", "log_user_events", "log_document_events"):
        op.execute(f"DROP FUNCTION {function} CASCADE")
    first: Any = op.get_context().opts["script"].get_revision("0001").module
    for statement in (*first.FUNCTIONS, *first.TRIGGERS):
        op.execute(statement)
    op.drop_index("events_by_at")
    for table in ("users", "documents"):
        op.drop_column(table, "xid")
    for table in (
        "room_posts",
        "rooms",
        "clients",
        "idempotency_keys",
        "notifications",
        "activity",
        "attachments",
    ):
        op.drop_table(table)


def _create_belongings() -> None:
    """What belongs to a document or a user goes with it, by the foreign keys."""
    op.create_table(
        "attachments",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("document_id", sa.Uuid, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="attachments_pkey"),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name="attachments_document", ondelete="CASCADE"
        ),
    )
    op.create_index("attachments_by_document", "attachments", ["document_id", "created_at", "id"])
    op.create_table(
        "activity",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("detail", JSONB, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="activity_pkey"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="activity_user", ondelete="CASCADE"),
    )
    op.create_index("activity_by_user", "activity", ["user_id", "created_at", "id"])


def _create_notifications() -> None:
    """The outbox of mails. A worker that takes one makes it due again when its lease ends."""
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("lease", sa.Uuid),
        sa.PrimaryKeyConstraint("id", name="notifications_pkey"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="notifications_user", ondelete="CASCADE"),
    )
    op.create_index("notifications_by_user", "notifications", ["user_id", "created_at", "id"])
    op.create_index(
        "notifications_due", "notifications", ["due_at"], postgresql_where=sa.text("status = 'queued'")
    )


def _create_kept_answers() -> None:
    """Answers that are kept for requests that may be repeated; without a status while the first is under
    way."""
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("location", sa.Text),
        sa.Column("etag", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="idempotency_keys_pkey"),
    )
    op.create_index("idempotency_keys_by_created_at", "idempotency_keys", ["created_at"])


def _create_rooms() -> None:
    """Who is connected to any process, how far each room's log has come, and the log."""
    op.create_table(
        "clients",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("rooms", ARRAY(sa.Text), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="clients_pkey"),
    )
    op.create_index("clients_by_expires_at", "clients", ["expires_at"])
    op.create_table(
        "rooms",
        sa.Column("name", KEY, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("posted_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="rooms_pkey"),
    )
    op.create_index("rooms_by_posted_at", "rooms", ["posted_at"])
    op.create_table(
        "room_posts",
        sa.Column("room", KEY, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger),
        sa.Column("frame", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("room", "place", name="room_posts_pkey"),
    )
    op.create_index("room_posts_by_at", "room_posts", ["at"])
