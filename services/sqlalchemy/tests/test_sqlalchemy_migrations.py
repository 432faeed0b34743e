"""Alembic's revisions say what the models say, and may be applied by several processes at once."""

import asyncio

import asyncpg
from alembic import command
from sqlalchemy import Connection, NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from shared.settings import Settings, postgresql_url
from sqlalchemy_service.migrations import configured, migrate


async def test_autogenerate_finds_no_difference_between_models_and_database(url: str) -> None:
    def check(connection: Connection) -> None:
        command.check(configured(connection))

    engine = create_async_engine(postgresql_url(url, "postgresql+asyncpg"), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(check)


async def test_migrating_at_once_and_again_changes_nothing(url: str, direct: asyncpg.Connection) -> None:
    await asyncio.gather(*(migrate(Settings(database_url=url)) for _ in range(3)))
    assert await direct.fetchval("SELECT array_agg(version_num) FROM alembic_version") == ["0002"]


async def test_what_a_revision_made_it_takes_back(url: str, direct: asyncpg.Connection) -> None:
    async def revise(name: str, revision: str) -> None:
        engine = create_async_engine(postgresql_url(url, "postgresql+asyncpg"), poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync: getattr(command, name)(configured(sync), revision))

    await revise("downgrade", "base")
    assert await direct.fetchval("SELECT count(*) FROM pg_proc WHERE proname LIKE 'log_%_events'") == 0
    await revise("upgrade", "head")
    assert await direct.fetchval("SELECT to_regclass('events')") == "events"
