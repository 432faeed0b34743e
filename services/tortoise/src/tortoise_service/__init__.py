"""The user and document API on Tortoise ORM and PostgreSQL."""

from shared.registry import Service
from tortoise_service.database import open_database
from tortoise_service.migrations import migrate

service = Service(
    name="tortoise",
    title="Assay on Tortoise ORM",
    layer="tortoise-orm",
    database="postgresql",
    open_backend=open_database,
    migrate=migrate,
)
