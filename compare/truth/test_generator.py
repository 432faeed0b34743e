"""The load generator against what is known: a server that stands still, a generator that is starved, wrk."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from random import Random

import numpy as np
import pytest
import uvloop

from assay.measure.campaign import Contestant
from assay.measure.connection import prepare
from assay.measure.dataset import Rows
from assay.measure.histogram import percentiles
from assay.measure.latency import latencies
from assay.measure.load import Loader
from assay.measure.open_loop import waited
from assay.measure.pacing import constant_schedule
from assay.measure.rounds import Arm
from assay.measure.scenarios import Scenario, Target
from assay.measure.selfcheck import MOST_P50_APART, MOST_P99_APART, apart_from_wrk, floor_server
from assay.report.figures import Latency
from assay.stand.ports import HOST

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="pins processes to cores, as Linux does"),
]

Tell = Callable[[str, str, str], None]

PER_SECOND = 200.0


def requests(target: Target, _chance: Random) -> Iterator[bytes]:
    return repeat(target.get("/users/1"))


SCENARIO = Scenario("users.get", "One user", "users.get", ("USR-3",), requests)


def contestant(port: int) -> Contestant:
    target = Target(f"{HOST}:{port}", Rows([], []), 0)
    return Contestant("bare", Arm("bare", HOST, port, None, None), target, is_floor=True)


async def test_a_server_that_stands_still_for_six_seconds_shows(tell: Tell) -> None:
    with floor_server("bare") as (port, pid):
        wire = prepare("GET", "/users/1", HOST)
        async with Loader(HOST, port) as loader:
            await loader.closed(repeat(wire).__next__, 0.2)
            running = asyncio.create_task(
                loader.scheduled(repeat(wire).__next__, constant_schedule(PER_SECOND, 12))
            )
            await asyncio.sleep(3)
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(6)
            finally:
                os.kill(pid, signal.SIGCONT)
            seen = await running
    latencies_ns = waited(seen)
    p99 = percentiles(latencies_ns)[-1]
    longest = float(np.max(latencies_ns)) / 1e6
    half = float(np.mean(latencies_ns > 100_000_000))
    tell("server stopped for 6 s: max", f"{longest:,.0f} ms", "at least 5,500 ms")
    tell("server stopped for 6 s: p99", f"{p99.ms:,.0f} ms", "at least 5,500 ms")
    tell("server stopped for 6 s: requests that waited", f"{half:.0%}", "45–55 %")
    assert p99.percentile == 99
    assert longest >= 5_500
    assert p99.ms >= 5_500
    assert 0.45 <= half <= 0.55


async def test_a_server_that_stands_still_for_good_is_not_left_out(tell: Tell) -> None:
    with floor_server("bare") as (port, pid):
        wire = prepare("GET", "/users/1", HOST)
        async with Loader(HOST, port) as loader:
            running = asyncio.create_task(
                loader.scheduled(repeat(wire).__next__, constant_schedule(PER_SECOND, 6))
            )
            await asyncio.sleep(3)
            os.kill(pid, signal.SIGSTOP)
            seen = await running
            os.kill(pid, signal.SIGCONT)
    p99 = percentiles(waited(seen))[-1]
    tell("server stopped for good: p99", f"{p99.ms:,.0f} ms", "at least 10,000 ms")
    tell("server stopped for good: errors", f"{seen.errors.total()} of {seen.sent}", "about half")
    assert p99.ms >= 10_000
    assert 0.45 <= seen.errors.total() / seen.sent <= 0.55


@contextmanager
def busy_core(core: int) -> Iterator[None]:
    """A process that leaves nothing of the core to those that ask for less than it."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        os.sched_setaffinity(process.pid, {core})
        try:
            yield
        finally:
            process.kill()


def measured(port: int, core: int, policy: int) -> Latency:
    """From a thread of its own: the core and the scheduler's policy are the thread's and end with it."""
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, policy, os.sched_param(0))
    measuring = latencies(
        SCENARIO,
        [contestant(port)],
        5.0,
        per_second=PER_SECOND,
        arrivals="constant",
        seed=1,
        on_slice=lambda: None,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measuring)[0]


def test_a_starved_generator_voids_its_slices(tell: Tell) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("a starved generator beside a server that is not takes two cores")
    with (
        floor_server("bare") as (port, pid),
        ThreadPoolExecutor(1) as fed_by,
        ThreadPoolExecutor(1) as starved_by,
    ):
        os.sched_setaffinity(pid, {cores[-1]})
        fed = fed_by.submit(measured, port, cores[0], os.SCHED_OTHER).result()
        with busy_core(cores[0]):
            starved = starved_by.submit(measured, port, cores[0], os.SCHED_IDLE).result()
    tell("generator with a core of its own", fed.missing or f"{fed.samples} samples", "figures")
    tell("generator starved by a busy core", starved.missing or f"{starved.samples} samples", "no figures")
    assert fed.missing is None
    assert starved.missing is not None
    assert starved.missing.startswith("the load generator could not keep up")
    assert starved.percentiles == []


def test_latencies_agree_with_wrk(tell: Tell) -> None:
    program = shutil.which("wrk")
    if program is None:
        pytest.skip("wrk is not installed: latencies have nothing to be held against")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:  # pins itself
        p50, p99 = apart.submit(apart_from_wrk, program).result()
    tell("p50 against wrk's", f"{p50:+.1%}", f"within {MOST_P50_APART:.0%}")
    tell("p99 against wrk's", f"{p99:+.1%}", f"within {MOST_P99_APART:.0%}")
    assert abs(p50) <= MOST_P50_APART
    assert abs(p99) <= MOST_P99_APART
