"""What is passed on is what came, and holds up nobody else."""

import asyncio
import gzip
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from console_processes import (
    SECRET,
    Running,
    choose,
    client_of,
    console,
    exchanged,
    raw_backend,
    service,
    state_of,
)

from shared.http.access import Access, make_token

PASSWORD = "open sesame"
CHUNKS = b"1\r\na\r\n0\r\n\r\n"
NO_GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip"
OWN = {"Authorization": f"Bearer {make_token(SECRET, 'ada', 'read', 3_600)}"}


async def _hung_up(running: Running, times: int) -> bool:
    for _ in range(400):
        if (await running.asked())["hung_up"] >= times:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_clients_that_wait_for_the_primary_take_no_connection_of_anybody_else() -> None:
    async with service(stall=30) as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            waiting = [asyncio.create_task(client.get("/shadow/things")) for _ in range(60)]
            await asyncio.sleep(1)
            sent = await client.post("/send", json={"method": "GET", "path": "/livez", "timeout": 20})
            passed = await client.get("/shadow/livez")
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
    assert sent.text.count('"status":null') == 0
    assert passed.status_code == 200


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"abc")])
async def test_a_client_that_leaves_before_its_answer_ends_the_request_and_is_counted(
    method: str,
    body: bytes | None,
) -> None:
    async with service(stall=30) as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            with pytest.raises(httpx2.ReadTimeout):
                await client.request(
                    "GET" if body is None else "POST", "/shadow/things", content=body, timeout=3
                )
            assert await _hung_up(old, 1)
            state = await state_of(client, "unread", 1)
    assert state["unread"] == 1


@pytest.mark.parametrize("old_is", [{"holds": 30}, {"stall": 30}])
async def test_sigterm_ends_what_is_being_passed_on(old_is: dict[str, Any], tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with service(**old_is) as old, service() as new:
        async with console({"old": old.url, "new": new.url}, log=log) as page, client_of(page.url) as client:
            await choose(client)
            passing = asyncio.create_task(client.get("/shadow/things"))
            await asyncio.sleep(0.5)
            page.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                assert await page.process.wait() == 0
            [ended] = await asyncio.gather(passing, return_exceptions=True)
    assert isinstance(ended, httpx2.RemoteProtocolError if "holds" in old_is else httpx2.Response)
    assert "Traceback" not in log.read_text()


async def test_what_is_nearly_done_when_the_process_is_told_to_stop_is_done() -> None:
    async with service(holds=0.8) as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            passing = asyncio.create_task(client.get("/shadow/things"))
            await asyncio.sleep(0.4)
            page.process.send_signal(signal.SIGTERM)
            assert (await passing).json()["word"] == "same"


@pytest.mark.parametrize(
    ("password", "given"),
    [
        (None, {}),
        (None, {"Authorization": "Basic YTpi"}),
        (None, {"Authorization": "Custom a b"}),
        (PASSWORD, OWN),
    ],
)
async def test_who_does_not_show_the_password_is_passed_on_with_no_token_but_its_own(
    password: str | None, given: dict[str, str]
) -> None:
    environment = {"AUTH_SECRET": SECRET} | ({} if password is None else {"CONSOLE_PASSWORD": password})
    assert await _authorizations(environment, headers=given) == [given.get("Authorization")] * 2


async def test_the_consoles_token_goes_with_a_client_that_shows_the_password() -> None:
    environment = {"AUTH_SECRET": SECRET, "CONSOLE_PASSWORD": PASSWORD}
    for sent in await _authorizations(environment, auth=("any", PASSWORD)):
        assert Access(SECRET).holder(sent) == ("console", frozenset({"read", "write"}))


async def test_the_password_of_the_console_reaches_no_backend() -> None:
    assert await _authorizations({"CONSOLE_PASSWORD": PASSWORD}, auth=("any", PASSWORD)) == [None] * 2


async def _authorizations(environment: dict[str, str], **given: Any) -> list[str | None]:
    """What the primary and the secondary get."""
    auth = ("any", PASSWORD) if "CONSOLE_PASSWORD" in environment else None
    async with service() as old, service() as new:
        urls = {"old": old.url, "new": new.url}
        async with console(urls, environment=environment) as page, client_of(page.url) as client:
            async with httpx2.AsyncClient(base_url=page.url, trust_env=False, auth=auth) as own:
                await choose(own)
                await client.get("/shadow/things", **given)
                await state_of(own, "compared", 1)
        heard = [dict((await one.asked())["heard"][0]) for one in (old, new)]
    return [headers.get("authorization") for headers in heard]


@pytest.mark.parametrize(
    ("announced", "request_as_sent"),
    [
        (["content-length"], b"POST /shadow/things HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
        (["content-length"], b"POST /shadow/things HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        (["content-length"], b"DELETE /shadow/things HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        (
            ["transfer-encoding"],
            b"PUT /shadow/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ),
        ([], b"GET /shadow/things HTTP/1.1\r\n\r\n"),
    ],
)
async def test_a_body_is_announced_as_it_was(announced: list[str], request_as_sent: bytes) -> None:
    async with service() as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            await exchanged(page.url, request_as_sent)
            await state_of(client, "compared", 1)
            found = await old.asked()
            repeated = await new.asked()
    assert found["announced"] == [announced]
    assert repeated["asked"] == found["asked"]


@pytest.mark.parametrize(
    ("written", "target"),
    [
        (b"/shadow/a/../b", "/pre/a/../b"),
        (b"/shadow/a/%2e%2E/b//c/.", "/pre/a/%2e%2E/b//c/."),
        (b"/shadow/%7Ea%20b/%C3%A9?q=%41&&r='|", "/pre/%7Ea%20b/%C3%A9?q=%41&&r='|"),
    ],
)
async def test_a_path_reaches_both_as_it_was_written(written: bytes, target: str) -> None:
    async with service() as old, service() as new:
        urls = {"old": f"{old.url}/pre", "new": f"{new.url}/pre"}
        async with console(urls) as page, client_of(page.url) as client:
            await choose(client)
            await exchanged(page.url, b"GET " + written + b" HTTP/1.1\r\n\r\n")
            await state_of(client, "compared", 1)
            assert [(await one.asked())["targets"] for one in (old, new)] == [[target]] * 2


@pytest.mark.parametrize(
    ("written", "status"),
    [
        (b"/shadow/../admin", b"400"),
        (b"/shadow/a/../../admin", b"400"),
        (b"/shadow/%2e%2E/admin", b"400"),
        (b"/shadow/..%2Fadmin", b"400"),
        (b"/%73hadow/echo", b"404"),
    ],
)
async def test_a_path_that_leaves_its_prefix_is_refused(written: bytes, status: bytes) -> None:
    async with service() as old, service() as new:
        async with console({"old": f"{old.url}/pre", "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            answer = await exchanged(page.url, b"GET " + written + b" HTTP/1.1\r\n\r\n")
            assert (await old.asked())["asked"] == []
    assert answer.split()[1] == status


async def test_headers_are_passed_on_to_the_letter_but_for_those_of_the_connection() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Word: caf\xe9\r\nX-Word: two\r\nSet-Cookie: a=1\r\n"
        b"Set-Cookie: b=2\r\nConnection: x-mine, close\r\nX-Mine: 1\r\n\r\nok"
    )
    async with raw_backend(answer) as (old, heard), service() as new:
        async with console({"old": old, "new": new.url}) as page, client_of(page.url) as client:
            await choose(client)
            request = (
                b"GET /shadow/things HTTP/1.1\r\nX-Word: caf\xe9\r\nX-Word: two\r\nConnection: X-Hop\r\n"
                b"X-Hop: 1\r\nX-Other: 2\r\n\r\n"
            )
            found = await exchanged(page.url, request)
            await state_of(client, "compared", 1)
            repeated = (await new.asked())["heard"][0]
    names = [b"x-word: caf\xe9", b"x-word: two"]
    assert [line.lower() for line in heard[0].split(b"\r\n") if line[:6].lower() == b"x-word"] == names
    assert b"x-hop" not in heard[0].lower()
    assert b"x-other: 2" in heard[0].lower()
    assert b"user-agent" not in heard[0].lower()
    assert ["x-word", "café"] in repeated
    assert [line for line in found.split(b"\r\n") if line.startswith((b"x-word", b"set-cookie"))] == [
        *names,
        b"set-cookie: a=1",
        b"set-cookie: b=2",
    ]
    assert b"x-mine" not in found


@pytest.mark.parametrize("status", [b"304 Not Modified", b"204 No Content"])
async def test_an_answer_without_a_body_is_passed_on_without_its_length(
    status: bytes, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    answer = b"HTTP/1.1 " + status + b'\r\nETag: "1"\r\nContent-Length: 7\r\n\r\n'
    async with raw_backend(answer) as (old, _), raw_backend(answer) as (new, _):
        async with console({"old": old, "new": new}, log=log) as page, client_of(page.url) as client:
            await choose(client)
            found = await client.get("/shadow/things")
            state = await state_of(client, "compared", 1)
    assert found.status_code == int(status[:3])
    assert found.headers["etag"] == '"1"'
    assert "content-length" not in found.headers
    assert state["different"] == {}
    assert log.read_text() == ""


async def test_a_primary_that_compresses_all_the_same_differs_in_nothing() -> None:
    packed = gzip.compress(b'{"word": "same"}', mtime=0)
    encoded = [["content-encoding", "gzip"]]
    async with service(body=packed.decode("latin-1"), headers=encoded) as old:
        async with service(body='{"word": "same"}') as new, raw_backend(NO_GZIP) as (odd, _):
            async with console({"old": old.url, "new": new.url, "odd": odd}) as page:
                async with client_of(page.url) as client:
                    await choose(client)
                    assert (await client.get("/shadow/things")).json() == {"word": "same"}
                    assert (await client.head("/shadow/things")).status_code == 200
                    state = await state_of(client, "compared", 2)
                    await client.post("/shadowing", json={"primary": "odd", "secondary": "new"})
                    async with client.stream("GET", "/shadow/things") as answer:
                        assert b"".join([piece async for piece in answer.aiter_raw()]) == b"no gzip"
                    unread = await state_of(client, "unread", 1)
    assert state["different"] == {}
    assert unread["compared"] == {}
