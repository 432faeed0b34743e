"""The user and document API on SQLAlchemy (asyncio) and PostgreSQL."""

from shared.registry import Service
from sqlalchemy_service.database import open_database
from sqlalchemy_service.migrations import migrate

service = Service(
    name="sqlalchemy",
    title="Assay on SQLAlchemy",
    layer="sqlalchemy",
    database="postgresql",
    open_backend=open_database,
    migrate=migrate,
)
