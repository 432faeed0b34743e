"""Real databases and services: started, watched, killed, stopped, and nothing left behind."""

from assay.stand.databases import Database, Databases, database_name, open_databases
from assay.stand.errors import StandError
from assay.stand.options import DatabaseKind, Progress, StandOptions, StepState, silent
from assay.stand.signals import StoppedError, run_until_stopped
from assay.stand.stand import RunningService, Stand, open_stand

__all__ = [
    "Database",
    "DatabaseKind",
    "Databases",
    "Progress",
    "RunningService",
    "Stand",
    "StandError",
    "StandOptions",
    "StepState",
    "StoppedError",
    "database_name",
    "open_databases",
    "open_stand",
    "run_until_stopped",
    "silent",
]
