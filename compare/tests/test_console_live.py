"""What the page is told of the last seconds."""

import asyncio
import json
import time
from math import inf
from typing import Any

import httpx2
from console_processes import Running, console, service

from assay.console.exposition import since, snapshot, total
from assay.stand.ports import HOST, free_port

_FOREIGN = """\
http_server_request_duration_seconds_bucket{le="0.1"} 3
http_server_request_duration_seconds_bucket{le="+Inf"} 4
http_server_request_duration_seconds_bucket{le="+Inf",http_route="/metrics"} 9
db_client_connection_count{db_client_connection_pool_name="requests",db_client_connection_state="used"} 2
db_client_connection_count{db_client_connection_pool_name="requests",db_client_connection_state="idle"} 3
db_client_connection_count{db_client_connection_pool_name="exports",db_client_connection_state="idle"} 7
"""


def test_requests_count_whatever_labels_they_have_but_for_probes_and_scrapes() -> None:
    seen = snapshot(_FOREIGN, 1.0)
    assert (total(seen.requests), seen.requests[0.1]) == (4, 3)
    assert (seen.in_use, seen.size, seen.waiting) == (2, 5, 0)


def test_a_service_that_counts_from_a_new_start_has_gained_nothing_that_is_known() -> None:
    assert since({inf: 5.0}, {inf: 7.0}) == {inf: 2.0}
    assert since({inf: 5.0}, {inf: 1.0}) is None


async def _first_pulses(page: Running) -> dict[str, Any]:
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
        async with client.stream("GET", f"{page.url}/live") as live:
            async for line in live.aiter_lines():
                if line.startswith("data: "):
                    return {pulse["backend"]: pulse for pulse in json.loads(line[6:])}
    raise AssertionError("the stream ended")


async def test_why_a_backend_shows_nothing_is_said() -> None:
    dead = f"http://{HOST}:{free_port()}"
    async with service() as here, service(status=403) as closed, service(stall=30) as stalled:
        urls = {"here": here.url, "closed": closed.url, "stalled": stalled.url, "dead": dead}
        async with console(urls) as page:
            async with asyncio.timeout(20):
                # on a machine that stands still, who is here is late as well
                while (pulses := await _first_pulses(page))["here"]["gone"] is not None:
                    pass
    assert {name: pulse["gone"] for name, pulse in pulses.items()} == {
        "here": None,
        "closed": "/metrics answers 403",
        "stalled": "no answer within 0.9 s",
        "dead": "cannot be reached",
    }


async def test_services_are_scraped_while_somebody_looks_and_not_afterwards() -> None:
    async with service() as one, console({"one": one.url}) as page:
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
            async with (
                client.stream("GET", f"{page.url}/live") as live,
                client.stream("GET", f"{page.url}/live") as other,
            ):
                # kept: a reader that is forgotten closes its stream
                readers = [live.aiter_lines(), other.aiter_lines()]
                await asyncio.gather(*map(anext, readers))
                before, began = len((await one.asked())["asked"]), time.monotonic()
                await asyncio.sleep(3)
                during = len((await one.asked())["asked"]) - before
                seconds = time.monotonic() - began
            await asyncio.sleep(0.5)
            after = len((await one.asked())["asked"])
            await asyncio.sleep(1.5)
            assert len((await one.asked())["asked"]) == after
    assert 1 <= during <= seconds + 1
