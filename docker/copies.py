"""Backup and restore of a deployment: dumps of PostgreSQL, the files of MongoDB and of attachments.

PostgreSQL is dumped while it serves. MongoDB is copied while it is stopped, with the service that writes to
it: its files hold its users too, so they go with the secrets that they were made with. Images that have the
tools leave it running (`mongodump --oplog`).
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import secret_files
from stack import DATABASES, HERE, Stack, StackError

MONGODB = "mongodb.tar"


def backup(stack: Stack, folder: Path) -> None:
    """First the databases, then the attachments: every row of the backup finds its bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StackError(f"{folder} is not empty: name a new folder.")
    for name in secret_files.POSTGRESQL:
        with _step(f"dump {name}"), (folder / f"{name}.dump").open("wb") as file:
            dump = ("pg_dump", "-U", "postgres", "--format=custom", name)
            stack.quiet("exec", "-T", "postgresql", *dump, stdout=file)
    with _step("copy mongodb, stopped meanwhile"), _stopped(stack, "motor", "mongodb"):
        with (folder / MONGODB).open("wb") as file:
            stack.quiet(*_tar("mongodb", "--create", "/data/db"), stdout=file)
    for name in DATABASES:
        with _step(f"copy the files of {name}"), (folder / f"{name}.files.tar").open("wb") as file:
            stack.quiet(*_tar(name, "--create", "/files"), stdout=file)


def restore(stack: Stack, folder: Path) -> None:
    """Everything as it was; what came later is lost. The deployment is up, with the same secrets."""
    wanted = [f"{name}.dump" for name in secret_files.POSTGRESQL] + [MONGODB]
    wanted += [f"{name}.files.tar" for name in DATABASES]
    if missing := [name for name in wanted if not (folder / name).is_file()]:
        raise StackError(f"{folder} is no backup: {', '.join(missing)} is missing.")
    for name in secret_files.POSTGRESQL:
        with _step(f"restore {name}"), _stopped(stack, name):
            with (folder / f"{name}.dump").open("rb") as file:
                stack.quiet("exec", "-T", "postgresql", *_pg_restore(name), stdin=file)
            with (HERE / "databases" / "renumber.sql").open("rb") as file:
                psql = ("psql", "-U", "postgres", "-q", "-v", "ON_ERROR_STOP=1", "-d", name)
                stack.quiet("exec", "-T", "postgresql", *psql, stdin=file)
    with _step("restore mongodb"), _stopped(stack, "motor", "mongodb"), (folder / MONGODB).open("rb") as file:
        stack.quiet(*_emptied("mongodb", "/data/db"))
        stack.quiet(*_tar("mongodb", "--extract", "/data/db"), stdin=file)
    for name in DATABASES:
        with _step(f"restore the files of {name}"), (folder / f"{name}.files.tar").open("rb") as file:
            stack.quiet(*_emptied(name, "/files"))
            stack.quiet(*_tar(name, "--extract", "/files"), stdin=file)


def _pg_restore(name: str) -> tuple[str, ...]:
    whole = ("--clean", "--if-exists", "--exit-on-error", "--single-transaction")
    return ("pg_restore", "-U", "postgres", *whole, "--dbname", name)


def _tar(service: str, verb: str, folder: str) -> tuple[str, ...]:
    """A container of its own on the service's volumes; nothing of the service itself runs in it."""
    return (
        *_beside(service, "tar"),
        verb,
        "--file",
        "-",
        "--directory",
        folder,
        *((".",) if verb == "--create" else ()),
    )


def _emptied(service: str, folder: str) -> tuple[str, ...]:
    return (*_beside(service, "find"), folder, "-mindepth", "1", "-delete")


def _beside(service: str, program: str) -> tuple[str, ...]:
    return ("run", "--rm", "--no-deps", "--no-TTY", "--interactive", "--entrypoint", program, service)


@contextmanager
def _stopped(stack: Stack, *services: str) -> Iterator[None]:
    """Started again in any case, the last one first."""
    stack.quiet("stop", *services)
    try:
        yield
    finally:
        stack.start(*reversed(services))


@contextmanager
def _step(title: str) -> Iterator[None]:
    sys.stderr.write(f"{title} … ")
    sys.stderr.flush()
    began = time.monotonic()
    try:
        yield
    except BaseException:
        sys.stderr.write("failed\n")
        raise
    sys.stderr.write(f"{time.monotonic() - began:.1f} s\n")
