"""From figures to words: which layer needs the least, where that holds, and what it does not cover.

Only service CPU is judged here. Two layers are told apart only where their whole intervals lie farther from
each other than two equal arms seemed to be, and than the practical threshold.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.measure.statistics import PRACTICAL, Ratio, noise_floor
from assay.report.model import Arm, Cell, Environment, Judgement, Method, Noise, Scenario
from assay.report.part import Interval

ITSELF = Interval(value=1.0, low=1.0, high=1.0)


@dataclass(frozen=True)
class Outcome:
    """One scenario: the arms' service CPU as multiples of the baseline's, least first, and the arms that are
    not told from the first, itself among them."""

    scenario: str
    ratios: Mapping[str, Interval]
    close: list[str]

    @property
    def least(self) -> str | None:
        """The one arm that needs the least of all, if there is one."""
        return self.close[0] if len(self.close) == 1 and len(self.ratios) > 1 else None

    def against(self, arm: str, other: str) -> float:
        return self.ratios[arm].value / self.ratios[other].value


def floor_of(noise: Noise | None) -> float:
    """The noise floor of a scenario as |ln ratio|; infinite where no two equal arms were measured."""
    if noise is None or noise.comparison is None:
        return math.inf
    found = noise.comparison
    return noise_floor(Ratio(found.ratio.value, found.ratio.low, found.ratio.high, found.rounds))


def judge(
    cells: Sequence[Cell],
    noise: Sequence[Noise],
    arms: Sequence[Arm],
    scenarios: Sequence[Scenario],
    *,
    baseline: str,
    method: Method,
    environment: Environment,
) -> Judgement:
    services = [arm.name for arm in arms if arm.kind == "service"]
    floors = {found.scenario: floor_of(found) for found in noise}
    outcomes = [
        _outcome(scenario.name, cells, services, baseline, floors.get(scenario.name, math.inf))
        for scenario in scenarios
    ]
    compared = [outcome for outcome in outcomes if len(outcome.ratios) > 1]
    measured = list(dict.fromkeys(arm for outcome in outcomes for arm in outcome.ratios))
    return Judgement(
        headline=_headline(compared, measured),
        reasons=[
            *_told(compared),
            *_against_least(compared),
            *_with_database(cells, services, scenarios),
            *_withheld(cells, arms),
        ],
        limits=_limits(floors, noise, method, environment),
    )


def _outcome(
    scenario: str, cells: Sequence[Cell], services: list[str], baseline: str, floor: float
) -> Outcome:
    here = [cell for cell in cells if cell.scenario == scenario and cell.arm in services and cell.service_cpu]
    ratios: dict[str, Interval] = {}
    verdicts: dict[str, str] = {}
    for cell in here:
        if cell.arm == baseline:
            ratios[cell.arm] = ITSELF
        elif cell.against_baseline is not None:
            ratios[cell.arm] = cell.against_baseline.ratio
            verdicts[cell.arm] = cell.against_baseline.verdict
    ranked = dict(sorted(ratios.items(), key=lambda found: found[1].value))
    band = max(floor, math.log1p(PRACTICAL))

    def apart(first: str, other: str) -> bool:
        """Whether `other` surely needs more; against the baseline that has been judged already."""
        if first == baseline:
            return verdicts[other] == "worse"
        if other == baseline:
            return verdicts[first] == "better"
        return math.log(ratios[other].low / ratios[first].high) > band

    first = next(iter(ranked), None)
    close = [arm for arm in ranked if first is not None and (arm == first or not apart(first, arm))]
    return Outcome(scenario, ranked, close)


def _headline(compared: Sequence[Outcome], measured: Sequence[str]) -> str:
    if not measured:
        return "The evidence does not decide: no layer has figures."
    if len(measured) == 1:
        return f"Nothing to compare: {measured[0]} alone has figures."
    if not compared:
        return "The evidence does not decide: no two layers have figures in the same scenario."
    wins = Counter(outcome.least for outcome in compared if outcome.least is not None).most_common()
    scenarios = _scenarios(len(compared))
    if not wins:
        return (
            f"The evidence does not decide: in none of {scenarios} does one layer need the least service CPU."
        )
    winner, count = wins[0]
    if count * 2 > len(compared):
        others = ", ".join(_multiples(winner, compared))
        return f"{winner} needs the least service CPU in {count} of {scenarios}; {others} as much."
    others = "".join(f", {arm} in {count}" for arm, count in wins[1:])
    undecided = len(compared) - sum(count for _, count in wins)
    told = f"; {undecided} cannot be told" if undecided else ""
    return (
        f"The evidence does not decide: {winner} needs the least service CPU in {count} of "
        f"{scenarios}{others}{told}."
    )


def _scenarios(count: int) -> str:
    return "1 scenario" if count == 1 else f"{count} scenarios"


def _multiples(winner: str, compared: Sequence[Outcome]) -> list[str]:
    """`NAME 1.4–2.0 ×` for every other arm, over all scenarios where both have figures."""
    spans: dict[str, list[float]] = {}
    for outcome in compared:
        if winner in outcome.ratios:
            for arm in outcome.ratios:
                if arm != winner:
                    spans.setdefault(arm, []).append(outcome.against(arm, winner))
    return [f"{arm} {_span(found)}" for arm, found in spans.items()]


def _span(ratios: Sequence[float]) -> str:
    """
    >>> _span([2.0, 1.44]), _span([1.01, 1.04])
    ('1.4–2.0 ×', '1.0 ×')
    """
    low, high = f"{min(ratios):.1f}", f"{max(ratios):.1f}"
    return f"{low} ×" if low == high else f"{low}–{high} ×"


def _told(compared: Sequence[Outcome]) -> list[str]:
    """Who needs the least where, and where several are not told apart."""
    won: dict[str, list[str]] = {}
    for outcome in compared:
        if outcome.least is not None:
            won.setdefault(outcome.least, []).append(outcome.scenario)
    open_ends = [
        f"{outcome.scenario} ({' or '.join(outcome.close)})" for outcome in compared if outcome.least is None
    ]
    lines = [f"{arm} needs the least in {', '.join(found)}." for arm, found in won.items()]
    if open_ends:
        lines.append(
            f"Not told which needs the least: {', '.join(open_ends)}. Their intervals overlap, or lie no "
            "farther apart than those of two equal arms."
        )
    return lines


def _against_least(compared: Sequence[Outcome]) -> list[str]:
    """Every arm as multiples of whoever has the smallest median in a scenario."""
    spans: dict[str, list[float]] = {}
    for outcome in compared:
        for arm in outcome.ratios:
            spans.setdefault(arm, []).append(outcome.against(arm, outcome.close[0]))
    if not spans:
        return []
    told = ", ".join(f"{arm} {_span(found)}" for arm, found in spans.items())
    return [f"As multiples of the smallest median of each scenario: {told}."]


def _with_database(cells: Sequence[Cell], services: list[str], scenarios: Sequence[Scenario]) -> list[str]:
    """Who has the smallest sum of medians once the database's CPU is added; a sum has no interval."""
    least: Counter[str] = Counter()
    for scenario in scenarios:
        sums = {
            cell.arm: cell.service_cpu.value + cell.database_cpu.value
            for cell in cells
            if cell.scenario == scenario.name and cell.arm in services
            if cell.service_cpu is not None and cell.database_cpu is not None
        }
        if len(sums) > 1:
            least[min(sums, key=lambda arm: sums[arm])] += 1
    if not least:
        return []
    counted = ", ".join(f"{arm} in {count}" for arm, count in least.most_common())
    return [
        f"With the database's CPU added, the smallest sum of {_scenarios(least.total())}: {counted} "
        "(medians; not tested)."
    ]


def _withheld(cells: Sequence[Cell], arms: Sequence[Arm]) -> list[str]:
    """Floors are left out: where they have no figures, they have no such operation."""
    candidates = {arm.name for arm in arms if arm.kind != "floor"}
    excluded = {arm.name: arm.excluded for arm in arms if arm.excluded is not None}
    return [
        *(f"{arm} has no figures: {reason}" for arm, reason in excluded.items()),
        *(
            f"{cell.arm} has no figures in {cell.scenario}: {cell.missing}"
            for cell in cells
            if cell.missing is not None and cell.arm in candidates - excluded.keys()
        ),
    ]


def _limits(
    floors: Mapping[str, float], noise: Sequence[Noise], method: Method, environment: Environment
) -> list[str]:
    return [
        f"One machine: {environment.cpu_model}, {environment.cpus} cores, which the load shares with what it "
        "measures. Another machine moves the figures, and may move the ratios.",
        "A closed loop: each service near its full load. At a low rate "
        "the same service costs more CPU per request, and answers sooner.",
        _network(environment),
        f"{method.users:,} users and {method.documents:,} documents; no other sizes and contents.",
        "The headline is of the service's CPU alone: what else was measured counts in the decision, by its "
        "weight; behaviour under faults does not.",
        *_spread(floors),
        *(
            f"The two equal arms came out as different in {found.scenario}: read its figures with care."
            for found in noise
            if found.comparison is not None and found.comparison.verdict in ("better", "worse")
        ),
    ]


def _network(environment: Environment) -> str:
    if any(database.source == "url" for database in environment.databases):
        return "The network to a database given by its URL is part of the latencies, and of no CPU figure."
    return "No network between service and database: where there is one, each round trip costs more."


def _spread(floors: Mapping[str, float]) -> list[str]:
    known = {scenario: floor for scenario, floor in floors.items() if math.isfinite(floor)}
    if not known:
        return ["No two equal arms were measured, so the noise is unknown and no layer is told from another."]
    worst = max(known, key=lambda scenario: known[scenario])
    return [
        f"Two equal arms seemed up to {100 * math.expm1(known[worst]):.1f} % apart ({worst}); what is closer "
        "than that is not told."
    ]
