"""How the cost of an operation grows with the rows that one request is about."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import BAD_REQUEST

import numpy as np

from assay.measure import dataset, statistics
from assay.measure.campaign import Contestant
from assay.measure.rounds import ArmRound, Plan, Rounds
from assay.measure.scenarios import Target
from assay.report.figures import Growth, GrowthPoint
from assay.report.part import Interval

Requests = Callable[[Target, random.Random, int], Iterator[bytes]]
"""Requests about so many rows each."""

_SLICES = 1
_SLICE_SECONDS = 0.1
_WARM_UP_SECONDS = 0.3
_LEAST_ROUNDS = 6
_MOST_ROUNDS = 40


@dataclass(frozen=True)
class Operation:
    name: str
    rows: tuple[int, ...]
    requests: Requests
    connections: int


def _list_documents(target: Target, _chance: random.Random, rows: int) -> Iterator[bytes]:
    return itertools.repeat(target.get(f"/documents?sort=-created_at&limit={rows}"))


def _create_users(target: Target, chance: random.Random, rows: int) -> Iterator[bytes]:
    run = target.run(chance)
    for number in itertools.count():
        users = [
            {"email": f"grow{number}.{place}.{run}@{target.label}.example", "name": f"User {place}"}
            for place in range(rows)
        ]
        yield target.send("POST", "/users/batch", users)


def _create_documents(target: Target, chance: random.Random, rows: int) -> Iterator[bytes]:
    payloads = [dataset.document(number) for number in range(rows)]
    while True:
        batch = [{**payload, "owner_id": chance.choice(target.rows.users)} for payload in payloads]
        yield target.send("POST", "/documents/batch", batch)


# reading before writing: the pages are then the same for all
OPERATIONS: tuple[Operation, ...] = (
    Operation("documents.list", (1, 10, 100, 200), _list_documents, connections=8),
    Operation("users.create_many", (1, 10, 100, 1_000), _create_users, connections=4),
    Operation("documents.create_many", (1, 10, 100, 1_000), _create_documents, connections=4),
)
STEPS = sum(len(operation.rows) for operation in OPERATIONS)


async def growth(
    contestants: Sequence[Contestant],
    seconds: float,
    *,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
    operations: Sequence[Operation] = OPERATIONS,
) -> list[Growth]:
    """A curve for each arm and operation, in about `seconds`, but six rounds at least; `on_step` hears of
    each size, of which there are `STEPS`. Floors have not all operations: give none."""
    found: list[Growth] = []
    steps = sum(len(operation.rows) for operation in operations)
    for operation in operations:
        measured: dict[int, Rounds] = {}
        for rows in operation.rows:
            measured[rows] = await _measured(operation, rows, contestants, seconds / steps, seed)
            on_step()
        found += [_curve(operation, one, measured) for one in contestants]
    return found


async def _measured(
    operation: Operation, rows: int, contestants: Sequence[Contestant], seconds: float, seed: int
) -> Rounds:
    plan = Plan(
        rounds=_MOST_ROUNDS,
        least_rounds=_LEAST_ROUNDS,
        slices=_SLICES,
        slice_seconds=_SLICE_SECONDS,
        warm_up_seconds=_WARM_UP_SECONDS,
        connections=operation.connections,
        seed=seed,
    )
    # the same requests on all arms, others at each size
    sources = {
        one.name: operation.requests(one.target, random.Random(f"{seed} {operation.name} {rows}"), rows)
        for one in contestants
    }
    loads = [one.load for one in contestants]
    rounds = Rounds(loads, lambda arm: sources[arm.name].__next__, plan)
    await rounds.turn(seconds, lambda: False, lambda _number: None, plan.least_rounds)
    return rounds


def _curve(operation: Operation, one: Contestant, measured: dict[int, Rounds]) -> Growth:
    if one.load.service_pid is None and one.load.database_pid is None:
        reason: str | None = "its CPU cannot be read from here"
        return Growth(arm=one.name, operation=operation.name, missing=reason)
    points = [
        _point(rows, [found for found in rounds.found if found.arm == one.name], one.name in rounds.lost)
        for rows, rounds in measured.items()
    ]
    seen = any(point.service_cpu is not None for point in points)
    reason = None if seen else _why(one.name, measured)
    return Growth(arm=one.name, operation=operation.name, missing=reason, points=points if seen else [])


def _point(rows: int, rounds: Sequence[ArmRound], is_lost: bool) -> GrowthPoint:
    if is_lost or any(_failures(found) for found in rounds):
        return GrowthPoint(rows=rows, service_cpu=None, database_cpu=None)
    return GrowthPoint(
        rows=rows,
        service_cpu=_interval([found.service_cpu_us for found in rounds]),
        database_cpu=_interval([found.database_cpu_us for found in rounds]),
    )


def _why(name: str, measured: dict[int, Rounds]) -> str:
    for rows, rounds in measured.items():
        if name in rounds.lost:
            return rounds.lost[name]
        for found in rounds.found:
            if found.arm == name and _failures(found):
                return f"{_failures(found):,} of {found.samples.sent:,} requests for {rows:,} rows failed"
    return "too few rounds for an interval"


def _failures(found: ArmRound) -> int:
    failed = sum(count for status, count in found.samples.statuses.items() if status >= BAD_REQUEST)
    return found.samples.errors.total() + failed


def _interval(values: Sequence[float | None]) -> Interval | None:
    seen = [value for value in values if value]
    ratio = statistics.ratio(np.log(seen)) if seen else None
    return None if ratio is None else Interval(value=ratio.ratio, low=ratio.low, high=ratio.high)
