"""The migrations make what the models say, once, whoever asks."""

import asyncio

import asyncpg
from tortoise.migrations.autodetector import MigrationAutodetector

from assay.stand import Databases
from shared.settings import Settings
from tortoise_service import service
from tortoise_service.database import APPS, open_context


async def test_many_at_once_migrate_once(stand: Databases) -> None:
    await stand[service.database].create_database("assay_tortoise_fresh")
    url = stand.url_for(service)["DATABASE_URL"].replace("assay_tortoise", "assay_tortoise_fresh")
    async with asyncio.TaskGroup() as migrations:
        for _ in range(3):
            migrations.create_task(service.migrate(Settings(database_url=url)))
    connection = await asyncpg.connect(url)
    applied = await connection.fetch("SELECT name FROM tortoise_migrations ORDER BY name")
    await connection.close()
    assert [row["name"] for row in applied] == [
        "0001_users_and_documents",
        "0002_background_and_real_time",
    ]


async def test_the_models_ask_for_no_further_migration(url: str) -> None:
    context = await open_context(default={"dsn": url})
    with context:
        assert context.apps is not None
        assert await MigrationAutodetector(context.apps, APPS).changes() == []
