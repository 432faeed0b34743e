"""Resuming the change feed, however long ago and whatever happened meanwhile (EVT-3)."""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from api import Api
from builders import if_match, make_document, make_documents, make_user, unique_word
from expectations import Json, expect_document, expect_problem
from streams import Heard, Subscriber, subscribed
from targets import Target

from assay.stand import Stand

WRITERS: Final = 8
CHANGES: Final = 100
"""Of each writer: 800 commits in all."""

TOMORROW: Final = """
import datetime, sys
from shared.rules import clock
now = clock.now
clock.now = lambda: now() + datetime.timedelta(hours=24, minutes=1)
from shared.registry import services
from shared.serve import run
[service] = services(sys.argv.pop(1))
run(service)
"""
"""A service whose clock is a day ahead."""


async def history(api: Api, owner: Json, changes: int) -> list[Heard]:
    """The events of a document that was changed so often, and before them that of its creation."""
    async with subscribed(api, owner_id=owner["id"]) as subscriber:
        document = await make_document(api, owner)
        for number in range(changes):
            path = f"/documents/{document['id']}"
            patched = await api.patch(path, json={"title": str(number)}, headers=if_match(document))
            document = expect_document(patched)
        return await subscriber.some(changes + 1)


@asynccontextmanager
async def reset(api: Api, last_event_id: str, **params: str) -> AsyncIterator[Subscriber]:
    """A subscriber that was told with its first event that it may have missed some."""
    async with subscribed(api, last_event_id, **params) as subscriber:
        first = await subscriber.next()
        assert first.event == "reset", first
        assert first.id, first
        yield subscriber


@pytest.mark.clause("EVT-3")
async def test_every_id_of_a_history_resumes_right_after_it_and_goes_on_live(api: Api) -> None:
    owner = await make_user(api)
    events = await history(api, owner, 9)
    assert len({event.id for event in events}) == len(events)
    for place in range(10):
        async with subscribed(api, events[place].id, owner_id=owner["id"]) as subscriber:
            live = await make_document(api, owner)
            rest = await subscriber.some(len(events) - place)
        assert rest[:-1] == events[place + 1 :]
        assert rest[-1].change == ("document.created", live["id"], 1)
        events.append(rest[-1])


@pytest.mark.clause("EVT-3")
async def test_a_subscriber_cut_off_before_its_first_event_resumes_at_the_head_it_was_told(api: Api) -> None:
    owner = await make_user(api)
    async with subscribed(api, owner_id=owner["id"]) as subscriber:
        head = subscriber.head
    document = await make_document(api, owner)
    async with subscribed(api, head, owner_id=owner["id"]) as subscriber:
        assert subscriber.head == ""
        assert await subscriber.changes(1) == [("document.created", document["id"], 1)]


@pytest.mark.clause("EVT-3")
async def test_the_header_wins_over_the_query_and_ids_are_valid_across_filters(api: Api) -> None:
    owner = await make_user(api)
    events = await history(api, owner, 3)
    async with subscribed(api, owner_id=owner["id"], last_event_id=events[1].id) as subscriber:
        assert await subscriber.some(2) == events[2:]
    async with subscribed(api, events[2].id, topic="documents", last_event_id=events[0].id) as subscriber:
        assert await subscriber.of([events[0].data["resource_id"]], 1) == events[3:]
    async with subscribed(api, "", owner_id=owner["id"], last_event_id="") as subscriber:
        assert subscriber.head


@pytest.mark.clause("EVT-3")
async def test_a_history_of_many_pages_comes_whole_and_in_order(api: Api) -> None:
    owner = await make_user(api)
    async with subscribed(api, owner_id=owner["id"]) as subscriber:
        head = subscriber.head
    for _ in range(3):
        await make_documents(api, owner, 700)
    async with subscribed(api, head, owner_id=owner["id"]) as subscriber:
        events = await subscriber.some(2_100)
        assert len({event.data["resource_id"] for event in events}) == 2_100
    async with subscribed(api, events[999].id, owner_id=owner["id"]) as subscriber:
        assert await subscriber.some(1_100) == events[1_000:]


@pytest.mark.clause("EVT-3")
async def test_an_id_that_is_none_of_the_feed_resets_once_and_goes_on_live(api: Api) -> None:
    owner = await make_user(api)
    [event] = await history(api, owner, 0)
    swapped = event.id[:-3] + ("AAA" if event.id[-3:] != "AAA" else "BBB")
    for forged in ("0", "x" * 200, unique_word(), swapped, event.id[: len(event.id) // 2]):
        async with reset(api, forged, owner_id=owner["id"]) as subscriber:
            told = subscriber.last_id
            document = await make_document(api, owner)
            assert await subscriber.changes(1) == [("document.created", document["id"], 1)]
        async with subscribed(api, told, owner_id=owner["id"]) as subscriber:
            assert await subscriber.changes(1) == [("document.created", document["id"], 1)]


@pytest.mark.clause("EVT-3")
async def test_an_id_of_another_database_or_of_more_than_a_day_ago_resets(
    api: Api, own_stand: Stand, target: Target
) -> None:
    assert target.service is not None
    variables = own_stand.databases.url_for(target.service)
    command = [sys.executable, "-c", TOMORROW, target.name, "serve"]
    tomorrow = await own_stand.start_process("tomorrow", command, variables)
    async with (
        Api(target.name, own_stand.services[target.service.name].url) as today,
        Api(target.name, tomorrow.url) as late,
    ):
        [event] = await history(today, await make_user(today), 0)
        async with reset(api, event.id), reset(late, event.id):
            pass
    await tomorrow.stop()


@pytest.mark.clause("EVT-2", "EVT-3", "GEN-10")
async def test_a_reader_that_comes_and_goes_among_writers_misses_none_and_sees_none_twice(api: Api) -> None:
    owners = [await make_user(api) for _ in range(WRITERS)]
    async with subscribed(api, topic="documents") as subscriber:
        last = subscriber.head
    documents = [await make_document(api, owner) for owner in owners]
    heard: list[Heard] = []
    writing = asyncio.create_task(_change_all(api, documents))
    count = WRITERS * (CHANGES + 1)
    async with asyncio.timeout(60):
        while len(heard) < count:
            async with subscribed(api, last, topic="documents") as subscriber:
                heard += await subscriber.some(random.randint(1, min(20, count - len(heard))))
                await asyncio.sleep(random.uniform(0, 0.02))
                last = heard[-1].id
    await writing
    assert [one for one, times in Counter(one.change for one in heard).items() if times > 1] == []
    for document in documents:
        versions = [one.data["version"] for one in heard if one.data["resource_id"] == document["id"]]
        assert versions == list(range(1, CHANGES + 2))


async def _change_all(api: Api, documents: list[Json]) -> None:
    # a client of its own: load, from which nothing is learned, does not count among the run's requests
    async with Api(api.name, api.url, api.token) as load:
        await asyncio.gather(*(_keep_changing(load, document) for document in documents))


async def _keep_changing(api: Api, document: Json) -> None:
    path = f"/documents/{document['id']}"
    for number in range(CHANGES):
        patched = await api.patch(path, json={"title": str(number)}, headers=if_match(document))
        document = expect_document(patched)


@pytest.mark.clause("EVT-3", "GEN-1")
async def test_a_repeated_last_event_id_in_the_query_is_refused(api: Api) -> None:
    answer = await api.get("/events?last_event_id=a&last_event_id=b")
    expect_problem(answer, 422, "validation", ["query", "last_event_id"])
