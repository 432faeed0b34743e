"""Two runs side by side: what a version, a machine or a setting changed.

Held against each other are the ratios to the baseline, which carry from one machine to another; where the two
runs had one machine, the CPU of a request itself as well. Two figures differ where their intervals exclude
each other.
"""

import math
from typing import Literal, TypeAlias

from assay.report.model import Cell, Environment, Results
from assay.report.part import Interval, Part

MOST_APART = 0.05
"""Share of ratios that chance alone may put apart: their intervals are of 95 % at least."""

Says: TypeAlias = Literal["agree", "dearer", "cheaper", "only before", "only after", "no figure"]


class Difference(Part):
    """One arm in one scenario. `change` is after ÷ before, with both errors in its interval."""

    arm: str
    scenario: str
    before: Interval | None
    after: Interval | None
    change: Interval | None
    says: Says


class Pair(Part):
    """`ratios` are of the baseline, without unit; `costs` are µs of service CPU, empty where the machines
    differ. `changed` are versions and settings that are not the same, as (name, before, after)."""

    before: str
    after: str
    baseline: str
    same_machine: bool
    changed: list[tuple[str, str, str]]
    ratios: list[Difference]
    costs: list[Difference]

    @property
    def compared(self) -> int:
        return sum(found.change is not None for found in self.ratios)

    @property
    def apart(self) -> list[Difference]:
        return [found for found in self.ratios if found.says in ("dearer", "cheaper")]

    @property
    def agrees(self) -> bool:
        """Whether no more ratios differ than chance would have it; False where there are none."""
        return self.compared > 0 and len(self.apart) <= MOST_APART * self.compared


class NoPair(Exception):
    """The two cannot be held against each other; the message is one line that says why."""


def pair(before: Results, after: Results) -> Pair:
    """Raises NoPair where they have different baselines, and so no common ratios."""
    if before.baseline != after.baseline:
        raise NoPair(
            f"the first run's baseline is {before.baseline}, the second one's {after.baseline}: "
            "run both with the same --baseline"
        )
    same_machine = _machine(before.environment) == _machine(after.environment)
    services = [arm.name for arm in [*before.arms, *after.arms] if arm.kind in ("service", "url")]
    others = [name for name in dict.fromkeys(services) if name != before.baseline]
    return Pair(
        before=before.started_at,
        after=after.started_at,
        baseline=before.baseline,
        same_machine=same_machine,
        changed=_changed(before, after),
        ratios=_differences(before, after, others, "ratio"),
        costs=_differences(before, after, [*dict.fromkeys(services)], "cost") if same_machine else [],
    )


def _differences(
    before: Results, after: Results, arms: list[str], kind: Literal["ratio", "cost"]
) -> list[Difference]:
    scenarios = dict.fromkeys(scenario.name for scenario in [*before.scenarios, *after.scenarios])
    held = {(cell.arm, cell.scenario): _figure(cell, kind) for cell in before.cells}
    found = {(cell.arm, cell.scenario): _figure(cell, kind) for cell in after.cells}
    return [
        _difference(arm, scenario, held.get((arm, scenario)), found.get((arm, scenario)))
        for scenario in scenarios
        for arm in arms
    ]


def _figure(cell: Cell, kind: Literal["ratio", "cost"]) -> Interval | None:
    if kind == "cost":
        return cell.service_cpu
    return None if cell.against_baseline is None else cell.against_baseline.ratio


def _difference(arm: str, scenario: str, before: Interval | None, after: Interval | None) -> Difference:
    return Difference(
        arm=arm,
        scenario=scenario,
        before=before,
        after=after,
        change=None if before is None or after is None else _change(before, after),
        says=_says(before, after),
    )


def _says(before: Interval | None, after: Interval | None) -> Says:
    if before is None:
        return "no figure" if after is None else "only after"
    if after is None:
        return "only before"
    if after.low > before.high:
        return "dearer"
    return "cheaper" if after.high < before.low else "agree"


def _change(before: Interval, after: Interval) -> Interval:
    """The errors of two independent figures add up by root of squares, in logarithms."""
    centre = math.log(after.value / before.value)
    below = math.hypot(math.log(after.value / after.low), math.log(before.high / before.value))
    above = math.hypot(math.log(after.high / after.value), math.log(before.value / before.low))
    return Interval(value=math.exp(centre), low=math.exp(centre - below), high=math.exp(centre + above))


def _machine(environment: Environment) -> tuple[str, int, int]:
    return environment.cpu_model, environment.cpus, environment.memory_bytes


def _changed(before: Results, after: Results) -> list[tuple[str, str, str]]:
    held, found = _facts(before), _facts(after)
    return [
        (name, held.get(name, "–"), found.get(name, "–"))
        for name in dict.fromkeys([*held, *found])
        if held.get(name) != found.get(name)
    ]


def _facts(results: Results) -> dict[str, str]:
    where, method = results.environment, results.method
    return {
        "CPU": f"{where.cpu_model}, {where.cpus} cores",
        "platform": where.platform,
        "python": where.python,
        **where.versions,
        **{f"{one.kind} server": f"{one.version} ({one.source})" for one in where.databases},
        "rows": f"{method.users} users, {method.documents} documents",
        "slice": f"{method.slice_seconds} s",
    }
