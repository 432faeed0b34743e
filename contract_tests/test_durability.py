"""What a 2xx is worth when processes die or take too long (GEN-8, GEN-11)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import httpx2
import pytest
from api import Api
from builders import if_match, make_user, new_document, new_user
from expectations import Json, expect_page, expect_problem
from targets import Target

from assay.stand import Database, Stand
from shared.registry import Service

AGAIN: Final = 20.0
"""Seconds in which a restarted service or database must serve again."""

WRITERS: Final = 6
REQUEST_TIMEOUT: Final = 0.1


@dataclass
class Written:
    """What writers were told: users as the last 2xx answered them, and emails of refused creates."""

    acknowledged: dict[str, Json] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
def service(target: Target, own_stand: Stand) -> Service:
    """The service that runs on the stand of its own."""
    assert target.service is not None
    return target.service


@pytest.fixture
async def own_api(own_stand: Stand, service: Service) -> AsyncIterator[Api]:
    """A client of the service on the stand of its own."""
    async with Api(service.name, own_stand.services[service.name].url) as client:
        yield client


async def _write(api: Api, written: Written) -> None:
    """Creates users and changes each, until told to stop or until nobody answers any more."""
    while not written.stop.is_set():
        body = new_user()
        try:
            created = await api.post("/users", json=body)
            if created.status_code != 201:
                _refused(written, body["email"], created)
                continue
            written.acknowledged[created.json()["id"]] = created.json()
            path = f"/users/{created.json()['id']}"
            changed = await api.patch(path, json={"name": "changed"}, headers=if_match(created.json()))
        except httpx2.TransportError:
            return
        if changed.status_code == 200:
            written.acknowledged[changed.json()["id"]] = changed.json()


def _refused(written: Written, email: str, answer: httpx2.Response) -> None:
    assert answer.status_code in (503, 504), answer.text
    if answer.status_code == 503 and "unknown" not in answer.json()["detail"]:
        written.refused.append(email)


async def _written_until(api: Api, end: Callable[[], Awaitable[None]]) -> Written:
    """What was acknowledged before and while `end` took something away."""
    written = Written()
    async with asyncio.TaskGroup() as writers:
        for _ in range(WRITERS):
            writers.create_task(_write(api, written))
        await asyncio.sleep(0.7)
        async with asyncio.timeout(AGAIN):
            while len(written.acknowledged) <= WRITERS:
                await asyncio.sleep(0.05)
        await end()
        await asyncio.sleep(0.3)
        written.stop.set()
    return written


async def _check(api: Api, written: Written) -> None:
    """Nothing acknowledged is lost or older than acknowledged; nothing plainly refused is there."""
    for user in written.acknowledged.values():
        found = (await api.get(f"/users/{user['id']}")).json()
        assert found == user or found["version"] == user["version"] + 1, (found, user)
    for email in written.refused[:50]:
        assert expect_page(await api.get("/users", params={"q": email}))[0] == []


async def _ready(api: Api) -> None:
    async with asyncio.timeout(AGAIN):
        while (await api.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)


@pytest.mark.clause("GEN-11")
async def test_acknowledged_writes_survive_a_killed_service(
    own_stand: Stand, service: Service, own_api: Api
) -> None:
    written = await _written_until(own_api, lambda: own_stand.services[service.name].child.kill(0))
    restarted = await own_stand.start_service(service)
    async with Api(service.name, restarted.url) as again:
        await _check(again, written)


@pytest.mark.clause("GEN-11")
async def test_acknowledged_writes_survive_a_killed_database(mortal: Database, own_api: Api) -> None:
    written = await _written_until(own_api, mortal.kill)
    await mortal.start()
    await _ready(own_api)
    await _check(own_api, written)


@pytest.mark.clause("GEN-8", "GEN-4")
async def test_a_write_that_takes_too_long_is_a_504_and_holds_whole_or_not_at_all(
    own_stand: Stand, service: Service, own_api: Api
) -> None:
    owner = await make_user(own_api)
    batch = [new_document(owner["id"], content={"filler": "x" * 14_000}) for _ in range(1_000)]
    hasty = await own_stand.start_service(
        service, name="hasty", environment={"REQUEST_TIMEOUT": str(REQUEST_TIMEOUT)}
    )
    async with Api(service.name, hasty.url) as api:
        problem = expect_problem(await api.post("/documents/batch", json=batch), 504, "timeout")
    await hasty.stop()
    assert "unknown" in problem["detail"]
    summary = (await own_api.get(f"/users/{owner['id']}/summary")).json()
    assert summary["document_count"] in (0, 1_000)
