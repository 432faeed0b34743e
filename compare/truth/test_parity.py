"""An arm that is not set up like the others is named; arms that are, are not."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from assay.judge.parity import Parity, read_parity
from assay.measure import dataset
from assay.measure.arms import Entrant, Entry
from assay.measure.scenarios import SCENARIOS
from assay.stand import RunningService, Stand, StandOptions, open_stand
from assay.stand.ports import HOST
from shared.registry import Service, services

pytestmark = pytest.mark.slow

BACKENDS = ("asyncpg", "motor", "sqlalchemy", "tortoise")
_UNCACHED = """
import runpy, asyncpg.connection
asyncpg.connection.connect.__kwdefaults__["statement_cache_size"] = 0
runpy.run_module("asyncpg_service", run_name="__main__")
"""
Tell = Callable[[str, str, str], None]


@pytest_asyncio.fixture(scope="module")
async def stand() -> AsyncIterator[Stand]:
    async with open_stand(services(*BACKENDS), StandOptions(durable=False)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module")
async def entry(stand: Stand) -> Entry:
    urls = {name: running.url for name, running in stand.services.items()}
    seeded = await asyncio.gather(*(dataset.seed(url, lambda: None) for url in urls.values()))
    for service in services(*BACKENDS):
        if service.database == "postgresql":
            conn = await asyncpg.connect(stand.databases.url_for(service)["DATABASE_URL"])
            await conn.execute("VACUUM ANALYZE")
            await conn.close()
    return Entry(stand, dict(zip(urls, seeded, strict=True)))


@pytest.fixture(scope="module")
def equal(entry: Entry) -> list[Entrant]:
    return [entry.service(service) for service in services(*BACKENDS)]


def other(entrant: Entrant, running: RunningService) -> Entrant:
    """The arm of another process on the same database."""
    address = urlsplit(running.url)
    assert address.hostname is not None
    assert address.port is not None
    load = replace(
        entrant.contestant.load,
        name=running.name,
        host=address.hostname,
        port=address.port,
        service_pid=running.pid,
    )
    target = replace(entrant.contestant.target, host=address.netloc)
    contestant = replace(entrant.contestant, name=running.name, load=load, target=target)
    return replace(entrant, contestant=contestant, kind="again", running=running)


def named(parity: Parity, arm: str) -> set[str]:
    return {alarm.partition(":")[0] for alarm in parity.alarms[arm]}


def alarms(parity: Parity) -> Mapping[str, Sequence[str]]:
    return {arm: found for arm, found in parity.alarms.items() if found}


async def test_equal_arms_raise_no_alarm(entry: Entry, equal: list[Entrant], tell: Tell) -> None:
    (first,) = services("asyncpg")
    floors = [await entry.floor(name, services(*BACKENDS)) for name in ("floor-http", "floor-motor")]
    arms = [*equal, await entry.twin(first), *(floor for floor in floors if floor is not None)]
    parity = await read_parity(arms, SCENARIOS)
    found = alarms(parity)
    tell("parity of equal arms", f"alarms: {dict(found) or 'none'}", "none")
    assert not found
    known = {one.name: {value for value in one.values.values() if value} for one in parity.properties}
    assert known["statements at once"] == {"10"}
    assert known["PostgreSQL statements"] == {"stay prepared"}
    assert known["MongoDB write concern"] == {"w=majority, j=True"}
    assert known["PostgreSQL plan of users.get"] == {"users (id)"}
    assert known["MongoDB plan of users.get"] == {"users: IDHACK"}


@pytest.mark.parametrize("backend", BACKENDS)
async def test_another_pool_size_is_an_alarm(
    stand: Stand, equal: list[Entrant], tell: Tell, backend: str
) -> None:
    (service,) = services(backend)
    of = next(entrant for entrant in equal if entrant.name == backend)
    running = await stand.start_service(service, name=f"{backend}-4", environment={"POOL_SIZE": "4"})
    try:
        parity = await read_parity([*equal, other(of, running)], ())
    finally:
        await running.stop()
    found = named(parity, running.name)
    tell(f"a pool of 4 in {backend}", ", ".join(sorted(found)) or "no alarm", "alarmed, and nobody else")
    assert "statements at once" in found
    assert list(alarms(parity)) == [running.name], alarms(parity)


async def test_a_second_worker_is_an_alarm(stand: Stand, equal: list[Entrant], tell: Tell) -> None:
    (service,) = services("asyncpg")
    running = await two_workers(stand, service)
    try:
        parity = await read_parity([*equal, other(equal[0], running)], ())
    finally:
        await running.stop()
    found = named(parity, running.name)
    tell("a second worker in asyncpg", ", ".join(sorted(found)) or "no alarm", "alarmed, and nobody else")
    assert {"processes", "PostgreSQL connections"} <= found
    assert list(alarms(parity)) == [running.name], alarms(parity)


async def test_statements_that_are_not_kept_are_an_alarm(
    stand: Stand, equal: list[Entrant], tell: Tell
) -> None:
    (service,) = services("asyncpg")
    command = [sys.executable, "-c", _UNCACHED, "serve", "--host", HOST]
    running = await stand.start_process("asyncpg-uncached", command, variables(stand, service))
    try:
        parity = await read_parity([*equal, other(equal[0], running)], ())
    finally:
        await running.stop()
    found = named(parity, running.name)
    tell("no statement cache in asyncpg", ", ".join(sorted(found)) or "no alarm", "alarmed, and nobody else")
    assert "PostgreSQL statements" in found
    assert list(alarms(parity)) == [running.name], alarms(parity)


async def two_workers(stand: Stand, service: Service) -> RunningService:
    command = [sys.executable, "-m", "uvicorn", f"{service.module}.app:app", "--workers", "2"]
    return await stand.start_process("asyncpg-two", [*command, "--host", HOST], variables(stand, service))


def variables(stand: Stand, service: Service) -> dict[str, str]:
    return {**stand.databases.url_for(service), "FILES_URL": (stand.folder / "files").as_uri()}
