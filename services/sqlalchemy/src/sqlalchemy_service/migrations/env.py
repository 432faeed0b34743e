"""Run by Alembic: on the connection that the service hands over, or, from Alembic's own command line, on one
to the DATABASE_URL."""

import asyncio

from alembic import context
from sqlalchemy import Connection, NullPool
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.asyncio import create_async_engine

from shared.settings import Settings, postgresql_url
from sqlalchemy_service.models import Base, TransactionId

# so that autogenerate knows the type when it meets it in the database
ischema_names["xid8"] = TransactionId


def run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=Base.metadata, compare_server_default=True, compare_type=True
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    url = postgresql_url(Settings().database_url, "postgresql+asyncpg")
    async with create_async_engine(url, poolclass=NullPool).connect() as connection:
        await connection.run_sync(run)
        await connection.commit()


given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(connect_and_run())
else:
    run(given)
