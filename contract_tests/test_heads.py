"""What comes before a body, on its own way: larger than anybody needs, slower, after it, or for another
protocol."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import psutil
import pytest
from api import Api
from builders import make_user, new_user
from busy import STREAM_START, Wire
from talkers import connected
from targets import Target

from assay.stand import Stand

HEAD_SECONDS: Final = 20.0
"""That a head may take (GEN-4)."""

SOCKET: Final = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
UNREADABLE: Final = {
    "body": b"Content-Length: 5\r\n\r\nhello",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "long": b"Cookie: a=" + b"a" * 9_000 + b"\r\n\r\n",
    "many": b"".join(b"X-%d: 1\r\n" % number for number in range(130)) + b"\r\n",
}
"""Of handshakes that no WebSocket comes of."""

PING: Final = b"\x89\xfd\x00\x00\x00\x00" + b"a" * 125
CLOSE: Final = b"\x88\x80\x00\x00\x00\x00"
"""Frames as a client masks them."""

OTHER_PROTOCOLS: Final = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "proxy": b"Proxy-Connection: upgrade\r\nUpgrade: h2c\r\n",
    "several": b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
}


@pytest.fixture(autouse=True)
def _asked_directly(api: Api) -> None:
    if api.prefix:
        pytest.skip("a gateway reads the head of a request itself")


@asynccontextmanager
async def _dialled(api: Api, seconds: float = 10.0, buffer: int | None = None) -> AsyncIterator[Wire]:
    """A plain connection, for so long; with a buffer, one that takes no more than that before it is read."""
    place = urlsplit(api.url)
    plain = socket.socket()
    if buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    plain.settimeout(0)
    await asyncio.get_running_loop().sock_connect(plain, (place.hostname, place.port))
    wire = Wire(*await asyncio.open_connection(sock=plain, limit=buffer or 65_536))
    try:
        async with asyncio.timeout(seconds):
            yield wire
    finally:
        wire.writer.close()


def _upload(api: Api, name: str, filler: int = 0) -> bytes:
    """Of a user, with so many spaces before it."""
    body = b" " * filler + json.dumps(new_user(name=name)).encode()
    head = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return api.opening("POST", "/users") + head + body


@pytest.mark.clause("GEN-4")
@pytest.mark.parametrize("line", [b"X-Long: " + b"a" * 8_000, b"X-Many: 1\r\n" * 1_000], ids=["long", "many"])
async def test_a_head_without_end_is_refused(api: Api, line: bytes) -> None:
    place = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        async with asyncio.timeout(10):
            writer.write(api.opening("GET", "/livez") + line)
            # whoever sends on gets a reset instead of the answer
            with suppress(ConnectionError):
                for _ in range(40):
                    writer.write(line[-5_500:])
                    await writer.drain()
                    await asyncio.sleep(0.005)
                assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    finally:
        writer.close()
    assert (await api.get("/livez")).status_code == 200


@pytest.mark.clause("GEN-10", "GEN-4")
async def test_a_trailer_is_no_header(api: Api) -> None:
    user = await make_user(api)
    body = b'{"name": "Renamed"}'
    head = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: If-Match\r\n\r\n"
    chunked = b'%x\r\n%s\r\n0\r\nIf-Match: "1"\r\n\r\n' % (len(body), body)
    answer = await api.raw("PATCH", f"/users/{user['id']}", head + chunked)
    assert answer.status == 428
    assert (await api.get(f"/users/{user['id']}")).json() == user


@pytest.mark.clause("GEN-4")
@pytest.mark.parametrize("filler", [100_000, 200_000, 400_000, 600_000])
async def test_the_body_before_a_head_is_no_part_of_it(api: Api, filler: int) -> None:
    half = api.opening("GET", "/livez") + b"X-Half: "
    upload = _upload(api, "Before", filler)
    async with _dialled(api) as wire:
        wire.writer.write(upload + half)
        assert (await wire.reader.readline()).startswith(b"HTTP/1.1 201")
        # the end of a head, a body, the start of the next one
        wire.writer.write(b"1\r\n\r\n" + upload + half)
        await asyncio.sleep(0.2)
        wire.writer.write(b"1\r\nConnection: close\r\n\r\n")
        answers = (await wire.rest()).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"409", b"200"]


@pytest.mark.clause("GEN-4", "EVT-1")
async def test_no_answer_stands_in_an_open_stream(api: Api) -> None:
    async with _dialled(api) as wire:
        wire.writer.write(api.opening("GET", "/events") + b"\r\n")
        await wire.reader.readuntil(STREAM_START)
        wire.writer.write(b"no request\r\n\r\n")
        assert b"HTTP/1.1" not in await wire.rest()


@pytest.mark.clause("GEN-4", "WS-1")
async def test_a_connection_waits_for_a_head_so_long(api: Api) -> None:
    async def ends(sent: bytes) -> bytes:
        async with _dialled(api, HEAD_SECONDS + 5) as wire:
            started = time.monotonic()
            wire.writer.write(sent)
            received = await wire.rest()
            assert time.monotonic() - started > HEAD_SECONDS - 1
            return received

    stream = api.opening("GET", "/events") + b"\r\nGET /l"
    async with connected(api) as talker:
        silent, empty, half, streamed = await asyncio.gather(*map(ends, (b"", b"\r\n", b"GET /l", stream)))
        # what has become a WebSocket does not
        await talker.say(type="ping")
        await talker.next("pong")
    assert (silent, empty) == (b"", b"")
    assert half.startswith(b"HTTP/1.1 400")
    assert streamed.startswith(b"HTTP/1.1 200")
    assert streamed.count(b"HTTP/1.1") == 1


@pytest.mark.clause("GEN-4", "GEN-1", "USR-1")
@pytest.mark.parametrize("asked", OTHER_PROTOCOLS.values(), ids=OTHER_PROTOCOLS.keys())
@pytest.mark.parametrize("closing", [True, False])
async def test_an_upgrade_to_another_protocol_is_ignored(api: Api, asked: bytes, closing: bool) -> None:
    line, _, rest = _upload(api, "Upgraded").partition(b"\r\n")
    if closing:
        asked = asked.replace(b"onnection: ", b"onnection: close, ")
    async with _dialled(api) as wire:
        wire.writer.write(line + b"\r\n" + asked + rest)
        assert (await wire.reader.readline()).startswith(b"HTTP/1.1 201")
        if not closing:
            wire.writer.write(api.opening("GET", "/livez") + asked + b"Connection: close, upgrade\r\n\r\n")
        received = await wire.rest()
        assert b'"Upgraded"' in received
        assert received.count(b"HTTP/1.1 200") == (0 if closing else 1)


@pytest.mark.clause("GEN-4", "GEN-1")
@pytest.mark.parametrize("lengths", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("pieces", [1, 2])
async def test_the_body_behind_an_upgrade_is_no_request(api: Api, lengths: bool, pieces: int) -> None:
    hidden = api.opening("GET", "/livez") + b"Connection: close\r\n\r\n"
    framed = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
    if lengths:
        framed = b"Content-Length: %d\r\n\r\n%s" % (len(hidden), hidden)
    head = api.opening("POST", "/users") + b"Content-Type: application/json\r\n" + OTHER_PROTOCOLS["h2c"]
    sent = head + framed
    cut = sent.index(b"\r\n\r\n") + 4 if pieces == 2 else len(sent)
    async with _dialled(api) as wire:
        wire.writer.write(sent[:cut])
        await asyncio.sleep(0.1)
        wire.writer.write(sent[cut:] + api.opening("GET", "/no-such") + b"Connection: close\r\n\r\n")
        answers = (await wire.rest()).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"400", b"404"]
    assert b"malformed-json" in answers[0]


@pytest.mark.clause("GEN-4")
async def test_many_upgrades_in_one_piece_are_answered_in_order(api: Api) -> None:
    request = api.opening("GET", "/livez") + OTHER_PROTOCOLS["h2c"] + b"\r\n"
    async with _dialled(api) as wire:
        wire.writer.write(request * 200 + api.opening("GET", "/no-such") + b"Connection: close\r\n\r\n")
        answers = (await wire.rest()).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200"] * 200 + [b"404"]


@pytest.mark.clause("GEN-4")
async def test_a_tunnel_is_refused(api: Api) -> None:
    async with _dialled(api) as wire:
        wire.writer.write(b"CONNECT a.example:80 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 60\r\n\r\n")
        await asyncio.sleep(0.1)
        with suppress(ConnectionError):
            wire.writer.write(api.opening("GET", "/livez") + b"\r\n")
            received = await wire.rest()
            assert received.startswith(b"HTTP/1.1 400")
            assert received.count(b"HTTP/1.1") == 1


@pytest.mark.clause("WS-1", "GEN-4")
@pytest.mark.parametrize("rest", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_handshake_that_cannot_be_read_is_refused(api: Api, rest: bytes) -> None:
    async with _dialled(api) as wire:
        wire.writer.write(api.opening("GET", "/ws") + SOCKET + rest)
        received = await wire.rest()
        assert received.startswith(b"HTTP/1.1 4")
        assert received.count(b"HTTP/1.1") == 1


@pytest.mark.clause("WS-1", "EVT-1")
async def test_a_handshake_behind_an_open_answer_gets_none(api: Api) -> None:
    async with _dialled(api) as wire:
        wire.writer.write(
            api.opening("GET", "/events") + b"\r\n" + api.opening("GET", "/ws") + SOCKET + b"\r\n"
        )
        assert b"HTTP/1.1 101" not in await wire.rest()


@pytest.mark.clause("OPS-4", "WS-1")
async def test_handshakes_and_closes_that_nobody_reads_do_not_keep_a_process_from_its_end(
    own_stand: Stand, target: Target
) -> None:
    assert target.service is not None
    running = await own_stand.start_service(target.service, name="heads")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(running.child.kill, 0)
        api = await stack.enter_async_context(Api(target.name, running.url))
        for rest in [*UNREADABLE.values(), b"\r\n\0garbage", b"X-Half: ", b"\r\n"]:
            wire = await stack.enter_async_context(_dialled(api, buffer=4_096))
            wire.writer.write(api.opening("GET", "/ws") + SOCKET + rest)
        assert (await wire.reader.readline()).startswith(b"HTTP/1.1 101")
        # more pongs than the buffers between the two hold, and a close behind them
        wire.writer.transport.set_write_buffer_limits(0)
        wire.writer.write(PING * 60_000 + CLOSE)
        await wire.writer.drain()
        await asyncio.sleep(1)
        process = psutil.Process(running.pid)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0
