"""The user and document API on raw asyncpg and PostgreSQL."""

from shared.registry import Service

from asyncpg_service.database import open_database
from asyncpg_service.migrations import migrate

service = Service(
    name="asyncpg",
    title="Assay on asyncpg",
    layer="asyncpg",
    database="postgresql",
    open_backend=open_database,
    migrate=migrate,
)
