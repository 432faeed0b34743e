-- After a dump was restored: the change feed is ordered by transaction numbers, and another server counts from its
-- own start. Readers of the feed begin anew.
BEGIN;
ALTER TABLE users DISABLE TRIGGER USER;
ALTER TABLE documents DISABLE TRIGGER USER;
UPDATE users SET xid = pg_current_xact_id();
UPDATE documents SET xid = pg_current_xact_id();
ALTER TABLE users ENABLE TRIGGER USER;
ALTER TABLE documents ENABLE TRIGGER USER;
TRUNCATE events;
COMMIT;
