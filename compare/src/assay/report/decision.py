"""What the evidence comes to under somebody's weights and limits."""

from typing import Literal

from pydantic import Field

from assay.report.part import Interval, Part


class Criterion(Part):
    """Something an arm can be better or worse at. `figures` are by arm, lower is better; an arm without one
    is in `missing` with the reason, and counts as bad as the worst of the others times `PENALTY`."""

    name: str
    title: str
    unit: str
    weight: float
    figures: dict[str, Interval]
    missing: dict[str, str]


class Requirement(Part):
    """A hard limit, as it was asked for: by arm whether it holds, and why. `unknown` does not pass."""

    text: str
    holds: dict[str, Literal["yes", "no", "unknown"]]
    because: dict[str, str]


class Score(Part):
    """The weighted geometric mean of an arm's figures as multiples of the best one's: 1 is best in everything
    that counts."""

    arm: str
    score: Interval
    fit: bool


class Flip(Part):
    """What would have to change for another arm to come out first; None where nothing of it would do."""

    criterion: str
    weight: float
    flips_at: float | None
    to: str | None


class Decision(Part):
    """`recommended` is None where it is withheld, and `withheld` says why. `margin` is by how much the second
    is worse, as a ratio. `absent` are arms without a score, with the reason; `left_out` criteria that count
    for nobody, as an arm by URL takes part and not every arm has them."""

    criteria: list[Criterion]
    requirements: list[Requirement]
    scores: list[Score]
    recommended: str | None
    withheld: str | None
    margin: Interval | None
    flips: list[Flip]
    limits: list[str]
    absent: dict[str, str] = Field(default_factory=dict)
    left_out: list[str] = Field(default_factory=list)
