"""A migration of the next version passes while this one serves: plans that sessions keep are outdated."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import httpx2
import pytest
from api import Api
from builders import if_match, make_document, make_user, new_user

from assay.stand import Stand, StandOptions, open_stand
from shared.registry import services

SERVICES: Final = {service.name: service for service in services() if service.database == "postgresql"}
AT_ONCE: Final = 30
"""More than a pool has connections."""
MIGRATIONS: Final = {
    "a column is added": "ALTER TABLE {} ADD COLUMN spare integer",
    "a column is widened": "ALTER TABLE {} ALTER COLUMN version TYPE bigint",
}


@pytest.fixture(scope="module")
async def stand() -> AsyncIterator[Stand]:
    async with open_stand(SERVICES.values(), StandOptions(durable=False)) as opened:
        yield opened


@pytest.mark.clause("OPS-5", "GEN-4")
@pytest.mark.parametrize("migration", MIGRATIONS)
@pytest.mark.parametrize("name", SERVICES)
async def test_no_request_fails_for_long_when_a_migration_passes(
    stand: Stand, name: str, migration: str
) -> None:
    async with Api(name, stand.services[name].url) as api:
        user = await make_user(api)
        document = await make_document(api, user)
        paths = [
            f"/users/{user['id']}",
            f"/documents/{document['id']}",
            "/users?limit=1",
            "/documents?limit=1",
        ]
        assert await _statuses(api, paths) == {200}
        await _migrate(stand, name, MIGRATIONS[migration])
        # whoever is told to try again does, and is answered
        assert await _statuses(api, paths) <= {200, 503}
        assert await _statuses(api, paths) == {200}
        change = {"name": "Renamed"}
        changed = await api.patch(f"/users/{user['id']}", json=change, headers=if_match(user))
        made = await api.post("/users", json=new_user())
        assert (changed.status_code, made.status_code) == (200, 201)


async def _statuses(api: Api, paths: list[str]) -> set[int]:
    async def ask(path: str) -> httpx2.Response:
        return await api.get(path)

    return {one.status_code for one in await asyncio.gather(*(ask(path) for path in paths * AT_ONCE))}


async def _migrate(stand: Stand, name: str, statement: str) -> None:
    conn = await asyncpg.connect(stand.databases.url_for(SERVICES[name])["DATABASE_URL"])
    try:
        for table in ("users", "documents"):
            await conn.execute(statement.format(table))
    finally:
        await conn.close()
