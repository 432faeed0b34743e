"""The arms of a comparison: the services, one of them entered twice (A/A), the floors, and services that run
already, given by their URL."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx2

from assay.measure.campaign import Contestant
from assay.measure.dataset import Rows
from assay.measure.rounds import Arm as LoadArm
from assay.measure.scenarios import Scenario, Target
from assay.stand import Database, RunningService, Stand, StandError
from shared.registry import Service

NO_SUCH_OPERATION = "this floor has no such operation"
COUNTS_OTHER_ROWS = "it may hold other rows than ours, and answer from a cache"
_COUNTING = frozenset({"dashboard"})
"""Scenarios whose answers depend on every row of a database."""
_HTTP_PORT = 80
_READY_PATHS = ("/readyz", "/users?limit=1")
"""A service in any language need not have the first."""


@dataclass(frozen=True)
class Entrant:
    """An arm that is up. `backend` is whose database it works on, None for none; `running` is None where it
    was given by its URL: its CPU cannot be read."""

    contestant: Contestant
    kind: Literal["service", "again", "floor", "url"]
    title: str
    layer: str
    backend: Service | None
    database: Database | None
    running: RunningService | None

    @property
    def name(self) -> str:
        return self.contestant.name

    def why_missing(self, scenario: Scenario) -> str | None:
        """Why the arm has no part in a scenario, or None where it has."""
        if self.kind == "floor" and self.name not in scenario.floors:
            return NO_SUCH_OPERATION
        if self.kind == "url" and scenario.name in _COUNTING:
            return COUNTS_OTHER_ROWS
        return None


@dataclass(frozen=True)
class _Floor:
    title: str
    layer: str
    backend: str | None
    """Whose database the floor reads; it is an arm only beside that service."""


FLOORS = {
    "bare": _Floor("Bare ASGI, no database", "uvicorn", None),
    "floor-http": _Floor("The HTTP surface, no database", "fastapi", None),
    "floor-asyncpg": _Floor("Bare ASGI and asyncpg", "asyncpg", "asyncpg"),
    "floor-motor": _Floor("Bare ASGI and Motor", "motor", "motor"),
    "asyncpg-plain": _Floor("asyncpg without the contract's extras", "asyncpg", "asyncpg"),
}
IN_COMPARISON = ("bare", "floor-http", "floor-asyncpg", "floor-motor")


class Entry:
    """Brings arms up; each gets a lane of its own in its database, so that arms never change each other's
    rows."""

    def __init__(self, stand: Stand, rows: Mapping[str, Rows]) -> None:
        self._stand = stand
        self._rows = rows
        self._lanes: dict[int, int] = {}

    def service(self, service: Service) -> Entrant:
        return self._of_service(service, self._stand.services[service.name], "service")

    async def twin(self, service: Service) -> Entrant:
        running = await self._stand.start_service(service, name=f"{service.name}-again")
        return self._of_service(service, running, "again")

    async def floor(self, name: str, services: Sequence[Service]) -> Entrant | None:
        """None where the service is missing whose database the floor reads."""
        floor = FLOORS[name]
        backend = next((service for service in services if service.name == floor.backend), None)
        if floor.backend is not None and backend is None:
            return None
        environment = {} if backend is None else self._stand.databases.url_for(backend)
        command = [sys.executable, "-m", "assay.measure.floors", name]
        running = await self._stand.start_process(name, command, environment)
        rows = self._rows[(backend or services[0]).name]
        database = None if backend is None else self._stand.databases.of(backend)
        contestant = self._contestant(name, running.url, rows, running, database, is_floor=True)
        return Entrant(contestant, "floor", floor.title, floor.layer, backend, database, running)

    def by_url(self, name: str, url: str, rows: Rows) -> Entrant:
        """A service of anybody's, seeded already with `rows`."""
        contestant = self._contestant(name, url, rows)
        return Entrant(contestant, "url", f"{name} at {url}", name, None, None, None)

    def _of_service(
        self, service: Service, running: RunningService, kind: Literal["service", "again"]
    ) -> Entrant:
        database = self._stand.databases.of(service)
        contestant = self._contestant(running.name, running.url, self._rows[service.name], running, database)
        title = service.title if kind == "service" else f"{service.title}, entered twice"
        return Entrant(contestant, kind, title, service.layer, service, database, running)

    def _contestant(
        self,
        name: str,
        url: str,
        rows: Rows,
        running: RunningService | None = None,
        database: Database | None = None,
        *,
        is_floor: bool = False,
    ) -> Contestant:
        address = urlsplit(url)
        assert address.hostname is not None
        lane = self._lanes[id(rows)] = self._lanes.get(id(rows), -1) + 1
        load = LoadArm(
            name,
            address.hostname,
            address.port or _HTTP_PORT,
            None if running is None else running.pid,
            None if database is None else database.pid,
        )
        target = Target(address.netloc, rows, lane, prefix=address.path)
        return Contestant(name, load, target, is_floor)


async def reach(name: str, url: str) -> None:
    """StandError where nobody answers there, or nobody who knows the contract."""
    seen: list[str] = []
    async with httpx2.AsyncClient(base_url=url, timeout=5, trust_env=False) as client:
        for path in _READY_PATHS:
            try:
                answer = await client.get(path)
            except httpx2.TransportError as error:
                raise StandError(
                    f"--api-url {name}: nobody answers at {url}: start the service, or correct the URL."
                ) from error
            if answer.status_code == httpx2.codes.OK:
                return
            seen.append(f"{answer.status_code} to GET {path}")
    raise StandError(f"--api-url {name}: {url} is not ready: it answered {' and '.join(seen)}.")
