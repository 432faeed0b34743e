"""SIGTERM: what runs ends, what streams is told, and the process ends well and in time (OPS-4)."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import psutil
import pytest
from api import Api
from builders import new_user
from busy import CLEAN_END, busy, fill
from targets import Target

from assay.stand import Database, RunningService, Stand
from assay.stand.ports import accepts
from shared.registry import Service

GRACE: Final = 10.0
IDLE: Final = 6.0
"""Seconds in which a process without any work must be gone; the rest of the machine is at work."""


@pytest.fixture
def service(target: Target, own_stand: Stand) -> Service:
    """The service that runs on the stand of its own."""
    assert target.service is not None
    return target.service


@pytest.fixture
async def ending(own_stand: Stand, service: Service) -> AsyncIterator[RunningService]:
    """A process that the test may end as it likes."""
    running = await own_stand.start_service(service, name="ending")
    yield running
    await running.child.kill(0)


async def _ended(process: psutil.Process, within: float) -> int:
    """The exit code."""
    code = await asyncio.to_thread(process.wait, within)
    assert code is not None
    return int(code)


@pytest.mark.clause("OPS-4")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_process_ends_well_at_once(ending: RunningService, number: signal.Signals) -> None:
    process = psutil.Process(ending.pid)
    process.send_signal(number)
    assert await _ended(process, IDLE) == 0


@pytest.mark.clause("OPS-4")
async def test_streams_are_ended_cleanly_and_stalled_work_does_not_hold_up_the_end(
    ending: RunningService, service: Service
) -> None:
    async with Api(service.name, ending.url) as api:
        attachments = await fill(api)
    async with busy(ending.url, attachments, streams=30, sockets=5) as work:
        process, started = psutil.Process(ending.pid), time.monotonic()
        process.send_signal(signal.SIGTERM)
        rests = await asyncio.gather(*(stream.rest() for stream in work.streams))
        assert time.monotonic() - started < GRACE / 2
        assert all(rest.endswith(CLEAN_END) for rest in rests)
        for talking in work.sockets:
            await talking.wait_closed()
        assert await _ended(process, GRACE - (time.monotonic() - started)) == 0
        assert not (await work.export.rest()).endswith(CLEAN_END)


@pytest.mark.clause("OPS-4")
async def test_a_running_request_is_answered_and_no_connection_is_taken(
    ending: RunningService, service: Service
) -> None:
    process, port = psutil.Process(ending.pid), urlsplit(ending.url).port or 0
    begun, is_closed = asyncio.Event(), asyncio.Event()

    async def halves(body: bytes) -> AsyncIterator[bytes]:
        yield body[:20]
        begun.set()
        await is_closed.wait()
        yield body[20:]

    async with Api(service.name, ending.url) as api:
        body = json.dumps(new_user()).encode()
        headers = {"content-type": "application/json"}
        running = asyncio.create_task(api.post("/users", content=halves(body), headers=headers))
        await begun.wait()
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(GRACE):
            while await accepts(port):
                await asyncio.sleep(0.02)
        is_closed.set()
        assert (await running).status_code == 201
    assert await _ended(process, GRACE) == 0


@pytest.mark.clause("OPS-4")
async def test_the_same_signal_again_ends_it_at_once(ending: RunningService, service: Service) -> None:
    async with Api(service.name, ending.url) as api:
        attachments = await fill(api)
    async with busy(ending.url, attachments, streams=1, sockets=0):
        process = psutil.Process(ending.pid)
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        assert await _ended(process, IDLE) == -signal.SIGTERM


@pytest.mark.clause("OPS-4", "OPS-5")
async def test_a_stop_while_the_database_is_away_is_as_quick(
    mortal: Database, ending: RunningService
) -> None:
    process = psutil.Process(ending.pid)
    await mortal.kill()
    process.send_signal(signal.SIGTERM)
    assert await _ended(process, GRACE) == 0
