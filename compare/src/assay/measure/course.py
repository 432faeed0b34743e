"""All scenarios within one time: equal shares first, then more for those that are still wide."""

import time
from collections.abc import Callable, Sequence

from assay.measure import statistics
from assay.measure.campaign import Campaign, Found, Task

TURNS = 3
"""For each scenario, spread over the run."""

FURTHER_SECONDS = 8.0
"""The least of a further turn: its connections and first slices are not to be the most of it."""


async def run_course(
    tasks: Sequence[Task], seconds: float, on_progress: Callable[[str, float], None], *, turns: int = TURNS
) -> dict[str, Found]:
    """What was found, by scenario, in the order of the tasks.

    Scenarios that only read come first, so that every arm reads what was seeded; then those that write. Each
    of the two groups has its share of the time by the number of its scenarios. In it every scenario gets as
    many `turns` of equal length, one scenario after the other and all over again, so that its rounds lie
    minutes apart. It ends sooner where its intervals are as narrow as its plan asks; what is left goes to
    those that are not, the widest first, in further turns. So intervals are looked at after each round until
    they are narrow: Chow and Robbins, On the Asymptotic Theory of Fixed-Width Sequential Confidence
    Intervals, Annals of Mathematical Statistics 36 (1965); from `LEAST_ROUNDS` on they keep their confidence.

    `on_progress` hears the scenario's name and the part of the seconds that has passed, 0–1, after each
    round. The least rounds of a plan are measured even where they take longer.
    """
    clock = _Clock(seconds, on_progress)
    groups = [
        [Campaign(task) for task in tasks if task.scenario.writes == writes] for writes in (False, True)
    ]
    left = len(tasks)
    for group in groups:
        if group:
            await _run_group(group, clock, clock.left * len(group) / left, turns)
            left -= len(group)
    campaigns = [campaign for group in groups for campaign in group]
    usual = statistics.mean([campaign.between for campaign in campaigns])
    found = {campaign.task.scenario.name: await campaign.found(usual) for campaign in campaigns}
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


async def _run_group(group: Sequence[Campaign], clock: _Clock, seconds: float, turns: int) -> None:
    reserved = clock.left - seconds
    planned = [(campaign, (turn + 1) / turns) for turn in range(turns) for campaign in group]
    for number, (campaign, part) in enumerate(planned):
        # one that took longer than its share takes from all that follow alike
        turn = min(seconds / len(planned), (clock.left - reserved) / (len(planned) - number))
        await campaign.turn(turn, clock.told(campaign.task.scenario.name), part)
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
