"""Backup and restore of a deployment: dumps of PostgreSQL, the files of MongoDB and of attachments.

Each service is stopped while it is copied, and MongoDB with its own: so rows and attachments belong together.
MongoDB's files hold its users too: they go with the secrets that they were made with. Images that have the
tools leave it running (`mongodump --oplog`).
"""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import secret_files
from stack import DATABASES, HERE, Stack, StackError

MONGODB = "mongodb.tar"
DUMPS = {name: f"{name}.dump" for name in secret_files.POSTGRESQL}
ATTACHMENTS = {name: f"{name}.files.tar" for name in DATABASES}
SEAL = "backup.json"
"""Written last: what every file must be, and the secrets that MongoDB's users were made with."""

_SWAP = """
new=$1/.restored
rm -rf "$new" && mkdir "$new"
tar --extract --file - --directory "$new" || { rm -rf "$new"; exit 1; }
find "$1" -mindepth 1 -maxdepth 1 ! -name .restored -exec rm -rf {} +
find "$new" -mindepth 1 -maxdepth 1 -exec mv {} "$1" ';'
rmdir "$new"
"""
"""What is there goes when all of the archive is beside it."""


def backup(stack: Stack, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StackError(f"{folder} is not empty: name a new folder.")
    for name, dump in DUMPS.items():
        with _step(f"copy {name}, stopped meanwhile"), _stopped(stack, name):
            pg_dump = ("pg_dump", "-U", "postgres", "--format=custom", name)
            _write(stack, folder / dump, "exec", "-T", "postgresql", *pg_dump)
            _write(stack, folder / ATTACHMENTS[name], *_archive(name, "/files"))
    with _step("copy motor, stopped meanwhile with its database"), _stopped(stack, "motor", "mongodb"):
        _write(stack, folder / MONGODB, *_archive("mongodb", "/data/db"))
        _write(stack, folder / ATTACHMENTS["motor"], *_archive("motor", "/files"))
    seal(folder, stack.secrets)


def restore(stack: Stack, folder: Path) -> None:
    """Everything as it was; what came later is lost. Nothing is touched before the whole backup is found to
    be as it was written. The deployment is up."""
    with _step("check the backup"):
        check(folder, stack.secrets)
    for name, dump in DUMPS.items():
        with _step(f"restore {name}"), _stopped(stack, name):
            _restore_dump(stack, name, folder / dump)
            _swap(stack, name, "/files", folder / ATTACHMENTS[name])
    with _step("restore motor"), _stopped(stack, "motor", "mongodb"):
        _swap(stack, "mongodb", "/data/db", folder / MONGODB)
        _swap(stack, "motor", "/files", folder / ATTACHMENTS["motor"])


def seal(folder: Path, secrets: Path) -> None:
    files = {name: _digest(folder / name) for name in _files()}
    told = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": files,
        "mongodb": _users(secrets),
    }
    (folder / SEAL).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def check(folder: Path, secrets: Path) -> None:
    """StackError where it is not what was written, or not of a deployment with these secrets."""
    try:
        told = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        digests, users = dict(told["sha256"].items()), told["mongodb"]
    except (FileNotFoundError, NotADirectoryError):
        raise StackError(f"{folder} is no whole backup: {SEAL}, which is written last, is missing.") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise StackError(f"{folder / SEAL} is not as it was written: take another backup.") from None
    for name in _files():
        if not (folder / name).is_file() or _digest(folder / name) != digests.get(name):
            raise StackError(f"{folder / name} is not as it was written: take another backup.")
    if users != _users(secrets):
        raise StackError(
            f"MongoDB's users are in the backup, with other passwords than in {secrets}: put the secrets back"
            " that it was made with."
        )


def _files() -> list[str]:
    return [*DUMPS.values(), MONGODB, *ATTACHMENTS.values()]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _users(secrets: Path) -> str:
    """A fingerprint of the passwords that MongoDB keeps with its data."""
    return hashlib.sha256(
        b"\n".join((secrets / name).read_bytes() for name in ("mongodb_password", "motor_url"))
    ).hexdigest()


def _restore_dump(stack: Stack, name: str, dump: Path) -> None:
    """Into a database beside the old one, which goes when the new one is whole: so it does not matter which
    tables a later version has added."""
    fresh = f"{name}_restored"
    _sql(
        stack,
        f"DROP DATABASE IF EXISTS {fresh} WITH (FORCE)",
        f"CREATE DATABASE {fresh} OWNER {name}",
        f"REVOKE ALL ON DATABASE {fresh} FROM PUBLIC",
    )
    with dump.open("rb") as file:
        whole = ("-U", "postgres", "--exit-on-error", "--single-transaction", "--dbname", fresh)
        stack.quiet("exec", "-T", "postgresql", "pg_restore", *whole, stdin=file)
    with (HERE / "databases" / "renumber.sql").open("rb") as file:
        stack.quiet(*_psql(fresh), stdin=file)
    _sql(stack, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"ALTER DATABASE {fresh} RENAME TO {name}")


def _sql(stack: Stack, *statements: str) -> None:
    """Each on its own: databases are not made in a transaction."""
    commands = [word for statement in statements for word in ("-c", statement)]
    stack.quiet(*_psql("postgres"), *commands)


def _psql(database: str) -> tuple[str, ...]:
    strict = ("-U", "postgres", "-q", "-v", "ON_ERROR_STOP=1", "-d", database)
    return ("exec", "-T", "postgresql", "psql", *strict)


def _write(stack: Stack, file: Path, *command: str) -> None:
    """What the command prints, for the owner's eyes alone."""
    file.touch(mode=0o600)
    with file.open("wb") as opened:
        stack.quiet(*command, stdout=opened)


def _archive(service: str, folder: str) -> tuple[str, ...]:
    return (*_beside(service, "tar"), "--create", "--file", "-", "--directory", folder, ".")


def _swap(stack: Stack, service: str, folder: str, archive: Path) -> None:
    with archive.open("rb") as file:
        stack.quiet(*_beside(service, "sh"), "-euc", _SWAP, "sh", folder, stdin=file)


def _beside(service: str, program: str) -> tuple[str, ...]:
    """A container of its own on the service's volumes; nothing of the service itself runs in it."""
    return ("run", "--rm", "--no-deps", "--no-TTY", "--interactive", "--entrypoint", program, service)


@contextmanager
def _stopped(stack: Stack, *services: str) -> Iterator[None]:
    """Started again in any case, the last one first."""
    try:
        stack.quiet("stop", *services)
        yield
    except BaseException:
        # the engine goes on with a stop that nobody waits for any more, and would stop what is started here
        stack.quiet("stop", *services)
        raise
    finally:
        try:
            stack.start(*reversed(services))
        except KeyboardInterrupt:
            stack.start(*reversed(services))
            raise


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
