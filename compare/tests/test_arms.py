"""Arms by URL and the shipped workloads, on a real service."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
import pytest_asyncio
import uvicorn

from assay.commands.chosen import given
from assay.judge.equality import normalised
from assay.measure import dataset
from assay.measure.arms import COUNTS_OTHER_ROWS, NO_SUCH_OPERATION, Entrant, Entry, reach
from assay.measure.load import Loader
from assay.measure.samples import SampledAnswer, Samples, merged
from assay.measure.scenarios import SCENARIOS, Scenario
from assay.measure.workload import Kind, load
from assay.stand import RunningService, StandError, StandOptions, open_stand
from shared.registry import services

EXAMPLES = Path(__file__).parents[2] / "examples"
USERS, DOCUMENTS, CONTENT = 4_000, 5_000, (400, 900)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


class Seeded:
    """A service, and two arms by URL on its rows, each in a lane of its own."""

    def __init__(self, running: RunningService, arms: Sequence[Entrant], heard: int) -> None:
        self.running = running
        self.arms = arms
        self.heard = heard


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded() -> AsyncIterator[Seeded]:
    async with open_stand(services("asyncpg"), StandOptions(durable=False)) as stand:
        running = stand.services["asyncpg"]
        batches: list[None] = []
        rows = await dataset.seed(
            running.url,
            lambda: batches.append(None),
            users=USERS,
            documents=DOCUMENTS,
            content_bytes=CONTENT,
        )
        entry = Entry(stand, {"asyncpg": rows})
        arms = [entry.by_url(name, running.url, rows) for name in ("mine", "yours")]
        yield Seeded(running, arms, len(batches))


async def loaded(arm: Entrant, scenario: Scenario, seconds: float, seed: int = 3) -> Samples:
    load_arm = arm.contestant.load
    async with Loader(load_arm.host, load_arm.port, scenario.connections) as loader:
        source = scenario.source(arm.contestant.target, seed)
        return await loader.closed(source, seconds, sample_every=1)


def looked_at(scenario: Scenario, answer: SampledAnswer) -> tuple[int, Any]:
    return answer.status, (scenario.look or normalised)(orjson.loads(answer.body))


def test_batches_are_counted_beforehand(seeded: Seeded) -> None:
    assert seeded.heard == dataset.batches(DOCUMENTS, users=USERS, content_bytes=CONTENT)


@pytest.mark.parametrize("letter", "abcdef")
async def test_a_workload_has_no_failures_and_arms_of_one_database_answer_alike(
    seeded: Seeded, letter: str
) -> None:
    scenario = load(EXAMPLES / f"ycsb_{letter}.toml").scenario()
    found = [await loaded(arm, scenario, 0.4) for arm in seeded.arms]
    for seen in found:
        assert not seen.errors
        assert set(seen.statuses) <= {200, 201}
        assert seen.answers
    one, other = ({answer.index: looked_at(scenario, answer) for answer in seen.sampled} for seen in found)
    both = one.keys() & other.keys()
    assert both
    assert [one[index] for index in both] == [other[index] for index in both]


async def test_every_kind_can_be_mixed(seeded: Seeded, tmp_path: Path) -> None:
    kinds = get_args(Kind)
    operations = "".join(f'[[operation]]\nkind = "{kind}"\nweight = 1\n' for kind in kinds)
    file = tmp_path / "all.toml"
    file.write_text(f'name = "all"\ntitle = "All"\n[keys]\nskew = "zipf"\n{operations}')
    scenario = load(file).scenario()
    one, other = [
        {answer.index: looked_at(scenario, answer) for answer in (await loaded(arm, scenario, 0.6)).sampled}
        for arm in seeded.arms
    ]
    both = one.keys() & other.keys()
    assert len(both) > 100
    assert [one[index] for index in both] == [other[index] for index in both]
    assert {status for status, _ in one.values()} == {200, 201}


@pytest.mark.parametrize("name", [name for name, scenario in BY_NAME.items() if scenario.writes])
async def test_a_later_source_goes_on_where_an_earlier_one_ended(seeded: Seeded, name: str) -> None:
    # few at once: rows so few come again soon, and must be answered by then
    scenario = replace(BY_NAME[name], connections=2)
    for _ in range(2):
        seen = await loaded(seeded.arms[0], scenario, 0.25)
        assert not seen.errors
        assert set(seen.statuses) <= {200, 201}


async def test_an_arm_by_url_has_no_process_and_counts_no_other_rows(seeded: Seeded) -> None:
    arm = seeded.arms[0]
    assert (arm.kind, arm.running, arm.backend, arm.database) == ("url", None, None, None)
    assert (arm.contestant.load.service_pid, arm.contestant.load.database_pid) == (None, None)
    assert arm.why_missing(BY_NAME["dashboard"]) == COUNTS_OTHER_ROWS
    assert arm.why_missing(BY_NAME["users.get"]) is None
    assert {one.contestant.target.lane for one in seeded.arms} == {0, 1}


async def test_a_floor_is_missing_where_it_has_no_such_operation(seeded: Seeded) -> None:
    async with open_stand([], StandOptions()) as stand:
        entry = Entry(stand, {"asyncpg": seeded.arms[0].contestant.target.rows})
        floor = await entry.floor("floor-http", services("asyncpg"))
    assert floor is not None
    assert floor.why_missing(BY_NAME["dashboard"]) == NO_SUCH_OPERATION
    assert floor.why_missing(BY_NAME["users.get"]) is None


async def test_a_database_that_holds_the_rows_already_is_one_line(seeded: Seeded) -> None:
    with pytest.raises(StandError, match="already: give the service an empty database") as refused:
        await dataset.seed(seeded.running.url, lambda: None, users=USERS, documents=0)
    assert "\n" not in str(refused.value)


async def test_a_running_service_is_reached(seeded: Seeded) -> None:
    await reach("mine", seeded.running.url)


async def test_a_service_without_readiness_is_reached_under_its_prefix() -> None:
    async def app(scope: dict[str, Any], _receive: object, send: Any) -> None:
        known = scope["path"] == "/mine/v1/users"
        length = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200 if known else 404, "headers": length})
        await send({"type": "http.response.body", "body": b"{}"})

    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        await reach("mine", f"{url}/mine/v1")
        with pytest.raises(StandError, match="it answered 404 to GET /readyz and 404 to GET /users"):
            await reach("mine", url)
        with pytest.raises(StandError, match="/users/batch answered 404 instead of storing rows"):
            await dataset.seed(f"{url}/mine/v1", lambda: None)
    finally:
        server.should_exit = True
        await running


async def test_a_prefix_stands_before_every_path() -> None:
    async with open_stand([], StandOptions()) as stand:
        rows = dataset.Rows(["u"], ["d"])
        target = Entry(stand, {}).by_url("mine", "http://localhost/a/b", rows).contestant.target
    assert target.get("/users").startswith(b"GET /a/b/users HTTP/1.1\r\nhost: localhost\r\n")
    assert target.send("POST", "/users", {}).startswith(b"POST /a/b/users HTTP/1.1\r\n")


async def test_nobody_there_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StandError, match=f"--api-url mine: nobody answers at {url}: start the service"):
            await reach("mine", url)


def test_urls_are_given_by_name() -> None:
    pairs = ["mine=http://localhost:8080/asyncpg/", "yours=http://[::1]:9000"]
    assert given(pairs) == {"mine": "http://localhost:8080/asyncpg", "yours": "http://[::1]:9000"}


@pytest.mark.parametrize(
    ("pair", "line"),
    [
        ("http://localhost:8080", "write NAME=http://host:port"),
        ("mine", "write NAME=http://host:port"),
        ("=http://localhost", "write NAME=http://host:port"),
        ("m y=http://localhost", "write NAME=http://host:port"),
        ("mine=localhost:8080", "write NAME=http://host:port"),
        ("mine=http://", "write NAME=http://host:port"),
        ("mine=http://localhost:99999", "Port out of range 0-65535"),
        ("mine=https://localhost", "speaks plain HTTP"),
        ("mine=http://localhost/?x=1", "a host, a port and a path, and nothing else"),
        ("mine=http://me:secret@localhost", "a host, a port and a path, and nothing else"),
        ("asyncpg=http://localhost:1", "'asyncpg' is the name of another arm: choose another"),
        ("floor-http=http://localhost:1", "'floor-http' is the name of another arm: choose another"),
    ],
)
def test_a_wrong_url_is_one_line(pair: str, line: str) -> None:
    with pytest.raises(StandError, match=line) as refused:
        given([pair])
    assert "\n" not in str(refused.value)


def test_a_name_is_given_once() -> None:
    with pytest.raises(StandError, match="'mine' is the name of another one"):
        given(["mine=http://localhost:1", "mine=http://localhost:2"])


async def test_a_connection_rests_between_its_requests(seeded: Seeded) -> None:
    load_arm, target = seeded.arms[0].contestant.load, seeded.arms[0].contestant.target
    source = BY_NAME["users.get"].source(target, seed=1)
    async with Loader(load_arm.host, load_arm.port, 4) as loader:
        whole = await loader.closed(source, 0.5, think_ns=50_000_000)
        short = merged([await loader.closed(source, 0.02, think_ns=50_000_000) for _ in range(5)])
        loader.connections[-1].abort()
        after = await loader.closed(source, 0.1, think_ns=50_000_000)
    # 4 connections, a request every 50 ms and the time of its answer
    assert 4 <= whole.answers <= 40
    # slices shorter than the rest: 2 of the 4 begin in each, the second near its end
    assert 5 <= short.answers <= 10
    for seen in (whole, short, after):
        assert set(seen.statuses) == {200}
        assert seen.sent == seen.answers
