"""Where a comparison ran: machine, databases, versions."""

import os
import platform
from importlib.metadata import distributions
from pathlib import Path

import psutil

from assay.judge.at_database import settings_of
from assay.report.model import Database, Environment
from assay.stand import Databases, StandOptions

_VERSIONS = (
    "alembic",
    "asyncpg",
    "fastapi",
    "httptools",
    "motor",
    "orjson",
    "pydantic",
    "pymongo",
    "sqlalchemy",
    "starlette",
    "tortoise-orm",
    "uvicorn",
    "uvloop",
)


async def environment(databases: Databases, options: StandOptions) -> Environment:
    installed = {found.metadata["Name"].lower(): found.version for found in distributions()}
    return Environment(
        platform=platform.platform(),
        python=platform.python_version(),
        cpus=os.cpu_count() or 1,
        cpu_model=_cpu_model(),
        memory_bytes=psutil.virtual_memory().total,
        databases=[
            Database(
                kind=database.kind,
                version=database.version,
                source="url" if not database.is_ours else "docker" if options.docker else "embedded",
                settings=await settings_of(database),
            )
            for database in databases
        ],
        versions={name: installed[name] for name in _VERSIONS if name in installed},
    )


def _cpu_model() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
