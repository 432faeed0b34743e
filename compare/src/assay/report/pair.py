"""Two runs side by side: what a version, a machine or a setting changed.

Held against each other are the ratios to the baseline, of services and of floors, which carry from one
machine to another; where the two runs had one machine, the CPU of a request itself as well. Two ratios differ
where their intervals exclude each other and the change is one to act on. Two independent intervals of 95 %
and equal width exclude each other by chance in 0.6 % of all cases; these are wider, as those of a scenario
hold together.
"""

import math
import statistics
from typing import Literal, TypeAlias

from assay.measure.statistics import PRACTICAL
from assay.report.model import Arm, Cell, Results
from assay.report.part import Interval, Part
from assay.report.sources import changed, machine

Says: TypeAlias = Literal["not apart", "dearer", "cheaper", "only before", "only after", "no figure"]


class Difference(Part):
    """One arm in one scenario. `change` is after ÷ before, with both errors in its interval; `lost` is why
    one of the runs has no figure although it was to have one."""

    arm: str
    scenario: str
    before: Interval | None
    after: Interval | None
    change: Interval | None
    says: Says
    lost: str | None


class Pair(Part):
    """`ratios` are of the baseline, without unit; `costs` are µs of service CPU, empty where the machines
    differ. `changed` are versions and settings that are not the same, as (name, before, after). `quick` is
    whether one of the runs had one turn, and so cannot know how much turns differ; `floors` whether a change
    that all services share would show."""

    before: str
    after: str
    baseline: str
    same_machine: bool
    quick: bool
    floors: bool
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
    def lost(self) -> list[Difference]:
        return [found for found in self.ratios if found.lost is not None]

    @property
    def agrees(self) -> bool:
        """Whether there are common ratios, none is known to differ, and none was lost."""
        return self.compared > 0 and not self.apart and not self.lost

    @property
    def shift(self) -> float | None:
        """By how much all costs moved together, as a ratio: the median. None where that is too little to act
        on, or not known."""
        changes = [found.change.value for found in self.costs if found.change is not None]
        middle = statistics.median(changes) if changes else 1.0
        return middle if _is_worth_it(middle) else None


class NoPair(Exception):
    """The two cannot be held against each other; the message is one line that says why."""


def pair(before: Results, after: Results) -> Pair:
    """Raises NoPair where they have different baselines, and so no common ratios."""
    if before.baseline != after.baseline:
        raise NoPair(_no_common_baseline(before, after))
    same_machine = machine(before) == machine(after)
    arms = {arm.name: arm for arm in [*before.arms, *after.arms] if arm.kind != "again"}
    others = [arm for arm in arms.values() if arm.name != before.baseline]
    ratios = _differences(before, after, others, "ratio")
    floors = {arm.name for arm in others if arm.kind == "floor"}
    return Pair(
        before=before.started_at,
        after=after.started_at,
        baseline=before.baseline,
        same_machine=same_machine,
        quick=before.is_quick or after.is_quick,
        floors=any(found.change is not None and found.arm in floors for found in ratios),
        changed=changed(before, after),
        ratios=ratios,
        costs=_differences(before, after, [*arms.values()], "cost") if same_machine else [],
    )


def _no_common_baseline(before: Results, after: Results) -> str:
    """A run whose baseline fails the contract goes on with another one."""
    for mine, other, word in ((before, after, "second"), (after, before, "first")):
        why = next((arm.excluded for arm in other.arms if arm.name == mine.baseline), None)
        if why is not None:
            return f"{mine.baseline}, the baseline, has no figures in the {word} run: {why}"
    return (
        f"the first run's baseline is {before.baseline}, the second one's {after.baseline}: "
        "run both with the same --baseline"
    )


class _Side:
    """One of the two runs, by arm and scenario."""

    def __init__(self, results: Results, kind: Literal["ratio", "cost"]) -> None:
        self._arms = {arm.name: arm for arm in results.arms}
        self._scenarios = {scenario.name for scenario in results.scenarios}
        self._cells = {(cell.arm, cell.scenario): cell for cell in results.cells}
        self._is_quick = results.is_quick
        self._kind = kind

    def figure(self, arm: str, scenario: str) -> Interval | None:
        cell = self._cells.get((arm, scenario))
        return None if cell is None else _figure(cell, self._kind)

    def why_missing(self, name: str, scenario: str) -> str | None:
        """None where the run was not asked for it: a quick one measures few floors."""
        arm = self._arms.get(name)
        if arm is None or scenario not in self._scenarios or (arm.kind == "floor" and self._is_quick):
            return None
        cell = self._cells.get((name, scenario))
        missing = None if cell is None else cell.missing
        return arm.excluded or missing or "too few rounds, or the baseline has no figure"


def _differences(
    before: Results, after: Results, arms: list[Arm], kind: Literal["ratio", "cost"]
) -> list[Difference]:
    scenarios = dict.fromkeys(scenario.name for scenario in [*before.scenarios, *after.scenarios])
    sides = _Side(before, kind), _Side(after, kind)
    return [_difference(arm.name, scenario, *sides) for scenario in scenarios for arm in arms]


def _figure(cell: Cell, kind: Literal["ratio", "cost"]) -> Interval | None:
    if kind == "cost":
        return cell.service_cpu
    return None if cell.against_baseline is None else cell.against_baseline.ratio


def _difference(arm: str, scenario: str, first: _Side, second: _Side) -> Difference:
    before, after = first.figure(arm, scenario), second.figure(arm, scenario)
    says = _says(before, after)
    lacking = {"only before": second, "only after": first}.get(says)
    return Difference(
        arm=arm,
        scenario=scenario,
        before=before,
        after=after,
        change=None if before is None or after is None else _change(before, after),
        says=says,
        lost=None if lacking is None else lacking.why_missing(arm, scenario),
    )


def _says(before: Interval | None, after: Interval | None) -> Says:
    if before is None:
        return "no figure" if after is None else "only after"
    if after is None:
        return "only before"
    if not _is_worth_it(after.value / before.value):
        return "not apart"
    if after.low > before.high:
        return "dearer"
    return "cheaper" if after.high < before.low else "not apart"


def _is_worth_it(change: float) -> bool:
    return abs(math.log(change)) > math.log1p(PRACTICAL)


def _change(before: Interval, after: Interval) -> Interval:
    """The errors of two independent figures add up by root of squares, in logarithms."""
    centre = math.log(after.value / before.value)
    below = math.hypot(math.log(after.value / after.low), math.log(before.high / before.value))
    above = math.hypot(math.log(after.high / after.value), math.log(before.value / before.low))
    return Interval(value=math.exp(centre), low=math.exp(centre - below), high=math.exp(centre + above))
