"""Whether a cost that somebody put there is blamed on the part where it is."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from assay.measure import campaign, dataset
from assay.measure.attribution import blame, splits, waiting
from assay.measure.campaign import Contestant
from assay.measure.dataset import Rows
from assay.measure.pinning import pin
from assay.measure.rounds import Arm as LoadArm
from assay.measure.rounds import Plan
from assay.measure.scenarios import SCENARIOS, Target
from assay.report.figures import Split
from assay.report.model import Arm
from assay.stand import RunningService, Stand, StandOptions, open_stand
from shared.registry import services

Tell = Callable[[str, str, str], None]

pytestmark = pytest.mark.slow

INJECTED = Path(__file__).with_name("injected.py")
SCENARIO = next(scenario for scenario in SCENARIOS if scenario.name == "users.get")
FLOORS = ("bare", "floor-http", "floor-asyncpg")
USERS = 2_000
SHARE = 0.1
WAIT_MS = 2.0
WAITING_SECONDS = 20.0
PLAN = Plan(rounds=80, seconds=50, precision=0.02, slices=1, slice_seconds=0.1, sample_every=7)
SHORT = Plan(rounds=20, seconds=5, slices=1, slice_seconds=0.1, sample_every=7)
# what reads users in this schema computes for each of them, and only the database knows of it
HEAVY = """
CREATE SCHEMA heavy;
CREATE FUNCTION heavy.compute(uuid) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM count(*) FROM generate_series(1, 500);
    RETURN true;
END
$$;
CREATE VIEW heavy.users AS SELECT * FROM public.users WHERE heavy.compute(id);
"""


class Stage:
    """One database of asyncpg's, and arms on it with a fault or with none."""

    def __init__(self, stand: Stand, rows: Rows) -> None:
        self._stand = stand
        self._rows = rows
        self._running: list[RunningService] = []
        self.url = stand.databases.url_for(services("asyncpg")[0])["DATABASE_URL"]

    async def injected(self, name: str, mode: str, value: float, url: str | None = None) -> Contestant:
        command = [sys.executable, str(INJECTED), "asyncpg", mode, str(value), "serve"]
        return await self._start(name, command, url or self.url, is_floor=False)

    async def floor(self, name: str) -> Contestant:
        command = [sys.executable, "-m", "assay.measure.floors", name]
        return await self._start(name, command, self.url, is_floor=True)

    async def _start(self, name: str, command: list[str], url: str, *, is_floor: bool) -> Contestant:
        running = await self._stand.start_process(name, command, {"DATABASE_URL": url})
        self._running.append(running)
        pin([one.pid for one in self._running], [])
        address = urlsplit(running.url)
        assert address.hostname is not None
        assert address.port is not None
        database = self._stand.databases.of(services("asyncpg")[0])
        load = LoadArm(name, address.hostname, address.port, running.pid, database.pid)
        return Contestant(name, load, Target(address.netloc, self._rows, 0), is_floor)


@pytest.fixture(scope="module")
async def found() -> AsyncIterator[Mapping[str, Split]]:
    """The splits of a clean arm and of three with a fault each, from one measurement."""
    affinity = os.sched_getaffinity(0)
    async with open_stand(services("asyncpg"), StandOptions()) as stand:
        rows = await dataset.seed(stand.services["asyncpg"].url, lambda: None, users=USERS, documents=0)
        stage = Stage(stand, rows)
        yield await _splits(stage)
    os.sched_setaffinity(0, affinity)


async def _splits(stage: Stage) -> Mapping[str, Split]:
    connection = await asyncpg.connect(stage.url)
    await connection.execute(HEAVY)
    await connection.close()
    clean = await stage.injected("clean", "cpu", 0)
    alone = (await campaign.run(SCENARIO, [clean], "clean", None, SHORT, lambda _number: None)).cells[0]
    assert alone.service_cpu is not None
    arms = [
        clean,
        await stage.injected("layer", "cpu", alone.service_cpu.value * SHARE),
        await stage.injected("database", "cpu", 0, f"{stage.url}?search_path=heavy,public"),
        await stage.injected("waiting", "wait", WAIT_MS),
    ]
    floors = [await stage.floor(name) for name in FLOORS]
    cells = (await campaign.run(SCENARIO, [*arms, *floors], "clean", None, PLAN, lambda _number: None)).cells
    waited = await waiting(SCENARIO, arms, WAITING_SECONDS, seed=1)
    described = [_described(one) for one in (*arms, *floors)]
    told = splits(cells, described, {(name, SCENARIO.name): us for name, us in waited.items()})
    return {split.arm: split for split in told}


def _described(one: Contestant) -> Arm:
    kind = "floor" if one.is_floor else "service"
    about = {"name": one.name, "title": one.name, "kind": kind, "backend": "asyncpg", "layer": "asyncpg"}
    return Arm.model_validate(
        {**about, "database": "postgresql", "alarms": [], "failures": [], "excluded": None}
    )


def shown(split: Split) -> str:
    parts = ("framework", "driver", "layer", "database", "waiting")
    costs = {part: getattr(split, part) for part in parts}
    return ", ".join(f"{part} {cost:.0f}" for part, cost in costs.items() if cost is not None)


async def test_the_floors_tell_the_parts_apart(found: Mapping[str, Split], tell: Tell) -> None:
    clean = found["clean"]
    tell("parts of the clean arm, µs", shown(clean), "all five")
    assert clean.joined == []
    assert None not in (clean.framework, clean.driver, clean.layer, clean.database, clean.waiting)


@pytest.mark.parametrize(
    ("part", "injected"),
    [
        ("layer", f"{SHARE:.0%} CPU in the layer"),
        ("database", "a heavy view in the database"),
        ("waiting", f"{WAIT_MS:g} ms waited in the layer"),
    ],
)
async def test_what_was_injected_is_blamed_on_its_part(
    found: Mapping[str, Split], tell: Tell, part: str, injected: str
) -> None:
    blamed = blame(found[part], found["clean"])
    tell(injected, f"{blamed}: {shown(found[part])}", part)
    assert blamed == part
