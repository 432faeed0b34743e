"""The user and document API on raw asyncpg and PostgreSQL."""

from asyncpg_service.database import open_database
from asyncpg_service.migrations import migrate
from shared.registry import Service

service = Service(
    name="asyncpg",
    title="Assay on asyncpg",
    layer="asyncpg",
    database="postgresql",
    open_backend=open_database,
    migrate=migrate,
)
