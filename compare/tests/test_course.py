"""All scenarios in one time; arms that are not there leave their gaps in place."""

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from random import Random

from assay.measure.campaign import Contestant, Task
from assay.measure.course import run_course
from assay.measure.dataset import Rows
from assay.measure.rounds import Arm, Plan
from assay.measure.scenarios import Scenario, Target
from assay.stand.ports import HOST, free_port


def requests(target: Target, _chance: Random) -> Iterator[bytes]:
    return repeat(target.get("/thing"))


SCENARIO = Scenario("thing.get", "A thing", "users.get", ("USR-3",), requests)


def gone(name: str) -> Contestant:
    port = free_port()
    return Contestant(
        name, Arm(name, HOST, port, None, None), Target(f"{HOST}:{port}", Rows([], []), 0), is_floor=False
    )


async def test_scenarios_whose_arms_are_all_gone_are_named_and_end_at_once() -> None:
    arms = [gone("one"), gone("twin")]
    scenarios = [SCENARIO, replace(SCENARIO, name="thing.put", writes=True)]
    tasks = [Task(scenario, arms, "one", ("one", "twin"), Plan()) for scenario in scenarios]
    began = time.monotonic()
    found = await run_course(tasks, 60.0, lambda _name, _share: None)
    assert time.monotonic() - began < 10
    assert list(found) == ["thing.get", "thing.put"]
    for one in found.values():
        assert one.noise is None
        assert [cell.arm for cell in one.cells] == ["one", "twin"]
        assert all("no connection" in str(cell.missing) for cell in one.cells)


async def test_nothing_to_measure_gives_nothing() -> None:
    assert await run_course([], 1.0, lambda _name, _share: None) == {}
