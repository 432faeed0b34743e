"""The user and document API on Motor and MongoDB."""

from shared.registry import Service

from motor_service.database import open_database
from motor_service.migrations import migrate

service = Service(
    name="motor",
    title="Assay on Motor",
    layer="motor",
    database="mongodb",
    open_backend=open_database,
    migrate=migrate,
)
