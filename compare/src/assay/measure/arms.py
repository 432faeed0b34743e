"""The arms of a comparison: the services, one of them entered twice (A/A), and the floors."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from assay.measure.campaign import Contestant
from assay.measure.dataset import Rows
from assay.measure.rounds import Arm as LoadArm
from assay.measure.scenarios import Scenario, Target
from assay.stand import Database, RunningService, Stand
from shared.registry import Service

NO_SUCH_OPERATION = "this floor has no such operation"


@dataclass(frozen=True)
class Entrant:
    """An arm that is up. `backend` is whose database it works on, None for none."""

    contestant: Contestant
    kind: Literal["service", "again", "floor"]
    title: str
    layer: str
    backend: Service | None
    database: Database | None
    running: RunningService

    @property
    def name(self) -> str:
        return self.contestant.name

    def answers(self, scenario: Scenario) -> bool:
        return self.kind != "floor" or self.name in scenario.floors


@dataclass(frozen=True)
class _Floor:
    title: str
    layer: str
    backend: str | None
    """Whose database the floor reads; it is an arm only beside that service."""


FLOORS = {
    "floor-http": _Floor("The HTTP surface, no database", "fastapi", None),
    "floor-asyncpg": _Floor("Bare ASGI and asyncpg", "asyncpg", "asyncpg"),
    "floor-motor": _Floor("Bare ASGI and Motor", "motor", "motor"),
    "asyncpg-plain": _Floor("asyncpg without the contract's extras", "asyncpg", "asyncpg"),
}
IN_COMPARISON = ("floor-http", "floor-asyncpg", "floor-motor")


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
        contestant = self._contestant(running, rows, database, is_floor=True)
        return Entrant(contestant, "floor", floor.title, floor.layer, backend, database, running)

    def _of_service(
        self, service: Service, running: RunningService, kind: Literal["service", "again"]
    ) -> Entrant:
        database = self._stand.databases.of(service)
        contestant = self._contestant(running, self._rows[service.name], database, is_floor=False)
        title = service.title if kind == "service" else f"{service.title}, entered twice"
        return Entrant(contestant, kind, title, service.layer, service, database, running)

    def _contestant(
        self, running: RunningService, rows: Rows, database: Database | None, *, is_floor: bool
    ) -> Contestant:
        address = urlsplit(running.url)
        assert address.hostname is not None
        assert address.port is not None
        lane = self._lanes[id(rows)] = self._lanes.get(id(rows), -1) + 1
        load = LoadArm(
            running.name,
            address.hostname,
            address.port,
            running.pid,
            None if database is None else database.pid,
        )
        return Contestant(running.name, load, Target(address.netloc, rows, lane), is_floor)
