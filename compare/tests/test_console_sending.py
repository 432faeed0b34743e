"""One request to all: side by side, each in its own time, and what differs."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from console_processes import Running, console, service

from assay.console.answers import Shown
from assay.console.differences import differences
from assay.stand.ports import HOST, free_port


async def _lines(url: str, place: str, wanted: Any) -> AsyncIterator[tuple[float, Any]]:
    """Each line with the seconds since the request."""
    begun = time.monotonic()
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        async with client.stream("POST", f"{url}/{place}", json=wanted) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                yield time.monotonic() - begun, json.loads(line)


async def _all(url: str, place: str, wanted: Any) -> list[tuple[float, Any]]:
    return [line async for line in _lines(url, place, wanted)]


def _get(**more: Any) -> dict[str, Any]:
    return {"method": "GET", "path": "/things"} | more


async def test_backends_are_asked_side_by_side() -> None:
    async with service(stall=3) as one, service(stall=3) as two, service(stall=3) as three:
        async with console({"one": one.url, "two": two.url, "three": three.url}) as page:
            lines = await _all(page.url, "send", _get())
    assert [line["kind"] for _, line in lines] == ["shown"] * 3 + ["judgement"]
    assert [line["status"] for _, line in lines[:-1]] == [200, 200, 200]
    assert 3 <= lines[-1][0] < 6


async def test_a_stalled_and_a_dead_backend_hold_up_nobody_and_get_a_reason() -> None:
    dead = f"http://{HOST}:{free_port()}"
    async with service() as quick, service(stall=30) as stalled:
        async with console({"stalled": stalled.url, "dead": dead, "quick": quick.url}) as page:
            lines = await _all(page.url, "send", _get(timeout=3))
    at = {line["backend"]: (seconds, line) for seconds, line in lines[:-1]}
    assert 3 <= at["stalled"][0] < 20
    assert at["quick"][0] < at["stalled"][0] - 0.5
    assert at["quick"][1]["status"] == 200
    assert at["dead"][0] < at["stalled"][0] - 0.5
    assert at["dead"][1]["failure"] == "cannot be reached"
    assert at["stalled"][1]["failure"] == "no answer within 3 s"
    assert lines[-1][1]["baseline"] == "quick"


async def test_whoever_leaves_the_page_ends_what_it_asked_for() -> None:
    async with service() as quick, service(stall=30) as stalled:
        async with console({"quick": quick.url, "stalled": stalled.url}) as page:
            async for _ in _lines(page.url, "send", _get(timeout=20)):
                break
            assert await _soon_hung_up(stalled) == 1


async def test_a_stalled_backend_uses_up_no_connection_of_another() -> None:
    async with service(stall=30) as stalled, service() as quick:
        async with console({"stalled": stalled.url, "quick": quick.url}) as page:
            async with httpx2.AsyncClient(base_url=page.url, trust_env=False, timeout=30) as client:
                chosen = {"primary": "stalled", "secondary": "quick"}
                assert (await client.post("/shadowing", json=chosen)).status_code == 200
                waiting = [asyncio.create_task(client.get("/shadow/things")) for _ in range(80)]
                await asyncio.sleep(0.5)
                lines = await _all(page.url, "send", _get(timeout=4))
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
    statuses = {line["backend"]: line["status"] for _, line in lines[:-1]}
    assert statuses == {"stalled": None, "quick": 200}


async def test_what_is_created_is_what_its_placeholder_stands_for_from_the_first_on() -> None:
    async with service() as one, console({"one": one.url}) as page:
        shown = (await _all(page.url, "send", _get(method="POST", path="/users", body="{}")))[0][1]
        made = json.loads(shown["text"])["id"]
        await _all(page.url, "send", _get(path="/users/{user_id}"))
        asked = (await one.asked())["asked"]
    assert asked == [["POST", "/users", "{}"], ["GET", f"/users/{made}", ""]]


async def test_example_rows_that_are_made_late_are_those_of_the_others() -> None:
    async with service() as one, service(refused=2) as late, service(refused=1) as later:
        async with console({"one": one.url, "late": late.url, "later": later.url}) as page:
            for _ in range(3):
                lines = await _all(page.url, "send", _get(path="/users/{user_id}"))
            made = [
                [body for method, path, body in (await running.asked())["asked"] if path == "/users"]
                for running in (one, late, later)
            ]
    assert [line["status"] for _, line in lines[:-1]] == [200] * 3
    assert set(made[0]) == set(made[1]) == set(made[2])


async def test_differences_are_told_by_place_and_ids_are_looked_past() -> None:
    async with service(word="left") as one, service(word="right") as two, service(word="left") as three:
        async with console({"one": one.url, "two": two.url, "three": three.url}) as page:
            lines = await _all(page.url, "send", _get())
    judged = {one["backend"]: one["differences"] for one in lines[-1][1]["judged"]}
    apart = {"place": "body.word", "expected": "'left'", "found": "'right'"}
    assert judged == {"one": None, "two": [apart], "three": []}


def test_numbers_are_held_by_value_and_absent_members_are_told() -> None:
    one = Shown(backend="one", ms=1, status=200, content="json", body={"n": 1, "gone": None, "list": [1, 2]})
    other = Shown(backend="other", ms=1, status=200, content="json", body={"n": 1.0, "list": [1]})
    assert [(told.place, told.expected, told.found) for told in differences(one, other)] == [
        ("body.gone", "None", "nothing"),
        ("body.list[1]", "2", "nothing"),
    ]


async def test_the_prefix_of_each_service_is_no_difference_before_its_own_paths() -> None:
    async with service(root="/one", status=404) as one, service(root="/the/other", status=404) as other:
        async with console({"one": one.url, "other": other.url}) as page:
            made = await _all(page.url, "send", _get(method="POST", path="/users", body="{}"))
            missing = await _all(page.url, "send", _get(path="/nosuch"))
    assert made[0][1]["headers"]["location"].startswith(f"{made[0][1]['prefix']}/users/")
    for lines in (made, missing):
        assert {one["backend"]: one["differences"] for one in lines[-1][1]["judged"]} == {
            "one": None,
            "other": [],
        }


def test_another_place_is_a_difference_whatever_the_prefix() -> None:
    made = Shown(backend="one", ms=1, status=201, headers={"location": "/one/users/5"}, prefix="/one")
    other = Shown(backend="two", ms=1, status=201, headers={"location": "/two/people/5"}, prefix="/two")
    assert [told.place for told in differences(made, other)] == ["header.location"]


async def test_losers_of_a_race_are_cancelled_before_the_next_one_begins() -> None:
    async with service() as quick, service(stall=30) as slow, service(stall=30) as slower:
        async with console({"quick": quick.url, "slow": slow.url, "slower": slower.url}) as page:
            lines = await _all(page.url, "races", _get(races=3, timeout=20))
            races, tally = [line for _, line in lines[:-1]], lines[-1][1]
            assert [(race["winner"], race["margin"], race["cancelled"]) for race in races] == [
                ("quick", None, 2)
            ] * 3
            assert tally["wins"] == {"quick": 3, "slow": 0, "slower": 0}
            assert await _soon_hung_up(slow, 3) == await _soon_hung_up(slower, 3) == 3


async def test_who_is_away_is_told_apart_from_who_lost() -> None:
    dead = f"http://{HOST}:{free_port()}"
    async with service() as one, console({"one": one.url, "dead": dead}) as page:
        lines = await _all(page.url, "races", _get(races=2))
    assert [line["absent"] for _, line in lines[:-1]] == [["dead"]] * 2


async def test_failures_win_no_race_and_writes_are_not_raced() -> None:
    async with service(status=500) as failing, service(stall=0.1) as slow:
        async with console({"failing": failing.url, "slow": slow.url}) as page:
            lines = await _all(page.url, "races", _get(races=2))
            async with httpx2.AsyncClient(trust_env=False) as client:
                refused = await client.post(f"{page.url}/races", json={"method": "POST", "path": "/x"})
    assert lines[-1][1]["wins"] == {"failing": 0, "slow": 2}
    assert refused.status_code == 422


async def _soon_hung_up(running: Running, times: int = 1) -> int:
    hung_up = 0
    for _ in range(400):
        hung_up = (await running.asked())["hung_up"]
        if hung_up >= times:
            break
        await asyncio.sleep(0.05)
    return hung_up
