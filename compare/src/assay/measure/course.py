"""All scenarios within one time: equal shares first, then more for those that are still wide."""

import time
from collections.abc import Callable, Sequence

from assay.measure.campaign import Campaign, Found, Task

FURTHER_SECONDS = 8.0
"""The least of a further turn: its connections and first slices are not to be the most of it."""


async def run_course(
    tasks: Sequence[Task], seconds: float, on_progress: Callable[[str, float], None]
) -> dict[str, Found]:
    """What was found, by scenario, in the order of the tasks.

    Scenarios that only read come first, so that every arm reads what was seeded; then those that write. Each
    of the two groups has its share of the time by the number of its scenarios. In it every scenario gets an
    equal part, and ends sooner where its intervals are as narrow as its plan asks; what is left goes to those
    that are not, the widest first, in further turns. So intervals are looked at after each round until they
    are narrow: Chow and Robbins, On the Asymptotic Theory of Fixed-Width Sequential Confidence Intervals,
    Annals of Mathematical Statistics 36 (1965); from `LEAST_ROUNDS` on they keep their confidence.

    `on_progress` hears the scenario's name and the part of the seconds that has passed, 0–1, after each
    round. The least rounds of a plan are measured even where they take longer.
    """
    clock = _Clock(seconds, on_progress)
    found: dict[str, Found] = {}
    left = len(tasks)
    for writes in (False, True):
        group = [Campaign(task) for task in tasks if task.scenario.writes == writes]
        if group:
            await _run_group(group, clock, clock.left * len(group) / left)
            left -= len(group)
        for campaign in group:
            found[campaign.task.scenario.name] = await campaign.found()
    return {task.scenario.name: found[task.scenario.name] for task in tasks}


class _Clock:
    def __init__(self, seconds: float, on_progress: Callable[[str, float], None]) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._on_progress = on_progress

    @property
    def left(self) -> float:
        return max(0.0, self._seconds - (time.monotonic() - self._began))

    def told(self, scenario: str) -> Callable[[int], None]:
        def tell(_round: int) -> None:
            passed = 1 - self.left / self._seconds if self._seconds else 1.0
            self._on_progress(scenario, passed)

        return tell


async def _run_group(group: Sequence[Campaign], clock: _Clock, seconds: float) -> None:
    reserved = clock.left - seconds
    share = seconds / len(group)
    for number, campaign in enumerate(group):
        # one that took longer than its share takes from all that follow alike
        turn = min(share, (clock.left - reserved) / (len(group) - number))
        await campaign.turn(turn, clock.told(campaign.task.scenario.name))
    while wide := sorted(
        (campaign for campaign in group if not campaign.is_done),
        key=lambda campaign: campaign.half_width,
        reverse=True,
    ):
        for number, campaign in enumerate(wide):
            ending = clock.left - reserved
            if ending < FURTHER_SECONDS:
                return
            turn = max(FURTHER_SECONDS, ending / (len(wide) - number))
            await campaign.turn(min(turn, ending), clock.told(campaign.task.scenario.name))
