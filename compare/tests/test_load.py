"""The load generator against a real uvicorn on loopback: everything sent is accounted for."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count, repeat
from typing import Any

import numpy as np
import pytest
import uvicorn

from assay.measure.connection import Asked, LoadError, prepare
from assay.measure.load import Loader
from assay.measure.pacing import LoopPacer, Schedule, constant_schedule, open_pacer, poisson_schedule
from assay.measure.samples import Samples, merged

pytestmark = pytest.mark.measures

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Target:
    """Echoes path and body; some paths misbehave."""

    def __init__(self) -> None:
        self.port = 0
        self.seen = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.seen += 1
        path = scope["path"]
        if path == "/stall" and self.seen == 3:
            await asyncio.sleep(0.4)
        if path == "/never":
            await asyncio.sleep(30)
        body = b"x" * 300_000 if path == "/large" else path.encode() + (await receive())["body"]
        headers = [(b"Content-Length", b"%d" % len(body)), (b"etag", b'"%d"' % self.seen)]
        if path == "/chunked":
            headers = []
        if path == "/cut" and self.seen % 3 == 0:
            body = body[:-1]
        status = 404 if path == "/404" else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served() -> AsyncGenerator[Target]:
    target = Target()
    config = uvicorn.Config(
        target, port=0, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    target.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield target
    finally:
        server.should_exit = True
        await running


def get(path: str) -> Callable[[], bytes]:
    return repeat(prepare("GET", path, "localhost")).__next__


def assert_adds_up(seen: Samples) -> None:
    assert seen.sent == seen.answers + seen.errors.total()
    assert seen.answers == seen.statuses.total()


async def test_closed_loop_accounts_for_every_request() -> None:
    async with served() as target, Loader("127.0.0.1", target.port, connections=5) as loader:
        parts = [await loader.closed(get("/a"), 0.1), await loader.closed(get("/404"), 0.1)]
        seen = merged(parts)
        assert_adds_up(seen)
        assert seen.sent == target.seen
        assert set(seen.statuses) == {200, 404}
        assert min(part.answers for part in parts) >= 5
        assert not seen.errors
        assert seen.elapsed_ns >= 200_000_000
        assert seen.generator_cpu_ns > 0
        assert seen.bytes_out == sum(
            part.sent * len(get(path)()) for part, path in zip(parts, ("/a", "/404"), strict=True)
        )


async def test_large_answers_and_bodies_arrive_whole() -> None:
    async with served() as target, Loader("127.0.0.1", target.port, connections=3) as loader:
        seen = await loader.closed(get("/large"), 0.2, sample_every=2)
        assert_adds_up(seen)
        assert seen.bytes_in > 300_000 * seen.answers
        assert {len(answer.body) for answer in seen.sampled} == {300_000}


async def test_samples_are_numbered_through_the_slices_of_a_source() -> None:
    async with served() as target, Loader("127.0.0.1", target.port, connections=4) as loader:
        numbers = count()

        def create() -> bytes:
            return prepare("POST", "/", "localhost", {"x-test": "1"}, b"%d" % next(numbers))

        first = await loader.closed(create, 0.05, sample_every=3)
        second = await loader.closed(create, 0.05, sample_every=3, first_index=first.sent)
        sampled = first.sampled + second.sampled
        assert sorted(answer.index for answer in sampled) == list(range(0, first.sent + second.sent, 3))
        assert all(answer.body == b"/%d" % answer.index for answer in sampled)


async def test_a_request_may_ask_for_its_answer() -> None:
    heard: list[tuple[int, bool, bytes]] = []
    wire = prepare("GET", "/asked", "localhost")

    def hear(status: int, head: bytes, body: bytes) -> None:
        heard.append((status, b'etag: "' in head, body))

    async with served() as target, Loader("127.0.0.1", target.port, connections=2) as loader:
        seen = await loader.closed(lambda: Asked(wire, hear), 0.05)
    assert heard == [(200, True, b"/asked")] * seen.answers


@pytest.mark.parametrize("schedule", [constant_schedule(400, 0.3), poisson_schedule(400, 0.3, seed=7)])
async def test_open_loop_sends_exactly_its_schedule(schedule: Schedule) -> None:
    async with served() as target, Loader("127.0.0.1", target.port, connections=4) as loader:
        seen = await loader.scheduled(get("/a"), schedule)
        assert_adds_up(seen)
        assert seen.answers == target.seen == len(schedule)
        assert seen.elapsed_ns >= schedule[-1]


async def test_a_stall_delays_all_that_was_due_meanwhile() -> None:
    async with served() as target, Loader("127.0.0.1", target.port, connections=1) as loader:
        seen = await loader.scheduled(get("/stall"), constant_schedule(100, 0.3))
        late = [latency for latency in seen.latencies_ns if latency > 100_000_000]
        assert seen.answers == 30
        assert (
            len(late) >= 20
        )  # those due in the first 300 of the 400 ms, although one alone was slow to answer
        assert max(seen.latencies_ns) >= 380_000_000


async def test_unanswered_requests_are_timeouts() -> None:
    async with served() as target, Loader("127.0.0.1", target.port, 2, unanswered_seconds=0.2) as loader:
        closed = await loader.closed(get("/never"), 0.1)
        assert_adds_up(closed)
        assert closed.errors == {"timeout": 2}
        scheduled = await loader.scheduled(get("/never"), constant_schedule(50, 0.2))
        assert_adds_up(scheduled)
        assert scheduled.errors == {"timeout": 10}


async def test_cut_answers_are_errors_and_the_loop_goes_on() -> None:
    async with served() as target, Loader("127.0.0.1", target.port, 3) as loader:
        closed = await loader.closed(get("/cut"), 0.3)
        scheduled = await loader.scheduled(get("/cut"), constant_schedule(100, 0.3))
        for seen in (closed, scheduled):
            assert_adds_up(seen)
            assert seen.errors["disconnected"] >= 1
            assert seen.answers >= 3
        assert scheduled.sent == 30


async def test_a_server_that_goes_away_is_counted_not_waited_for() -> None:
    async with served() as target:
        loader = Loader("127.0.0.1", target.port, 2, unanswered_seconds=0.5)
        await loader.__aenter__()
        running = asyncio.create_task(loader.scheduled(get("/a"), constant_schedule(50, 1)))
        await asyncio.sleep(0.2)
    seen = await running
    await loader.__aexit__(None, None, None)
    assert_adds_up(seen)
    assert seen.sent == 50
    assert seen.errors["refused"] + seen.errors["timeout"] > 0
    with pytest.raises(LoadError, match=r"no connection to 127\.0\.0\.1"):
        await loader.closed(get("/a"), 0.1)


async def test_what_cannot_be_read_or_sent_ends_the_slice() -> None:
    async with served() as target, Loader("127.0.0.1", target.port, 2) as loader:
        with pytest.raises(LoadError, match="chunked"):
            await loader.closed(get("/chunked"), 1)
        with pytest.raises(LoadError, match="ran dry"):
            await loader.closed(iter([get("/a")()] * 5).__next__, 1)
        with pytest.raises(LoadError, match="ran dry"):
            await loader.scheduled(iter([get("/a")()] * 5).__next__, constant_schedule(200, 0.2))
        assert_adds_up(await loader.closed(get("/a"), 0.05))


async def test_connections_closed_while_idle_are_opened_again() -> None:
    async with served() as target, Loader("127.0.0.1", target.port, 3) as loader:
        for connection in loader.connections[:2]:
            connection.abort()
        seen = await loader.closed(get("/a"), 0.05)
        assert not seen.errors
        assert len(loader.connections) == 3


def test_poisson_gaps_have_their_rate_and_their_seed() -> None:
    schedule = poisson_schedule(1_000, 100, seed=3)
    assert len(schedule) == pytest.approx(100_000, rel=0.02)
    gaps = np.diff(schedule)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    assert np.array_equal(schedule, poisson_schedule(1_000, 100, seed=3))


@pytest.mark.parametrize("pacer_of", [LoopPacer, open_pacer])
async def test_pacers_wake_not_before_the_time(pacer_of: Callable[[Callable[[], None]], LoopPacer]) -> None:
    woken = asyncio.Event()
    pacer = pacer_of(woken.set)
    due_ns = time.perf_counter_ns() + 20_000_000
    pacer.wake_at(due_ns)
    await asyncio.wait_for(woken.wait(), 20)
    assert time.perf_counter_ns() >= due_ns - 1_000_000
    pacer.close()


async def test_a_port_nobody_listens_on_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(LoadError, match="no connection to"):
            await Loader("127.0.0.1", taken.getsockname()[1], 2).__aenter__()
