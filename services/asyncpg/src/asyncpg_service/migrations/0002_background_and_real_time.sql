-- What belongs to a document or a user goes with it, by the foreign keys.

CREATE TABLE attachments (
    id uuid NOT NULL,
    document_id uuid NOT NULL,
    filename text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT attachments_pkey PRIMARY KEY (id),
    CONSTRAINT attachments_document FOREIGN KEY (document_id) REFERENCES documents (id) ON DELETE CASCADE
);

CREATE INDEX attachments_by_document ON attachments (document_id, created_at, id);

CREATE TABLE activity (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    action text NOT NULL,
    detail jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT activity_pkey PRIMARY KEY (id),
    CONSTRAINT activity_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX activity_by_user ON activity (user_id, created_at, id);

-- The outbox of mails. A worker that takes one makes it due again when its lease ends.
CREATE TABLE notifications (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    status text NOT NULL,
    attempts integer NOT NULL,
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    due_at timestamptz NOT NULL,
    lease uuid,
    CONSTRAINT notifications_pkey PRIMARY KEY (id),
    CONSTRAINT notifications_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX notifications_by_user ON notifications (user_id, created_at, id);
CREATE INDEX notifications_due ON notifications (due_at) WHERE status = 'queued';

-- Answers that are kept for requests that may be repeated; without a status while the first is under way.
CREATE TABLE idempotency_keys (
    key bytea NOT NULL,
    fingerprint bytea NOT NULL,
    status integer,
    location text,
    etag text,
    body bytea,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key)
);

CREATE INDEX idempotency_keys_by_created_at ON idempotency_keys (created_at);

-- Rooms: who is connected to any process, how far each room's log has come, and the log.
CREATE TABLE clients (
    id uuid NOT NULL,
    name text NOT NULL,
    rooms text[] NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT clients_pkey PRIMARY KEY (id)
);

CREATE INDEX clients_by_expires_at ON clients (expires_at);

CREATE TABLE rooms (
    name text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    seq bigint NOT NULL,
    posted_at timestamptz NOT NULL,
    CONSTRAINT rooms_pkey PRIMARY KEY (name)
);

CREATE INDEX rooms_by_posted_at ON rooms (posted_at);

CREATE TABLE room_posts (
    room text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    seq bigint,
    frame text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT room_posts_pkey PRIMARY KEY (room, place)
);

CREATE INDEX room_posts_by_at ON room_posts (at);

-- A transaction may have its number long before it waits its turn at a row: then it changes the row after one
-- with a greater number. So a row remembers the greatest number of its history, and its next event gets no
-- less: by (xid, seq) the events of a resource are in the order of its versions, and none comes late.

ALTER TABLE users ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE documents ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();

CREATE INDEX events_by_at ON events (at);

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

ALTER TABLE events ALTER COLUMN xid DROP DEFAULT;
