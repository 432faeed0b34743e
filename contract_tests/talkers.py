"""WebSocket clients of the tests: each frame that comes in is checked, and can be waited for."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from api import TIME, Api
from expectations import Json, check_id
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SOON: Final = 15.0
"""Seconds in which a frame must be there."""

ERROR_CODES: Final = frozenset(
    {"malformed", "unknown-type", "invalid", "not-in-room", "unknown-client", "unavailable", "forbidden"}
)

_SHAPES: Final[Mapping[str, set[str]]] = {
    "welcome": {"type", "client_id", "name"},
    "joined": {"type", "room", "client_id", "name"},
    "left": {"type", "room", "client_id", "name"},
    "message": {"type", "room", "from", "name", "text", "at", "seq"},
    "direct": {"type", "from", "name", "text", "at"},
    "subscribed": {"type", "topic"},
    "event": {"type", "event"},
    "error": {"type", "code", "detail"},
}


class Talker:
    """A connected client. `frames` are all that came in and were not taken yet."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.id = ""
        self.name = ""

    async def say(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def next(self, kind: str | None = None, *, seconds: float = SOON) -> Json:
        """The next frame; with `kind`, the next one of that kind, others before it left out."""
        async with asyncio.timeout(seconds):
            while True:
                frame = check_frame(await self.socket.recv())
                if kind in (None, frame["type"]):
                    return frame

    async def up_to(self, kind: str) -> list[Json]:
        """All frames up to the next one of the kind."""
        frames = [await self.next()]
        while frames[-1]["type"] != kind:
            frames.append(await self.next())
        return frames

    async def until(self, kind: str, count: int) -> list[Json]:
        return [await self.next(kind) for _ in range(count)]

    async def silence(self, seconds: float = 0.3) -> None:
        """Asserts that nothing comes in meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                raise AssertionError(f"heard {await self.socket.recv()!r}")
        except TimeoutError:
            return

    async def join(self, room: str) -> Json:
        """Until the own `joined` is there."""
        await self.say(type="join", room=room)
        while True:
            joined = await self.next("joined")
            if joined["client_id"] == self.id and joined["room"] == room:
                return joined

    async def error(self, code: str) -> Json:
        """The next frame, which must be this error."""
        frame = await self.next()
        assert (frame["type"], frame.get("code")) == ("error", code), frame
        return frame

    async def hears_error(self, code: str, seconds: float) -> bool:
        """Whether this error is the next frame, and comes in time."""
        try:
            frame = await self.next(seconds=seconds)
        except TimeoutError:
            return False
        return bool(frame["type"] == "error" and frame["code"] == code)

    async def closed(self, *, seconds: float = SOON) -> int | None:
        """The code that the service closes with."""
        async with asyncio.timeout(seconds):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed as end:
                return end.rcvd.code if end.rcvd else None


@asynccontextmanager
async def connected(service: Api | str, **options: Any) -> AsyncIterator[Talker]:
    """A client that was welcomed by the service; `options` are those of `open_socket`."""
    async with open_socket(service, **options) as socket:
        talker = Talker(socket)
        welcome = await talker.next()
        assert welcome["type"] == "welcome", welcome
        talker.id, talker.name = welcome["client_id"], welcome["name"]
        check_id(talker.id)
        yield talker


def open_socket(service: Api | str, query: str = "", **options: Any) -> connect:
    """To a service that the suite has the token of, or to any by its HTTP URL; `options` are websockets'."""
    if isinstance(service, Api):
        options = {"additional_headers": service.authorization, **options}
    url = service.url if isinstance(service, Api) else service
    return connect(f"{url.replace('http', 'ws', 1)}/ws{query}", proxy=None, close_timeout=2, **options)


def check_frame(text: str | bytes) -> Json:
    """The shape of a frame by its type."""
    assert isinstance(text, str), text
    frame = json.loads(text)
    assert isinstance(frame, dict), frame
    shape = _SHAPES.get(frame["type"])
    assert shape is None or set(frame) == shape, frame
    for name in ("client_id", "from"):
        assert name not in frame or str(uuid.UUID(frame[name])) == frame[name], frame
    if "at" in frame:
        assert TIME.match(frame["at"]), frame
    if frame["type"] == "error":
        assert frame["code"] in ERROR_CODES, frame
    return frame
