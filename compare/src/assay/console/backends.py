"""The services that the console asks, and the one client that reaches them all."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from shared.http.access import make_token

TOKEN_SECONDS = 600
_RENEWED_BEFORE_END = 60

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}").fullmatch
_CONNECTIONS_EACH = 32


@dataclass(frozen=True, slots=True)
class Backend:
    """url: without a slash at the end; prefix: its path, which Locations begin with."""

    name: str
    url: str

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
    found: dict[str, Backend] = {}
    for pair in pairs:
        name, _, url = pair.partition("=")
        if not (_NAME(name) and _is_base(url)):
            raise ValueError(
                f"--backend {pair}: write NAME=http://host:port or NAME=http://host:port/prefix."
            )
        if name in found:
            raise ValueError(f"--backend {pair}: {name!r} names another backend already.")
        found[name] = Backend(name, url.rstrip("/"))
    if not found:
        raise ValueError("--backend is missing: write --backend NAME=http://host:port, once for each.")
    return found


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        httpx2.URL(url)
        return bool(
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.port != 0
            and "@" not in parts.netloc
            and not parts.query
            and not parts.fragment
        )
    except (ValueError, httpx2.InvalidURL):
        return False


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
    """All backends, in the order in which they were named; the first is what the others are held against."""

    def __init__(self, backends: Mapping[str, Backend], client: httpx2.AsyncClient, signer: Signer) -> None:
        self.backends = backends
        self.client = client
        self.signer = signer

    def named(self, name: str) -> Backend:
        """Raises UnknownBackend."""
        if name not in self.backends:
            raise UnknownBackend(name, self.backends)
        return self.backends[name]


def pooled_client(backends: int) -> httpx2.AsyncClient:
    """One for the life of the process. Whoever asks brings the time limit; the environment's proxies are
    not asked, and redirects are answers."""
    limits = httpx2.Limits(max_connections=_CONNECTIONS_EACH * backends, max_keepalive_connections=None)
    return httpx2.AsyncClient(limits=limits, timeout=None, trust_env=False, follow_redirects=False)


async def cancelled_and_awaited(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """When it returns none of them runs any more; what they raised is theirs."""
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
