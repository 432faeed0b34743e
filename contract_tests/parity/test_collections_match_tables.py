"""The document store says the same as the tables: equal fields, and indexes under equal names."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import asyncpg
import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from assay.stand import Databases, StandOptions, open_stand
from shared.registry import Service, services
from shared.settings import database_of

TABLES: Final = ("users", "documents", "attachments", "activity", "notifications", "clients")
KEPT_BY_TRIGGERS: Final = {"xid"}
"""Columns of the tables that order their change feed; the server of the documents orders its own."""

COLLECTIONS: Final = [service for service in services() if service.database == "mongodb"]
WITH_TABLES: Final = next(service for service in services() if service.database == "postgresql")

Shape = Mapping[str, tuple[set[str], set[str]]]
"""Fields and index names (the primary key's apart) by table."""


@pytest.fixture(scope="module")
async def shapes() -> AsyncIterator[Mapping[str, Shape]]:
    """By service, after its own migration."""
    async with open_stand([WITH_TABLES, *COLLECTIONS], StandOptions(durable=False), serving=False) as stand:
        collections = {service.name: await _collections(stand.databases, service) for service in COLLECTIONS}
        yield {WITH_TABLES.name: await _tables(stand.databases), **collections}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", [service.name for service in COLLECTIONS])
def test_a_collection_requires_the_fields_of_its_table(
    shapes: Mapping[str, Shape], name: str, table: str
) -> None:
    assert shapes[name][table][0] == shapes[WITH_TABLES.name][table][0]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", [service.name for service in COLLECTIONS])
def test_a_collection_has_the_indexes_of_its_table(
    shapes: Mapping[str, Shape], name: str, table: str
) -> None:
    assert shapes[name][table][1] == shapes[WITH_TABLES.name][table][1]


async def _tables(databases: Databases) -> Shape:
    conn = await asyncpg.connect(databases.url_for(WITH_TABLES)["DATABASE_URL"])
    try:
        columns = "SELECT column_name FROM information_schema.columns WHERE table_name = $1"
        indexes = "SELECT indexname FROM pg_indexes WHERE tablename = $1 AND indexname <> $1 || '_pkey'"
        return {
            table: (
                {row["column_name"] for row in await conn.fetch(columns, table)} - KEPT_BY_TRIGGERS,
                {row["indexname"] for row in await conn.fetch(indexes, table)},
            )
            for table in TABLES
        }
    finally:
        await conn.close()


async def _collections(databases: Databases, service: Service) -> Shape:
    url = databases.url_for(service)["MONGODB_URL"]
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(url, uuidRepresentation="standard")
    try:
        database = client[database_of(url)]
        shape: dict[str, tuple[set[str], set[str]]] = {}
        for name in TABLES:
            declared = (await database.list_collections(filter={"name": name})).next()
            required = (await declared)["options"]["validator"]["$jsonSchema"]["required"]
            indexes = await database[name].index_information()
            shape[name] = ({field.removeprefix("_") for field in required}, set(indexes) - {"_id_"})
        return shape
    finally:
        client.close()
