"""A scenario on real servers: equal arms get figures, an arm that answers otherwise or fails gets none."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from random import Random

import pytest

from assay.measure import campaign
from assay.measure.campaign import Campaign, Contestant, Found, Task
from assay.measure.course import run_course
from assay.measure.dataset import Rows
from assay.measure.lane import LEAST_ROUNDS
from assay.measure.rounds import Arm, Plan
from assay.measure.scenarios import SCENARIOS, Scenario, Target
from assay.report.model import Doubt
from assay.stand.ports import HOST, accepts, free_port

pytestmark = pytest.mark.measures

PLAN = Plan(rounds=8, slices=1, slice_seconds=0.03, warm_up_seconds=0.1, sample_every=3)


def requests(target: Target, _chance: Random) -> Iterator[bytes]:
    return repeat(target.get("/thing"))


SCENARIO = Scenario("thing.get", "A thing", "users.get", ("USR-3",), requests, connections=2)
WRITING = replace(SCENARIO, name="thing.put", writes=True)


@asynccontextmanager
async def serving(
    name: str, body: str, failing_every: int = 0, *, is_read: bool = True
) -> AsyncGenerator[Contestant]:
    """An arm in a process of its own; its CPU is read or not."""
    port = free_port()
    program = str(Path(__file__).with_name("fixed_arm.py"))
    command = [sys.executable, program, str(port), body, str(failing_every)]
    with subprocess.Popen(command) as process:
        try:
            async with asyncio.timeout(20):
                while not await accepts(port):
                    await asyncio.sleep(0.02)
            target = Target(f"{HOST}:{port}", Rows([], []), 0)
            arm = Arm(name, HOST, port, process.pid if is_read else None, None)
            yield Contestant(name, arm, target, is_floor=False)
        finally:
            process.terminate()


async def measured(*arms: Contestant, plan: Plan = PLAN) -> Found:
    return await campaign.run(SCENARIO, arms, arms[0].name, None, plan, lambda _number: None)


async def test_arms_that_answer_alike_get_figures_their_round_trips_and_bytes() -> None:
    async with serving("one", '{"a":1}') as one, serving("other", '{"a":1.0}') as other:
        found = await measured(one, other)
    assert [cell.missing for cell in found.cells] == [None, None]
    assert [cell.round_trips for cell in found.cells] == [2.0, 2.0]
    assert all(cell.per_second is not None for cell in found.cells)
    baseline, cell = found.cells
    assert (baseline.compared, cell.wrong) == (0, 0)
    assert cell.compared > 10
    assert cell.bytes_in is not None
    assert cell.bytes_in > 7
    assert cell.bytes_out == len(other.target.get("/thing"))
    assert cell.against_baseline is not None
    assert cell.against_baseline.verdict == "cannot tell"  # no two equal arms: the noise is unknown
    assert Doubt.TOO_FEW in cell.doubts


async def test_an_arm_that_answers_otherwise_gets_no_figure_but_counts() -> None:
    async with serving("one", '{"a":1}') as one, serving("other", '{"a":2}') as other:
        found = await measured(one, other)
    baseline, cell = found.cells
    assert baseline.missing is None
    assert cell.missing is not None
    assert f"{cell.wrong:,} of {cell.compared:,} compared answers" in cell.missing
    assert '{"a":2}' in cell.missing
    assert cell.wrong == cell.compared > 0
    assert (cell.service_cpu, cell.per_second, cell.p50_ms, cell.against_baseline) == (None,) * 4


async def test_what_is_looked_at_is_the_scenarios_to_say() -> None:
    scenario = replace(SCENARIO, look=lambda body: sorted(body))
    async with serving("one", '{"a":1}') as one, serving("other", '{"a":2}') as other:
        found = await campaign.run(scenario, [one, other], "one", None, PLAN, lambda _number: None)
    assert [cell.missing for cell in found.cells] == [None, None]


async def test_an_arm_of_which_requests_fail_gets_no_figure_and_gives_no_ratio() -> None:
    async with serving("one", "{}") as one, serving("other", "{}", failing_every=20) as other:
        found = await measured(one, other)
        turned = await measured(other, one)
    cell = found.cells[1]
    assert cell.errors > 0
    assert cell.missing is not None
    assert "× 500" in cell.missing
    assert cell.per_second is None
    assert [cell.against_baseline for cell in turned.cells] == [None, None]


async def test_without_a_process_to_read_cpu_is_missing_and_said_to_be() -> None:
    async with serving("one", "{}", is_read=False) as one:
        found = await measured(one)
    assert found.cells[0].service_cpu is None
    assert found.cells[0].per_second is not None
    assert Doubt.NO_CPU in found.cells[0].doubts
    assert Doubt.NO_CPU in found.doubts


async def test_rounds_end_once_every_ratio_is_narrow_enough() -> None:
    plan = replace(PLAN, rounds=40, least_rounds=LEAST_ROUNDS, precision=1e9)
    async with serving("one", "{}") as one, serving("other", "{}") as other:
        found = await measured(one, other, plan=plan)
        never = await measured(one, other, plan=replace(plan, rounds=18, precision=1e-9))
    assert [cell.rounds for cell in found.cells] == [LEAST_ROUNDS, LEAST_ROUNDS]
    assert [cell.rounds for cell in never.cells] == [18, 18]
    assert Doubt.WIDE not in found.doubts
    assert Doubt.WIDE in never.cells[1].doubts
    assert Doubt.WIDE not in never.cells[0].doubts


async def test_a_campaign_goes_on_where_it_ended() -> None:
    asked: list[int] = []

    def counted(target: Target, _chance: Random) -> Iterator[bytes]:
        for number in range(10**9):
            asked.append(number)
            yield target.get(f"/thing/{number}")

    plan = replace(PLAN, least_rounds=3, rounds=1_000)
    async with serving("one", "{}") as one:
        task = Task(replace(SCENARIO, requests=counted), [one], "one", None, plan)
        under_way = Campaign(task)
        await under_way.turn(0, lambda _number: None)
        first = len(asked)
        await under_way.turn(0.5, lambda _number: None)
        found = await under_way.found()
    assert len(asked) > first > 0
    assert asked == list(range(len(asked)))
    assert found.cells[0].rounds > 3


async def test_an_arm_that_dies_leaves_a_named_gap_and_the_others_their_figures() -> None:
    async with serving("one", "{}") as one, serving("twin", "{}") as twin, serving("other", "{}") as other:
        assert other.load.service_pid is not None
        pid = other.load.service_pid

        def kill(number: int) -> None:
            if number == 1:
                os.kill(pid, 9)

        arms = [one, twin, other]
        found = await campaign.run(SCENARIO, arms, "one", ("one", "twin"), PLAN, kill)
    assert [cell.arm for cell in found.cells] == ["one", "twin", "other"]
    assert [cell.missing is None for cell in found.cells] == [True, True, False]
    assert found.noise is not None
    assert "lost" in str(found.cells[2].missing)


async def test_a_course_reads_before_it_writes_and_gives_what_is_left_to_what_is_wide() -> None:
    heard: list[tuple[str, float]] = []
    narrow = replace(PLAN, rounds=1_000, least_rounds=3, precision=1e9)
    wide = replace(narrow, precision=1e-9)
    async with serving("one", "{}") as one, serving("other", "{}") as other:
        tasks = [
            Task(WRITING, [one, other], "one", None, narrow),
            Task(SCENARIO, [one, other], "one", None, wide),
            Task(replace(SCENARIO, name="thing.list"), [one, other], "one", None, narrow),
        ]
        # who stands still meanwhile comes to fewer rounds
        for seconds in (6.0, 20.0, 60.0):
            heard.clear()
            found = await run_course(tasks, seconds, lambda name, share: heard.append((name, share)))
            rounds = {name: one.cells[0].rounds for name, one in found.items()}
            if min(rounds.values()) >= LEAST_ROUNDS < rounds["thing.get"]:
                break
    assert list(found) == ["thing.put", "thing.get", "thing.list"]
    order = list(dict.fromkeys(name for name, _ in heard))
    assert order == ["thing.get", "thing.list", "thing.put"]
    assert [share for _, share in heard] == sorted(share for _, share in heard)
    assert all(0 <= share <= 1 for _, share in heard)
    assert rounds["thing.list"] == rounds["thing.put"] == LEAST_ROUNDS
    assert rounds["thing.get"] > LEAST_ROUNDS
    assert Doubt.WIDE in found["thing.get"].doubts


async def test_a_course_takes_up_every_scenario_several_times() -> None:
    heard: list[str] = []
    plan = replace(PLAN, rounds=1_000, least_rounds=6, precision=None)
    async with serving("one", "{}") as one, serving("other", "{}") as other:
        scenarios = [SCENARIO, replace(SCENARIO, name="thing.list"), WRITING]
        tasks = [Task(scenario, [one, other], "one", None, plan) for scenario in scenarios]
        found = await run_course(tasks, 3.0, lambda name, _share: heard.append(name), turns=2)
    order = [name for name, _ in itertools.groupby(heard)]
    assert order == ["thing.get", "thing.list", "thing.get", "thing.list", "thing.put"]
    assert all(one.cells[1].rounds >= 6 for one in found.values())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_arms_get_the_same_requests_but_for_ids_and_labels(scenario: Scenario) -> None:
    def first(lane: int) -> list[bytes]:
        rows = Rows(
            [f"u{number}" for number in range(10_000)], [f"d{number % 5_000}" for number in range(50_000)]
        )
        source = scenario.source(Target("host", rows, lane), seed=3)
        asked = (source() for _ in range(50))
        wires = (one if isinstance(one, bytes) else one.wire for one in asked)
        return [wire.replace(b"lane%d" % lane, b"lane") for wire in wires]

    assert first(0) == first(1)
