"""A slower way to the database on a real service: what is measured, predicted, and named where it is not."""

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from assay.measure import dataset
from assay.measure.dataset import Rows
from assay.measure.delays import delays, steps
from assay.measure.scenarios import SCENARIOS
from assay.stand import Stand, StandOptions, open_stand
from shared.registry import Service, services

pytestmark = pytest.mark.measures

NAMES = ("asyncpg", "motor")
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest_asyncio.fixture(scope="module")
async def stand() -> AsyncIterator[Stand]:
    with pytest.MonkeyPatch.context() as environment:
        for variable in ("DATABASE_URL", "MONGODB_URL", "MONGO_URL"):
            environment.delenv(variable, raising=False)
        async with open_stand(_services(), StandOptions(durable=False)) as opened:
            yield opened


@pytest_asyncio.fixture(scope="module")
async def rows(stand: Stand) -> Mapping[str, Rows]:
    return {
        name: await dataset.seed(stand.services[name].url, lambda: None, users=200, documents=1_000)
        for name in NAMES
    }


def _services() -> list[Service]:
    return [service for service in services() if service.name in NAMES]


async def test_every_arm_is_measured_and_predicted_at_every_delay(
    stand: Stand, rows: Mapping[str, Rows]
) -> None:
    scenarios = [BY_NAME["users.get"], BY_NAME["documents.patch-content"]]
    heard: list[None] = []
    before = set(stand.services)
    found = await delays(
        scenarios, stand, _services(), rows, [5], 1, seed=1, on_step=lambda: heard.append(None)
    )
    assert len(heard) == steps(scenarios)
    assert [(one.arm, one.scenario, one.asked_ms) for one in found] == [
        (name, scenario.name, asked_ms) for scenario in scenarios for name in NAMES for asked_ms in (0.0, 5.0)
    ]
    assert {one.missing for one in found} == {None}
    for near, far in zip(found[::2], found[1::2], strict=True):
        assert near.added_ms == 0
        assert near.p50_ms is not None
        assert near.predicted_ms == near.p50_ms.ms
        assert far.added_ms is not None
        assert far.p50_ms is not None
        assert far.round_trips is not None
        assert 4.5 < far.added_ms < 10
        assert far.predicted_ms == near.p50_ms.ms + far.round_trips * far.added_ms
        # how near the prediction is, is a case of its own: it takes a quiet machine
        assert far.p50_ms.ms > near.p50_ms.ms
        assert far.service_cpu is not None
    added = {name: running for name, running in stand.services.items() if name not in before}
    assert len(added) == 2 * len(NAMES)
    assert not any(running.alive for running in added.values())


async def test_an_arm_whose_answers_fail_is_named(stand: Stand, rows: Mapping[str, Rows]) -> None:
    strange = {**rows, "asyncpg": Rows(["00000000-0000-0000-0000-000000000000"], [])}
    get = [BY_NAME["users.get"]]
    found = await delays(get, stand, _services(), strange, [], 1, seed=1, on_step=lambda: None)
    failed, whole = found
    assert (failed.arm, failed.p50_ms, failed.predicted_ms) == ("asyncpg", None, None)
    assert failed.missing is not None
    assert "× 404" in failed.missing
    assert (whole.arm, whole.missing) == ("motor", None)
