"""The parity manifest: what must be equal between arms, read while they run, and who differs in it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice, repeat
from urllib.parse import urlsplit

import httpx2

from assay.judge.at_database import Ask, View, open_view
from assay.judge.processes import ports_to, read_process
from assay.measure.arms import Entrant
from assay.measure.connection import Asked
from assay.measure.scenarios import Scenario
from assay.report.model import Property
from assay.stand import database_name
from assay.stand.urls import with_database

DECLARED: Mapping[str, str] = {
    "layer": "it is what is compared",
    "database": "each layer works on the database that it is made for",
    "PostgreSQL bytes": "free space in tables follows from the order of the writes",
    "MongoDB bytes": "free space in collections follows from the order of the writes",
}
"""Why arms may differ in a property; in any other they may not. One that belongs to a kind of database has
its name in front, and arms on another kind do not have it."""

AT_ONCE = 24
"""Requests that are sent at once to see how many the arm lets through to its database: more than a pool."""
UNREADABLE = "it runs elsewhere: its process and its database cannot be read from here"

_SCAN = "/documents?where=assay-parity.absent:eq:1&limit=1"
"""Finds nothing and reads every document."""
_SEED = 1
_STALE = '"999999999"'
_PORTS = {"postgresql": 5432, "mongodb": 27017}
_KINDS = {"postgresql": "PostgreSQL", "mongodb": "MongoDB"}
_LOOKS, _LOOK_SECONDS = 40, 0.02
"""Less than a second: nobody's patience with the database ends meanwhile."""
_STEADY = 10
"""Looks in a row that saw the same statements: what may yet come to the database has come by then."""

Reading = Mapping[str, str | None]


@dataclass(frozen=True)
class Parity:
    """`alarms` by arm, each one line; an arm without any is equal in all that is not declared."""

    properties: list[Property]
    alarms: dict[str, list[str]]


async def read_parity(entrants: Sequence[Entrant], scenarios: Sequence[Scenario]) -> Parity:
    """Takes some 30 s, for PostgreSQL's statistics of what was read by which index come with a delay; some
    5 s without scenarios, and then without plans. Nothing is written."""
    readings: dict[str, Reading] = {entrant.name: {} for entrant in entrants}
    for found in await asyncio.gather(*(_plans(arms, scenarios) for arms in _by_database(entrants))):
        readings |= found
    for entrant in entrants:
        if entrant.running is not None:
            readings[entrant.name] = {**await _read(entrant), **readings[entrant.name]}
    parity = parity_of(readings)
    unread = {entrant.name: [UNREADABLE] for entrant in entrants if entrant.running is None}
    return replace(parity, alarms=parity.alarms | unread)


def parity_of(readings: Mapping[str, Reading]) -> Parity:
    """Alarms the arms that differ from what most have; of two that differ, the later one.

    >>> parity_of({"a": {"python": "3.11"}, "b": {"python": "3.14"}, "c": {"python": "3.11"}}).alarms
    {'a': [], 'b': ['python: 3.14, the others have 3.11'], 'c': []}
    """
    names = dict.fromkeys(name for reading in readings.values() for name in reading)
    alarms: dict[str, list[str]] = {arm: [] for arm in readings}
    properties = []
    for name in names:
        values = {arm: reading.get(name) for arm, reading in readings.items()}
        known = {arm: value for arm, value in values.items() if value is not None}
        differs = len(set(known.values())) > 1
        declared = DECLARED.get(name)
        properties.append(Property(name=name, values=values, declared=declared, differs=differs))
        if differs and declared is None:
            _alarm(alarms, name, known)
    return Parity(properties, alarms)


def _alarm(alarms: Mapping[str, list[str]], name: str, known: Mapping[str, str]) -> None:
    (usual, _), *_ = Counter(known.values()).most_common(1)
    for arm, value in known.items():
        if value != usual:
            alarms[arm].append(f"{name}: {value}, the others have {usual}")


async def _read(entrant: Entrant) -> Reading:
    assert entrant.running is not None
    found: dict[str, str | None] = {**await read_process(entrant.running.pid, entrant.layer)}
    if entrant.database is None or entrant.backend is None:
        return found
    found["database"] = _KINDS[entrant.database.kind]
    async with _view(entrant) as view:
        found |= await view.manifest()
        if entrant.kind != "floor":
            found |= await _under_load(entrant, view)
            found |= await view.statements(_ports(entrant), _asking(entrant, repeat(_one_user(entrant))))
            found |= await view.written(_stale_write(entrant))
    return found


def _by_database(entrants: Sequence[Entrant]) -> list[list[Entrant]]:
    found: dict[str, list[Entrant]] = {}
    for entrant in entrants:
        if entrant.backend is not None and entrant.kind != "floor":
            found.setdefault(entrant.backend.name, []).append(entrant)
    return list(found.values())


async def _plans(arms: Sequence[Entrant], scenarios: Sequence[Scenario]) -> dict[str, Reading]:
    """Of the scenarios that change nothing. One arm of a database after the other: its statistics do not tell
    them apart."""
    reading = [scenario for scenario in scenarios if not scenario.writes]
    return {entrant.name: await _plans_of(entrant, reading) for entrant in arms if reading}


async def _plans_of(entrant: Entrant, scenarios: Sequence[Scenario]) -> Reading:
    assert entrant.database is not None
    found: dict[str, str | None] = {}
    async with _view(entrant) as view:
        ports = _ports(entrant)
        await view.settle(ports, _asking(entrant, repeat(_one_user(entrant))))
        for scenario in scenarios:
            name = f"{_KINDS[entrant.database.kind]} plan of {scenario.name}"
            found[name] = await view.plan(ports, _asking(entrant, _paths(entrant, scenario)))
    return found


async def _under_load(entrant: Entrant, view: View) -> Reading:
    """Connections, those that a driver watches the server by among them, and how many statements it works on
    at once: both None where the arm's sessions cannot be told, or were gone before they could be counted."""
    assert entrant.database is not None
    ports, looks = _ports(entrant), list[frozenset[int]]()
    async with _client(entrant) as client:
        async with view.held_up():
            burst = [asyncio.ensure_future(client.get(_SCAN)) for _ in range(AT_ONCE)]
            for _ in range(_LOOKS):
                await asyncio.sleep(_LOOK_SECONDS)
                ports |= _ports(entrant)
                looks.append(await view.active(ports))
        await asyncio.gather(*burst)
    most = steadily(looks)
    return {
        # a pool opens as many as it has use for
        f"{_KINDS[entrant.database.kind]} connections": None if most is None else str(len(ports)),
        "statements at once": None if most is None else str(most),
    }


def steadily(looks: Sequence[Set[int]]) -> int | None:
    """The most statements that stayed together through enough looks; None where none did.

    >>> steadily([{1, 2}] * 9 + [{1, 2, 3}] * 10), steadily([{1, 2}, {2, 3}] * 20)
    (3, None)
    """
    windows = (looks[start : start + _STEADY] for start in range(len(looks) - _STEADY + 1))
    return max(
        (len(seen[0]) for seen in windows if seen[0] and all(one == seen[0] for one in seen)), default=None
    )


def _asking(entrant: Entrant, paths: Iterator[str]) -> Ask:
    async def ask(count: int) -> None:
        async with _client(entrant) as client:
            for path in islice(paths, count):
                (await client.get(path)).raise_for_status()

    return ask


def _one_user(entrant: Entrant) -> str:
    return f"/users/{entrant.contestant.target.rows.users[0]}"


def _paths(entrant: Entrant, scenario: Scenario) -> Iterator[str]:
    source = scenario.source(entrant.contestant.target, _SEED)
    while True:
        asked = source()
        wire = asked.wire if isinstance(asked, Asked) else asked
        yield wire.split(b" ", 2)[1].decode()


def _stale_write(entrant: Entrant) -> Ask:
    """A write under a version that the row does not have: the database is asked, and nothing changes."""

    async def ask(count: int) -> None:
        async with _client(entrant) as client:
            for _ in range(count):
                await client.patch(_one_user(entrant), json={"name": "Stale"}, headers={"if-match": _STALE})

    return ask


def _client(entrant: Entrant) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=AT_ONCE)
    return httpx2.AsyncClient(base_url=entrant.contestant.url, limits=limits, timeout=60, trust_env=False)


@asynccontextmanager
async def _view(entrant: Entrant) -> AsyncIterator[View]:
    assert entrant.database is not None
    assert entrant.backend is not None
    assert entrant.running is not None
    url = with_database(entrant.database.url, database_name(entrant.backend))
    # the servers that the stand starts log beside the arms
    log = entrant.running.log.with_name("postgresql.log")
    async with open_view(entrant.database, url, log) as view:
        yield view


def _ports(entrant: Entrant) -> set[int]:
    assert entrant.database is not None
    assert entrant.running is not None
    port = urlsplit(entrant.database.url).port or _PORTS[entrant.database.kind]
    return ports_to(entrant.running.pid, port)
