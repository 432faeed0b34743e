"""The change feed when processes and readers fail: none missing, none twice, nobody slowed (EVT-2…4)."""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import pytest
from api import Api
from builders import make_document, make_documents, make_user, new_user
from changes import BACK, changing, out_of_order, versions
from expectations import expect_problem
from streams import Heard, Subscriber, subscribed
from targets import Target

from assay.stand import Database, RunningService, Stand
from assay.stand.relay import Relay, open_relay
from shared.registry import Service

HEARTBEAT: Final = 0.2
WRITERS: Final = 4
SUBSCRIBERS: Final = 50
AT_REST: Final = 3
AT_ONCE: Final = 1_000
WITHIN: Final = 1.0
CUT: Final = 20.0
"""Seconds in which a reader is gone whose queue was full."""
AWAY: Final = 5.0
"""Seconds in which a newcomer hears that the database is away: DB_TIMEOUT."""


class Listener(NamedTuple):
    """A process whose subscribers hear of what another one commits."""

    api: Api
    process: RunningService
    relay: Relay


async def rest_of(subscriber: Subscriber, expected: set[tuple[str, int]], heard: list[Heard]) -> None:
    """Takes what comes until everything was heard that is expected; then it was heard once and in order."""
    missing = expected.difference(versions(heard))
    while missing:
        heard.append(await subscriber.next())
        missing.difference_update(versions(heard[-1:]))
    assert sorted(versions(heard)) == sorted(expected)
    assert out_of_order(versions(heard)) == 0


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


@asynccontextmanager
async def started(stand: Stand, service: Service) -> AsyncIterator[Listener]:
    """One more process of the backend, and the wire to its database."""
    [(variable, url)] = stand.databases.url_for(service).items()
    async with open_relay(url) as relay:
        environment = {variable: relay.url, "HEARTBEAT_SECONDS": str(HEARTBEAT)}
        running = await stand.start_service(service, name="listener", environment=environment)
        try:
            async with Api(service.name, running.url) as api:
                yield Listener(api, running, relay)
        finally:
            await running.stop()


@pytest.fixture(scope="module")
async def listener(second_stand: Stand | None, target: Target) -> AsyncIterator[Listener]:
    if second_stand is None or target.service is None:
        pytest.skip("what runs behind a URL cannot be started a second time")
    async with started(second_stand, target.service) as one:
        yield one


@pytest.mark.clause("EVT-2")
async def test_what_one_process_commits_the_subscribers_of_another_hear_within_a_second(
    own_api: Api, listener: Listener
) -> None:
    took: list[float] = []
    async with subscribed(listener.api) as there, subscribed(own_api) as here:
        for api in (own_api, listener.api) * 5:
            user = await make_user(api)
            committed = time.monotonic()
            heard = await there.next()
            assert heard.change == ("user.created", user["id"], 1)
            assert await here.next() == heard
            took.append(time.monotonic() - committed)
    assert sorted(took)[-3] < WITHIN, took


@pytest.mark.clause("EVT-2")
async def test_fifty_subscribers_cost_the_one_database_connection_that_the_first_one_costs(
    listener: Listener,
) -> None:
    api = listener.api

    async def fill_the_pool() -> int:
        """The connections once they are at rest: a driver fills its pool in the background, each second."""
        counts: list[int] = []
        async with asyncio.timeout(60):
            while len(counts) < AT_REST or len(set(counts[-AT_REST:])) > 1:
                await asyncio.gather(*(api.post("/users", json=new_user()) for _ in range(SUBSCRIBERS)))
                counts.append(listener.relay.connections)
                await asyncio.sleep(0.7)
        return counts[-1]

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(subscribed(api, topic="documents"))
        before = await fill_the_pool()
        others = [await enter(subscribed(api, topic="documents")) for _ in range(SUBSCRIBERS - 1)]
        assert await fill_the_pool() <= before
        document = await make_document(api)
        heard = [await other.next() for other in others]
        assert {one.change for one in heard} == {("document.created", document["id"], 1)}


@pytest.mark.clause("EVT-4")
async def test_a_comment_goes_out_after_every_heartbeat_of_silence(listener: Listener) -> None:
    opened = time.monotonic()
    async with subscribed(listener.api, topic="documents") as subscriber:
        async with asyncio.timeout(20):
            while subscriber.heartbeats < 5:
                await asyncio.sleep(HEARTBEAT / 5)
        assert subscriber.heartbeats <= (time.monotonic() - opened) / HEARTBEAT
        document = await make_document(listener.api)
        assert await subscriber.changes(1) == [("document.created", document["id"], 1)]


@pytest.mark.clause("EVT-3", "EVT-2")
async def test_what_was_committed_but_not_delivered_when_the_service_was_killed_comes_after_resuming(
    own_stand: Stand, service: Service, own_api: Api
) -> None:
    async with started(own_stand, service) as (listening, process, relay):
        async with (
            subscribed(listening, topic="documents") as subscriber,
            changing(own_api, WRITERS) as changes,
        ):
            heard = await subscriber.some(20)
            relay.freeze()
            await asyncio.sleep(0.3)
            await process.child.kill(0)
            await asyncio.wait_for(subscriber.ended.wait(), BACK)
        heard += subscriber.waiting()
    assert not subscriber.cleanly
    expected = await changes.expected()
    assert len(expected) > len(heard)
    async with subscribed(own_api, subscriber.last_id, topic="documents") as subscriber:
        await rest_of(subscriber, expected, heard)


@pytest.mark.clause("EVT-3", "EVT-2", "OPS-5")
async def test_a_database_that_is_killed_makes_a_pause_in_the_stream_and_no_gap(
    mortal: Database, own_api: Api
) -> None:
    async with subscribed(own_api, topic="documents") as subscriber:
        async with changing(own_api, WRITERS) as changes:
            heard = await subscriber.some(20)
            await mortal.kill()
            killed = time.monotonic()
            expect_problem(await own_api.get("/events"), 503, "overloaded")
            assert time.monotonic() - killed < AWAY
            assert await metric(own_api, "assay_feed_lost") == 1
            await mortal.start()
            await changes.expected()
            heard += await subscriber.some(20, BACK)
        await rest_of(subscriber, await changes.expected(), heard)
        assert not subscriber.ended.is_set()
        assert await metric(own_api, "assay_feed_lost") == 0


async def metric(api: Api, name: str) -> float:
    """What the process tells Prometheus."""
    found = re.search(rf"^{name} (\S+)$", (await api.get("/metrics")).text, re.MULTILINE)
    assert found
    return float(found.group(1))


class Sleeper:
    """A subscriber that reads nothing after the opening, until asked to read all that there is."""

    def __init__(self, api: Api, path: str) -> None:
        self._place = urlsplit(api.url)
        self._request = api.opening("GET", path) + b"\r\n"
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.settimeout(0)

    async def subscribe(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, (self._place.hostname, self._place.port))
        await loop.sock_sendall(self._socket, self._request)
        received = b""
        while b"retry: 1000" not in received:
            chunk = await loop.sock_recv(self._socket, 4_096)
            assert chunk, received
            received += chunk

    async def wake(self) -> bytes:
        """All that the service sent, up to where it closed."""
        loop, chunks = asyncio.get_running_loop(), list[bytes]()
        async with asyncio.timeout(BACK):
            while chunk := await loop.sock_recv(self._socket, 65_536):
                chunks.append(chunk)
        self._socket.close()
        return b"".join(chunks)


@pytest.mark.clause("EVT-4", "EVT-3")
async def test_a_reader_that_sleeps_is_cut_off_and_resumes_and_no_other_waits_for_it(api: Api) -> None:
    if api.prefix:
        pytest.skip("a gateway takes in what its clients leave unread")
    owner, before = await make_user(api), await metric(api, "assay_feed_subscriptions")
    sleeper = Sleeper(api, f"/events?owner_id={owner['id']}")
    await sleeper.subscribe()
    async with subscribed(api, owner_id=owner["id"]) as subscriber:
        heard = list[Heard]()
        for _ in range(12):
            await make_documents(api, owner, AT_ONCE, content={}, tags=[])
            heard += await subscriber.some(AT_ONCE)
        async with asyncio.timeout(CUT):
            while await metric(api, "assay_feed_subscriptions") > before + 1:
                await asyncio.sleep(0.1)
    received = await sleeper.wake()
    assert not received.endswith(b"\r\n0\r\n\r\n")
    ids = [line[4:].decode() for line in received.split(b"\n") if line.startswith(b"id: ")]
    told = [one.id for one in heard]
    # the last block may be broken off in its middle
    read = max(place for place, event_id in enumerate(told) if event_id in set(ids[-2:]))
    assert 0 < read < len(told) - AT_ONCE
    async with subscribed(api, told[read], owner_id=owner["id"]) as subscriber:
        rest = await subscriber.some(len(heard) - read - 1)
    assert rest == heard[read + 1 :]
