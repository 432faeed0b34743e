"""Latency in an open loop: requests come at a rate fixed in advance, whatever the arm does with them.

Latency counts from the time at which a request was due, so one that had to wait for the server counts its
wait (coordinated omission: Gil Tene, How NOT to Measure Latency, 2013). A request that got no answer is an
error, and counts with the generator's patience; so a server that stands still shows in the tail and in the
maximum, whether its answers come late or never.

Arms take turns in slices. A stall longer than a slice delays the requests of that slice alone: it shows, but
weighs less than it lasted.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from assay.measure.campaign import Contestant
from assay.measure.histogram import curve, encoded, percentiles
from assay.measure.open_loop import Lane, failed, failures, late, open_lanes, saturated, waited
from assay.measure.pacing import Schedule
from assay.measure.rounds import Arrivals, balanced_orders
from assay.measure.samples import Samples, merged
from assay.measure.scenarios import Scenario
from assay.report.figures import Latency

OPEN_LOOP = ("users.get", "documents.list", "documents.patch")
"""The scenarios that it is measured in; somebody's own is measured in it as well."""
ONE_OF_THREE = f"measured in an open loop are {', '.join(OPEN_LOOP[:-1])} and {OPEN_LOOP[-1]}"

SLICE_SECONDS = 1.0
LOAD = 0.5
"""Of what the slowest arm can do: every arm is then busy, and none has a queue that only grows."""

MOST_PER_SECOND = 400.0
"""A gap of 2.5 ms is far above what the generator's timer is off by, and costs it a tenth of a core at most,
which it may share with the databases."""

ATTEMPTS = 3


class _Record:
    """The slices of one arm: those that hold, and how many are void."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._slices: list[Samples] = []
        self._void = 0

    async def slice(self, schedule: Schedule, deadline: float) -> None:
        """Again where it is void, while there is time; without any that holds, in spite of the time."""
        for attempt in range(ATTEMPTS):
            if attempt and self._slices and time.monotonic() + SLICE_SECONDS > deadline:
                return
            seen = await self._lane.run(schedule)
            if not saturated(seen) and not late(seen, SLICE_SECONDS):
                self._slices.append(seen)
                return
            self._void += 1

    def told(self, scenario: str, arrivals: Literal["poisson", "constant"], per_second: float) -> Latency:
        whole = merged(self._slices)
        latencies_ns = waited(whole)
        reason = self._missing(whole)
        spread = percentiles(latencies_ns)
        if reason is None and not spread:
            reason = f"{whole.sent} requests are too few for any percentile"
        figures = reason is None
        return Latency(
            arm=self._lane.name,
            scenario=scenario,
            missing=reason,
            arrivals=arrivals,
            per_second=per_second,
            samples=latencies_ns.size,
            errors=failed(whole),
            percentiles=spread if figures else [],
            max_ms=float(np.max(latencies_ns)) / 1e6 if figures else None,
            curve=curve(latencies_ns) if figures else [],
            histogram=encoded(latencies_ns) if figures else None,
        )

    def _missing(self, whole: Samples) -> str | None:
        if self._lane.broken is not None:
            return self._lane.broken
        if self._void > len(self._slices):
            slices = self._void + len(self._slices)
            return f"the load generator could not keep up in {self._void} of {slices} slices"
        return failures(whole) if failed(whole) * 100 >= whole.sent > 0 else None


async def latencies(
    scenario: Scenario,
    contestants: Sequence[Contestant],
    seconds: float,
    *,
    per_second: float | None,
    arrivals: Literal["poisson", "constant"],
    seed: int,
    on_slice: Callable[[], None],
) -> list[Latency]:
    """One scenario on all arms, in about `seconds`, but at least a slice of each; `on_slice` hears of each.

    All arms get the same requests at the same times, `per_second` of them, or where that is None half of what
    the slowest can do, at most 400. Sources that write start from what `contestant.target` holds untouched:
    give it a lane that no other measurement wrote to.
    """
    deadline = time.monotonic() + seconds
    rng = random.Random(seed)
    async with open_lanes(scenario, contestants, seed) as lanes:
        able = [rate for lane in lanes if (rate := await lane.probe()) > 0]
        rate = per_second or min(MOST_PER_SECOND, LOAD * min(able, default=0.0))
        records = [_Record(lane) for lane in lanes]
        orders = balanced_orders(len(lanes), rng)
        while able:
            schedule = Arrivals(rate, arrivals).schedule(SLICE_SECONDS, rng.getrandbits(32))
            for place in next(orders):
                await records[place].slice(schedule, deadline)
                on_slice()
            if time.monotonic() + len(able) * SLICE_SECONDS > deadline:
                break
    return [record.told(scenario.name, arrivals, rate) for record in records]
