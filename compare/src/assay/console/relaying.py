"""Requests passed on as they came, and answers as they come."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Final, Never, Protocol
from urllib.parse import unquote

import httpx2
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from assay.console.answers import Shown, beginning, plain, shown_of, since
from assay.console.backends import Backend, Fleet, unless
from assay.console.relayed import Relayed, end_to_end, outgoing
from shared.work.stopping import Stopping

HELD_BYTES: Final = 1024 * 1024
"""Of a request or an answer; a larger one is passed on and not shadowed."""

PRIMARY_SECONDS: Final = 30.0
"""For the beginning of an answer, after the last piece of the request."""

LAST_SECONDS: Final = 1.0
"""For what is being passed on when the process is told to stop."""

_SERVERS_OWN: Final = frozenset({b"date", b"server"})
_WITHOUT_A_BODY: Final = frozenset({204, 304})

_logger = logging.getLogger(__name__)


class NoAnswer(Exception):
    """From the primary."""


class Follow(Protocol):
    """Told when the client has its answer, or has left before there was one. `whole`: both the request and
    the answer were held and sent to their ends; else there is only a beginning to look at."""

    def __call__(self, request: Relayed, expected: Shown | None, *, whole: bool) -> None: ...


class _Heard:
    """A request's body, as it comes; its beginning is held."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._held = bytearray()
        self._size = 0
        self._ended = asyncio.Event()

    def content(self, limit: asyncio.Timeout) -> AsyncIterator[bytes] | None:
        """None for a request that announces no body, which must not become one with an empty one."""
        if {"content-length", "transfer-encoding"} & set(self._request.headers):
            return self._chunks(limit)
        self._ended.set()
        return None

    async def _chunks(self, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
        async for chunk in self._request.stream():
            self._size += len(chunk)
            if self._size <= HELD_BYTES:
                self._held += chunk
            limit.reschedule(asyncio.get_running_loop().time() + PRIMARY_SECONDS)
            yield chunk
        self._ended.set()

    async def left(self) -> Never:
        """Raises ClientDisconnect when the client leaves after the end of its body; until then whoever
        reads the body learns it."""
        await self._ended.wait()
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        raise ClientDisconnect

    @property
    def held(self) -> bytes:
        return bytes(self._held)

    @property
    def is_whole(self) -> bool:
        return self._size <= HELD_BYTES


async def passed_on(
    fleet: Fleet, primary: Backend, request: Request, asked_for: Relayed, follow: Follow, stopping: Stopping
) -> Response:
    """The primary's answer as it comes: its status, its headers, its bytes. Raises NoAnswer."""
    begun = time.perf_counter()
    heard = _Heard(request)
    try:
        async with asyncio.timeout(PRIMARY_SECONDS) as limit:
            sent = outgoing(fleet, primary, asked_for, heard.content(limit))
            answer = await unless(fleet.passing.send(sent, stream=True), heard.left(), _stopped(stopping))
    except ClientDisconnect:
        follow(asked_for, None, whole=False)
        raise NoAnswer("the client left") from None
    except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NoAnswer(plain(error)) from error

    def ended(held: bytes, *, whole: bool) -> None:
        body = _decoded(answer, held) if whole else None
        asked_path = unquote(asked_for.path)
        shown = shown_of(
            primary, asked_path, answer, held if body is None else body, since(begun), cut=body is None
        )
        follow(replace(asked_for, body=heard.held), shown, whole=heard.is_whole and body is not None)

    return _PassedOn(answer, ended, stopping)


async def _stopped(stopping: Stopping) -> Never:
    """Raises NoAnswer when the process must end."""
    await stopping.wait()
    await asyncio.sleep(LAST_SECONDS)
    raise NoAnswer("the console is stopping")


def _decoded(answer: httpx2.Response, raw: bytes) -> bytes | None:
    """The body of a primary that encodes it although it was asked not to; None where it is not encoded as it
    says, or larger than what is held."""
    read = bytearray()
    copy = httpx2.Response(answer.status_code, headers=answer.headers, content=iter([raw] if raw else []))
    try:
        for piece in copy.iter_bytes():
            read += piece
            if len(read) > HELD_BYTES:
                return None
    except httpx2.DecodingError:
        return None
    return bytes(read)


class _Ended(Protocol):
    def __call__(self, held: bytes, *, whole: bool) -> None: ...


class _PassedOn(StreamingResponse):
    """However it ends, what it comes from is closed, and `ended` is told what of it was held, and whether
    that is all and was sent to its end."""

    def __init__(self, answer: httpx2.Response, ended: _Ended, stopping: Stopping) -> None:
        super().__init__(self._chunks(), answer.status_code)
        # the server would wait for a body as long as this one
        length = {b"content-length"} if answer.status_code in _WITHOUT_A_BODY else set[bytes]()
        self.raw_headers = list(end_to_end(answer.headers.raw, _SERVERS_OWN | length))
        self._answer = answer
        self._ended = ended
        self._stopping = stopping
        self._held = bytearray()
        self._whole = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless(super().__call__(scope, receive, send), _stopped(self._stopping))
        except (httpx2.RequestError, NoAnswer) as error:
            # without its end the server breaks the connection off, as the primary did
            _logger.warning("an answer of the primary was broken off: %s", _why(error))
        finally:
            try:
                self._ended(bytes(self._held), whole=self._whole)
            finally:
                await self._answer.aclose()

    async def _chunks(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._answer.aiter_raw():
            size += len(chunk)
            if size <= HELD_BYTES:
                self._held += chunk
            yield chunk
        self._whole = size <= HELD_BYTES


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, NoAnswer) else plain(error)


async def asked(fleet: Fleet, backend: Backend, request: Relayed, seconds: float) -> Shown:
    """The backend's answer, of one that is too large to be held the beginning, or why there is none."""
    begun = time.perf_counter()
    sent = outgoing(fleet, backend, request, request.body or None)
    try:
        async with asyncio.timeout(seconds), aclosing(await fleet.client.send(sent, stream=True)) as answer:
            body, cut = await beginning(answer, HELD_BYTES)
    except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        return Shown(backend=backend.name, ms=since(begun), failure=plain(error))
    return shown_of(backend, unquote(request.path), answer, body, since(begun), cut=cut)
