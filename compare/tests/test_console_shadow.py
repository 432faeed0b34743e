"""The secondary hears what the primary heard, and the client notices nothing of it."""

import asyncio
import time
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx2
import pytest
from console_processes import choose, client_of, console, service, state_of

from assay.console.answers import Shown
from assay.console.correspondence import MOST, Correspondence
from assay.console.relayed import Relayed
from assay.console.relaying import HELD_BYTES
from assay.console.shadow import OPERATIONS_MOST, WAITING
from assay.stand.ports import HOST, free_port

UPLOAD_BYTES = 20 * HELD_BYTES


async def test_the_client_gets_what_the_primary_answers_and_the_secondary_is_asked_for_its_own_row() -> None:
    async with service() as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            made = (await client.post("/shadow/things", json={"name": "a"})).json()
            await state_of(client, "compared", 1)
            read = await client.get(f"/shadow/things/{made['id']}")
            state = await state_of(client, "compared", 2)
            asked_old, asked_new = (await old.asked())["asked"], (await new.asked())["asked"]
    assert read.status_code == 200
    assert asked_old[1][:2] == ["GET", f"/things/{made['id']}"]
    assert asked_new[0] == ["POST", "/things", '{"name":"a"}']
    assert asked_new[1][1] != asked_old[1][1]
    assert state["compared"] == {"POST /things": 1, "GET /things/{id}": 1}
    assert state["different"] == {}


async def test_differences_are_counted_by_operation_and_can_be_taken_along() -> None:
    async with service(word="left") as old, service(word="right") as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            assert (await client.get("/shadow/things")).json()["word"] == "left"
            state = await state_of(client, "different", 1)
            kept = (await client.get("/shadowing/differences.jsonl")).text
    assert state["different"] == {"GET /things": 1}
    assert kept.count("\n") == 1
    assert '"place":"body.word","expected":"\'left\'","found":"\'right\'"' in kept


async def test_a_stalled_secondary_delays_no_client_and_what_does_not_fit_the_queue_is_counted() -> None:
    async with service() as old, service(stall=30) as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            slowest = 0.0
            for _ in range(WAITING + 20):
                begun = time.monotonic()
                assert (await client.get("/shadow/things")).status_code == 200
                slowest = max(slowest, time.monotonic() - begun)
            state = await state_of(client, "dropped", 1)
    assert slowest < 8
    assert state["waiting"] <= WAITING
    # one was under way, or one after the other where all this took long
    assert state["dropped"] >= 10


async def test_a_dead_secondary_is_counted_and_a_dead_primary_is_a_502() -> None:
    dead = f"http://{HOST}:{free_port()}"
    async with (
        service() as old,
        console({"old": old.url, "new": dead}) as page,
        client_of(page.url) as client,
    ):
        await choose(client)
        assert (await client.get("/shadow/things")).status_code == 200
        assert (await state_of(client, "failed", 1))["compared"] == {}
        await client.post("/shadowing", json={"primary": "new", "secondary": "old"})
        assert (await client.get("/shadow/things")).status_code == 502


async def test_nothing_is_shadowed_before_two_different_backends_are_chosen() -> None:
    async with service() as old, console({"old": old.url}) as page, client_of(page.url) as client:
        assert (await client.get("/shadow/things")).status_code == 503
        for pair in ({"primary": "old", "secondary": "old"}, {"primary": "old", "secondary": "nosuch"}):
            assert (await client.post("/shadowing", json=pair)).status_code == 422


async def test_an_answer_that_its_client_leaves_is_counted_and_not_compared() -> None:
    async with service(letters=16_000_000) as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            async with client.stream("GET", "/shadow/things") as answer:
                await anext(answer.aiter_raw())
            state = await state_of(client, "unread", 1)
    assert state["compared"] == state["different"] == {}


async def test_an_answer_that_breaks_off_breaks_off_for_the_client() -> None:
    async with service(dies=True) as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.get("/shadow/things")
            assert (await state_of(client, "unread", 1))["different"] == {}


async def test_what_a_backend_answers_is_shut_off_from_the_console_when_a_browser_shows_it() -> None:
    async with service() as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            shown = await client.get("/shadow/things")
    assert shown.headers["content-security-policy"] == "sandbox"


async def test_a_large_upload_is_passed_on_as_it_comes_and_counted_and_not_shadowed() -> None:
    async with service() as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            answer = await client.post("/shadow/things", content=b"a" * UPLOAD_BYTES)
            state = await state_of(client, "unread", 1)
            heard = (await old.asked())["asked"]
    assert answer.status_code == 201
    assert [len(body) for _, _, body in heard] == [UPLOAD_BYTES]
    assert state["compared"] == {}


async def test_a_client_that_leaves_in_the_middle_of_its_upload_is_counted() -> None:
    async with service() as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            at = urlsplit(page.url)
            _, writer = await asyncio.open_connection(at.hostname, at.port)
            head = f"POST /shadow/things HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Length: 9\r\n\r\n"
            writer.write(head.encode() + b"abc")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            state = await state_of(client, "unread", 1)
            after = await client.get("/shadow/things")
    assert state["compared"] == {}
    assert after.status_code == 200


async def test_a_request_without_a_body_stays_one() -> None:
    async with service() as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            await client.get("/shadow/things")
            await state_of(client, "compared", 1)
            heard = [await one.asked() for one in (old, new)]
    assert [one["asked"] for one in heard] == [[["GET", "/things", ""]]] * 2
    assert [one["announced"] for one in heard] == [[[]]] * 2


async def test_a_cookie_set_for_one_client_is_sent_for_no_other_and_to_no_secondary() -> None:
    cookie = [["set-cookie", "session=of-ada; Path=/"]]
    async with service(headers=cookie) as old, service(headers=cookie) as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            assert (await client.get("/shadow/things")).cookies["session"] == "of-ada"
            await state_of(client, "compared", 1)
            async with client_of(page.url) as other:
                await other.get("/shadow/things")
            await state_of(client, "compared", 2)
            heard = [dict(headers) for one in (old, new) for headers in (await one.asked())["heard"]]
    assert len(heard) == 4
    assert [headers for headers in heard if "cookie" in headers] == []


async def test_a_404_is_an_unknown_row_only_where_the_secondary_did_not_get_its_creation() -> None:
    async with service() as old, service(status=404, refused=1) as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            owner = str(uuid4())
            refused = (await client.post("/shadow/things", json={"owner_id": owner})).json()["id"]
            made = (await client.post("/shadow/things", json={})).json()["id"]
            await state_of(client, "compared", 2)
            assert (await client.get(f"/shadow/things/{refused}")).status_code == 200
            state = await state_of(client, "unknown", 1)
            assert state["different"] == {"POST /things": 1}
            # a row that was copied and lost, one whose creation came through, and one that was only named
            for there in (uuid4(), made, owner):
                await client.get(f"/shadow/things/{there}")
            state = await state_of(client, "different", 4)
    assert state["unknown"] == 1
    assert state["different"] == {"POST /things": 1, "GET /things/{id}": 3}


async def test_a_row_whose_creation_was_dropped_or_failed_or_too_large_is_unknown() -> None:
    request, row = Relayed("POST", "/things"), str(uuid4())
    made = Shown(backend="old", ms=1, status=201, content="text", text=f"made {row}")
    failed = Shown(backend="new", ms=1, failure="it hung up")
    for found in (None, failed):
        rows = Correspondence()
        rows.learn(request, made, found)
        assert rows.misses(Relayed("GET", f"/things/{row}"))
    async with service(letters=2 * HELD_BYTES) as old, service(status=404) as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            large = (await client.post("/shadow/things", json={})).json()["id"]
            await state_of(client, "unread", 1)
            # a GET would be as large, and not compared
            await client.request("HEAD", f"/shadow/things/{large}")
            state = await state_of(client, "unknown", 1)
    assert state["different"] == {}


def test_rows_are_remembered_up_to_a_number() -> None:
    rows, ids = Correspondence(), [str(UUID(int=number)) for number in range(MOST + 1)]
    for one in ids:
        made = Shown(backend="old", ms=1, status=201, content="text", text=one)
        rows.learn(Relayed("POST", "/things"), made, None)
    assert [rows.misses(Relayed("GET", f"/things/{one}")) for one in ids[:2]] == [False, True]


async def test_operations_without_end_are_counted_together() -> None:
    async with service() as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            for number in range(OPERATIONS_MOST + 5):
                await client.get(f"/shadow/things/number-{number}")
                await state_of(client, "compared", number + 1)
            state = await state_of(client, "compared", OPERATIONS_MOST + 5)
    assert len(state["compared"]) == OPERATIONS_MOST + 1
    assert state["compared"]["GET (others)"] == 5
