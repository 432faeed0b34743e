"""Capacity: the highest rate of independent arrivals at which p99 and errors stay within their limits.

A search by bisection on the geometric scale, from what the arm can do in a closed loop. A step just above the
capacity builds its queue up slowly: one of t seconds sees an overload of (target / t) or more of the rate, so
steps are as long as the time allows.
"""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from assay.measure.campaign import Contestant
from assay.measure.histogram import rank
from assay.measure.open_loop import Lane, failed, late, open_lanes, saturated, waited
from assay.measure.pacing import poisson_schedule
from assay.measure.samples import Samples
from assay.measure.scenarios import Scenario
from assay.report.figures import Capacity, Step
from assay.report.part import Interval

FIRST = 0.7
"""Of the closed loop's rate: independent arrivals queue before the server is full."""

GROWTH = 1.5
NARROW = 1.1
"""The bracket is narrow enough when its ends are 10 % apart."""

STEP_SECONDS = 1.0
STEP_SAMPLES = 1_100
"""On average; a Poisson process of fewer than the 1,000 that carry a p99 is then rare."""

STEPS = 12
"""Enough for a bracket of 10 % and its confirmation: longer steps are the better use of more time."""

ATTEMPTS = 3
P99 = 9_900
MOST_FAILED = 0.001


class Search:
    """Where to look next. The later word on a rate counts, as a bracket may be an accident of two steps."""

    def __init__(self, first: float) -> None:
        self._first = first
        self._kept: Counter[float] = Counter()
        self._lost: Counter[float] = Counter()

    @property
    def low(self) -> float | None:
        """The highest rate that was kept."""
        return max(self._kept, default=None)

    @property
    def high(self) -> float | None:
        """The lowest rate that was not kept."""
        return min(self._lost, default=None)

    def rate(self) -> float | None:
        """The next to try; None when both ends of a narrow bracket came out so twice."""
        low, high = self.low, self.high
        if low is None:
            return self._first if high is None else high / GROWTH
        if high is None:
            return low * GROWTH
        if high / low > NARROW:
            return math.sqrt(low * high)
        if self._kept[low] < 2:
            return low
        return high if self._lost[high] < 2 else None

    def saw(self, rate: float, *, kept: bool) -> None:
        """What a rate keeps every lower one does, and what it does not keep none above it does."""
        agreeing, other = (self._kept, self._lost) if kept else (self._lost, self._kept)
        agreeing[rate] += 1
        for past in list(other):
            if (past <= rate) if kept else (past >= rate):
                del other[past]


class _Climb:
    """One arm's search, within its share of the time."""

    def __init__(self, lane: Lane, target_ms: float, share: float) -> None:
        self._lane = lane
        self._target_ms = target_ms
        self._share = self._left = share
        self._search: Search | None = None
        self._steps: list[Step] = []
        self._void = 0

    async def begin(self) -> None:
        began = time.monotonic()
        able = await self._lane.probe()
        self._search = Search(FIRST * able) if able else None
        self._left -= time.monotonic() - began

    async def step(self, seed: int) -> bool:
        """One step; False where there is none to make any more."""
        rate = self._next()
        if rate is None or self._length(rate) > self._left:
            return False
        began = time.monotonic()
        seconds = self._length(rate)
        await self._lane.settle()
        seen = await self._lane.run(poisson_schedule(rate, seconds, seed))
        self._left -= time.monotonic() - began
        if self._lane.broken is None:
            self._learn(rate, seen, seconds)
        return True

    def _next(self) -> float | None:
        if self._search is None or self._lane.broken is not None or self._void == ATTEMPTS:
            return None
        return self._search.rate()

    def _length(self, rate: float) -> float:
        return max(STEP_SECONDS, self._share / STEPS, STEP_SAMPLES / rate)

    def _learn(self, rate: float, seen: Samples, seconds: float) -> None:
        assert self._search is not None
        latencies_ns = np.sort(waited(seen))
        p99_ms = float(latencies_ns[rank(latencies_ns.size, P99) - 1]) / 1e6
        errors = failed(seen)
        kept: bool | None = p99_ms < self._target_ms and errors < MOST_FAILED * seen.sent
        if saturated(seen) or (not kept and late(seen, seconds)):  # late requests seem slower, never faster
            kept = None
            self._void += 1
        else:
            self._void = 0
            self._search.saw(rate, kept=bool(kept))
        self._steps.append(Step(per_second=rate, samples=seen.sent, errors=errors, p99_ms=p99_ms, kept=kept))

    def told(self, scenario: str) -> Capacity:
        low = high = None
        if self._search is not None and self._lane.broken is None:
            low, high = self._search.low, self._search.high
        bracket = None
        if low is not None and high is not None:
            bracket = Interval(value=math.sqrt(low * high), low=low, high=high)
        return Capacity(
            arm=self._lane.name,
            scenario=scenario,
            missing=None if bracket is not None else self._missing(low, high),
            target_ms=self._target_ms,
            per_second=bracket,
            steps=self._steps,
        )

    def _missing(self, low: float | None, high: float | None) -> str:
        if self._lane.broken is not None:
            return self._lane.broken
        rate = self._next()
        if self._void:
            beyond = "" if low is None else f"{low:,.0f} requests/s were kept, but "
            return f"{beyond}the load generator could not keep up at {self._steps[-1].per_second:,.0f}"
        assert rate is not None
        if not self._steps:
            return f"a step takes {self._length(rate):.0f} s at {rate:,.0f} requests/s: longer than its time"
        if high is None:
            return f"kept all rates up to {low:,.0f} requests/s: too little time to find the end"
        return f"did not keep {high:,.0f} requests/s, the lowest rate that there was time for"


async def capacities(
    scenario: Scenario,
    contestants: Sequence[Contestant],
    seconds: float,
    *,
    target_ms: float,
    seed: int,
    on_step: Callable[[], None],
) -> list[Capacity]:
    """One scenario on all arms in about `seconds`, each with an equal share; `on_step` hears of each step.

    Arms take their steps in turns. As in `latencies`, `contestant.target` needs a lane that nothing wrote to.
    """
    rng = random.Random(seed)
    async with open_lanes(scenario, contestants, seed) as lanes:
        climbs = [_Climb(lane, target_ms, seconds / len(lanes)) for lane in lanes]
        for climb in climbs:
            await climb.begin()
        going = list(climbs)
        while going:
            turn, arrivals = rng.sample(going, len(going)), rng.getrandbits(32)
            for climb in turn:
                if await climb.step(arrivals):
                    on_step()
                else:
                    going.remove(climb)
    return [climb.told(scenario.name) for climb in climbs]
