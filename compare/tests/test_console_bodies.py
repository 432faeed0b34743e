"""What answers are taken for, so that no two that differ are called alike."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from console_processes import choose, client_of, console, service, state_of

from assay.console.answers import BODY_SHOWN_BYTES, Shown, shown_of, timing_of
from assay.console.backends import Backend, Fleet, Signer, passing_client, pooled_client
from assay.console.bodies import LEVELS, body_of
from assay.console.differences import differences
from assay.console.fanout import judgement
from assay.console.live import Live
from assay.console.relayed import Relayed
from assay.console.shadow import Shadow, Shadowing

JSON, TEXT, BYTES = "application/json", "text/plain; charset=utf-8", "application/octet-stream"
BACKENDS = {name: Backend(name, f"http://{name}.invalid") for name in ("old", "new")}


def _shown(body: bytes, kind: str, *, name: str = "old", cut: bool = False) -> Shown:
    request = httpx2.Request("GET", f"{BACKENDS[name].url}/things")
    answer = httpx2.Response(200, headers={"content-type": kind}, request=request)
    return shown_of(BACKENDS[name], "/things", answer, body, 1.0, cut=cut)


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (b"\xff\xfe", b"\xfe\xff", TEXT),
        (b"\xff", "\ufffd".encode(), TEXT),
        (b'{"a": "\xff"}', b'{"a": "\xfe"}', JSON),
        (b"a\nb", b"a\r\nb", TEXT),
        (b"a\n", b"a", TEXT),
        (b"", b"null", JSON),
        (b'{"a":1}', b'{ "a":1.0 }', BYTES),
        (b'{"a":1}', b'{ "a":1.0 }', "application/jsonl"),
    ],
)
def test_other_bytes_are_a_difference_where_they_are_no_json(one: bytes, other: bytes, kind: str) -> None:
    assert differences(_shown(one, kind), _shown(other, kind)) != []
    assert differences(_shown(one, kind), _shown(one, kind)) == []


@pytest.mark.parametrize(
    ("told", "trips"),
    [('"3"', 3), ('"12345678901234567890123"', None), ('"' + "9" * 5_000 + '"', None), ("x", None)],
)
def test_a_count_that_nobody_can_have_counted_is_none(told: str, trips: int | None) -> None:
    assert timing_of(f"app;dur=1.5, db;dur=1;desc={told}").trips == trips


@pytest.mark.parametrize("kind", [JSON, "application/problem+json; charset=utf-8"])
def test_json_is_held_by_value_where_its_type_says_that_it_is_json(kind: str) -> None:
    assert differences(_shown(b'{"a":1}', kind), _shown(b'{ "a":1.0 }', kind)) == []


def test_what_was_cut_is_said_to_be_compared_by_its_beginning() -> None:
    fleet = Fleet(BACKENDS, pooled_client(BACKENDS), passing_client(), Signer(None))
    whole, cut = _shown(b"abc", TEXT), _shown(b"abc", TEXT, name="new", cut=True)
    judged = judgement(fleet, {"old": whole, "new": cut}).judged[1]
    assert judged.beginning
    assert [told.place for told in judged.differences or []] == ["cut"]
    assert not judgement(fleet, {"old": whole, "new": whole}).judged[1].beginning


def test_a_letter_that_the_cut_runs_through_is_no_binary_data() -> None:
    body = ("é" * BODY_SHOWN_BYTES).encode()[:5]
    assert body_of(body, TEXT, cut=True).kind == "text"
    assert body_of(body, TEXT, cut=False).kind == "bytes"


def test_numbers_are_shown_as_they_were_written() -> None:
    text = _shown(b'{"n":9007199254740993,"x":1.0}', JSON).text
    assert text is not None
    assert '"n": 9007199254740993' in text
    assert '"x": 1.0' in text


@pytest.mark.parametrize("levels", [LEVELS + 1, 300, 990, 1100])
async def test_what_is_nested_too_deep_is_text_and_ends_neither_the_page_nor_the_worker(levels: int) -> None:
    body = "[" * levels + "]" * levels
    async with service(body=body) as old, service(body=body.replace("[]", "[1]")) as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            sent = await client.post("/send", json={"method": "GET", "path": "/things"})
            lines = [json.loads(line) for line in sent.text.splitlines()]
            await choose(client)
            for times in (1, 2):
                assert (await client.get("/shadow/things")).text == body
                state = await state_of(client, "different", times)
    assert [line["status"] for line in lines[:-1]] == [200, 200]
    assert [told["place"] for told in lines[-1]["judged"][1]["differences"]] == ["line[0]"]
    assert state["newest"][0]["differences"][0]["place"] == "line[0]"


def test_what_is_nested_as_deep_as_is_taken_is_compared_by_value() -> None:
    one = _shown(b"[" * LEVELS + b"1" + b"]" * LEVELS, JSON)
    other = _shown(b"[ " * LEVELS + b"1.0" + b"]" * LEVELS, JSON)
    assert one.content == "json"
    assert differences(one, other) == []


async def test_the_worker_survives_whatever_a_job_raises() -> None:
    client = pooled_client(BACKENDS)
    await client.aclose()
    shadow = Shadow(Fleet(BACKENDS, client, passing_client(), Signer(None)))
    shadow.choose(Shadowing(primary="old", secondary="new"))
    async with shadow.working():
        for _ in range(2):
            # a closed client raises what is no failure of a backend
            shadow.follow(Relayed("GET", "/things"), _shown(b"{}", JSON), whole=True)
        async with asyncio.timeout(20):
            while shadow.state().failed < 2:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "figure",
    [
        'db_client_connection_count{db_client_connection_pool_name="requests",db_client_connection_state="used"}'
        " +Inf",
        'http_server_request_duration_seconds_bucket{le="+Inf"} +Inf',
        'http_server_request_duration_seconds_bucket{le="NaN"} 1',
    ],
)
async def test_a_figure_that_is_none_is_told_and_ends_no_scraping(figure: str) -> None:
    async with service(body=f"{figure}\n", kind="text/plain") as odd, service() as good:
        urls = {"odd": odd.url, "good": good.url}
        backends = {name: Backend(name, url) for name, url in urls.items()}
        async with pooled_client(backends) as client:
            pulses = Live(Fleet(backends, client, passing_client(), Signer(None))).pulses()
            seen: list[Any] = [{pulse.backend: pulse.gone for pulse in await anext(pulses)} for _ in range(2)]
            await pulses.aclose()
    assert seen == [{"odd": "/metrics is not what Prometheus reads", "good": None}] * 2
