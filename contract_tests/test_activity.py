"""What users did: promised before it is stored, and never lost by a stop (BG-1)."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import psutil
import pytest
from api import Api
from builders import make_user, unique_word
from expectations import Json, check_id, expect_gone, expect_page, expect_problem, same_json, walk
from promptness import expect_prompt
from targets import Target

from assay.stand import Database, Stand
from shared.registry import Service

FIELDS: Final = {"id", "user_id", "action", "detail", "created_at"}
NOBODY: Final = "01890000-0000-7000-8000-000000000000"
SHOWN_WITHIN: Final = 2.0
AGAIN: Final = 20.0


@pytest.fixture(scope="module")
async def user(api: Api) -> Json:
    """A user who does what the tests of this module need."""
    return await make_user(api)


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


async def _act(api: Api, user: Json, action: str, **fields: Any) -> str:
    """The id of what was promised."""
    response = await api.post(f"/users/{user['id']}/actions", json={"action": action, **fields})
    assert response.status_code == 202, response.text
    assert set(response.json()) == {"id"}
    check_id(response.json()["id"])
    return str(response.json()["id"])


async def _shown(api: Api, user: Json, ids: set[str]) -> list[Json]:
    """The user's activity, once all ids are in it."""
    async with asyncio.timeout(AGAIN):
        while True:
            items = await walk(api, f"/users/{user['id']}/activity", {"limit": 200})
            if ids <= {item["id"] for item in items}:
                return items
            await asyncio.sleep(0.02)


@pytest.mark.clause("BG-1")
async def test_an_action_is_shown_within_two_seconds_as_it_was_sent(api: Api, user: Json) -> None:
    detail = {"$set": [1, 2.5, None], "": {"a.b": "\U0001f600"}}

    async def act() -> tuple[float]:
        action_id = await _act(api, user, "opened", detail=detail)
        promised = time.monotonic()
        shown = next(item for item in await _shown(api, user, {action_id}) if item["id"] == action_id)
        took = time.monotonic() - promised
        assert set(shown) == FIELDS
        assert (shown["user_id"], shown["action"]) == (user["id"], "opened")
        assert same_json(shown["detail"], detail)
        return (took,)

    await expect_prompt(act, SHOWN_WITHIN)


@pytest.mark.clause("BG-1")
async def test_the_detail_may_be_left_out(api: Api, user: Json) -> None:
    action_id = await _act(api, user, "closed")
    items = await _shown(api, user, {action_id})
    assert [item["detail"] for item in items if item["id"] == action_id] == [{}]


@pytest.mark.clause("BG-1", "GEN-9")
async def test_activity_is_listed_newest_first_page_by_page(api: Api) -> None:
    user = await make_user(api)
    made = [await _act(api, user, f"step {number}") for number in range(7)]
    assert [item["id"] for item in await _shown(api, user, set(made))] == made[::-1]
    path = f"/users/{user['id']}/activity"
    assert [item["id"] for item in await walk(api, path, {"limit": 3})] == made[::-1]
    cursor = expect_page(await api.get(path, params={"limit": 3}))[1]
    assert cursor is not None
    other = f"/users/{(await make_user(api))['id']}/activity"
    expect_problem(await api.get(other, params={"cursor": cursor}), 422, "validation", ["query", "cursor"])


@pytest.mark.clause("BG-1", "USR-8")
async def test_the_summary_shows_the_five_newest_actions(api: Api) -> None:
    user = await make_user(api)
    made = [await _act(api, user, "step") for _ in range(6)]
    newest = (await _shown(api, user, set(made)))[:5]
    assert (await api.get(f"/users/{user['id']}/summary")).json()["latest_activity"] == newest


@pytest.mark.clause("BG-1", "USR-5")
async def test_activity_goes_with_its_user(api: Api) -> None:
    user = await make_user(api)
    await _shown(api, user, {await _act(api, user, "step")})
    await _act(api, user, "last step")
    expect_gone(await api.delete(f"/users/{user['id']}"))
    expect_problem(await api.get(f"/users/{user['id']}/activity"), 404, "not-found")


@pytest.mark.clause("BG-1")
@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "action"]),
        ({"action": ""}, ["body", "action"]),
        ({"action": "x" * 101}, ["body", "action"]),
        ({"action": 5}, ["body", "action"]),
        ({"action": "a\x00"}, ["body", "action"]),
        ({"action": "a", "detail": []}, ["body", "detail"]),
        ({"action": "a", "detail": None}, ["body", "detail"]),
        ({"action": "a", "detail": {"x": "y" * (16 * 1024 - 7)}}, ["body", "detail"]),
        ({"action": "a", "at": "now"}, ["body", "at"]),
    ],
)
async def test_what_is_no_action_is_invalid(api: Api, user: Json, body: Json, loc: list[str | int]) -> None:
    expect_problem(await api.post(f"/users/{user['id']}/actions", json=body), 422, "validation", loc)


@pytest.mark.clause("BG-1")
@pytest.mark.parametrize("fields", [{"action": "é" * 100}, {"detail": {"x": "y" * (16 * 1024 - 8)}}])
async def test_an_action_may_be_as_large_as_said(api: Api, user: Json, fields: Json) -> None:
    action_id = await _act(api, user, **{"action": "large", **fields})
    await _shown(api, user, {action_id})


@pytest.mark.clause("BG-1", "GEN-2")
async def test_nobody_has_no_activity(api: Api) -> None:
    expect_problem(await api.post(f"/users/{NOBODY}/actions", json={"action": "a"}), 404, "not-found")
    expect_problem(await api.get(f"/users/{NOBODY}/activity"), 404, "not-found")
    expect_problem(await api.get("/users/x/activity"), 422, "validation", ["path", "user_id"])


async def _act_until_stopped(api: Api, user: Json, promised: set[str]) -> None:
    while True:
        try:
            response = await api.post(f"/users/{user['id']}/actions", json={"action": unique_word()})
        except httpx2.TransportError:
            return
        if response.status_code == 202:
            promised.add(response.json()["id"])


@pytest.mark.clause("BG-1", "OPS-4")
async def test_a_stop_loses_nothing_that_was_promised(
    own_stand: Stand, service: Service, own_api: Api
) -> None:
    user, promised = await make_user(own_api), set[str]()
    running = await own_stand.start_service(service, name="ending")
    async with Api(service.name, running.url) as ending, asyncio.TaskGroup() as clients:
        for _ in range(8):
            clients.create_task(_act_until_stopped(ending, user, promised))
        async with asyncio.timeout(AGAIN):
            while len(promised) <= 20:
                await asyncio.sleep(0.05)
        process = psutil.Process(running.pid)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 15) == 0
    await _shown(own_api, user, promised)


@pytest.mark.clause("BG-1", "OPS-5")
async def test_a_database_that_goes_away_loses_nothing_that_was_promised(
    mortal: Database, own_api: Api
) -> None:
    user, promised = await make_user(own_api), set[str]()
    clients = [asyncio.create_task(_act_until_stopped(own_api, user, promised)) for _ in range(8)]
    async with asyncio.timeout(AGAIN):
        while not promised:
            await asyncio.sleep(0.05)
    await mortal.kill()
    for client in clients:
        client.cancel()
    await asyncio.wait(clients)
    await mortal.start()
    async with asyncio.timeout(AGAIN):
        while (await own_api.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)
    await _shown(own_api, user, promised)
