"""Requests passed on as they came, and answers as they come."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx2
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from assay.console.answers import Shown, plain, shown_of, since
from assay.console.backends import Backend, Fleet

HELD_BYTES: Final = 1024 * 1024
"""Of a request or an answer; a larger one is passed on and not shadowed."""

LARGEST_BYTES: Final = 16 * 1024 * 1024
PRIMARY_SECONDS: Final = 30.0

_OF_A_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "upgrade"}
    | {"transfer-encoding", "host", "content-length", "accept-encoding", "date", "server"}
)


@dataclass(frozen=True, slots=True)
class Relayed:
    """path: as the client wrote it, percent signs and all."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def target(self) -> str:
        return f"{self.path}{'?' if self.query else ''}{self.query}"


class TooLarge(Exception):
    """Of a request that is not passed on."""


class NoAnswer(Exception):
    """From the primary."""


Follow = Callable[[Relayed, Shown | None], None]
"""Told when the client has its answer; None where the request or the answer was too large to be held."""


async def relayed_of(request: Request, path: str) -> Relayed:
    """With the client's own token if it has one. Raises TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BYTES:
            raise TooLarge
    headers = {name: value for name, value in request.headers.items() if name not in _OF_A_CONNECTION}
    if not headers.get("authorization", "").lower().startswith("bearer "):
        headers.pop("authorization", None)
    return Relayed(
        request.method, path, request.scope["query_string"].decode("latin-1"), headers, bytes(body)
    )


async def passed_on(fleet: Fleet, primary: Backend, request: Relayed, follow: Follow) -> Response:
    """The primary's answer as it comes: its status, its headers, its bytes. Raises NoAnswer."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(PRIMARY_SECONDS):
            answer = await fleet.client.send(_request(fleet, primary, request), stream=True)
    except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NoAnswer(plain(error)) from error

    async def chunks() -> AsyncIterator[bytes]:
        held = bytearray()
        size = 0
        try:
            async for chunk in answer.aiter_raw():
                size += len(chunk)
                if size <= HELD_BYTES:
                    held += chunk
                yield chunk
        finally:
            await answer.aclose()
        fits = max(size, len(request.body)) <= HELD_BYTES
        follow(request, shown_of(primary, answer, bytes(held), since(begun)) if fits else None)

    response = StreamingResponse(chunks(), answer.status_code)
    response.raw_headers = [
        (name.lower(), value)
        for name, value in answer.headers.raw
        if name.lower().decode("latin-1") not in _OF_A_CONNECTION - {"content-length"}
    ]
    return response


async def asked(fleet: Fleet, backend: Backend, request: Relayed, seconds: float) -> Shown:
    """The backend's whole answer, or why there is none."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            answer = await fleet.client.send(_request(fleet, backend, request))
    except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        return Shown(backend=backend.name, ms=since(begun), failure=plain(error))
    return shown_of(backend, answer, answer.content, since(begun))


def _request(fleet: Fleet, backend: Backend, request: Relayed) -> httpx2.Request:
    headers = {**fleet.signer.headers(), **request.headers, "accept-encoding": "identity"}
    content = request.body or None
    return fleet.client.build_request(
        request.method, f"{backend.url}{request.target}", headers=headers, content=content
    )
