"""Ordered SQL files, each applied once, in one transaction, by one process at a time."""

from hashlib import sha256
from importlib.resources import files

import asyncpg

from shared.settings import Settings, postgresql_url

_LOCK = 7_306_083_101
"""Of this runner; a second one waits until the first is done."""

_LEDGER = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        name text PRIMARY KEY,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class ChangedMigration(Exception):
    """A file that was applied has changed since: write a new one instead."""


async def migrate(settings: Settings) -> None:
    conn = await asyncpg.connect(postgresql_url(settings.database_url), timeout=settings.db_timeout)
    try:
        async with conn.transaction():
            await conn.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await conn.execute(_LEDGER)
            rows = await conn.fetch("SELECT name, checksum FROM schema_migrations")
            applied = {row["name"]: row["checksum"] for row in rows}
            for name, statements in _migrations():
                await _apply(conn, name, statements, applied.get(name))
    finally:
        await conn.close(timeout=settings.db_timeout)


def _migrations() -> list[tuple[str, str]]:
    folder = files(__package__)
    found = [(file.name, file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".sql")]
    return sorted(found)


async def _apply(conn: asyncpg.Connection, name: str, statements: str, applied: str | None) -> None:
    checksum = sha256(statements.encode()).hexdigest()
    if applied == checksum:
        return
    if applied is not None:
        raise ChangedMigration(name)
    await conn.execute(statements)
    await conn.execute("INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", name, checksum)
