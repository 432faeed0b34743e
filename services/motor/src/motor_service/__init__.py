"""The user and document API on Motor and MongoDB."""

from motor_service.database import open_database
from motor_service.migrations import migrate
from shared.registry import Service

service = Service(
    name="motor",
    title="Assay on Motor",
    layer="motor",
    database="mongodb",
    open_backend=open_database,
    migrate=migrate,
)
