"""The floors on real databases: they answer what was stored, and the databases' CPU is seen."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count, repeat
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from assay.measure.accounting import CpuMeter
from assay.measure.connection import Asked, Source, prepare
from assay.measure.load import Loader
from assay.measure.rounds import Arm, Plan, measure_rounds
from assay.measure.selfcheck import floor_server
from assay.stand import Databases, StandOptions, open_databases
from assay.stand.ports import HOST
from assay.stand.urls import with_database

TABLE = """
CREATE TABLE users (
    id uuid PRIMARY KEY, email text NOT NULL, email_key text UNIQUE NOT NULL, name text NOT NULL,
    name_key text NOT NULL, version integer NOT NULL, created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
)
"""
ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
MOMENT = datetime(2026, 11, 22, 6, 33, 27, 230_000, UTC)
USER = {
    "id": str(ID),
    "email": "Ada@example.org",
    "name": "Ada",
    "version": 1,
    "created_at": "2026-11-22T06:33:27.230000Z",
    "updated_at": "2026-11-22T06:33:27.230000Z",
}
READ = prepare("GET", f"/users/{ID}", "localhost")


@pytest_asyncio.fixture(scope="module")
async def databases() -> AsyncIterator[Databases]:
    async with open_databases(("postgresql", "mongodb"), StandOptions(durable=False)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module")
async def environment(databases: Databases) -> dict[str, str]:
    """Where the floors find one user, in the layout of the services."""
    await databases["postgresql"].create_database("assay_floor")
    postgresql = with_database(databases["postgresql"].url, "assay_floor")
    mongodb = with_database(databases["mongodb"].url, "assay_floor")
    connection = await asyncpg.connect(postgresql)
    await connection.execute(TABLE)
    insert = "INSERT INTO users VALUES ($1, $2, lower($2), $3, lower($3), 1, $4, $4)"
    await connection.execute(insert, ID, USER["email"], USER["name"], MOMENT)
    await connection.close()
    async with AsyncMongoClient[dict[str, Any]](mongodb, uuidRepresentation="standard") as client:
        user = {
            "email": USER["email"],
            "name": "Ada",
            "version": 1,
            "created_at": MOMENT,
            "updated_at": MOMENT,
        }
        await client["assay_floor"]["users"].insert_one({"_id": ID, "name_key": "ada", **user})
    return {"DATABASE_URL": postgresql, "MONGODB_URL": mongodb, "POOL_SIZE": "4"}


@pytest.fixture(scope="module")
def floors(environment: dict[str, str]) -> Iterator[dict[str, tuple[int, int]]]:
    """Port and pid of each floor with a database."""
    with ExitStack() as stack:
        names = ("floor-asyncpg", "floor-motor")
        yield {name: stack.enter_context(floor_server(name, environment)) for name in names}


async def answer_to(port: int, wire: bytes) -> tuple[int, Any]:
    heard: list[tuple[int, Any]] = []

    def hear(status: int, _head: bytes, body: bytes) -> None:
        heard.append((status, orjson.loads(body)))

    async with Loader(HOST, port, 1) as loader:
        await loader.closed(repeat(Asked(wire, hear)).__next__, 0)
    return heard[0]


@pytest.mark.parametrize("name", ["floor-asyncpg", "floor-motor"])
async def test_a_floor_reads_the_stored_user(floors: dict[str, tuple[int, int]], name: str) -> None:
    port, _ = floors[name]
    assert await answer_to(port, READ) == (200, USER)
    assert (await answer_to(port, prepare("GET", "/readyz", "localhost")))[0] == 200
    missing = prepare("GET", f"/users/{UUID(int=7)}", "localhost")
    assert (await answer_to(port, missing))[0] == 404


async def test_rounds_on_floors_see_the_databases_cpu(
    databases: Databases, floors: dict[str, tuple[int, int]]
) -> None:
    numbers = count()

    def create() -> bytes:
        users = [{"email": f"{next(numbers)}@example.org", "name": "New"} for _ in range(20)]
        return prepare("POST", "/users/batch", "localhost", None, orjson.dumps(users))

    def requests(arm: Arm) -> Source:
        return create if arm.name == "create" else repeat(READ).__next__

    plan = Plan(rounds=2, slices=2, slice_seconds=0.1, warm_up_seconds=0.1, connections=4, sample_every=10)
    (relational, relational_pid), (documents, documents_pid) = floors["floor-asyncpg"], floors["floor-motor"]
    arms = [
        Arm("read", HOST, relational, relational_pid, databases["postgresql"].pid),
        Arm("create", HOST, relational, relational_pid, databases["postgresql"].pid),
        Arm("motor", HOST, documents, documents_pid, databases["mongodb"].pid),
    ]
    found = await measure_rounds(arms, requests, plan)
    for part in found:
        assert set(part.samples.statuses) == {201 if part.arm == "create" else 200}
        assert not part.samples.errors
        assert part.service_cpu_us is not None
        assert part.database_cpu_us is not None
        assert min(part.service_cpu_us, part.database_cpu_us) > 0
        assert all(
            len(orjson.loads(kept.body)) == 20 for kept in part.samples.sampled if part.arm == "create"
        )


async def test_backends_that_came_and_went_are_counted(
    databases: Databases, environment: dict[str, str]
) -> None:
    pid = databases["postgresql"].pid
    assert pid is not None
    meter = CpuMeter(pid)
    readings = [meter.cpu_ns()]
    for _ in range(3):
        connection = await asyncpg.connect(environment["DATABASE_URL"])
        await connection.execute("SELECT sum(n) FROM generate_series(1, 300000) AS n")
        readings.append(meter.cpu_ns())
        await connection.close()
        readings.append(meter.cpu_ns())
    assert readings == sorted(readings)
    assert readings[-1] - readings[0] > 3_000_000
