"""How many statements an arm lets through to its database at once, however few rows it has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from assay.judge import at_database
from assay.judge.at_mongodb import MongoDBView, open_mongodb
from assay.judge.parity import read_parity
from assay.measure import dataset
from assay.measure.arms import Entrant, Entry
from assay.stand import Stand, StandOptions, open_stand
from shared.registry import services

SERVICES = services("asyncpg", "motor")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand() -> AsyncIterator[Stand]:
    async with open_stand(SERVICES, StandOptions(durable=False)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arms(stand: Stand) -> list[Entrant]:
    rows = {
        name: await dataset.seed(running.url, lambda: None, users=1_000, documents=1_500)
        for name, running in stand.services.items()
    }
    return [Entry(stand, rows).service(service) for service in SERVICES]


@pytest.mark.asyncio(loop_scope="module")
async def test_arms_on_few_rows_let_as_many_statements_through_as_their_pools_hold(
    stand: Stand, arms: list[Entrant]
) -> None:
    parity = await read_parity(arms, ())
    (at_once,) = [one for one in parity.properties if one.name == "statements at once"]
    assert at_once.values == {"asyncpg": "10", "motor": "10"}
    assert parity.alarms == {"asyncpg": [], "motor": []}
    async with AsyncMongoClient[dict[str, object]](stand.databases["mongodb"].url) as client:
        status = await client.admin.command("serverStatus")
    # nothing of the hold is left
    assert status["wiredTiger"]["concurrentTransactions"]["read"]["totalTickets"] == 128


@pytest.mark.asyncio(loop_scope="module")
async def test_statements_that_end_before_they_can_be_counted_are_not_told(
    arms: list[Entrant], monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def of_somebody_else(url: str, *, ours: bool) -> AsyncIterator[MongoDBView]:
        assert ours
        async with open_mongodb(url, ours=False) as view:
            yield view

    monkeypatch.setattr(at_database, "open_mongodb", of_somebody_else)
    parity = await read_parity(arms, ())
    (at_once,) = [one for one in parity.properties if one.name == "statements at once"]
    assert at_once.values == {"asyncpg": "10", "motor": None}
    assert parity.alarms == {"asyncpg": [], "motor": []}
