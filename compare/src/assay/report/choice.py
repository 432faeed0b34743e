"""The decision as a table: criteria and limits by arm, and what the page's script needs to weigh anew."""

from dataclasses import dataclass

from assay.judge.decision import PENALTY, left_out_sentence, nobody, unfit
from assay.report.decision import Criterion, Decision, Requirement
from assay.report.model import Arm
from assay.report.part import Interval
from assay.report.views import NOT_MEASURED, View
from assay.report.words import figure, times

HOLDS = {"yes": "✓", "no": "✗", "unknown": "?"}


@dataclass(frozen=True)
class Candidate:
    """An arm that takes part; `place` counts those that are fit, from 1, and `unfit` says why one is not."""

    arm: Arm
    hue: int
    unfit: str | None
    score: Interval | None
    place: int | None


@dataclass(frozen=True)
class Weighed:
    """A figure as a multiple of the best one; `figure` is None where it is missing, and `why` says why."""

    figure: Interval | None
    multiple: float | None
    best: bool
    why: str | None


@dataclass(frozen=True)
class CriterionView:
    """`counts` is False where no arm has figures, or where it is left out: it is then without weight."""

    criterion: Criterion
    counts: bool
    cells: list[Weighed]


@dataclass(frozen=True)
class RequirementView:
    """By candidate: a sign, the word and the reason."""

    requirement: Requirement
    cells: list[tuple[str, str, str]]


class Choice:
    """`absent` are the arms that take no part, each with its reason."""

    def __init__(self, view: View) -> None:
        self.decision: Decision = view.results.decision
        scores = {score.arm: score for score in self.decision.scores}
        fit = [score.arm for score in self.decision.scores if score.fit]
        self.candidates = [
            Candidate(
                arm,
                view.hue_of(arm),
                unfit(arm.name, self.decision.requirements),
                scores[arm.name].score,
                fit.index(arm.name) + 1 if arm.name in fit else None,
            )
            for arm in view.services
            if arm.name in scores
        ]
        self.absent = [
            (arm.name, view.hue_of(arm), arm.excluded or self.decision.absent.get(arm.name, NOT_MEASURED))
            for arm in view.services
            if arm.name not in scores
        ]
        self.criteria = [self._criterion(found) for found in self.decision.criteria]
        self.requirements = [self._requirement(found) for found in self.decision.requirements]
        self.most = _reach(self.decision)
        self._practical = view.results.method.practical
        self._titles = {found.name: found.title for found in self.decision.criteria}

    @property
    def penalty(self) -> float:
        return PENALTY

    @property
    def standing(self) -> str:
        """The outcome in one sentence, in the words that the script uses for other weights."""
        if self.decision.recommended is None:
            return f"Withheld: {self.decision.withheld or 'no arm keeps every limit.'}"
        if self.decision.margin is None:
            return f"{self.decision.recommended} is the only one that keeps every limit."
        margin = self.decision.margin
        return (
            f"{self.decision.recommended} comes first; the second is {times(margin.value)} as costly "
            f"({margin.low:.2f}–{margin.high:.2f})."
        )

    @property
    def left_out(self) -> str | None:
        if not self.decision.left_out:
            return None
        return left_out_sentence(self.decision.criteria, self.decision.left_out)

    @property
    def flips(self) -> list[str]:
        """What would change the order, and in one line what would not."""
        lines, firm = [], []
        for flip in self.decision.flips:
            title = self._titles.get(flip.criterion, flip.criterion)
            if flip.flips_at is None or flip.to is None:
                firm.append(title)
                continue
            direction = "at or above" if flip.flips_at > flip.weight else "at or below"
            at = f"{direction} {figure(flip.flips_at)}"
            lines.append(f"{title}, weighed {flip.weight:g}: {at}, {flip.to} comes first.")
        if firm:
            lines.append(f"No weight of one of these alone: {', '.join(firm)}.")
        return lines

    @property
    def for_script(self) -> dict[str, object]:
        """What the formula takes, as in `assay.judge.decision`."""
        return {
            "penalty": PENALTY,
            "practical": self._practical,
            "nobody": nobody(self.decision.requirements),
            "arms": [{"name": one.arm.name, "unfit": one.unfit} for one in self.candidates],
            "criteria": [
                {
                    "name": found.name,
                    "weight": found.weight,
                    "figures": {
                        arm: [told.value, told.low, told.high]
                        for arm, told in found.figures.items()
                        if found.name not in self.decision.left_out
                    },
                }
                for found in self.decision.criteria
            ],
        }

    def _criterion(self, found: Criterion) -> CriterionView:
        best = min((told.value for told in found.figures.values()), default=None)
        cells = []
        for one in self.candidates:
            told = found.figures.get(one.arm.name)
            why = None if told else found.missing.get(one.arm.name, NOT_MEASURED)
            multiple = told.value / best if told and best else None
            cells.append(Weighed(told, multiple, told is not None and told.value == best, why))
        return CriterionView(found, best is not None and found.name not in self.decision.left_out, cells)

    def _requirement(self, found: Requirement) -> RequirementView:
        names = [one.arm.name for one in self.candidates]
        words = [(found.holds.get(name, "unknown"), found.because.get(name, NOT_MEASURED)) for name in names]
        return RequirementView(found, [(HOLDS[word], word, because) for word, because in words])


def _reach(decision: Decision) -> float:
    """Where the sliders end: room above the largest weight and the nearest flips."""
    flips = [flip.flips_at for flip in decision.flips if flip.flips_at is not None and flip.flips_at <= 20]
    return max([10.0, *(float(-(-found.weight // 1)) for found in decision.criteria), *flips])
