"""Tortoise's own migrations, run by one process at a time, all of them in one transaction."""

from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor
from tortoise.transactions import in_transaction

from shared.settings import Settings, postgresql_url
from tortoise_service.database import APPS, configuration, open_context

TORTOISE_ORM = configuration(default={})
"""For the makers of migrations: `tortoise -c tortoise_service.migrations.TORTOISE_ORM makemigrations`."""

_LOCK = 7_306_083_103
"""Of this runner; a second one waits until the first is done."""


async def migrate(settings: Settings) -> None:
    url = postgresql_url(settings.database_url)
    context = await open_context(
        default={"dsn": url, "minsize": 1, "maxsize": 1, "timeout": settings.db_timeout}
    )
    with context:
        try:
            async with in_transaction() as client:
                await client.execute_query("SELECT pg_advisory_xact_lock($1)", [_LOCK])
                executor = MigrationExecutor(client, APPS)
                # the executor reads its ledger before it makes it, and a failure would end the transaction
                await executor.recorder.ensure_schema(AsyncpgSchemaEditor(client))
                await executor.migrate()
        finally:
            await context.close_connections()
