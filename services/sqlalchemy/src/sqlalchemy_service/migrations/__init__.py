"""Alembic's revisions, applied by one process at a time."""

from importlib.resources import files
from typing import TYPE_CHECKING

from sqlalchemy import Connection, NullPool, func, select
from sqlalchemy.ext.asyncio import create_async_engine

from shared.settings import Settings, postgresql_url

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 7_306_083_102
"""Of this runner; a second one waits until the first is done."""


async def migrate(settings: Settings) -> None:
    engine = create_async_engine(
        postgresql_url(settings.database_url, "postgresql+asyncpg"),
        poolclass=NullPool,
        connect_args={"timeout": settings.db_timeout},
    )
    async with engine.begin() as connection:
        await connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        await connection.run_sync(_upgrade)


def configured(connection: Connection) -> "Config":
    """Alembic's commands on an open connection; its transaction is the caller's."""
    # a service that only serves does without: it takes half a second to load
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files(__package__)))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    from alembic import command

    command.upgrade(configured(connection), "head")
