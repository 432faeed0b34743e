"""Where the cost of a request goes: framework, driver, data layer, database, and waiting for nobody's CPU.

The floors tell the parts of a service apart. What no floor tells apart, or what noise makes impossible (a
part below zero, floors that cost more than the service on them), stays in the layer's part, which says so:
the parts of a service always come to what the service was measured to cost.
"""

import math
from collections.abc import Mapping, Sequence
from http.client import BAD_REQUEST
from statistics import median
from typing import Literal

import numpy as np

from assay.measure.campaign import Contestant
from assay.measure.rounds import ArmRound, Plan, Rounds
from assay.measure.scenarios import Scenario
from assay.report.figures import Split
from assay.report.model import Arm, Cell

Part = Literal["framework", "driver", "layer", "database", "waiting"]

BARE = "bare"
FRAMEWORK_FLOOR = "floor-http"
DRIVER_FLOORS = {"postgresql": "floor-asyncpg", "mongodb": "floor-motor"}
"""By the arm's database: all layers on PostgreSQL here ride on asyncpg."""

_PARTS: tuple[Part, ...] = ("framework", "driver", "layer", "database", "waiting")
_OF_FLOORS: tuple[Literal["framework", "driver"], ...] = ("framework", "driver")
_SLICES = 1
_SLICE_SECONDS = 0.1
_WARM_UP_SECONDS = 0.1
_LEAST_ROUNDS = 3
_MOST_ROUNDS = 1_000
_CALM = 25
"""Percentile of the rounds."""

Waiting = Mapping[tuple[str, str], float | None]
"""µs by arm and scenario."""


def splits(cells: Sequence[Cell], arms: Sequence[Arm], waiting: Waiting) -> list[Split]:
    """A part for each cell of an arm that is no floor, in the cells' order."""
    by_name = {arm.name: arm for arm in arms if arm.kind != "floor"}
    costs = {(cell.arm, cell.scenario): _service_cpu(cell) for cell in cells}
    return [_split(cell, by_name[cell.arm], costs, waiting) for cell in cells if cell.arm in by_name]


def _split(cell: Cell, arm: Arm, costs: Mapping[tuple[str, str], float | None], waiting: Waiting) -> Split:
    waits = waiting.get((cell.arm, cell.scenario))
    cost = _service_cpu(cell)
    if cost is None:
        reason = cell.missing or "its CPU cannot be read from here"
        return Split(arm=cell.arm, scenario=cell.scenario, missing=reason, waiting=waits)

    def floor(name: str | None) -> float | None:
        return None if name is None else costs.get((name, cell.scenario))

    driver_floor, bare = floor(DRIVER_FLOORS.get(arm.database or "")), floor(BARE)
    driver = None if driver_floor is None or bare is None else driver_floor - bare
    told = _possible(cost, {"framework": floor(FRAMEWORK_FLOOR), "driver": driver})
    return Split(
        arm=cell.arm,
        scenario=cell.scenario,
        missing=None,
        framework=told.get("framework"),
        driver=told.get("driver"),
        layer=cost - sum(told.values()),
        database=None if cell.database_cpu is None else cell.database_cpu.value,
        waiting=waits,
        joined=[part for part in _OF_FLOORS if part not in told],
    )


def _possible(cost: float, parts: Mapping[str, float | None]) -> dict[str, float]:
    """The parts that there are and that leave something of the cost, taken in their order."""
    told: dict[str, float] = {}
    for name, part in parts.items():
        if part is not None and 0 <= part <= cost - sum(told.values()):
            told[name] = part
    return told


def _service_cpu(cell: Cell) -> float | None:
    return None if cell.missing is not None or cell.service_cpu is None else cell.service_cpu.value


def blame(arm: Split, other: Split) -> Part:
    """The part that explains most of the difference between two arms in a scenario; a part that one of them
    does not tell apart is the layer's in both. Raises ValueError where one of them is missing."""
    if arm.missing is not None or other.missing is not None:
        raise ValueError(f"no split of {arm.arm} or {other.arm} in {arm.scenario}")
    joined = set(arm.joined) | set(other.joined)
    mine, theirs = _comparable(arm, joined), _comparable(other, joined)
    apart = {part: mine[part] - theirs[part] for part in _PARTS if part in mine and part in theirs}
    whole = math.fsum(apart.values())
    return max(apart, key=lambda part: math.copysign(1, whole) * apart[part])


def _comparable(split: Split, joined: set[str]) -> dict[Part, float]:
    parts: dict[Part, float] = {part: cost for part in _PARTS if (cost := getattr(split, part)) is not None}
    parts["layer"] += math.fsum(parts.pop(part) for part in _OF_FLOORS if part in joined and part in parts)
    return parts


async def waiting(
    scenario: Scenario, contestants: Sequence[Contestant], seconds: float, seed: int
) -> dict[str, float | None]:
    """By arm, the µs that a request takes while nobody computes for it: the median latency with one request
    at a time, less the CPU of service and database in the same slices. None where that cannot be read, or
    where answers failed. Takes about `seconds`, all arms in turns, three rounds at least."""
    plan = Plan(
        rounds=_MOST_ROUNDS,
        least_rounds=_LEAST_ROUNDS,
        slices=_SLICES,
        slice_seconds=_SLICE_SECONDS,
        warm_up_seconds=_WARM_UP_SECONDS,
        connections=1,
        seed=seed,
    )
    sources = {one.name: scenario.source(one.target, seed) for one in contestants}
    rounds = Rounds([one.load for one in contestants], lambda arm: sources[arm.name], plan)
    await rounds.turn(seconds, lambda: False, lambda _number: None, plan.least_rounds)
    by_arm = {one.name: [found for found in rounds.found if found.arm == one.name] for one in contestants}
    return {name: None if name in rounds.lost else _waited(found) for name, found in by_arm.items()}


def _waited(rounds: Sequence[ArmRound]) -> float | None:
    seen: list[float] = []
    for found in rounds:
        samples, service, database = found.samples, found.service_cpu_us, found.database_cpu_us
        if samples.errors or max(samples.statuses, default=0) >= BAD_REQUEST:
            return None
        if service is not None and database is not None:
            # computing in parallel may take more CPU than time
            seen.append(max(0.0, median(samples.latencies_ns) / 1_000 - service - database))
    # others on the machine only add to it: the calmer rounds tell more
    return float(np.percentile(seen, _CALM)) if seen else None
