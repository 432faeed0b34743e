"""`just bench-floor`: what each service costs above a bare application on its driver, in one interleaved run.

Ratios of service CPU for each request, medians over rounds with bootstrap 95 % intervals. Exit code 1 where a
ratio misses what it must reach.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table

from assay.measure import dataset, statistics
from assay.measure.arms import Entrant, Entry
from assay.measure.pinning import pin
from assay.measure.rounds import ArmRound, Plan, measure_rounds
from assay.measure.scenarios import SCENARIOS, Scenario
from assay.measure.statistics import Ratio
from assay.progress import Steps
from assay.stand import Stand, StandError, StandOptions, open_stand, run_until_stopped
from shared.registry import services

PLAIN = "asyncpg-plain"


@dataclass(frozen=True)
class Line:
    """A ratio that must be at most `must`; `aim` is what it should come to."""

    scenario: str
    arm: str
    against: str
    must: float
    aim: float


LINES = (
    Line("users.get", "asyncpg", "floor-asyncpg", 2.3, 1.8),
    Line("users.get", "sqlalchemy", "floor-asyncpg", 5.5, 4.0),
    Line("users.get", "tortoise", "floor-asyncpg", 4.8, 4.0),
    Line("users.get", "motor", "floor-motor", 1.7, 1.4),
    Line("users.create_many", "asyncpg", "floor-asyncpg", 2.5, 2.0),
    Line("users.create_many", "sqlalchemy", "floor-asyncpg", 8.0, 5.0),
    Line("users.create_many", "tortoise", "floor-asyncpg", 5.0, 4.0),
    Line("users.get", "asyncpg", PLAIN, 1.2, 1.1),
)


async def bench(rounds: int, console: Console) -> int:
    with Steps(console) as steps:
        async with open_stand(services(), StandOptions(), steps) as stand:
            entrants = await _entrants(stand, steps)
            databases = [entrant.database.pid for entrant in entrants if entrant.database is not None]
            running = [entrant.running.pid for entrant in entrants if entrant.running is not None]
            pin(running, [pid for pid in databases if pid is not None])
            found = {
                scenario.name: await _measure(scenario, entrants, rounds, steps)
                for scenario in SCENARIOS
                if any(line.scenario == scenario.name for line in LINES)
            }
    return _show(found, Console(width=max(console.width, 110)))


async def _entrants(stand: Stand, steps: Steps) -> list[Entrant]:
    installed = services()
    with steps.step("seed users", len(installed) * dataset.batches(documents=0)) as advance:
        rows = {
            service.name: await dataset.seed(stand.services[service.name].url, advance, documents=0)
            for service in installed
        }
    entry = Entry(stand, rows)
    entrants = [entry.service(service) for service in installed]
    with steps.step("floors"):
        floors = [await entry.floor(name, installed) for name in ("floor-asyncpg", "floor-motor", PLAIN)]
    return entrants + [floor for floor in floors if floor is not None]


async def _measure(
    scenario: Scenario, entrants: Sequence[Entrant], rounds: int, steps: Steps
) -> Mapping[str, list[ArmRound]]:
    wanted = {name for line in LINES if line.scenario == scenario.name for name in (line.arm, line.against)}
    contestants = [entrant.contestant for entrant in entrants if entrant.name in wanted]
    sources = {one.name: scenario.source(one.target, seed=1) for one in contestants}
    plan = Plan(rounds=rounds, slices=2, slice_seconds=0.15, connections=scenario.connections)
    with steps.step(f"measure {scenario.name}", rounds) as advance:
        loads = [one.load for one in contestants]
        measured = await measure_rounds(loads, lambda arm: sources[arm.name], plan, lambda _: advance())
    for found in measured:
        if found.samples.errors or set(found.samples.statuses) - {200, 201}:
            raise StandError(f"{found.arm} failed under load: {dict(found.samples.statuses)}.")
    return {name: [found for found in measured if found.arm == name] for name in wanted}


def _ratio(rounds: Mapping[str, Sequence[ArmRound]], line: Line) -> Ratio:
    above, below = (
        np.array([found.service_cpu_us or np.nan for found in rounds[name]])
        for name in (line.arm, line.against)
    )
    ratio = statistics.ratio(statistics.paired_logs(above, below))
    if ratio is None:
        raise StandError(
            f"too few rounds to compare {line.arm} with {line.against}: give --rounds 10 or more."
        )
    return ratio


def _show(found: Mapping[str, Mapping[str, Sequence[ArmRound]]], console: Console) -> int:
    table = Table(
        "operation", "arm", "against", "µs", "ratio", "95 %", "must", "aim", title="Service CPU per request"
    )
    missed = 0
    for line in LINES:
        rounds = found[line.scenario]
        ratio = _ratio(rounds, line)
        cost = float(np.median([one.service_cpu_us or np.nan for one in rounds[line.arm]]))
        missed += ratio.ratio > line.must
        table.add_row(
            line.scenario,
            line.arm,
            line.against,
            f"{cost:,.0f}",
            f"{ratio.ratio:.2f}",
            f"{ratio.low:.2f}–{ratio.high:.2f}",
            f"≤ {line.must}" + (" missed" if ratio.ratio > line.must else ""),
            f"{line.aim}" + (" reached" if ratio.ratio <= line.aim else ""),
        )
    console.print(table)
    return 1 if missed else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="10 or more; each takes about 3 s")
    chosen = parser.parse_args()
    console = Console(stderr=True)
    try:
        sys.exit(uvloop.run(run_until_stopped(bench(chosen.rounds, console))))
    except StandError as error:
        console.print(f"bench-floor: {error}", style="red", markup=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
