"""Ordered steps, each noted by its name when it is done. A step may be repeated: what it finds in place it
leaves, so two processes may run it at once, and one that was broken off runs again from its start."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from pymongo.errors import DuplicateKeyError

from motor_service.database import open_client
from motor_service.migrations import m0001_users_and_documents, m0002_background_and_real_time
from motor_service.statements import Database
from shared.rules import clock
from shared.settings import Settings, database_of

_STEPS: dict[str, Callable[[Database], Awaitable[None]]] = {
    "0001_users_and_documents": m0001_users_and_documents.apply,
    "0002_background_and_real_time": m0002_background_and_real_time.apply,
}


async def migrate(settings: Settings) -> None:
    # an index over many rows takes longer than a request may
    client = open_client(settings, None)
    try:
        await _migrate(client[database_of(settings.mongodb_url)])
    finally:
        client.close()


async def _migrate(database: Database) -> None:
    ledger = database["schema_migrations"]
    applied = {row["_id"] async for row in ledger.find()}
    for name, apply in _STEPS.items():
        if name in applied:
            continue
        await apply(database)
        with suppress(DuplicateKeyError):  # another process was there first
            await ledger.insert_one({"_id": name, "applied_at": clock.now()})
