"""The parity manifest: what each arm says of itself and what its database says, read while it runs."""

from importlib.metadata import version

import asyncpg
import psutil
from motor.motor_asyncio import AsyncIOMotorClient

from assay.stand import Database, RunningService
from shared.registry import Service
from shared.settings import Settings

_POSTGRESQL = ("fsync", "synchronous_commit", "full_page_writes", "default_transaction_isolation")
_SERVER = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "pydantic")


async def manifest(service: Service, running: RunningService, database: Database) -> dict[str, str]:
    """What must be equal between arms, or is the layer's own: processes, server, driver, database, limits.

    Connections are counted at the database, under the name that the layer gives them.
    """
    settings = Settings()
    process = psutil.Process(running.pid)
    read = {
        "processes": str(1 + len(process.children(recursive=True))),
        "pool limit": str(settings.pool_size),
        "layer": f"{service.layer} {version(service.layer)}",
        "database": f"{database.kind} {database.version}",
        **{name: version(name) for name in _SERVER},
    }
    return read | await settings_of(database, service.name)


async def settings_of(database: Database, service_name: str | None = None) -> dict[str, str]:
    if database.kind == "postgresql":
        return await _postgresql(database.url, service_name)
    return await _mongodb(database.url)


async def _postgresql(url: str, service_name: str | None) -> dict[str, str]:
    conn = await asyncpg.connect(url, timeout=5)
    try:
        read = {name: str(await conn.fetchval(f"SHOW {name}")) for name in _POSTGRESQL}
        if service_name is not None:
            count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
            read["connections"] = str(await conn.fetchval(count, f"assay-{service_name}"))
        return read
    finally:
        await conn.close(timeout=5)


async def _mongodb(url: str) -> dict[str, str]:
    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(url, serverSelectionTimeoutMS=5_000)
    try:
        status = await client.admin.command("serverStatus")
        concern = await client.admin.command("getDefaultRWConcern")
        return {
            "storage engine": str(status["storageEngine"]["name"]),
            "journal": str(status["storageEngine"]["persistent"]),
            "default write concern": str(concern.get("defaultWriteConcern", {}).get("w")),
        }
    finally:
        client.close()
