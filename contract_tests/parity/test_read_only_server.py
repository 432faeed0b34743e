"""A server that takes no writes for a while, as a demoted primary, is unavailable and nothing worse."""

from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import httpx2
import pytest
from builders import new_user
from expectations import expect_problem

from assay.stand import Stand, StandOptions, database_name, open_stand
from shared.registry import Service, services

SERVICES: Final = {service.name: service for service in services() if service.database == "postgresql"}


@pytest.fixture(scope="module")
async def stand() -> AsyncIterator[Stand]:
    async with open_stand(SERVICES.values(), StandOptions(durable=False)) as opened:
        yield opened


@pytest.mark.clause("GEN-4", "GEN-11")
@pytest.mark.parametrize("name", SERVICES)
async def test_a_write_to_a_read_only_server_is_unavailable_and_changes_nothing(
    stand: Stand, name: str
) -> None:
    service = SERVICES[name]
    async with httpx2.AsyncClient(base_url=stand.services[name].url, trust_env=False) as client:
        body = new_user()
        await _set_read_only(stand, service, "on")
        refused = await client.post("/users", json=body)
        await _set_read_only(stand, service, "off")
        stored = await client.post("/users", json=body)
    assert "unknown" not in expect_problem(refused, 503, "overloaded")["detail"]
    assert stored.status_code == 201


async def _set_read_only(stand: Stand, service: Service, state: str) -> None:
    """For all sessions to come; those there are end."""
    name = database_name(service)
    conn = await asyncpg.connect(stand.databases.of(service).url)
    try:
        await conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")
        await conn.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = $1", name
        )
    finally:
        await conn.close()
