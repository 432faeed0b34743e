"""Weights and limits → a recommendation, its margin, and what would flip it.

The score is the weighted geometric mean of an arm's figures as multiples of the best one's. Source: the
weighted product model, Triantaphyllou, Multi-Criteria Decision Making Methods (2000), section 2.2.2: it needs
no common unit, and twice as good counts as much as twice as bad.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.judge.criteria import KINDS, NOT_MEASURED, Measured
from assay.judge.requirements import Evidence, Limit
from assay.measure.statistics import PRACTICAL
from assay.report.care import Candidate
from assay.report.decision import Criterion, Decision, Flip, Requirement, Score
from assay.report.model import Arm
from assay.report.part import Interval
from assay.stand import StandError

PENALTY = 1.5
"""A missing figure counts as the worst one of the others times this."""

FAILS, NOT_KNOWN = "fails a limit", "a limit is not known"

_OF_SOURCE = frozenset({"code", "change", "install"})
"""Criteria that are read and not measured: an arm has them also where it never answered."""

_WEIGHT = re.compile(r"([a-z]+)=(\d+(?:\.\d+)?)").fullmatch


def weights_of(text: str | None) -> dict[str, float]:
    """`cpu=3,latency=2`: those left out keep their own weight. Raises StandError.

    >>> weights_of("cpu=3, latency=0")["latency"]
    0.0
    """
    weights = {kind.name: float(kind.weight) for kind in KINDS}
    named: set[str] = set()
    for part in (text or "").replace(" ", "").split(","):
        found = _WEIGHT(part)
        if part and (found is None or found[1] not in weights):
            raise StandError(f"--weights {part!r}: write cpu=3,latency=2 with any of {', '.join(weights)}.")
        if found is None:
            continue
        if found[1] in named:
            raise StandError(f"--weights: {found[1]} is named twice.")
        named.add(found[1])
        weights[found[1]] = float(found[2])
    if not any(weights.values()):
        raise StandError("--weights: at least one must be above 0.")
    return weights


@dataclass(frozen=True)
class _Place:
    """An arm's score as a logarithm, its errors to both sides, and its share by criterion before weights."""

    arm: str
    log: float
    below: float
    above: float
    parts: Mapping[str, float]


def decide(
    measured: Measured,
    arms: Sequence[Arm],
    candidates: Sequence[Candidate],
    weights: Mapping[str, float],
    limits: Sequence[Limit],
) -> Decision:
    """Over the services and those given by URL; an arm that is excluded, or of which nothing was measured,
    takes no part."""
    fit_to_enter = [arm for arm in arms if arm.kind in ("service", "url") and arm.excluded is None]
    absent = _absent(measured, fit_to_enter)
    entered = [arm for arm in fit_to_enter if arm.name not in absent]
    criteria = [_criterion(kind.name, measured, entered, weights) for kind in KINDS]
    left_out = _left_out(criteria, entered)
    counted = [one for one in criteria if one.figures and one.weight > 0 and one.name not in left_out]
    evidence = Evidence(measured.latencies, measured.capacities, measured.footprints, candidates)
    requirements = [one.held(entered, evidence) for one in limits]
    places = sorted((_place(arm.name, counted) for arm in entered), key=lambda place: place.log)
    fit = {arm.name: unfit(arm.name, requirements) is None for arm in entered}
    running = [place for place in places if fit[place.arm]]
    withheld = _withheld(running, counted, requirements)
    return Decision(
        criteria=criteria,
        requirements=requirements,
        scores=[Score(arm=place.arm, score=_interval(place), fit=fit[place.arm]) for place in places],
        recommended=None if withheld or not running else running[0].arm,
        withheld=withheld,
        margin=_margin(running),
        flips=_flips(running, counted),
        limits=_limits(criteria, entered, left_out, absent),
        absent=absent,
        left_out=left_out,
    )


def _absent(measured: Measured, arms: Sequence[Arm]) -> dict[str, str]:
    """The arms of which nothing was measured although something was of others, with the reason: a score made
    of penalties alone would look like a figure, and an exact one."""
    of_runs = [kind.read(measured, arms) for kind in KINDS if kind.name not in _OF_SOURCE]
    seen = {name for figures in of_runs for name in figures}
    return {arm.name: _why_absent(arm, measured) for arm in arms if seen and arm.name not in seen}


def _why_absent(arm: Arm, measured: Measured) -> str:
    told = [one.missing for one in measured.cells if one.arm == arm.name]
    told += [one.missing for one in measured.footprints if one.arm == arm.name]
    reason = next((missing for missing in told if missing is not None), NOT_MEASURED)
    return f"nothing of it was measured that counts ({reason})"


def _left_out(criteria: Sequence[Criterion], entered: Sequence[Arm]) -> list[str]:
    """Where an arm by URL takes part, the criteria that not every arm has: its process and its code cannot be
    read, and penalties for that would say nothing about it."""
    if all(arm.kind != "url" for arm in entered):
        return []
    return [one.name for one in criteria if one.figures and one.missing]


def _criterion(
    name: str, measured: Measured, entered: Sequence[Arm], weights: Mapping[str, float]
) -> Criterion:
    kind = next(kind for kind in KINDS if kind.name == name)
    figures = kind.read(measured, entered)
    return Criterion(
        name=name,
        title=kind.title,
        unit=kind.unit,
        weight=weights[name],
        figures=figures,
        missing={arm.name: NOT_MEASURED for arm in entered if arm.name not in figures},
    )


def _place(arm: str, counted: Sequence[Criterion]) -> _Place:
    total = sum(one.weight for one in counted)
    parts, below, above = {}, [0.0], [0.0]
    for one in counted:
        best = min(figure.value for figure in one.figures.values())
        worst = max(figure.value for figure in one.figures.values())
        figure = one.figures.get(arm)
        share = one.weight / total
        parts[one.name] = math.log((worst * PENALTY if figure is None else figure.value) / best)
        if figure is not None:
            below.append(share * math.log(figure.value / figure.low))
            above.append(share * math.log(figure.high / figure.value))
    log = sum(one.weight / total * parts[one.name] for one in counted)
    return _Place(arm, log, math.hypot(*below), math.hypot(*above), parts)


def _interval(place: _Place) -> Interval:
    return Interval(
        value=math.exp(place.log),
        low=math.exp(place.log - place.below),
        high=math.exp(place.log + place.above),
    )


def _withheld(
    running: Sequence[_Place], counted: Sequence[Criterion], requirements: Sequence[Requirement]
) -> str | None:
    """Why nothing is recommended; None where something is."""
    if not counted:
        return "Nothing was measured that has a weight."
    if not running:
        return nobody(requirements)
    if len(running) == 1:
        return None
    first, second = running[:2]
    if first.log + first.above >= second.log - second.below:
        return f"{first.arm} and {second.arm} are too close: their intervals overlap."
    if second.log - first.log < math.log1p(PRACTICAL):
        return f"{first.arm} and {second.arm} are within {100 * PRACTICAL:.0f} % of each other."
    return None


def nobody(requirements: Sequence[Requirement]) -> str:
    """That no arm keeps every limit, or is known to."""
    arms = {arm for one in requirements for arm in one.holds}
    keeps = "is known to keep" if any(unfit(arm, requirements) == NOT_KNOWN for arm in arms) else "keeps"
    open_ends = [one.text for one in requirements if "unknown" in one.holds.values()]
    unknown = f" Not known of some: {', '.join(open_ends)}." if open_ends else ""
    return f"No layer {keeps} every limit.{unknown}"


def unfit(arm: str, requirements: Sequence[Requirement]) -> str | None:
    """Why an arm is not recommended, in words; None where it keeps every limit."""
    answers = {requirement.holds[arm] for requirement in requirements}
    return FAILS if "no" in answers else NOT_KNOWN if "unknown" in answers else None


def _margin(running: Sequence[_Place]) -> Interval | None:
    if len(running) < 2:
        return None
    first, second = running[:2]
    apart = second.log - first.log
    return Interval(
        value=math.exp(apart),
        low=math.exp(apart - math.hypot(first.above, second.below)),
        high=math.exp(apart + math.hypot(first.below, second.above)),
    )


def _flips(running: Sequence[_Place], counted: Sequence[Criterion]) -> list[Flip]:
    """For each criterion the nearest weight at which another arm would be first, all others kept.

    The difference of two scores is linear in one weight, so that weight is where the line meets zero.
    """
    if len(running) < 2:
        return []
    return [_flip(one, running, counted) for one in counted]


def _flip(criterion: Criterion, running: Sequence[_Place], counted: Sequence[Criterion]) -> Flip:
    first, *others = running
    found: list[tuple[float, str]] = []
    for other in others:
        rest = sum(
            one.weight * (other.parts[one.name] - first.parts[one.name])
            for one in counted
            if one.name != criterion.name
        )
        slope = other.parts[criterion.name] - first.parts[criterion.name]
        meets = -rest / slope if slope else math.inf
        if 0 <= meets < math.inf:
            found.append((meets, other.arm))
    nearest = min(found, key=lambda flip: abs(flip[0] - criterion.weight), default=None)
    return Flip(
        criterion=criterion.name,
        weight=criterion.weight,
        flips_at=None if nearest is None else nearest[0],
        to=None if nearest is None else nearest[1],
    )


def _limits(
    criteria: Sequence[Criterion], entered: Sequence[Arm], left_out: Sequence[str], absent: Mapping[str, str]
) -> list[str]:
    """What the scores do not know."""
    unmeasured = [one.title for one in criteria if not one.figures]
    partly = [one.title for one in criteria if one.figures and one.missing and one.name not in left_out]
    return [
        *(f"{name} has no score: {why}." for name, why in absent.items()),
        *([left_out_sentence(criteria, left_out)] if left_out else []),
        *([f"Not measured, so without weight: {', '.join(unmeasured)}."] if unmeasured else []),
        *(
            [f"Missing for some, who count as {PENALTY} times the worst: {', '.join(partly)}."]
            if partly
            else []
        ),
        *(f"{one.name}: {alarm}" for one in entered for alarm in one.alarms),
    ]


def left_out_sentence(criteria: Sequence[Criterion], left_out: Sequence[str]) -> str:
    titles = ", ".join(one.title for one in criteria if one.name in left_out)
    return f"Left out of all scores, as they are not known of every arm and one is given by URL: {titles}."
