"""Interleaved rounds: every arm several short slices in each, in an order that favours none."""

import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack

from assay.measure.accounting import AccountingError
from assay.measure.connection import LoadError, Source
from assay.measure.lane import Arm, ArmRound, Arrivals, Lane, Plan

__all__ = ["Arm", "ArmRound", "Arrivals", "Plan", "Rounds", "balanced_orders", "measure_rounds"]


def balanced_orders(arms: int, rng: random.Random) -> Iterator[list[int]]:
    """Orders of the arms without end: in each block every arm stands in each place equally often, and follows
    each other arm equally often. A block has `arms` orders, twice that for an odd number.

    Source: E. J. Williams, Experimental designs balanced for the estimation of residual effects of
    treatments, Australian Journal of Scientific Research A 2 (1949). Names and rows are shuffled anew in each
    block.

    >>> orders = balanced_orders(4, random.Random(1))
    >>> sorted(sorted(place) for place in zip(*[next(orders) for _ in range(4)]))
    [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    """
    zigzag = [(step + 1) // 2 if step % 2 else (arms - step // 2) % arms for step in range(arms)]
    rows = [[(start + place) % arms for place in zigzag] for start in range(arms)]
    if arms % 2:
        rows += [row[::-1] for row in rows]
    while True:
        names = rng.sample(range(arms), arms)
        for row in rng.sample(rows, len(rows)):
            yield [names[place] for place in row]


class Rounds:
    """One scenario on all arms. `turn` may be called again and goes on where the last one ended: with the
    next request of each source, in the next order.

    An arm that dies is lost and the others go on. The arms stand in each place of the order equally often
    where rounds x slices is a multiple of the block of `balanced_orders`, else as nearly as can be. In an
    open loop every arm of a slice gets the same schedule.
    """

    def __init__(self, arms: Sequence[Arm], requests: Callable[[Arm], Source], plan: Plan) -> None:
        self.found: list[ArmRound] = []
        self.count = 0
        self._turns = 0
        self._plan = plan
        self._rng = random.Random(plan.seed)
        self._orders = balanced_orders(len(arms), self._rng)
        self._lanes = [Lane(arm, requests(arm), plan) for arm in arms]

    @property
    def lost(self) -> dict[str, str]:
        """The arms that could not be measured to the end, and why."""
        return {lane.arm.name: lane.lost for lane in self._lanes if lane.lost is not None}

    @property
    def cold(self) -> set[str]:
        """The arms whose cost was not steady when their warm-up ended."""
        return {lane.arm.name for lane in self._lanes if lane.warm is False}

    async def turn(
        self, seconds: float, enough: Callable[[], bool], on_round: Callable[[int], None], least_rounds: int
    ) -> None:
        """Warms all arms up, then rounds until they are `enough` or the time is over and there are
        `least_rounds`, those of earlier turns among them."""
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            await _each(self._lanes, lambda lane: lane.open(stack))
            await _each(self._lanes, lambda lane: lane.warm_up())
            while not (self.is_over or enough()):
                if self.count >= least_rounds and time.monotonic() - began > seconds:
                    break
                await self._round()
                on_round(self.count - 1)
        self._turns += 1

    @property
    def is_over(self) -> bool:
        """Whether another turn would add nothing."""
        return self.count >= self._plan.rounds or all(lane.lost is not None for lane in self._lanes)

    async def _round(self) -> None:
        for _ in range(self._plan.slices):
            await self._slices(self._rng.getrandbits(32))
        self.found += [lane.end_round(self.count, self._turns) for lane in self._lanes if lane.lost is None]
        self.count += 1

    async def _slices(self, seed: int) -> None:
        await _each([self._lanes[place] for place in next(self._orders)], lambda lane: lane.slice(seed))


async def _each(lanes: Sequence[Lane], step: Callable[[Lane], Awaitable[None]]) -> None:
    for lane in lanes:
        if lane.lost is None:
            try:
                await step(lane)
            except (LoadError, AccountingError) as error:
                lane.lost = str(error)


async def measure_rounds(
    arms: Sequence[Arm],
    requests: Callable[[Arm], Source],
    plan: Plan,
    on_round: Callable[[int], None] = lambda _number: None,
) -> list[ArmRound]:
    """Measures one scenario on all arms, in the plan's rounds or seconds whatever its precision; `requests`
    gives each arm its source, `on_round` hears of progress. An arm that dies is a LoadError."""
    rounds = Rounds(arms, requests, plan)
    await rounds.turn(plan.seconds, lambda: False, on_round, plan.least_rounds)
    for name, reason in rounds.lost.items():
        raise LoadError(f"{name}: {reason}")
    return rounds.found
