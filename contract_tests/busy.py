"""A service with its hands full: open streams and WebSockets, an export that nobody reads, a slow upload."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from api import Api
from builders import make_document, make_user, new_document
from websockets.asyncio.client import ClientConnection, connect

STREAM_START: Final = b"retry: 1000"
CLEAN_END: Final = b"0\r\n\r\n"
_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True)
class Wire:
    """One plain connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def rest(self) -> bytes:
        """All that comes until the service closes."""
        return await self.reader.read()


@dataclass(frozen=True)
class Busy:
    streams: Sequence[Wire]
    sockets: Sequence[ClientConnection]
    export: Wire
    upload: Wire


async def fill(api: Api) -> str:
    """Stores more than the buffers between an export and its reader hold; answers the path of a document's
    attachments."""
    owner = await make_user(api)
    large = new_document(owner["id"], content={"filler": "x" * _MEGABYTE})
    for _ in range(3):
        response = await api.post("/documents/batch", json=[large] * 8)
        assert response.status_code == 201, response.text
    document = await make_document(api, owner)
    return f"/documents/{document['id']}/attachments"


@asynccontextmanager
async def busy(url: str, attachments: str, streams: int, sockets: int) -> AsyncIterator[Busy]:
    """`attachments` is where the upload goes."""
    place = urlsplit(url)
    assert place.hostname is not None
    assert place.port is not None
    async with AsyncExitStack() as stack:

        async def dial(request: bytes, buffer: int | None = None) -> Wire:
            wire = await _dialled(place.hostname or "", place.port or 0, buffer)
            stack.callback(wire.writer.close)
            wire.writer.write(request)
            return wire

        async def listen() -> Wire:
            wire = await dial(_get("/events"))
            await wire.reader.readuntil(STREAM_START)
            return wire

        listening = await asyncio.gather(*(listen() for _ in range(streams)))
        talking = [
            await stack.enter_async_context(connect(f"ws://{place.netloc}/ws", proxy=None))
            for _ in range(sockets)
        ]
        export = await dial(_get("/documents/export?format=ndjson"), buffer=4_096)
        upload = await dial(_upload(attachments))
        await export.reader.readuntil(b"\r\n\r\n")
        yield Busy(listening, talking, export, upload)


async def _dialled(host: str, port: int, buffer: int | None) -> Wire:
    """With a buffer, one that takes no more than that from the service before it is read."""
    if buffer is None:
        return Wire(*await asyncio.open_connection(host, port))
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    plain.settimeout(0)
    await asyncio.get_running_loop().sock_connect(plain, (host, port))
    return Wire(*await asyncio.open_connection(sock=plain, limit=buffer))


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: busy.example\r\n\r\n".encode()


def _upload(path: str) -> bytes:
    """The start of one that is never finished."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: busy.example\r\nContent-Length: 1000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    part = '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nbytes'
    return (head + part).encode()
