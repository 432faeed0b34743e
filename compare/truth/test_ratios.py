"""Whether ratios tell what is there and nothing else: on services with a known fault, and with none."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from assay.measure import campaign, dataset
from assay.measure.campaign import Contestant, Found
from assay.measure.dataset import Rows
from assay.measure.pinning import pin
from assay.measure.rounds import Arm, Plan
from assay.measure.scenarios import SCENARIOS, Target
from assay.report.model import Cell
from assay.stand import RunningService, Stand, StandOptions, open_stand
from shared.registry import services

Tell = Callable[[str, str, str], None]

pytestmark = pytest.mark.slow

INJECTED = Path(__file__).with_name("injected.py")
USERS = 2_000
SCENARIO = next(scenario for scenario in SCENARIOS if scenario.name == "users.get")
RUNS = 20
SHORT = Plan(
    rounds=40, seconds=5, precision=0.05, slices=1, slice_seconds=0.05, connections=16, sample_every=7
)
LONG = Plan(
    rounds=300, seconds=40, precision=0.015, slices=1, slice_seconds=0.05, connections=16, sample_every=7
)


class Stage:
    """One database of asyncpg's, and arms on it with a fault or with none."""

    def __init__(self, stand: Stand, rows: Rows) -> None:
        self._stand = stand
        self._rows = rows
        self.running: dict[str, RunningService] = {}

    async def arm(self, name: str, mode: str, value: float) -> Contestant:
        """Started once; asked for again, it is the one that runs."""
        service = services("asyncpg")[0]
        if name not in self.running:
            command = [sys.executable, str(INJECTED), "asyncpg", mode, str(value), "serve"]
            environment = {**self._stand.databases.url_for(service), "SERVER_TIMING": "1"}
            self.running[name] = await self._stand.start_process(name, command, environment)
            pin([one.pid for one in self.running.values() if one.alive], [])
        running = self.running[name]
        address = urlsplit(running.url)
        assert address.hostname is not None
        assert address.port is not None
        load = Arm(name, address.hostname, address.port, running.pid, None)
        return Contestant(name, load, Target(address.netloc, self._rows, 0), is_floor=False)

    async def clean(self) -> tuple[Contestant, Contestant]:
        return await self.arm("clean", "cpu", 0), await self.arm("again", "cpu", 0)


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    asyncpg = services("asyncpg")
    affinity = os.sched_getaffinity(0)
    async with open_stand(asyncpg, StandOptions()) as stand:
        url = stand.services["asyncpg"].url
        rows = await dataset.seed(url, lambda: None, users=USERS, documents=0)
        yield Stage(stand, rows)
    os.sched_setaffinity(0, affinity)


async def measured(
    plan: Plan, *arms: Contestant, baseline: str = "clean", on_round: Callable[[int], None] | None = None
) -> dict[str, Cell]:
    found = await compared(plan, *arms, baseline=baseline, on_round=on_round)
    return {cell.arm: cell for cell in found.cells}


async def compared(
    plan: Plan, *arms: Contestant, baseline: str = "clean", on_round: Callable[[int], None] | None = None
) -> Found:
    twins = ("clean", "again") if {"clean", "again"} <= {arm.name for arm in arms} else None
    return await campaign.run(SCENARIO, arms, baseline, twins, plan, on_round or (lambda _number: None))


async def test_two_equal_arms_have_no_winner(stage: Stage, tell: Tell) -> None:
    clean, again = await stage.clean()
    said = []
    for seed in range(RUNS):
        found = await compared(replace(SHORT, seed=seed), clean, again)
        assert found.noise is not None
        said.append(found.noise)
    winners = [one for one in said if one.verdict in ("better", "worse")]
    farthest = max(said, key=lambda one: abs(one.ratio.value - 1)).ratio
    tell("A/A: runs with a winner", f"{len(winners)} of {RUNS}; farthest {farthest.value:.3f}", "≤ 1 of 20")
    assert len(winners) <= RUNS // 20


async def slower(stage: Stage, share: float) -> Contestant:
    """An arm that burns about that share of what the clean one costs."""
    clean, again = await stage.clean()
    cost = (await measured(SHORT, clean, again))["clean"].service_cpu
    assert cost is not None
    return await stage.arm(f"slower by {share}", "cpu", cost.value * share)


async def burnt_us(arm: Contestant) -> float:
    """For each request, since the last time it was asked."""
    async with httpx2.AsyncClient(base_url=arm.url, trust_env=False) as client:
        return int((await client.get("/burnt")).content) / 1_000


async def test_a_tenth_more_cpu_is_found_and_sized(stage: Stage, tell: Tell) -> None:
    clean, again = await stage.clean()
    arm = await slower(stage, 0.1)
    await burnt_us(arm)
    cells = await measured(LONG, clean, again, arm)
    cost, found = cells["clean"].service_cpu, cells[arm.name].against_baseline
    assert cost is not None
    assert found is not None
    truth = await burnt_us(arm) / cost.value
    shown = f"{found.verdict}, +{found.ratio.value - 1:.1%} ({found.ratio.low - 1:.1%} to "
    tell(
        "10 % CPU injected",
        f"{shown}{found.ratio.high - 1:.1%}), {found.rounds} rounds",
        f"worse, +{0.7 * truth:.1%} to +{1.3 * truth:.1%}",
    )
    assert found.verdict == "worse"
    assert 0.7 * truth <= found.ratio.value - 1 <= 1.3 * truth


async def test_swapped_arms_get_the_mirrored_verdict(stage: Stage, tell: Tell) -> None:
    clean, again = await stage.clean()
    arm = await slower(stage, 0.25)
    forth = (await measured(LONG, clean, again, arm))[arm.name].against_baseline
    back = (await measured(LONG, arm, again, clean, baseline=arm.name))["clean"].against_baseline
    assert forth is not None
    assert back is not None
    product = forth.ratio.value * back.ratio.value
    tell("arms swapped", f"{forth.verdict}, then {back.verdict}; product {product:.3f}", "worse, then better")
    assert (forth.verdict, back.verdict) == ("worse", "better")
    assert product == pytest.approx(1, abs=0.05)


async def test_one_wrong_body_in_a_hundred_withholds_the_number(stage: Stage, tell: Tell) -> None:
    clean, again = await stage.clean()
    arm = await stage.arm("wrong", "wrong", 1)
    cell = (await measured(SHORT, clean, again, arm))["wrong"]
    tell("1 % wrong bodies", f"{cell.wrong} of {cell.compared} wrong: {_shown(cell)}", "no number")
    assert cell.missing is not None
    assert f"{cell.wrong:,} of {cell.compared:,} compared" in cell.missing
    assert '"version":2' in cell.missing
    assert cell.wrong > 0
    assert (cell.service_cpu, cell.per_second, cell.against_baseline) == (None, None, None)


async def test_an_arm_with_errors_is_never_ranked(stage: Stage, tell: Tell) -> None:
    clean, again = await stage.clean()
    arm = await stage.arm("failing", "fail", 5)
    cells = await measured(SHORT, clean, again, arm)
    cell = cells["failing"]
    tell("5 % errors", f"{cell.errors} of {cell.requests} failed: {_shown(cell)}", "no number")
    assert cell.missing is not None
    assert (cell.service_cpu, cell.against_baseline) == (None, None)
    assert cells["again"].against_baseline is not None
    as_baseline = await measured(SHORT, arm, clean, again, baseline="failing")
    assert all(cell.against_baseline is None for cell in as_baseline.values())


async def test_a_dead_arm_leaves_a_named_gap(stage: Stage, tell: Tell) -> None:
    clean, again = await stage.clean()
    arm = await stage.arm("dying", "cpu", 0)
    process = stage.running["dying"]

    def kill(number: int) -> None:
        if number == 2:
            os.kill(process.pid, 9)

    cells = await measured(SHORT, clean, again, arm, on_round=kill)
    tell("an arm killed in round 3", f"{list(cells)}: {_shown(cells['dying'])}", "the others have figures")
    assert cells["dying"].missing is not None
    assert cells["dying"].service_cpu is None
    assert cells["again"].against_baseline is not None


def _shown(cell: Cell) -> str:
    return "a number" if cell.missing is None else f"{cell.missing[:60]}…"
