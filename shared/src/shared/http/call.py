"""One request and its answer, as the routes see them. No parsing of bodies or queries here."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence

import uuid_utils
from starlette.background import BackgroundTask
from starlette.types import Receive, Scope

from shared.http.state import State
from shared.ports.backend import Backend
from shared.rules import limits
from shared.trips import Trips

JSON = (b"content-type", b"application/json")

Headers = Sequence[tuple[bytes, bytes]]

_REQUEST_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{limits.REQUEST_ID_MAX}}}").fullmatch


class Call:
    """One request. `body` is what was read of it, `subject` who sent it: empty where nobody has to say, as
    are then the `scopes` None: everything is allowed."""

    __slots__ = ("body", "receive", "request_id", "scope", "scopes", "started", "state", "subject", "trips")

    def __init__(self, scope: Scope, receive: Receive, state: State, started: float) -> None:
        self.scope = scope
        self.receive = receive
        self.state = state
        self.started = started
        self.trips = Trips()
        self.request_id = b""
        self.body = b""
        self.subject = ""
        self.scopes: frozenset[str] | None = None

    @property
    def backend(self) -> Backend:
        return self.state.backend

    @property
    def is_head(self) -> bool:
        return bool(self.scope["method"] == "HEAD")

    def located(self, path: str) -> str:
        """The path of something here as the client has to write it, before a gateway takes its prefix off."""
        return self.state.settings.root_path + path

    def header(self, name: bytes) -> str | None:
        """All lines of a header joined, or None where it was not sent. `name` in lower case."""
        values = [value for key, value in self.scope["headers"] if key == name]
        return b", ".join(values).decode("latin-1") if values else None


def request_id_of(sent: str | None) -> str:
    """What the client calls its request, or a name for it where that is none (GEN-7)."""
    return sent if sent is not None and _REQUEST_ID(sent) else str(uuid_utils.uuid4())


class Answer:
    """An answer that is ready to be sent: the body is whole, and whatever it tells of is committed. What it
    only promises, `background` does once it is sent, and in any case."""

    __slots__ = ("background", "body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Headers = (JSON,),
        background: BackgroundTask | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [*headers]
        if status not in (204, 304):
            self.headers.append((b"content-length", b"%d" % len(body)))
        self.background = background


class Streamed(Answer):
    """An answer whose body is made while it is sent. `body` is its beginning; `chunks` is closed in any case,
    also when the client hangs up, stops reading, or the service stops. Once `cut` is set the rest is not
    sent, though a chunk may be on its way to a client that does not read."""

    __slots__ = ("chunks", "cut")

    def __init__(
        self,
        status: int,
        headers: Headers,
        chunks: AsyncGenerator[bytes, None] | None,
        body: bytes = b"",
        cut: asyncio.Event | None = None,
    ) -> None:
        self.status = status
        self.headers = [*headers]
        self.body = body
        self.background = None
        self.chunks = chunks
        self.cut = cut or asyncio.Event()


async def streamed(
    call: Call,
    headers: Headers,
    chunks: AsyncGenerator[bytes, None],
    cut: asyncio.Event | None = None,
    status: int = 200,
) -> Streamed:
    """A stream whose first chunk is made: what fails before it is still answered as a problem. For HEAD
    nothing is made at all."""
    if call.is_head:
        return Streamed(status, headers, None)
    try:
        return Streamed(status, headers, chunks, await anext(chunks), cut)
    except StopAsyncIteration:
        return Streamed(status, headers, None)
    except BaseException:
        await chunks.aclose()
        raise
