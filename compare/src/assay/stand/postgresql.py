"""PostgreSQL from plain binaries, and what the stand asks of any PostgreSQL."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import asyncpg

from assay.stand.account import Account, unprivileged
from assay.stand.binaries import copy_postgresql, postgresql_folder
from assay.stand.errors import StandError
from assay.stand.folder import RunFolder
from assay.stand.options import StandOptions
from assay.stand.ports import HOST, on_free_port
from assay.stand.process import Child, Ending
from assay.stand.server import START_SECONDS

MAX_CONNECTIONS = 200
_RESTARTS = 6
_RESTART_PAUSE = 0.3
# Fast shutdown writes a checkpoint; immediate shutdown only frees shared memory: enough for temporary data.
_KEEP = Ending(signal.SIGINT, 3.0)
_DISCARD = Ending(signal.SIGQUIT, 1.0)
_NOTICE_SECONDS = 3.0
_NOT_YET = (
    ConnectionError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
)


class EmbeddedPostgres:
    """A server of our own on a loopback port; trusts every local connection as user `app`."""

    is_ours = True

    def __init__(
        self, folder: RunFolder, command: list[str], port: int, ending: Ending, account: Account | None
    ) -> None:
        self.url = f"postgresql://app@{HOST}:{port}/postgres"
        self._folder = folder
        self._port = port
        self._command = [*command, "-p", str(port)]
        self._ending = ending
        self._account = account
        self._child = self._spawn()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    async def ready(self) -> None:
        await self._child.ready(self._port, lambda: answers(self.url), START_SECONDS)

    async def kill(self) -> None:
        await self._child.kill(_NOTICE_SECONDS)

    async def start(self) -> None:
        """A server that somebody else killed may have processes that still leave: it starts after them."""
        for _ in range(_RESTARTS):
            if await self._started():
                return
            await asyncio.sleep(_RESTART_PAUSE)
        await self.ready()

    async def _started(self) -> bool:
        if not self.alive:
            self._child = self._spawn()
        try:
            await self.ready()
        except StandError:
            if self.alive:
                raise
            return False
        return True

    def _spawn(self) -> Child:
        return self._folder.spawn(
            "postgresql", self._command, _environment(), ending=self._ending, account=self._account
        )


async def start_postgres(folder: RunFolder, options: StandOptions) -> EmbeddedPostgres:
    account = unprivileged()
    programs = _reachable_programs(folder, account)
    cluster = await _cluster(folder, options.data, programs, account)
    command = [str(programs / "postgres"), "-D", str(cluster), "-h", HOST, "-k", ""]
    settings = [f"max_connections={MAX_CONNECTIONS}", *_durability(options.durable)]
    command += [part for setting in settings for part in ("-c", setting)]
    ending = _KEEP if options.data else _DISCARD

    async def start(port: int) -> EmbeddedPostgres:
        server = EmbeddedPostgres(folder, command, port, ending, account)
        await server.ready()
        return server

    return await on_free_port(start)


async def answers(url: str) -> bool:
    """For servers of our own, which speak no TLS."""
    try:
        connection = await asyncpg.connect(url, timeout=5, ssl=False)
    except _NOT_YET:
        return False
    await connection.close()
    return True


async def create_database(url: str, name: str, *, keep: bool) -> None:
    """An empty database; with `keep`, one that exists already stays as it is."""
    connection = await _connect(url)
    try:
        if keep and await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            return
        quoted = '"' + name.replace('"', '""') + '"'
        await connection.execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {quoted}")
    except asyncpg.InsufficientPrivilegeError:
        raise StandError(
            f"The login of DATABASE_URL may not create databases: create {name} for it."
        ) from None
    finally:
        await connection.close()


async def inspect(url: str) -> tuple[str, bool]:
    """The server's version, and whether a committed row survives a power cut under its settings."""
    connection = await _connect(url)
    try:
        settings = ("server_version", "fsync", "full_page_writes", "synchronous_commit")
        version, *switches = [str(await connection.fetchval(f"SHOW {setting}")) for setting in settings]
    finally:
        await connection.close()
    return version.split()[0], "off" not in switches


async def _connect(url: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(url, timeout=10)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StandError(f"PostgreSQL cannot be reached, check DATABASE_URL: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _reachable_programs(folder: RunFolder, account: Account | None) -> Path:
    programs = postgresql_folder()
    if account is None or account.enters(programs):
        return programs
    # A checkout in root's home is closed to everybody else: the account gets a copy of its own (about 40 MB).
    return copy_postgresql(programs, folder.path / "programs")


async def _cluster(folder: RunFolder, kept: Path | None, programs: Path, account: Account | None) -> Path:
    """The data directory, made where there is none: under another name first, so it is never half made."""
    home = kept or folder.path
    if account is not None and not account.enters(home):
        wish = "--data" if kept else "TMPDIR"
        raise StandError(
            f"PostgreSQL runs as {account.name} here and cannot enter {home}: "
            f"point {wish} to a folder that everybody may pass through."
        )
    cluster, draft = home / "postgresql", home / "postgresql.new"
    if cluster.exists():
        return cluster
    shutil.rmtree(draft, ignore_errors=not draft.exists())
    draft.mkdir(mode=0o700)
    if account is not None:
        os.chown(draft, account.uid, account.gid)
    command = [
        str(programs / "initdb"),
        "-D",
        str(draft),
        "-U",
        "app",
        "--auth=trust",
        "--no-locale",
        "-E",
        "UTF8",
    ]
    if kept is None:
        command.append("--no-sync")
    await folder.spawn("initdb", command, _environment(), account=account).succeed(START_SECONDS)
    return draft.rename(cluster)


def _durability(durable: bool) -> list[str]:
    if durable:
        return ["fsync=on", "synchronous_commit=on"]
    return ["fsync=off", "full_page_writes=off"]


def _environment() -> dict[str, str]:
    """PG* variables are the user's settings for other servers."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return inherited | {"LC_ALL": "C", "TZ": "UTC"}
