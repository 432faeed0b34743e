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
    async with service(stall=0.6) as one, service(stall=0.6) as two, service(stall=0.6) as three:
        async with console({"one": one.url, "two": two.url, "three": three.url}) as page:
            lines = await _all(page.url, "send", _get())
    assert [line["status"] for _, line in lines[:-1]] == [200, 200, 200]
    assert 0.6 <= lines[-1][0] < 1.5


async def test_a_stalled_and_a_dead_backend_hold_up_nobody_and_get_a_reason() -> None:
    dead = f"http://{HOST}:{free_port()}"
    async with service() as quick, service(stall=30) as stalled:
        async with console({"stalled": stalled.url, "dead": dead, "quick": quick.url}) as page:
            lines = await _all(page.url, "send", _get(timeout=1))
    at = {line["backend"]: (seconds, line) for seconds, line in lines[:-1]}
    assert at["quick"][0] < 0.8
    assert at["quick"][1]["status"] == 200
    assert at["dead"][0] < 0.8
    assert at["dead"][1]["failure"] == "nothing listens there"
    assert 1 <= at["stalled"][0] < 2
    assert at["stalled"][1]["failure"] == "no answer within 1 s"
    assert lines[-1][1]["baseline"] == "quick"


async def test_whoever_leaves_the_page_ends_what_it_asked_for() -> None:
    async with service() as quick, service(stall=30) as stalled:
        async with console({"quick": quick.url, "stalled": stalled.url}) as page:
            async for _ in _lines(page.url, "send", _get(timeout=20)):
                break
            assert await _soon_hung_up(stalled) == 1


async def test_differences_are_told_by_place_and_ids_are_looked_past() -> None:
    async with service(word="left") as one, service(word="right") as two, service(word="left") as three:
        async with console({"one": one.url, "two": two.url, "three": three.url}) as page:
            lines = await _all(page.url, "send", _get())
    judged = {one["backend"]: one["differences"] for one in lines[-1][1]["judged"]}
    apart = {"place": "body.word", "expected": "'left'", "found": "'right'"}
    assert judged == {"one": None, "two": [apart], "three": []}


def test_numbers_are_held_by_value_and_absent_members_are_told() -> None:
    one = Shown(backend="one", ms=1, status=200, body={"n": 1, "gone": None, "list": [1, 2]})
    other = Shown(backend="other", ms=1, status=200, body={"n": 1.0, "list": [1]})
    assert [(told.place, told.expected, told.found) for told in differences(one, other, {})] == [
        ("body.gone", "None", "nothing"),
        ("body.list[1]", "2", "nothing"),
    ]


def test_a_prefix_that_a_gateway_puts_before_locations_is_no_difference() -> None:
    made = {"location": "/motor/users/01890a5d-ac96-774b-bcce-b302099a8057"}
    one = Shown(backend="motor", ms=1, status=201, headers=made)
    other = Shown(backend="own", ms=1, status=201, headers={"location": made["location"][6:]})
    assert differences(one, other, {"motor": "/motor"}) == []
    assert [told.place for told in differences(one, other, {})] == ["header.location"]


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
    for _ in range(40):
        hung_up = (await running.asked())["hung_up"]
        if hung_up >= times:
            break
        await asyncio.sleep(0.05)
    return hung_up
