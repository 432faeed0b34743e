"""Databases and services of one run, each service a process of its own on its own port."""

import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from assay.stand.databases import Databases, open_databases, users_environment
from assay.stand.options import Progress, StandOptions, reported, silent
from assay.stand.parallel import all_in_any_case, all_or_none
from assay.stand.ports import HOST, on_free_port
from assay.stand.process import Child
from shared.registry import Service

_MIGRATE_SECONDS = 60.0
_READY_SECONDS = 30.0


@dataclass(frozen=True)
class RunningService:
    """A process that answered `GET /readyz` with 200; url without a slash at the end."""

    name: str
    url: str
    child: Child

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def log(self) -> Path:
        return self.child.log

    @property
    def alive(self) -> bool:
        return self.child.alive

    async def stop(self) -> None:
        await self.child.stop()


class Stand:
    """services: those that were started, by name."""

    def __init__(self, databases: Databases, progress: Progress) -> None:
        self.databases = databases
        self.services: dict[str, RunningService] = {}
        self._progress = progress

    @property
    def folder(self) -> Path:
        return self.databases.folder.path

    async def start_service(
        self, service: Service, *, name: str | None = None, environment: Mapping[str, str] | None = None
    ) -> RunningService:
        """A process of the backend on its migrated database; under another name beside the first one."""
        command = [sys.executable, "-m", service.module, "serve", "--host", HOST]
        files = {"FILES_URL": (self.folder / "files").as_uri()}
        variables = {**files, **self.databases.url_for(service), **(environment or {})}
        return await self.start_process(name or service.name, command, variables)

    async def start_process(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, probe: str = "/readyz"
    ) -> RunningService:
        """Any HTTP server that takes `--port N`, and answers `probe` with 200 when it is ready."""

        async def start(port: int) -> RunningService:
            child = self.databases.folder.spawn(
                name, [*command, "--port", str(port)], users_environment() | dict(environment)
            )
            running = RunningService(name, f"http://{HOST}:{port}", child)
            async with httpx2.AsyncClient(base_url=running.url, timeout=5, trust_env=False) as client:
                await child.ready(port, lambda: _is_ready(client, probe), _READY_SECONDS)
            return running

        with reported(self._progress, f"start {name}"):
            self.services[name] = await on_free_port(start)
        return self.services[name]

    async def open(self, service: Service, *, serving: bool = True) -> None:
        """Database, migration, and the process if it is to serve."""
        await self.databases.create_for(service)
        with reported(self._progress, f"migrate {service.name}"):
            await self._migrate(service)
        if serving:
            await self.start_service(service)

    async def stop_services(self) -> None:
        await all_in_any_case(service.stop() for service in self.services.values())

    async def _migrate(self, service: Service) -> None:
        command = [sys.executable, "-m", service.module, "migrate"]
        environment = users_environment() | self.databases.url_for(service)
        child = self.databases.folder.spawn(f"{service.name}-migrate", command, environment)
        await child.succeed(_MIGRATE_SECONDS)


@asynccontextmanager
async def open_stand(
    services: Iterable[Service], options: StandOptions, progress: Progress = silent, *, serving: bool = True
) -> AsyncIterator[Stand]:
    """Everything is up inside, nothing is left outside. Not `serving`: migrated databases, no service yet."""
    wanted = list(services)
    async with open_databases([service.database for service in wanted], options, progress) as databases:
        stand = Stand(databases, progress)
        try:
            await all_or_none(stand.open(service, serving=serving) for service in wanted)
            yield stand
        finally:
            await stand.stop_services()


async def _is_ready(client: httpx2.AsyncClient, probe: str) -> bool:
    try:
        answer = await client.get(probe)
    except httpx2.TransportError:
        return False
    return answer.status_code == 200
