"""The services that the console asks, and the one client that reaches them all."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Never, TypeVar
from urllib.parse import urlsplit

import httpx2

from assay.named_urls import named_urls
from shared.http.access import make_token

TOKEN_SECONDS = 600
_RENEWED_BEFORE_END = 60

_CONNECTIONS_EACH = 32

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Backend:
    """url: without a slash at the end; prefix: its path, which Locations begin with."""

    name: str
    url: str

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def prefix(self) -> str:
        return urlsplit(self.url).path


class UnknownBackend(Exception):
    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no backend {name!r}: choose of {', '.join(known)}")


def backends_of(pairs: Iterable[str]) -> dict[str, Backend]:
    """Backends by name, of `NAME=URL` each. Raises ValueError, whose message says what to write.

    >>> backends_of(["motor=http://localhost:8080/motor/"])
    {'motor': Backend(name='motor', url='http://localhost:8080/motor')}
    """
    found = {name: Backend(name, url) for name, url in named_urls("--backend", pairs).items()}
    if not found:
        raise ValueError("--backend is missing: write --backend NAME=http://host:port, once for each.")
    return found


class Signer:
    """Access tokens for the services; each serves until shortly before its end."""

    def __init__(self, secret: str | None, now: Callable[[], float] = time.monotonic) -> None:
        self._secret = secret
        self._now = now
        self._token = ""
        self._until = float("-inf")

    def headers(self) -> dict[str, str]:
        """None of them where the services want no token."""
        if self._secret is None:
            return {}
        if self._now() >= self._until:
            self._token = make_token(self._secret, "console", "read write", TOKEN_SECONDS)
            self._until = self._now() + TOKEN_SECONDS - _RENEWED_BEFORE_END
        return {"authorization": f"Bearer {self._token}"}


class Fleet:
    """All backends, in the order in which they were named; the first is what the others are held against.
    `passing` is the client by which requests of others are passed on."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        client: httpx2.AsyncClient,
        passing: httpx2.AsyncClient,
        signer: Signer,
    ) -> None:
        self.backends = backends
        self.client = client
        self.passing = passing
        self.signer = signer

    def named(self, name: str) -> Backend:
        """Raises UnknownBackend."""
        if name not in self.backends:
            raise UnknownBackend(name, self.backends)
        return self.backends[name]


def pooled_client(backends: Mapping[str, Backend]) -> httpx2.AsyncClient:
    """One for the life of the process, with connections apart for each host and port: a stalled backend uses
    up its own."""
    at = Counter(backend.origin for backend in backends.values())
    pools = {
        origin: httpx2.AsyncHTTPTransport(
            limits=httpx2.Limits(max_connections=_CONNECTIONS_EACH * count, max_keepalive_connections=None)
        )
        for origin, count in at.items()
    }
    return _client(mounts=pools)


def passing_client() -> httpx2.AsyncClient:
    """As many connections as clients have to the console: who waits long takes none from another, nor from
    the console's own requests."""
    return _client(limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None))


def _client(**more: Any) -> httpx2.AsyncClient:
    """Whoever asks brings the time limit; the environment's proxies are not asked, redirects are answers, and
    cookies that are set for one client are not another's: none are kept."""
    none_kept = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx2.AsyncClient(
        cookies=none_kept, timeout=None, trust_env=False, follow_redirects=False, **more
    )


async def unless(work: Coroutine[Any, Any, Value], *ends: Coroutine[Any, Any, Never]) -> Value:
    """What the work comes to, or what the first of the ends raises before that. None of them runs on."""
    working = asyncio.ensure_future(work)
    ending = [asyncio.ensure_future(end) for end in ends]
    try:
        done, _ = await asyncio.wait({working, *ending}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working in done else done.pop().result()
    finally:
        await cancelled_and_awaited([working, *ending])


async def cancelled_and_awaited(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """When it returns none of them runs any more; what they raised is theirs."""
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
