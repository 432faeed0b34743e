"""Curves of a real service, and of arms that have none."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest
import pytest_asyncio

from assay.measure import dataset
from assay.measure.arms import Entry
from assay.measure.campaign import Contestant
from assay.measure.growth import OPERATIONS, STEPS, growth
from assay.measure.rounds import Arm
from assay.measure.scenarios import Target
from assay.report.figures import Growth
from assay.stand import StandOptions, open_stand
from shared.registry import services

pytestmark = pytest.mark.measures

SHORT = [
    replace(operation, rows=(1, 100)) for operation in OPERATIONS if operation.name != "users.create_many"
]


@pytest_asyncio.fixture(scope="module")
async def curves() -> AsyncIterator[tuple[list[Growth], int]]:
    """Of asyncpg, of it again as if its processes could not be read, and of nobody; and the steps."""
    async with open_stand(services("asyncpg"), StandOptions(durable=False)) as stand:
        rows = await dataset.seed(stand.services["asyncpg"].url, lambda: None, users=200, documents=200)
        real = Entry(stand, {"asyncpg": rows}).service(services("asyncpg")[0]).contestant
        far = Arm("far", real.load.host, real.load.port, None, None)
        nobody = Arm("nobody", real.load.host, 9, 1, 1)
        target = Target(real.target.host, rows, lane=1)
        contestants = [real, *(Contestant(arm.name, arm, target, is_floor=False) for arm in (far, nobody))]
        steps: list[None] = []
        on_step = partial(steps.append, None)
        yield await growth(contestants, 1.0, seed=3, on_step=on_step, operations=SHORT), len(steps)


def of(curves: tuple[list[Growth], int], arm: str) -> list[Growth]:
    return [curve for curve in curves[0] if curve.arm == arm]


def test_every_operation_has_a_curve_of_every_arm(curves: tuple[list[Growth], int]) -> None:
    assert curves[1] == 4
    for arm in ("asyncpg", "far", "nobody"):
        assert [curve.operation for curve in of(curves, arm)] == ["documents.list", "documents.create_many"]


@pytest.mark.parametrize("place", range(2))
def test_more_rows_cost_more(curves: tuple[list[Growth], int], place: int) -> None:
    curve = of(curves, "asyncpg")[place]
    assert curve.missing is None
    first, last = curve.points
    assert (first.rows, last.rows) == (1, 100)
    assert first.service_cpu is not None
    assert last.service_cpu is not None
    assert last.service_cpu.value > 2 * first.service_cpu.value
    assert first.database_cpu is not None
    assert last.database_cpu is not None
    assert last.database_cpu.value > first.database_cpu.value


def test_what_has_no_figures_says_why(curves: tuple[list[Growth], int]) -> None:
    assert {curve.missing for curve in of(curves, "far")} == {"its CPU cannot be read from here"}
    for curve in of(curves, "nobody"):
        assert curve.missing is not None
        assert curve.points == []


def test_a_run_takes_twelve_steps() -> None:
    assert STEPS == sum(len(operation.rows) for operation in OPERATIONS) == 12
