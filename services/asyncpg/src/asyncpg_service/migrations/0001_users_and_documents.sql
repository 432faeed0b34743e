-- Keys compare by code point whatever the database's own collation is.

CREATE TABLE users (
    id uuid NOT NULL,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL,
    name text NOT NULL,
    name_key text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key_unique UNIQUE (email_key)
);

CREATE INDEX users_by_created_at ON users (created_at, id);
CREATE INDEX users_by_name ON users (name_key, id);

CREATE TABLE documents (
    id uuid NOT NULL,
    owner_id uuid NOT NULL,
    title text NOT NULL,
    title_key text COLLATE "C" NOT NULL,
    title_words text[] NOT NULL,
    content jsonb NOT NULL,
    content_bytes integer NOT NULL,
    tags text[] NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT documents_pkey PRIMARY KEY (id),
    CONSTRAINT documents_owner FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX documents_by_created_at ON documents (created_at, id);
CREATE INDEX documents_by_updated_at ON documents (updated_at, id);
CREATE INDEX documents_by_title ON documents (title_key, id);
CREATE INDEX documents_by_owner ON documents (owner_id, created_at, id);
CREATE INDEX documents_by_tag ON documents USING gin (tags);
CREATE INDEX documents_by_word ON documents USING gin (title_words);

-- The change feed's log. A reader follows (xid, seq) up to the oldest transaction that still runs.
CREATE TABLE events (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    type text NOT NULL,
    resource_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    previous_owner_id uuid,
    version integer NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (seq)
);

CREATE INDEX events_by_position ON events (xid, seq);

CREATE TABLE secrets (
    name text NOT NULL,
    value bytea NOT NULL,
    CONSTRAINT secrets_pkey PRIMARY KEY (name)
);

-- Every change writes its events in its own statement, one for each row, cascades included: a trigger of the
-- statement sees all of its rows as one set.

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
