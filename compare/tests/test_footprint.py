"""Footprints of real processes."""

import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import repeat

import pytest
import pytest_asyncio

from assay.measure.accounting import AccountingError
from assay.measure.arms import Entrant, Entry
from assay.measure.connection import prepare
from assay.measure.dataset import Rows
from assay.measure.footprint import Footprints, lag_percentile, memory
from assay.measure.load import Loader
from assay.stand import Stand, StandOptions, open_stand
from shared.registry import services

pytestmark = pytest.mark.measures

MEBIBYTE = 1 << 20
HOLD = """
import sys
held = bytearray(64 << 20)
print(1, flush=True)
sys.stdin.readline()
del held
print(1, flush=True)
sys.stdin.readline()
"""


@pytest_asyncio.fixture(scope="module")
async def stand() -> AsyncIterator[Stand]:
    async with open_stand(services("asyncpg"), StandOptions(durable=False)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module")
async def entrants(stand: Stand) -> list[Entrant]:
    installed = services("asyncpg")
    entry = Entry(stand, {"asyncpg": Rows([], [])})
    floor = await entry.floor("floor-asyncpg", installed)
    assert floor is not None
    return [entry.service(installed[0]), floor, entry.by_url("elsewhere", "http://127.0.0.1:9", Rows([], []))]


async def test_a_service_and_a_floor_stand_there(stand: Stand, entrants: list[Entrant]) -> None:
    footprints = Footprints(stand)
    known = set(stand.services)
    await footprints.before(entrants)
    assert set(stand.services) == known
    load = entrants[0].contestant.load
    async with Loader(load.host, load.port, 8) as loader:
        await loader.closed(repeat(prepare("GET", "/users?limit=1", "localhost")).__next__, 0.5)
    service, floor, elsewhere = await footprints.after(entrants, loaded_seconds=0.5)

    assert service.missing is None
    assert service.import_seconds is not None
    assert service.start_seconds is not None
    assert 0.2 < service.import_seconds < 10
    assert 0.2 < service.start_seconds < 30
    assert service.loop_lag_ms is not None
    assert 0 < service.loop_lag_ms < 5_000
    assert floor.import_seconds is None
    assert floor.loop_lag_ms is None
    for found in (service, floor):
        assert found.idle_bytes is not None
        assert found.after_bytes is not None
        assert 10 * MEBIBYTE < found.idle_bytes < 400 * MEBIBYTE
        if sys.platform == "linux":
            assert found.peak_bytes is not None
            assert found.after_bytes <= found.peak_bytes
    assert (floor.after_bytes or 0) < (service.after_bytes or 0)
    assert elsewhere.missing == "it runs elsewhere: its process cannot be read from here"


async def test_an_arm_that_came_later_or_went_is_missing(stand: Stand, entrants: list[Entrant]) -> None:
    footprints = Footprints(stand)
    assert [found.missing for found in await footprints.after(entrants[:1])] == ["not seen before"]
    twin = await Entry(stand, {"asyncpg": Rows([], [])}).twin(services("asyncpg")[0])
    assert twin.running is not None
    await footprints.before([twin])
    await twin.running.stop()
    assert "has ended" in str((await footprints.after([twin]))[0].missing)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no peak is kept")
def test_the_peak_outlasts_what_was_held() -> None:
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        full = memory(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        freed = memory(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert freed.resident < full.resident - 60 * MEBIBYTE
    assert freed.peak is not None
    assert freed.peak > freed.resident + 60 * MEBIBYTE
    with pytest.raises(AccountingError, match="has ended"):
        memory(process.pid)


def test_the_descendants_count() -> None:
    own = memory(os.getpid()).resident
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert memory(os.getpid()).resident > own + 60 * MEBIBYTE
        process.kill()


BOUNDS = (0.001, 0.005, 0.01, 0.025, math.inf)


def buckets(*counts: float) -> dict[float, float]:
    return dict(zip(BOUNDS, counts, strict=True))


@pytest.mark.parametrize(
    ("before", "after", "loaded_seconds", "expected"),
    [
        (buckets(0, 0, 0, 0, 0), buckets(0, 0, 0, 0, 0), None, None),
        (buckets(500, 510, 510, 510, 512), buckets(500, 510, 510, 510, 512), None, None),
        (buckets(500, 510, 510, 510, 512), buckets(590, 600, 610, 610, 612), None, 0.0095),
        # 10 of 100 lie from 5 to 10 ms; of the 10 s under load, a hundredth is 1 of all 1,000
        (buckets(0, 0, 0, 0, 0), buckets(900, 990, 1_000, 1_000, 1_000), 10.0, 0.0095),
        (buckets(0, 0, 0, 0, 0), buckets(900, 990, 1_000, 1_000, 1_000), None, 0.005),
        (buckets(0, 0, 0, 0, 0), buckets(0, 0, 0, 0, 50), None, 0.025),
    ],
)
def test_the_lag_that_one_in_a_hundred_exceeds(
    before: dict[float, float],
    after: dict[float, float],
    loaded_seconds: float | None,
    expected: float | None,
) -> None:
    assert lag_percentile(before, after, loaded_seconds) == expected
