"""Before anything is measured: the proof of equal work, equal rows, and the arms."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import asyncpg

from assay.commands.contract import Proof, kept, prove
from assay.commands.options import Options
from assay.measure import dataset
from assay.measure.arms import IN_COMPARISON, Entrant, Entry, reach
from assay.measure.dataset import Rows
from assay.measure.pinning import pin
from assay.measure.workload import Sizes
from assay.progress import Steps
from assay.report.model import Arm, Failure
from assay.stand import DatabaseKind, Stand, StandError
from shared.registry import Service


class Entering:
    def __init__(self, options: Options, stand: Stand, steps: Steps) -> None:
        self._options = options
        self._stand = stand
        self._steps = steps
        self.sizes = Sizes() if options.workload is None else options.workload.rows

    async def prove(self) -> Proof:
        for name, url in self._options.urls.items():
            await reach(name, url)
        urls = {name: running.url for name, running in self._stand.services.items()}
        with self._steps.step("equal work: the quick part of the contract"):
            return await prove({**urls, **self._options.urls}, self._stand.folder, self._options.output)

    async def seed(self, services: Sequence[Service], urls: Sequence[str]) -> dict[str, Rows]:
        """Every arm of ours starts from an empty database, whatever the contract left in it. By name."""
        with self._steps.step("fresh databases"):
            await self._stand.stop_services()
            await asyncio.gather(*(self._stand.open(service) for service in services))
        targets = {service.name: self._stand.services[service.name].url for service in services}
        targets |= {name: self._options.urls[name] for name in urls}
        sizes = self.sizes
        step = f"seed {sizes.users:,} users and {sizes.documents:,} documents for each"
        batches = dataset.batches(sizes.documents, users=sizes.users, content_bytes=sizes.content_bytes)
        with self._steps.step(step, batches * len(targets)) as advance:
            store = partial(
                dataset.seed,
                on_batch=advance,
                users=sizes.users,
                documents=sizes.documents,
                content_bytes=sizes.content_bytes,
            )
            seeded = await asyncio.gather(*(store(url) for url in targets.values()))
            for service in services:
                await self._settle(service)
        with self._steps.step("fresh processes"):
            # the twin of the baseline has seeded nothing: all begin as it does
            await self._stand.stop_services()
            await asyncio.gather(*(self._stand.start_service(service) for service in services))
        return dict(zip(targets, seeded, strict=True))

    async def _settle(self, service: Service) -> None:
        """Fresh statistics for PostgreSQL's planner now, and not at a time of its own amid a slice."""
        if service.database == "postgresql":
            conn = await asyncpg.connect(self._stand.databases.url_for(service)["DATABASE_URL"], timeout=5)
            try:
                await conn.execute("VACUUM ANALYZE")
            finally:
                await conn.close(timeout=5)

    async def enter(self, services: Sequence[Service], rows: Mapping[str, Rows]) -> list[Entrant]:
        """The services, the twin of the baseline, those by URL, the floors."""
        entry = Entry(self._stand, rows)
        entrants = [entry.service(service) for service in services]
        twin = next((one for one in services if one.name == self._options.baseline), services[0])
        with self._steps.step("twin and floors"):
            entrants.append(await entry.twin(twin))
            entrants += [
                entry.by_url(name, url, rows[name])
                for name, url in self._options.urls.items()
                if name in rows
            ]
            floors = [await entry.floor(name, services) for name in IN_COMPARISON]
        entrants += [floor for floor in floors if floor is not None]
        pin(*processes(entrants))
        return entrants


def processes(entrants: Sequence[Entrant]) -> tuple[list[int], list[int]]:
    """Ids of the services' processes and of the databases', as far as they run here."""
    databases = {one.database.pid for one in entrants if one.database is not None}
    services = [one.running.pid for one in entrants if one.running is not None and one.running.alive]
    return services, [pid for pid in databases if pid is not None]


def fit_services(options: Options, proof: Proof, folder: Path) -> list[Service]:
    """Those that keep the contract. StandError where none does; what the suite said in `folder` is kept."""
    fit = [service for service in options.services if not proof.failures.get(service.name)]
    if not fit:
        raise StandError(f"no backend keeps the contract; see {kept(folder, options.output)}.")
    return fit


def described(entrants: Sequence[Entrant], alarms: Mapping[str, Sequence[str]]) -> list[Arm]:
    return [
        Arm(
            name=entrant.name,
            title=entrant.title,
            kind=entrant.kind,
            backend=None if entrant.backend is None else entrant.backend.name,
            layer=entrant.layer,
            database=None if entrant.database is None else entrant.database.kind,
            alarms=[*alarms.get(entrant.name, ())],
            failures=[],
            excluded=None,
        )
        for entrant in entrants
    ]


def excluded(options: Options, proof: Proof) -> list[Arm]:
    """The arms that failed the contract, with what failed."""
    arms: list[tuple[str, str, str | None, str, DatabaseKind | None]] = [
        (service.name, service.title, service.name, service.layer, service.database)
        for service in options.services
    ]
    arms += [(name, f"{name} at {url}", None, name, None) for name, url in options.urls.items()]
    return [
        Arm(
            name=name,
            title=title,
            kind="service" if backend else "url",
            backend=backend,
            layer=layer,
            database=database,
            alarms=[],
            failures=[
                Failure(test=test, clauses=clauses, message="")
                for test, clauses in proof.failures[name].items()
            ],
            excluded=f"{len(proof.failures[name])} tests of the contract failed",
        )
        for name, title, backend, layer, database in arms
        if proof.failures.get(name)
    ]
