"""What a process tells Prometheus of itself (OPS-3)."""

import asyncio
from typing import Any, Final

import pytest
from api import Api
from builders import make_user
from expectations import expect_problem
from prometheus_client.parser import text_string_to_metric_families
from streams import subscribed
from talkers import connected

REQUESTS: Final = "http_server_request_duration_seconds"
TRIPS: Final = "db_client_operation_duration_seconds"
POOL: Final = "db_client_connection_pool_name"

Samples = dict[str, list[tuple[dict[str, str], float]]]


async def _samples(api: Api) -> Samples:
    """Labels and value of every sample, by its name."""
    response = await api.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: Samples = {}
    for family in text_string_to_metric_families(response.text):
        assert family.documentation, family.name
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def _value(samples: Samples, name: str, **labels: str) -> float:
    """The one sample with these labels and maybe others; 0 where it is not there yet."""
    values = [value for found, value in samples.get(name, []) if labels.items() <= found.items()]
    assert len(values) <= 1, values
    return values[0] if values else 0.0


def _request(route: str, method: str, status: int) -> dict[str, str]:
    return {"http_route": route, "http_request_method": method, "http_response_status_code": str(status)}


@pytest.mark.clause("OPS-3")
@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", "/users/{id}", _request("/users/{user_id}", "GET", 200)),
        ("HEAD", "/users/{id}", _request("/users/{user_id}", "HEAD", 200)),
        ("GET", "/users/x", _request("/users/{user_id}", "GET", 422)),
        ("DELETE", "/users", _request("_OTHER", "DELETE", 405)),
        ("GET", "/nothing/of/the/kind", _request("_OTHER", "GET", 404)),
        ("PROPFIND", "/nothing", _request("_OTHER", "_OTHER", 404)),
    ],
)
async def test_requests_are_counted_by_route_method_and_status(
    api: Api, method: str, path: str, labels: dict[str, str]
) -> None:
    user = await make_user(api)
    before = await _samples(api)
    await api.request(method, path.format(id=user["id"]))
    after = await _samples(api)
    assert _value(after, f"{REQUESTS}_count", **labels) == _value(before, f"{REQUESTS}_count", **labels) + 1
    assert _value(after, f"{REQUESTS}_sum", **labels) > _value(before, f"{REQUESTS}_sum", **labels)
    buckets = [value for found, value in after[f"{REQUESTS}_bucket"] if labels.items() <= found.items()]
    assert buckets == sorted(buckets)
    assert buckets[-1] == _value(after, f"{REQUESTS}_count", **labels)


@pytest.mark.clause("OPS-3")
async def test_no_label_is_what_a_client_sent(api: Api) -> None:
    user = await make_user(api)
    await api.get(f"/users/{user['id']}")
    await api.get(f"/{user['id']}")
    assert user["id"] not in (await api.get("/metrics")).text


@pytest.mark.clause("OPS-3")
async def test_database_time_and_round_trips_are_told_by_operation(api: Api) -> None:
    user = await make_user(api)
    before = await _samples(api)
    for _ in range(5):
        await api.get(f"/users/{user['id']}")
    after = await _samples(api)
    operation = {"db_operation_name": "get_user"}
    trips = _value(after, f"{TRIPS}_count", **operation) - _value(before, f"{TRIPS}_count", **operation)
    seconds = _value(after, f"{TRIPS}_sum", **operation) - _value(before, f"{TRIPS}_sum", **operation)
    assert trips >= 5
    assert 0 < seconds < 5


@pytest.mark.clause("OPS-3", "EXP-1")
@pytest.mark.parametrize("pool", ["requests", "exports"])
async def test_the_pools_tell_their_size_use_and_queue(api: Api, pool: str) -> None:
    samples = await _samples(api)
    states = {
        labels["db_client_connection_state"]: value
        for labels, value in samples["db_client_connection_count"]
        if labels[POOL] == pool
    }
    assert set(states) == {"used", "idle"}
    assert sum(states.values()) <= 10
    assert _value(samples, "db_client_connection_pending_requests", **{POOL: pool}) == 0


@pytest.mark.clause("OPS-3")
async def test_the_event_loop_tells_its_lag(api: Api) -> None:
    samples = await _samples(api)
    first = _value(samples, "assay_event_loop_lag_seconds_count")
    async with asyncio.timeout(20):
        while _value(samples, "assay_event_loop_lag_seconds_count") <= first:
            samples = await _samples(api)
    assert _value(samples, "assay_event_loop_lag_greatest_seconds") >= 0
    assert _value(samples, "process_resident_memory_bytes") > 1_000_000


async def _reaches(api: Api, value: float, name: str, **labels: str) -> None:
    async with asyncio.timeout(20):
        while _value(await _samples(api), name, **labels) != value:
            await asyncio.sleep(0.02)


@pytest.mark.clause("OPS-3", "EVT-1")
async def test_open_streams_are_counted(quiet_api: Api) -> None:
    kind: dict[str, Any] = {"media_type": "text/event-stream"}
    open_before = _value(await _samples(quiet_api), "assay_open_streams", **kind)
    async with quiet_api.stream("/events"), quiet_api.stream("/events"):
        await _reaches(quiet_api, open_before + 2, "assay_open_streams", **kind)
    await _reaches(quiet_api, open_before, "assay_open_streams", **kind)


@pytest.mark.clause("OPS-3", "EVT-2")
async def test_the_change_feed_tells_its_lag(quiet_api: Api) -> None:
    async with subscribed(quiet_api) as subscriber:
        before = await _samples(quiet_api)
        await make_user(quiet_api)
        await subscriber.some(1)
        after = await _samples(quiet_api)
    heard = [_value(samples, "assay_feed_lag_seconds_count") for samples in (before, after)]
    waited = [_value(samples, "assay_feed_lag_seconds_sum") for samples in (before, after)]
    assert heard[1] - heard[0] == 1
    assert 0 <= waited[1] - waited[0] < 2
    assert _value(after, "assay_feed_lost") == 0


@pytest.mark.clause("OPS-3", "WS-1")
async def test_open_websockets_are_counted(quiet_api: Api) -> None:
    open_before = _value(await _samples(quiet_api), "assay_open_websockets")
    async with connected(quiet_api), connected(quiet_api):
        await _reaches(quiet_api, open_before + 2, "assay_open_websockets")
    await _reaches(quiet_api, open_before, "assay_open_websockets")


@pytest.mark.clause("OPS-3", "GEN-1")
async def test_metrics_take_no_parameter(api: Api) -> None:
    expect_problem(await api.get("/metrics?x=1"), 422, "validation")
