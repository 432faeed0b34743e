"""The floors on real databases: they answer what the services answer, and the databases' CPU is seen."""

import sys
from collections.abc import AsyncIterator
from itertools import count, repeat
from typing import Any

import asyncpg
import httpx2
import orjson
import pytest
import pytest_asyncio

from assay.measure.accounting import CpuMeter
from assay.measure.connection import Source, prepare
from assay.measure.rounds import Arm, Plan, measure_rounds
from assay.stand import StandOptions, open_stand
from assay.stand.ports import HOST
from assay.stand.stand import RunningService, Stand
from shared.registry import services

pytestmark = pytest.mark.measures

FLOORS = ("floor-asyncpg", "floor-motor")
TIMES = ("created_at", "updated_at")


@pytest_asyncio.fixture(scope="module")
async def stand() -> AsyncIterator[Stand]:
    """The services and, on their databases, the floors."""
    async with open_stand(services("asyncpg", "motor"), StandOptions(durable=False)) as opened:
        for name in FLOORS:
            backend = services(name.removeprefix("floor-"))[0]
            command = [sys.executable, "-m", "assay.measure.floors", name]
            await opened.start_process(name, command, opened.databases.url_for(backend))
        yield opened


@pytest_asyncio.fixture(scope="module")
async def owner(stand: Stand) -> dict[str, str]:
    """By backend, a user who owns three documents."""
    found: dict[str, str] = {}
    for backend in ("asyncpg", "motor"):
        async with client(stand.services[backend]) as service:
            user = {"email": "Ada@example.org", "name": "Ada"}
            found[backend] = (await service.post("/users", json=user)).json()["id"]
            for number in range(3):
                await service.post("/documents", json=document(found[backend], number))
    return found


def client(running: RunningService) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=running.url, trust_env=False, timeout=10)


def document(owner_id: str, number: int) -> dict[str, Any]:
    content = {"size": number, "nested": {"text": "caf\u00e9", "none": None}}
    return {"owner_id": owner_id, "title": f"Notes {number}", "content": content, "tags": ["a", "b"]}


def told(value: Any) -> Any:
    """An answer without what a floor leaves out: cursors, and the third decimal's zeros after it."""
    if isinstance(value, list):
        return [told(member) for member in value]
    if not isinstance(value, dict):
        return value
    kept = {name: told(member) for name, member in value.items() if name != "next_cursor"}
    return {name: member[:23] if name in TIMES else member for name, member in kept.items()}


async def both(stand: Stand, name: str, path: str) -> tuple[Any, Any]:
    """What the floor and its service answer to a GET."""
    async with client(stand.services[name]) as floor, client(stand.services[name[6:]]) as service:
        answers = [await one.get(path) for one in (floor, service)]
    assert [answer.status_code for answer in answers] == [200, 200]
    floor_told, service_told = (told(answer.json()) for answer in answers)
    return floor_told, service_told


@pytest.mark.parametrize("name", FLOORS)
async def test_a_floor_reads_what_its_service_reads(stand: Stand, owner: dict[str, str], name: str) -> None:
    user_id = owner[name[6:]]
    listing = f"/documents?owner_id={user_id}&sort=-created_at&limit=2"
    found, expected = await both(stand, name, f"/users/{user_id}")
    assert found == expected
    found, expected = await both(stand, name, listing)
    assert found == expected
    assert [row["title"] for row in found["items"]] == ["Notes 2", "Notes 1"]
    found, expected = await both(stand, name, f"/documents/{found['items'][0]['id']}?include=owner")
    assert found == expected
    assert found["owner"]["email"] == "Ada@example.org"
    async with client(stand.services[name]) as floor:
        missing = await floor.get("/users/00000000-0000-0000-0000-000000000007")
        assert missing.status_code == 404


@pytest.mark.parametrize("name", FLOORS)
async def test_a_service_reads_what_a_floor_wrote(stand: Stand, owner: dict[str, str], name: str) -> None:
    user_id = owner[name[6:]]
    people = [{"email": f"{name}{number}@Example.org", "name": "New"} for number in range(3)]
    papers = [document(user_id, number) for number in range(3)]
    async with client(stand.services[name]) as floor, client(stand.services[name[6:]]) as service:
        one = await floor.post("/users", json={"email": f"{name}@example.org", "name": "One"})
        assert one.status_code == 201
        assert told((await service.get(f"/users/{one.json()['id']}")).json()) == told(one.json())
        assert (
            await service.post("/users", json={"email": people[0]["email"], "name": "x"})
        ).status_code == 201
        people[0]["email"] = f"{name}other@example.org"
        for path, sent in (("/users/batch", people), ("/documents/batch", papers)):
            stored = (await floor.post(path, json=sent)).json()["items"]
            assert len(stored) == 3
            for row in stored:
                assert told((await service.get(f"{path[:-6]}/{row['id']}")).json()) == told(row)
        found = (await service.get("/documents", params={"q": "notes", "tag": "a"})).json()["items"]
        assert {row["id"] for row in stored} <= {row["id"] for row in found}


@pytest.mark.parametrize("name", FLOORS)
async def test_a_floor_patches_one_version_and_the_change_is_in_the_feed(
    stand: Stand, owner: dict[str, str], name: str
) -> None:
    async with client(stand.services[name]) as floor, client(stand.services[name[6:]]) as service:
        stored = (await service.post("/documents", json=document(owner[name[6:]], 9))).json()
        path, change = f"/documents/{stored['id']}", {"title": "A Title", "tags": ["c"]}
        changed = await floor.patch(path, json=change, headers={"if-match": '"1"'})
        assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
        assert told((await service.get(path)).json()) == told(changed.json())
        assert changed.json()["title"] == "A Title"
        again = await floor.patch(path, json=change, headers={"if-match": '"1"'})
        assert again.status_code == 412
        found = (await service.get("/documents", params={"q": "title"})).json()["items"]
        assert stored["id"] in {row["id"] for row in found}
    if name == "floor-asyncpg":
        connection = await asyncpg.connect(stand.databases.url_for(services("asyncpg")[0])["DATABASE_URL"])
        types = await connection.fetch("SELECT type FROM events WHERE resource_id = $1", stored["id"])
        await connection.close()
        assert [row["type"] for row in types] == ["document.created", "document.updated"]


@pytest.mark.parametrize(
    ("method", "path", "body", "rows"),
    [
        ("GET", "/users/1", None, None),
        ("GET", "/documents/1?include=owner", None, None),
        ("GET", "/documents?owner_id=1&limit=50", None, 50),
        ("POST", "/users/batch", [{"email": "a", "name": "b"}] * 7, 7),
        ("PATCH", "/documents/1", {"title": "a"}, None),
    ],
)
async def test_the_bare_floor_answers_as_much_as_a_service_would(
    stand: Stand, method: str, path: str, body: Any, rows: int | None
) -> None:
    if "bare" not in stand.services:
        await stand.start_process("bare", [sys.executable, "-m", "assay.measure.floors", "bare"], {})
    async with client(stand.services["bare"]) as bare:
        answer = await bare.request(method, path, json=body)
    assert answer.is_success
    assert len(answer.json()["items"] if rows is not None else [0]) == (rows or 1)
    assert ("documents" in path) == ("content" in answer.text)


async def test_rounds_on_floors_see_the_databases_cpu(stand: Stand, owner: dict[str, str]) -> None:
    numbers = count()

    def create() -> bytes:
        users = [{"email": f"{next(numbers)}@rounds.example", "name": "New"} for _ in range(20)]
        return prepare("POST", "/users/batch", "localhost", None, orjson.dumps(users))

    def requests(arm: Arm) -> Source:
        if arm.name == "create":
            return create
        return repeat(prepare("GET", f"/users/{owner[arm.name]}", "localhost")).__next__

    plan = Plan(rounds=2, slices=2, slice_seconds=0.1, warm_up_seconds=0.1, connections=4, sample_every=10)
    arms = [
        _arm(stand, "asyncpg", "floor-asyncpg"),
        _arm(stand, "create", "floor-asyncpg"),
        _arm(stand, "motor", "floor-motor"),
    ]
    found = await measure_rounds(arms, requests, plan)
    for part in found:
        assert set(part.samples.statuses) == {201 if part.arm == "create" else 200}
        assert not part.samples.errors
        assert part.service_cpu_us is not None
        assert part.database_cpu_us is not None
        assert min(part.service_cpu_us, part.database_cpu_us) > 0
        if part.arm == "create":
            assert {len(orjson.loads(kept.body)["items"]) for kept in part.samples.sampled} == {20}


def _arm(stand: Stand, name: str, floor: str) -> Arm:
    running = stand.services[floor]
    database = stand.databases.of(services(floor.removeprefix("floor-"))[0])
    return Arm(name, HOST, int(running.url.rpartition(":")[2]), running.pid, database.pid)


async def test_backends_that_came_and_went_are_counted(stand: Stand) -> None:
    backend = services("asyncpg")[0]
    pid = stand.databases.of(backend).pid
    assert pid is not None
    meter = CpuMeter(pid)
    readings = [meter.cpu_ns()]
    for _ in range(3):
        connection = await asyncpg.connect(stand.databases.url_for(backend)["DATABASE_URL"])
        await connection.execute("SELECT sum(n) FROM generate_series(1, 300000) AS n")
        readings.append(meter.cpu_ns())
        await connection.close()
        readings.append(meter.cpu_ns())
    assert readings == sorted(readings)
    assert readings[-1] - readings[0] > 3_000_000
