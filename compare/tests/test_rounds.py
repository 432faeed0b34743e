"""Interleaved rounds on real servers: a bare one entered twice, and their processes' CPU."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise, repeat

import pytest

from assay.measure.connection import LoadError, prepare
from assay.measure.lane import FIRST_ALL
from assay.measure.rounds import Arm, Arrivals, Plan, Rounds, balanced_orders, measure_rounds
from assay.measure.selfcheck import floor_server

pytestmark = pytest.mark.measures


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, int]]:
    """Port and pid of a bare server."""
    with floor_server("bare") as running:
        yield running


@pytest.mark.parametrize("arms", [2, 3, 4, 7, 8])
def test_every_arm_stands_in_each_place_and_after_each_other_equally_often(arms: int) -> None:
    block = arms if arms % 2 == 0 else 2 * arms
    orders = list(islice(balanced_orders(arms, random.Random(5)), 3 * block))
    places = Counter((place, arm) for order in orders for place, arm in enumerate(order))
    assert set(places.values()) == {3 * block // arms}
    for start in range(0, 3 * block, block):
        followers = Counter(pair for order in orders[start : start + block] for pair in pairwise(order))
        assert len(followers) == arms * (arms - 1)
        assert len(set(followers.values())) == 1


def test_orders_repeat_with_their_seed_and_differ_without() -> None:
    first, again, other = (list(islice(balanced_orders(6, random.Random(seed)), 12)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("arrivals", [None, Arrivals(200, "constant"), Arrivals(200, "poisson")])
async def test_rounds_of_one_server_entered_twice(server: tuple[int, int], arrivals: Arrivals | None) -> None:
    plan = Plan(
        rounds=3,
        slices=2,
        slice_seconds=0.05,
        warm_up_seconds=0.05,
        connections=4,
        arrivals=arrivals,
        sample_every=5,
    )
    heard: list[int] = []
    port, pid = server
    arms = [Arm(name, "127.0.0.1", port, pid, None) for name in ("bare", "twin")]
    wire = prepare("GET", "/users/1", "localhost")
    found = await measure_rounds(arms, lambda _arm: repeat(wire).__next__, plan, heard.append)
    assert heard == [0, 1, 2]
    assert [(part.arm, part.round) for part in found] == [(a, n) for n in range(3) for a in ("bare", "twin")]
    for part in found:
        assert part.samples.sent == part.samples.statuses[200] > 0
        # a server as bare as this one may be faster than the generator: such slices are void
        assert (part.samples.sent == part.samples.answers) is (part.void == 0)
        assert part.void == part.slices or (part.service_cpu_us or 0) > 0
        assert part.database_cpu_us is None
        assert all(answer.status == 200 for answer in part.samples.sampled)
        if part.round == 0:  # few of the first requests could hide a difference: all are kept
            assert sorted(answer.index for answer in part.samples.sampled)[:8] == list(range(8))
    if arrivals is not None:
        sent = {(part.round, part.samples.sent) for part in found}
        assert len(sent) == 3  # both arms of a round had the same schedule


async def test_after_the_first_requests_one_answer_in_so_many_is_kept(server: tuple[int, int]) -> None:
    plan = Plan(rounds=3, slices=1, slice_seconds=0.3, warm_up_seconds=0.3, connections=8, sample_every=5)
    port, _ = server
    wire = prepare("GET", "/", "localhost")
    arm = Arm("one", "127.0.0.1", port, None, None)
    found = await measure_rounds([arm], lambda _arm: repeat(wire).__next__, plan)
    last = found[-1].samples
    assert last.sampled[0].index > FIRST_ALL
    assert all(answer.index % 5 == 0 for answer in last.sampled)


async def test_an_arm_that_is_not_there_is_told(server: tuple[int, int]) -> None:
    port, pid = server
    wire = prepare("GET", "/", "localhost")
    arms = [Arm("there", "127.0.0.1", port, pid, None), Arm("gone", "127.0.0.1", 1, None, None)]
    plan = Plan(rounds=2, slices=1, slice_seconds=0.02, warm_up_seconds=0.02, connections=2)
    rounds = Rounds(arms, lambda _arm: repeat(wire).__next__, plan)
    await rounds.turn(1, lambda: False, lambda _number: None, plan.least_rounds)
    assert [part.arm for part in rounds.found] == ["there", "there"]
    assert list(rounds.lost) == ["gone"]
    assert rounds.cold == {"there"}
    with pytest.raises(LoadError, match="gone"):
        await measure_rounds(arms, lambda _arm: repeat(wire).__next__, plan)


async def test_the_same_process_may_serve_and_store(server: tuple[int, int]) -> None:
    plan = Plan(rounds=1, slices=1, slice_seconds=0.05, warm_up_seconds=0.05, connections=2)
    port, pid = server
    wire = prepare("GET", "/", "localhost")
    arm = Arm("one", "127.0.0.1", port, None, pid)
    found = await measure_rounds([arm], lambda _arm: repeat(wire).__next__, plan)
    assert found[0].service_cpu_us is None
    assert found[0].database_cpu_us is not None
    assert found[0].database_cpu_us > 0
