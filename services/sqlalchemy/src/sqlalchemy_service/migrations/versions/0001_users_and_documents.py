"""Users, documents, the change feed's log, secrets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from sqlalchemy_service.models import TransactionId

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.Text(collation="C")
MOMENT = sa.DateTime(timezone=True)

# Every change writes its events in its own statement, one for each row, cascades included: a trigger of the
# statement sees all of its rows as one set.
FUNCTIONS = (
    """
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
            SELECT 'user.deleted', id, id, version + 1, date_trunc('milliseconds', clock_timestamp())
            FROM old_rows;
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE FUNCTION log_document_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO events (type, resource_id, owner_id, version, at)
            SELECT 'document.created', id, owner_id, version, created_at FROM new_rows;
        ELSIF TG_OP = 'UPDATE' THEN
            INSERT INTO events (type, resource_id, owner_id, previous_owner_id, version, at)
            SELECT 'document.updated', id, is_now.owner_id, nullif(was.owner_id, is_now.owner_id),
                is_now.version, is_now.updated_at
            FROM new_rows AS is_now JOIN old_rows AS was USING (id);
        ELSE
            INSERT INTO events (type, resource_id, owner_id, version, at)
            SELECT 'document.deleted', id, owner_id, version + 1,
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
    CREATE TRIGGER users_created AFTER INSERT ON users
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_user_events()
    """,
    """
    CREATE TRIGGER users_updated AFTER UPDATE ON users
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_user_events()
    """,
    """
    CREATE TRIGGER users_deleted AFTER DELETE ON users
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_user_events()
    """,
    """
    CREATE TRIGGER documents_created AFTER INSERT ON documents
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_document_events()
    """,
    """
    CREATE TRIGGER documents_updated AFTER UPDATE ON documents
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
        EXECUTE FUNCTION log_document_events()
    """,
    """
    CREATE TRIGGER documents_deleted AFTER DELETE ON documents
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_document_events()
    """,
)


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("email_key", KEY, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", KEY, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="users_pkey"),
        sa.UniqueConstraint("email_key", name="users_email_key_unique"),
    )
    op.create_index("users_by_created_at", "users", ["created_at", "id"])
    op.create_index("users_by_name", "users", ["name_key", "id"])
    _create_documents()
    _create_events()
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("name", name="secrets_pkey"),
    )
    for statement in (*FUNCTIONS, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    for table in ("secrets", "events", "documents", "users"):
        op.drop_table(table)
    for function in ("log_user_events", "log_document_events"):
        op.execute(f"DROP FUNCTION {function}")


def _create_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("owner_id", sa.Uuid, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("title_key", KEY, nullable=False),
        sa.Column("title_words", ARRAY(sa.Text), nullable=False),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("content_bytes", sa.Integer, nullable=False),
        sa.Column("tags", ARRAY(sa.Text), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="documents_pkey"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="documents_owner", ondelete="CASCADE"),
    )
    op.create_index("documents_by_created_at", "documents", ["created_at", "id"])
    op.create_index("documents_by_updated_at", "documents", ["updated_at", "id"])
    op.create_index("documents_by_title", "documents", ["title_key", "id"])
    op.create_index("documents_by_owner", "documents", ["owner_id", "created_at", "id"])
    op.create_index("documents_by_tag", "documents", ["tags"], postgresql_using="gin")
    op.create_index("documents_by_word", "documents", ["title_words"], postgresql_using="gin")


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("xid", TransactionId, server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("owner_id", sa.Uuid, nullable=False),
        sa.Column("previous_owner_id", sa.Uuid),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="events_pkey"),
    )
    op.create_index("events_by_position", "events", ["xid", "seq"])
