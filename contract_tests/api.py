"""The client that the tests speak through: it checks what the contract promises for every answer."""

import asyncio
import http.client
import io
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.message import Message
from typing import Any, Final, NamedTuple, Self, cast
from urllib.parse import urlsplit

import httpx2
from openapi import Description

STATUS_OF: Final[Mapping[str, int]] = {
    "validation": 422,
    "malformed-json": 400,
    "not-found": 404,
    "method-not-allowed": 405,
    "email-taken": 409,
    "conflict": 409,
    "precondition-failed": 412,
    "precondition-required": 428,
    "payload-too-large": 413,
    "unsupported-media-type": 415,
    "range-not-satisfiable": 416,
    "upgrade-required": 426,
    "unauthorized": 401,
    "forbidden": 403,
    "overloaded": 503,
    "timeout": 504,
    "internal": 500,
}
"""The problem slugs of GEN-4 and the one status that belongs to each."""

TIME: Final = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z\Z")
"""A time as GEN-3 wants it."""

ANSWER_TIMEOUT: Final = 40.0
"""Seconds; above the services' REQUEST_TIMEOUT, so that a hanging request is seen as their 504."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_TIMES: Final = frozenset({"created_at", "updated_at", "at", "sent_at"})
_LEAK: Final = re.compile(
    r"Traceback|\.py\b|site-packages|/src/|asyncpg|sqlalchemy|tortoise|pymongo|motor|psycopg|E11000"
    r"|duplicate key|violates|relation \"|\bSELECT .* FROM\b|\bINSERT INTO\b|\bWHERE .*="
)


class RawAnswer(NamedTuple):
    """What came back over a plain socket."""

    status: int
    headers: Message
    body: bytes


class Api:
    """One running service, by the URL that a client knows; `prefix` is the part that a gateway takes off.

    Every answer is checked for GEN-3 (form of times), GEN-4 (form of errors, no leaks), GEN-7 (request id),
    for the prefix, and for having no body where HTTP forbids one; what does not fit the service's OpenAPI
    document is gathered in `misfits` for OPS-6. `answers` counts the answers by status class ("2xx");
    `described` is the OpenAPI document. The `token` goes with every request that has no Authorization itself.
    """

    def __init__(self, name: str, url: str, token: str | None = None) -> None:
        place = urlsplit(url)
        self.name = name
        self.url = url.rstrip("/")
        self.origin = f"{place.scheme}://{place.netloc}"
        self.prefix = place.path.rstrip("/")
        self.token = token
        self.authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.answers: Counter[str] = Counter()
        self.misfits: dict[str, None] = {}
        self.described: Mapping[str, Any] = {}
        self._description: Description | None = None
        self._client = httpx2.AsyncClient(
            base_url=self.url,
            headers=self.authorization,
            timeout=ANSWER_TIMEOUT,
            trust_env=False,
            limits=httpx2.Limits(max_connections=128, max_keepalive_connections=128),
        )

    async def __aenter__(self) -> Self:
        self.described = (await self._client.get("/openapi.json")).json()
        self._description = Description(self.described, self.prefix)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("GET", path, **options)

    async def head(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("HEAD", path, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("DELETE", path, **options)

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Sends one request; `options` are httpx2's (`params`, `json`, `content`, `headers`)."""
        response = await self._client.request(method, path, **options)
        self.answers[f"{response.status_code // 100}xx"] += 1
        check_answer(method, response, self.prefix)
        if self._description is not None and (misfit := self._description.misfit(method, response)):
            self.misfits[misfit] = None
        return response

    @asynccontextmanager
    async def stream(self, path: str, **options: Any) -> AsyncIterator[httpx2.Response]:
        """A GET whose body the caller reads; all else is checked, and problems are whole."""
        async with self._client.stream("GET", path, **options) as response:
            self.answers[f"{response.status_code // 100}xx"] += 1
            if response.status_code >= 400:
                await response.aread()
            check_answer("GET", response, self.prefix)
            yield response

    def opening(self, method: str, path: str) -> bytes:
        """The first lines of a request that is written by hand; more may follow, an empty one must."""
        own = {"Host": urlsplit(self.url).netloc, **self.authorization}
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", *(f"{name}: {own[name]}" for name in own), ""]
        return "\r\n".join(lines).encode()

    async def raw(self, method: str, path: str, rest: bytes, *, seconds: float = 10.0) -> RawAnswer:
        """Sends `rest` (header lines, an empty line, a body) as it is after a first line, and reads until the
        service closes.

        Nothing is checked: the HTTP parser's own answers are not the application's.
        """
        place = urlsplit(self.url)
        port = place.port or (443 if place.scheme == "https" else 80)
        reader, writer = await asyncio.open_connection(
            place.hostname, port, ssl=True if place.scheme == "https" else None
        )
        try:
            async with asyncio.timeout(seconds):
                writer.write(self.opening(method, path) + b"Connection: close\r\n" + rest)
                received = await reader.read()
        finally:
            writer.close()
        answer = _parse(received, method)
        self.answers[f"{answer.status // 100}xx"] += 1
        return answer


class _Received:
    """The part of a socket that http.client reads an answer from."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, mode: str) -> io.BytesIO:
        assert mode == "rb"
        return io.BytesIO(self._received)


def _parse(received: bytes, method: str) -> RawAnswer:
    answer = http.client.HTTPResponse(cast(socket.socket, _Received(received)), method=method)
    answer.begin()
    return RawAnswer(answer.status, answer.headers, answer.read())


def check_answer(method: str, response: httpx2.Response, prefix: str) -> None:
    """Asserts what the GEN clauses promise for every answer, whatever was asked and behind which prefix."""
    place = f"{method} {response.url.path} → {response.status_code}"
    assert _REQUEST_ID.match(response.headers.get("x-request-id", "")), f"GEN-7: {place}: no X-Request-ID"
    if method == "HEAD" or response.status_code in (204, 304):
        assert response.content == b"", f"{place}: has a body"
        return
    location = response.headers.get("location")
    assert location is None or location.startswith(f"{prefix}/"), f"GEN-4: {place}: Location: {location}"
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if response.status_code >= 400:
        assert media_type == "application/problem+json", f"GEN-4: {place}: media type {media_type!r}"
        _check_problem(place, response, prefix)
    elif media_type == "application/json" and not response.url.path.endswith("/openapi.json"):
        _check_times(place, response.json())


def _check_problem(place: str, response: httpx2.Response, prefix: str) -> None:
    problem = response.json()
    assert isinstance(problem, dict), f"GEN-4: {place}: {problem!r}"
    for member, kind in {"type": str, "title": str, "status": int, "detail": str, "instance": str}.items():
        assert isinstance(problem.get(member), kind), f"GEN-4: {place}: {member} in {problem!r}"
    assert problem["instance"].startswith(f"{prefix}/"), f"GEN-4: {place}: instance {problem['instance']}"
    slug = problem["type"].removeprefix("/problems/")
    assert STATUS_OF.get(slug) == response.status_code == problem["status"], f"GEN-4: {place}: {problem!r}"
    assert slug != "internal", f"GEN-4: {place}: no input whatever makes a 500"
    if slug == "validation":
        assert problem.get("errors"), f"GEN-4: {place}: no errors in {problem!r}"
    for error in problem.get("errors", []):
        assert set(error) == {"loc", "msg", "type"}, f"GEN-4: {place}: {error!r}"
        assert isinstance(error["loc"], list), f"GEN-4: {place}: {error!r}"
    told = json.dumps({key: problem[key] for key in problem if key != "instance"})
    assert not _LEAK.search(told), f"GEN-4: {place}: shows its inside: {told}"


def _check_times(place: str, node: object) -> None:
    if isinstance(node, list):
        for item in node:
            _check_times(place, item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _TIMES and value is not None:
                assert isinstance(value, str), f"GEN-3: {place}: {key}={value!r}"
                assert TIME.match(value), f"GEN-3: {place}: {key}={value!r}"
            elif key != "content":
                _check_times(place, value)
