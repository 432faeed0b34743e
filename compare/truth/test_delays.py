"""A slower way to the database is sized as it is, foretold from the round trips, and blamed on waiting."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from assay.measure import attribution, dataset
from assay.measure.campaign import Contestant
from assay.measure.dataset import Rows
from assay.measure.delays import delays
from assay.measure.lane import Arm
from assay.measure.rounds import Plan, measure_rounds
from assay.measure.scenarios import SCENARIOS, Target
from assay.report.figures import Split
from assay.stand import Stand, StandOptions, open_stand
from assay.stand.relay_process import Orders, start_relay
from shared.registry import services

pytestmark = pytest.mark.slow

Tell = Callable[[str, str, str], None]

NAMES = ("users.get", "documents.get", "documents.patch-content", "documents.transfer")
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
SECONDS_FOR_DELAYS = 120.0
SECONDS_FOR_BLAME = 12.0
INJECTED_MS = 2.0


@dataclass(frozen=True)
class Standing:
    stand: Stand
    rows: Mapping[str, Rows]


@pytest_asyncio.fixture(scope="module")
async def standing() -> AsyncIterator[Standing]:
    with pytest.MonkeyPatch.context() as environment:
        for variable in ("DATABASE_URL", "MONGODB_URL", "MONGO_URL"):
            environment.delenv(variable, raising=False)
        environment.setenv("SERVER_TIMING", "1")
        async with open_stand(services(), StandOptions(durable=False)) as stand:
            rows = {
                name: await dataset.seed(running.url, lambda: None)
                for name, running in stand.services.items()
            }
            yield Standing(stand, rows)


async def test_the_median_is_what_the_round_trips_predict(standing: Standing, tell: Tell) -> None:
    scenarios = [BY_NAME[name] for name in NAMES]
    found = await delays(
        scenarios,
        standing.stand,
        services(),
        standing.rows,
        [1, 5],
        SECONDS_FOR_DELAYS,
        seed=1,
        on_step=lambda: None,
    )
    off: dict[tuple[str, float], list[float]] = {}
    for one in found:
        assert one.missing is None, (one.arm, one.scenario, one.missing)
        if one.asked_ms:
            assert one.p50_ms is not None
            assert one.predicted_ms is not None
            off.setdefault((one.arm, one.asked_ms), []).append(abs(one.p50_ms.ms / one.predicted_ms - 1))
    for (arm, asked_ms), apart in off.items():
        told = f"{max(apart):.0%} off at most"
        tell(f"{arm} with {asked_ms:g} ms: measured against predicted", told, "≤ 15 %")
    assert {key: max(apart) for key, apart in off.items() if max(apart) > 0.15} == {}


@pytest.mark.parametrize("name", ["users.get", "documents.patch"])
async def test_a_slower_way_is_sized_and_blamed_on_waiting(standing: Standing, tell: Tell, name: str) -> None:
    near, far = await delays(
        [BY_NAME[name]],
        standing.stand,
        services("asyncpg"),
        standing.rows,
        [INJECTED_MS],
        SECONDS_FOR_BLAME,
        seed=2,
        on_step=lambda: None,
    )
    assert (near.missing, far.missing) == (None, None)
    assert near.p50_ms is not None
    assert far.p50_ms is not None
    assert far.round_trips is not None
    rise, injected = far.p50_ms.ms - near.p50_ms.ms, far.round_trips * INJECTED_MS
    blamed = await _blamed(standing, name)
    case = f"{INJECTED_MS:g} ms on the way to the database in {name}"
    tell(f"{case}: p50 rises", f"{rise:.2f} ms", f"{injected:g} ms ± 30 %")
    tell(f"{case}: blamed on", blamed, "waiting")
    assert rise == pytest.approx(injected, rel=0.3)
    assert blamed == "waiting"


async def _blamed(standing: Standing, name: str) -> str:
    """What tells two processes of one service apart, both behind a relay, of which one is slow."""
    async with AsyncExitStack() as stack:
        near = await _behind_a_relay(standing, f"near-{name}", 0, 0.0, stack)
        far = await _behind_a_relay(standing, f"far-{name}", 1, INJECTED_MS, stack)
        splits = await _splits(name, near, far)
    return attribution.blame(splits[far.name], splits[near.name])


async def _behind_a_relay(
    standing: Standing, name: str, lane: int, delay_ms: float, stack: AsyncExitStack
) -> Contestant:
    stand, [service] = standing.stand, services("asyncpg")
    [(variable, url)] = stand.databases.url_for(service).items()
    relay = await start_relay(stand, f"{name}-way", url)
    stack.push_async_callback(relay.close)
    running = await stand.start_service(service, name=name, environment={variable: relay.url})
    stack.push_async_callback(running.stop)
    await relay.order(Orders(delay_ms=delay_ms))
    address = urlsplit(running.url)
    load = Arm(name, address.hostname or "", address.port or 0, running.pid, stand.databases.of(service).pid)
    return Contestant(name, load, Target(address.netloc, standing.rows[service.name], lane), is_floor=False)


async def _splits(name: str, *arms: Contestant) -> dict[str, Split]:
    """Of each arm, without floors."""
    scenario = BY_NAME[name]
    sources = {one.name: scenario.source(one.target, 1) for one in arms}
    plan = Plan(rounds=1_000, least_rounds=6, seconds=SECONDS_FOR_BLAME, slices=2, warm_up_seconds=0.5)
    rounds = await measure_rounds([one.load for one in arms], lambda arm: sources[arm.name], plan)
    waited = await attribution.waiting(scenario, arms, SECONDS_FOR_BLAME, seed=2)
    return {
        one.name: Split(
            arm=one.name,
            scenario=name,
            missing=None,
            layer=_median([found.service_cpu_us for found in rounds if found.arm == one.name]),
            database=_median([found.database_cpu_us for found in rounds if found.arm == one.name]),
            waiting=waited[one.name],
        )
        for one in arms
    }


def _median(values: list[float | None]) -> float:
    return median(value for value in values if value is not None)
