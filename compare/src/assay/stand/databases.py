"""The databases of one run, from a given URL, from Docker or embedded, in this order."""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from assay.stand import mongodb, postgresql
from assay.stand.errors import StandError
from assay.stand.folder import RunFolder, exclusive, open_folder
from assay.stand.options import DatabaseKind, Progress, StandOptions, reported, silent
from assay.stand.parallel import all_or_none
from assay.stand.server import GivenServer, Server
from assay.stand.urls import mongodb_url, postgresql_url, with_database
from shared.registry import Service

# The first one is what the services read.
URL_VARIABLES: dict[DatabaseKind, tuple[str, ...]] = {
    "postgresql": ("DATABASE_URL",),
    "mongodb": ("MONGODB_URL", "MONGO_URL"),
}
_OF_OTHER_DATABASES = frozenset(chain(*URL_VARIABLES.values(), ["LISTEN_URL"]))


@dataclass
class Database:
    """A server that answers.

    durable: read back from its settings, None where the login may not see them.
    keep: its databases outlive the run, nothing is dropped.
    """

    kind: DatabaseKind
    server: Server
    version: str
    durable: bool | None
    keep: bool

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def is_ours(self) -> bool:
        return self.server.is_ours

    @property
    def pid(self) -> int | None:
        return self.server.pid

    @property
    def alive(self) -> bool:
        return self.server.alive

    async def kill(self) -> None:
        await self.server.kill()

    async def start(self) -> None:
        await self.server.start()

    async def create_database(self, name: str) -> None:
        """Empty, unless the server keeps its databases and has it already."""
        if self.kind == "postgresql":
            await postgresql.create_database(self.url, name, keep=self.keep)
        elif not self.keep:
            await mongodb.drop_database(self.url, name)


class Databases:
    def __init__(self, folder: RunFolder, servers: Iterable[Database]) -> None:
        self.folder = folder
        self._by_kind = {database.kind: database for database in servers}

    def __getitem__(self, kind: DatabaseKind) -> Database:
        return self._by_kind[kind]

    def __iter__(self) -> Iterator[Database]:
        return iter(self._by_kind.values())

    def of(self, service: Service) -> Database:
        return self._by_kind[service.database]

    async def create_for(self, service: Service) -> None:
        await self.of(service).create_database(database_name(service))

    def url_for(self, service: Service) -> dict[str, str]:
        """The environment variable by which the service finds its own database."""
        url = with_database(self.of(service).url, database_name(service))
        return {URL_VARIABLES[service.database][0]: url}


def users_environment() -> dict[str, str]:
    """Without what points to databases: a service of the stand knows only its own."""
    return {name: value for name, value in os.environ.items() if name not in _OF_OTHER_DATABASES}


def database_name(service: Service) -> str:
    return f"assay_{service.name}"


@asynccontextmanager
async def open_databases(
    kinds: Iterable[DatabaseKind], options: StandOptions, progress: Progress = silent
) -> AsyncIterator[Databases]:
    """Start the servers in parallel; stop them and remove the run's folder at the end, however it comes."""
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(open_folder())
        if options.data is not None:
            # The servers run in the run's folder, where a relative path would mean another place.
            data = _made(options.data)
            options = replace(options, data=data)
            stack.enter_context(exclusive(data))
        started = await all_or_none(
            _open(kind, folder, options, progress, stack) for kind in dict.fromkeys(kinds)
        )
        yield Databases(folder, started)


async def _open(
    kind: DatabaseKind, folder: RunFolder, options: StandOptions, progress: Progress, stack: AsyncExitStack
) -> Database:
    with reported(progress, kind):
        given = _given(kind)
        if given is not None:
            server: Server = GivenServer(kind, given)
        elif options.docker:
            server = await _in_docker(kind, options, stack)
        elif kind == "postgresql":
            server = await postgresql.start_postgres(folder, options)
        else:
            server = await mongodb.start_mongod(folder, options)
        inspect = postgresql.inspect if kind == "postgresql" else mongodb.inspect
        version, durable = await inspect(server.url)
        keep = given is not None or (options.data is not None and not options.docker)
        return Database(kind, server, version, durable, keep)


async def _in_docker(kind: DatabaseKind, options: StandOptions, stack: AsyncExitStack) -> Server:
    # Takes half a second to import, which runs without Docker need not spend.
    from assay.stand.containers import DockerServer

    server = DockerServer(kind, durable=options.durable)
    stack.push_async_callback(server.remove)
    await server.create()
    return server


def _given(kind: DatabaseKind) -> str | None:
    for variable in URL_VARIABLES[kind]:
        value = os.environ.get(variable)
        if value:
            return postgresql_url(value) if kind == "postgresql" else mongodb_url(value)
    return None


def _made(data: Path) -> Path:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StandError(f"--data {data} cannot be used as a folder: {error.strerror}.") from None
    return data.resolve()
