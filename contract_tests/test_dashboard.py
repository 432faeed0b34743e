"""Aggregates over everything: figures, order of ties, cache (DSH-1, DSH-2).

Figures are compared before and after on a service to whose database nobody else writes meanwhile.
"""

import asyncio
import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import httpx2
import pytest
from api import Api
from builders import if_match, make_document, make_documents, make_user, unique_word
from expectations import Json, expect_gone, round_trips
from targets import QUIET_DASHBOARD_TTL

FIELDS: Final = {"users", "documents", "documents_per_day", "top_tags", "top_owners", "content_bytes"}


async def _fresh(api: Api) -> Json:
    """A dashboard whose queries ran after this call began."""
    async with asyncio.timeout(30):
        while True:
            response = await _read(api)
            if response.headers["x-cache"] == "miss":
                dashboard: Json = response.json()
                return dashboard
            await asyncio.sleep(0.1)


async def _read(api: Api) -> Any:
    response = await api.get("/dashboard")
    assert response.status_code == 200
    return response


@pytest.mark.clause("DSH-1")
async def test_the_dashboard_has_its_fields(api: Api) -> None:
    dashboard = (await _read(api)).json()
    assert set(dashboard) == FIELDS
    assert all(isinstance(dashboard[name], int) for name in ("users", "documents", "content_bytes"))
    assert all(set(entry) == {"tag", "count"} for entry in dashboard["top_tags"])
    assert all(set(entry) == {"user_id", "name", "count"} for entry in dashboard["top_owners"])


@pytest.mark.clause("DSH-1")
async def test_the_last_30_days_are_shown_in_order_with_zeros(quiet_api: Api) -> None:
    await make_document(quiet_api)
    days = (await _fresh(quiet_api))["documents_per_day"]
    today = datetime.now(UTC).date()
    assert all(set(day) == {"date", "count"} for day in days)
    assert [date.fromisoformat(day["date"]) for day in days] == [
        today - timedelta(days=29 - number) for number in range(30)
    ]
    assert all(day["count"] == 0 for day in days[:-2])
    assert days[-1]["count"] + days[-2]["count"] >= 1


@pytest.mark.clause("DSH-1")
async def test_new_rows_are_counted_once(quiet_api: Api) -> None:
    before = await _fresh(quiet_api)
    owner = await make_user(quiet_api)
    await make_documents(quiet_api, owner, 3, content={"a": "ä€😀", "b": [1, 2.0, None, True]}, tags=[])
    after = await _fresh(quiet_api)
    size = len('{"a":"ä€😀","b":[1,2,null,true]}'.encode())
    assert _difference(before, after) == {"users": 1, "documents": 3, "content_bytes": 3 * size}
    assert _recent(after) - _recent(before) == 3


@pytest.mark.clause("DSH-1", "DOC-3")
async def test_a_changed_content_counts_with_its_new_size(quiet_api: Api) -> None:
    document = await make_document(quiet_api, content={"a": "x" * 100})
    before = await _fresh(quiet_api)
    change = {"content": {"b": 1e3, "a": None}}
    response = await quiet_api.patch(f"/documents/{document['id']}", json=change, headers=if_match(document))
    assert response.status_code == 200
    after = await _fresh(quiet_api)
    size = len('{"b":1000}') - len('{"a":""}') - 100
    assert _difference(before, after) == {"users": 0, "documents": 0, "content_bytes": size}


@pytest.mark.clause("DSH-1", "USR-5")
async def test_deleted_rows_count_no_more(quiet_api: Api) -> None:
    owner = await make_user(quiet_api)
    await make_documents(quiet_api, owner, 2, content={})
    before = await _fresh(quiet_api)
    expect_gone(await quiet_api.delete(f"/users/{owner['id']}"))
    after = await _fresh(quiet_api)
    assert _difference(before, after) == {"users": -1, "documents": -2, "content_bytes": -4}


@pytest.mark.clause("DSH-1")
async def test_top_tags_and_owners_come_by_count_and_ties_by_key(quiet_api: Api) -> None:
    tags = [unique_word("tag") for _ in range(3)]
    owners = [await make_user(quiet_api, name=f"Top {number}") for number in range(2)]
    await make_documents(quiet_api, owners[0], 1_000, content={}, tags=[tags[1], tags[0]])
    await make_documents(quiet_api, owners[1], 1_000, content={}, tags=[tags[1], tags[0]])
    await make_documents(quiet_api, owners[0], 1, content={}, tags=[tags[2], tags[0]])
    dashboard = await _fresh(quiet_api)
    ours = [entry for entry in dashboard["top_tags"] if entry["tag"] in tags[:2]]
    assert ours == [{"tag": tags[0], "count": 2_001}, {"tag": tags[1], "count": 2_000}]
    ids = [owner["id"] for owner in owners]
    assert [entry for entry in dashboard["top_owners"] if entry["user_id"] in ids] == [
        {"user_id": ids[0], "name": "Top 0", "count": 1_001},
        {"user_id": ids[1], "name": "Top 1", "count": 1_000},
    ]
    assert len(dashboard["top_tags"]) <= 10
    assert len(dashboard["top_owners"]) <= 10


@pytest.mark.clause("DSH-1", "USR-4")
async def test_an_owner_is_shown_with_the_present_name(quiet_api: Api) -> None:
    owner = await make_user(quiet_api)
    await make_documents(quiet_api, owner, 1_000, content={}, tags=[])
    await make_documents(quiet_api, owner, 1_000, content={}, tags=[])
    change = {"name": "Renamed"}
    await quiet_api.patch(f"/users/{owner['id']}", json=change, headers=if_match(owner))
    entry = {"user_id": owner["id"], "name": "Renamed", "count": 2_000}
    assert entry in (await _fresh(quiet_api))["top_owners"]


@pytest.mark.clause("DSH-2")
async def test_a_second_reader_gets_the_cached_answer(api: Api) -> None:
    answers = [await _read(api) for _ in range(3)]
    hits = [answer for answer in answers if answer.headers["x-cache"] == "hit"]
    assert hits
    assert all(re.fullmatch(r"\d+", hit.headers["age"]) for hit in hits)
    assert {answer.headers["x-cache"] for answer in answers} <= {"hit", "miss"}


@pytest.mark.clause("DSH-2")
async def test_a_cached_answer_does_not_see_later_rows(quiet_api: Api) -> None:
    before = await _fresh(quiet_api)
    await make_user(quiet_api)
    response = await _read(quiet_api)
    assert response.headers["x-cache"] == "miss" or response.json() == before
    assert (await _fresh(quiet_api))["users"] == before["users"] + 1


@pytest.mark.clause("DSH-2", "GEN-7")
async def test_a_burst_for_an_expired_entry_runs_the_queries_once(quiet_api: Api) -> None:
    await _fresh(quiet_api)
    asking, answers, took = list[httpx2.Response](), list[httpx2.Response](), 0.0
    # a service that runs elsewhere may keep its entry for longer, and a busy machine may outlast it
    async with asyncio.timeout(60):
        while not asking or took > QUIET_DASHBOARD_TTL:
            await asyncio.sleep(QUIET_DASHBOARD_TTL + 0.1)
            started = time.monotonic()
            answers = await asyncio.gather(*(_read(quiet_api) for _ in range(30)))
            took = time.monotonic() - started
            asking = [answer for answer in answers if round_trips(answer)]
    assert len(asking) == 1
    assert asking[0].headers["x-cache"] == "miss"
    assert len({answer.content for answer in answers}) == 1


def _difference(before: Json, after: Json) -> dict[str, int]:
    return {name: after[name] - before[name] for name in ("users", "documents", "content_bytes")}


def _recent(dashboard: Json) -> int:
    """The documents of today and yesterday, so that midnight changes nothing."""
    return sum(day["count"] for day in dashboard["documents_per_day"][-2:])
