"""A dump that is restored into another PostgreSQL server: what it takes for the change feed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from api import Api
from builders import make_user
from streams import Silence, subscribed

from assay.stand import Stand, StandOptions, open_stand
from assay.stand.binaries import postgresql_folder
from shared.registry import Service, services

SERVICES: Final = {service.name: service for service in services() if service.database == "postgresql"}
STEPS: Final = Path(__file__).parents[2] / "docker" / "databases" / "renumber.sql"
TRANSACTIONS: Final = 2_000
"""By which the old server is ahead."""


@dataclass(frozen=True)
class Servers:
    """The old one with its services, and a new one with migrated databases and no service yet."""

    old: Stand
    new: Stand


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[Servers]:
    options = StandOptions(durable=False)
    async with (
        open_stand(SERVICES.values(), options) as old,
        open_stand(SERVICES.values(), options, serving=False) as new,
    ):
        if not all(database.is_ours for stand in (old, new) for database in stand.databases):
            pytest.skip("one given server cannot be two")
        conn = await asyncpg.connect(next(iter(old.databases)).url)
        for _ in range(TRANSACTIONS):
            await conn.execute("SELECT pg_current_xact_id()")
        await conn.close()
        yield Servers(old, new)


@pytest.mark.parametrize("name", SERVICES)
async def test_changes_of_restored_rows_are_told_after_the_steps(
    servers: Servers, name: str, tmp_path: Path
) -> None:
    service = SERVICES[name]
    async with Api(name, servers.old.services[name].url) as old:
        user = await make_user(old)
    await _move(servers, service, tmp_path / "dump")
    url = servers.new.databases.url_for(service)["DATABASE_URL"]
    async with Api(name, (await servers.new.start_service(service)).url) as new:
        # without them they are not: else the file would do too much
        with pytest.raises(Silence):
            await _heard(new, user["id"], "Not told of", within=1.5)
        conn = await asyncpg.connect(url)
        await conn.execute(STEPS.read_text(encoding="utf-8"))
        await conn.close()
        await _heard(new, user["id"], "Told of", within=5)


async def _heard(api: Api, user_id: str, name: str, within: float) -> None:
    """Changes the user, and waits for the event. Raises Silence."""
    async with subscribed(api) as subscriber:
        headers = {"If-Match": (await api.get(f"/users/{user_id}")).headers["etag"]}
        changed = await api.patch(f"/users/{user_id}", json={"name": name}, headers=headers)
        assert changed.status_code == 200
        (heard,) = await subscriber.of([user_id], 1, within)
    assert heard.change == ("user.updated", user_id, changed.json()["version"])


async def _move(servers: Servers, service: Service, dump: Path) -> None:
    old, new = (stand.databases.url_for(service)["DATABASE_URL"] for stand in (servers.old, servers.new))
    await _run("pg_dump", "--format=custom", f"--file={dump}", old)
    await _run("pg_restore", "--clean", "--if-exists", f"--dbname={new}", str(dump))


async def _run(program: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        postgresql_folder() / program, *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, told = await process.communicate()
    assert process.returncode == 0, told.decode()
