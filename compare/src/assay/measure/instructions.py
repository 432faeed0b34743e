"""`just instructions`: user-mode instructions that a service executes for one request, counted by valgrind.

A slope between two numbers of requests, so that what is no request's cancels out. It repeats within 0.3 % on
any machine. `--against REV` counts that revision beside the present sources: exit code 1 where a service got
dearer than `--limit`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import NoReturn

import uvloop
from rich.console import Console
from rich.table import Table

from assay.commands.chosen import chosen
from assay.measure import dataset
from assay.measure.callgrind import CountedService, require_valgrind, start_counted
from assay.measure.connection import Source
from assay.measure.dataset import Rows
from assay.measure.revision import PRESENT, Tree, revision
from assay.measure.scenarios import SCENARIOS, Scenario, Target
from assay.progress import Steps
from assay.stand import (
    Databases,
    Stand,
    StandError,
    StandOptions,
    StoppedError,
    open_databases,
    run_until_stopped,
)
from assay.stand.databases import URL_VARIABLES, users_environment
from assay.stand.ports import HOST
from assay.stand.urls import with_database
from shared.registry import Service

_FOUND, _WRONG_USE = 1, 2
_MIGRATE_SECONDS = 60.0
DOCUMENTS = dataset.BUSY_OWNERS * dataset.BUSY_DOCUMENTS
"""So many that the busy owners have theirs."""
_HEAVY = 20_000_000
"""Instructions for one request, from which on a fifth of the requests is enough."""


@dataclass(frozen=True)
class Plan:
    """Requests before counting, and of the two counts whose slope is told. Each count is taken `rounds`
    times: by the medians, what a driver does now and then beside requests falls out."""

    warm_up: int = 60
    few: int = 20
    many: int = 100
    rounds: int = 5

    def scaled(self, instructions: float) -> "Plan":
        if instructions < _HEAVY:
            return self
        return replace(self, few=self.few // 5, many=self.many // 5)


@dataclass(frozen=True)
class Cost:
    """Instructions for each request."""

    backend: str
    scenario: str
    tree: str
    instructions: float


@dataclass(frozen=True)
class _Arm:
    tree: Tree
    counted: CountedService
    rows: Rows

    def source(self, scenario: Scenario) -> Source:
        return scenario.source(Target(self.counted.host, self.rows, lane=0), seed=1)


async def count(
    services: Sequence[Service],
    scenarios: Sequence[Scenario],
    trees: Sequence[Tree],
    plan: Plan,
    steps: Steps,
    seeded: int = DOCUMENTS,
) -> list[Cost]:
    """Every service from every tree, the trees of one service in turns; `seeded` documents in each."""
    require_valgrind()
    found: list[Cost] = []
    kinds = [service.database for service in services]
    async with open_databases(kinds, StandOptions(durable=False), steps) as databases:
        for service in services:
            async with AsyncExitStack() as stack:
                arms = [await _enter(stack, databases, service, tree, seeded, steps) for tree in trees]
                for scenario in scenarios:
                    with steps.step(
                        f"{service.name}: count {scenario.name}", (1 + 2 * plan.rounds) * len(arms)
                    ) as advance:
                        slopes = await _slopes(arms, scenario, plan, advance)
                    found += [
                        Cost(service.name, scenario.name, arm.tree.name, slope)
                        for arm, slope in zip(arms, slopes, strict=True)
                    ]
    return found


async def _enter(
    stack: AsyncExitStack, databases: Databases, service: Service, tree: Tree, seeded: int, steps: Steps
) -> _Arm:
    """A database of its own for each tree, as their migrations may differ. It is filled by the service as it
    is, and counted under valgrind after that."""
    name = f"{service.name}-{tree.name}"
    environment = await _migrated(databases, service, tree, name)
    seeding = await Stand(databases, steps).start_process(
        name, [sys.executable, "-m", service.module, "serve", "--host", HOST], environment
    )
    with steps.step(f"{name}: seed", dataset.batches(seeded)) as advance:
        rows = await dataset.seed(seeding.url, advance, documents=seeded)
    await seeding.stop()
    with steps.step(f"{name}: start under valgrind"):
        counted = await start_counted(databases, service, name, environment)
        stack.push_async_callback(counted.stop)
        await counted.begin()
    return _Arm(tree, counted, rows)


async def _migrated(databases: Databases, service: Service, tree: Tree, name: str) -> Mapping[str, str]:
    """The environment of a service on a new database at the tree's last migration."""
    database = databases.of(service)
    stored = f"assay_{name.replace('-', '_')}"
    await database.create_database(stored)
    variables = {
        URL_VARIABLES[service.database][0]: with_database(database.url, stored),
        "FILES_URL": (databases.folder.path / f"files-{name}").as_uri(),
    }
    environment = users_environment() | tree.environment() | variables
    command = [sys.executable, "-m", service.module, "migrate"]
    await databases.folder.spawn(f"{name}-migrate", command, environment).succeed(_MIGRATE_SECONDS)
    return environment


async def _slopes(
    arms: Sequence[_Arm], scenario: Scenario, plan: Plan, advance: Callable[[], None]
) -> list[float]:
    sources = [arm.source(scenario) for arm in arms]
    each = 0.0
    for arm, source in zip(arms, sources, strict=True):
        # code is translated when it first runs, and caches fill: neither is a request's cost
        each = await arm.counted.count(source, plan.warm_up) / plan.warm_up
        advance()
    counts = plan.scaled(each)
    few: list[list[int]] = [[] for _ in arms]
    many: list[list[int]] = [[] for _ in arms]
    for _ in range(plan.rounds):
        for requests, found in ((counts.few, few), (counts.many, many)):
            for arm, source, counted in zip(arms, sources, found, strict=True):
                counted.append(await arm.counted.count(source, requests))
                advance()
    return [
        (median(most) - median(least)) / (counts.many - counts.few)
        for least, most in zip(few, many, strict=True)
    ]


def show(costs: Sequence[Cost], limit: float, console: Console) -> int:
    """A line for each service and scenario; the exit code says whether one got dearer than `limit` %."""
    trees = list(dict.fromkeys(cost.tree for cost in costs))
    by_tree = {(cost.backend, cost.scenario, cost.tree): cost.instructions for cost in costs}
    table = Table("backend", "operation", title="User-mode instructions per request")
    for name in (*trees, *(["ratio"] if len(trees) > 1 else [])):
        table.add_column(name, justify="right")
    dearer = 0
    for backend, scenario in dict.fromkeys((cost.backend, cost.scenario) for cost in costs):
        each = [by_tree[backend, scenario, tree] for tree in trees]
        cells = [f"{one:,.0f}" for one in each]
        if len(each) > 1:
            ratio = each[1] / each[0]
            is_dearer = ratio > 1 + limit / 100
            dearer += is_dearer
            cells.append(f"{ratio:.4f}" + (" dearer" if is_dearer else ""))
        table.add_row(backend, scenario, *cells)
    console.print(table)
    return _FOUND if dearer else 0


def main() -> None:
    asked = _parser().parse_args()
    console = Console(stderr=True)
    try:
        services = chosen(asked.names)
        scenarios = _scenarios(asked.scenario)
        against = nullcontext(None) if asked.against is None else revision(asked.against)
        with against as older, Steps(console) as steps:
            trees = [PRESENT] if older is None else [older, PRESENT]
            costs = uvloop.run(run_until_stopped(count(services, scenarios, trees, Plan(), steps)))
        if asked.json is not None:
            asked.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=1))
    except (StandError, OSError) as error:
        _refuse(str(error), console)
    except StoppedError as ended:
        sys.exit(128 + ended.signal)
    sys.exit(show(costs, asked.limit, Console(width=max(console.width, 110))))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="instructions", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="backends; all installed ones if left out")
    parser.add_argument("--scenario", action="append", metavar="NAME", help="repeatable; all if left out")
    parser.add_argument("--against", metavar="REV", help="count this revision as well, and compare")
    parser.add_argument(
        "--limit", type=float, default=1.0, metavar="PERCENT", help="how much dearer is too dear"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    return parser


def _scenarios(wanted: Sequence[str] | None) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in wanted or []:
        if name not in known:
            raise StandError(f"there is no scenario {name!r}: choose of {', '.join(known)}.")
    return [known[name] for name in wanted or known]


def _refuse(reason: str, console: Console) -> NoReturn:
    console.print(f"instructions: {reason}", style="red", markup=False, soft_wrap=True)
    sys.exit(_WRONG_USE)


if __name__ == "__main__":
    main()
