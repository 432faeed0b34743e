"""The PostgreSQL layers, each with its own migration tool, end up with one physical schema."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from parity.physical_schema import FACTS, Schema, read_schema

from assay.stand import StandOptions, open_stand
from shared.registry import services

SERVICES: Final = [service for service in services() if service.database == "postgresql"]
NAMES: Final = [service.name for service in SERVICES]
HERE: Final = Path(__file__).parent


@pytest.fixture(scope="module")
async def schemas() -> AsyncIterator[Mapping[str, Schema]]:
    """The schema of each PostgreSQL layer after its own migration, by service name."""
    async with open_stand(SERVICES, StandOptions(durable=False), serving=False) as stand:
        urls = {service.name: stand.databases.url_for(service)["DATABASE_URL"] for service in SERVICES}
        yield {name: await read_schema(url) for name, url in urls.items()}


@pytest.mark.parametrize("fact", FACTS)
@pytest.mark.parametrize("name", NAMES)
async def test_a_layers_schema_is_that_of_the_first(
    schemas: Mapping[str, Schema], name: str, fact: str
) -> None:
    assert schemas[name][fact] == schemas[NAMES[0]][fact]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "column",
    [
        "users.id uuid NOT NULL",
        "users.email_key text COLLATE C NOT NULL",
        "documents.content jsonb NOT NULL",
        "documents.title_key text COLLATE C NOT NULL",
    ],
)
async def test_keys_sort_by_code_point_and_ids_and_contents_are_native(
    schemas: Mapping[str, Schema], name: str, column: str
) -> None:
    assert column in schemas[name]["columns"]
