"""Services that run already, told apart by a name: what an option says by `NAME=URL`."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx2

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}").fullmatch
_WRITE = "write NAME=http://host:port or NAME=http://host:port/prefix, NAME of letters and digits"


def named_urls(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """Base URLs without a slash at the end, by name. Raises ValueError, whose message says what to write.

    >>> named_urls("--api-url", ["mine=http://localhost:8080/asyncpg/"])
    {'mine': 'http://localhost:8080/asyncpg'}
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, url = pair.partition("=")
        wrong = _wrong_with(url) if _NAME(name) else _WRITE
        if name in found:
            wrong = f"{name!r} is the name of another one: choose another"
        if wrong is not None:
            raise ValueError(f"{option} {pair}: {wrong}.")
        found[name] = url.rstrip("/")
    return found


def _wrong_with(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        httpx2.URL(url)
        port = parts.port
    except (ValueError, httpx2.InvalidURL) as error:
        return str(error)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return _WRITE
    if parts.query or parts.fragment or "@" in parts.netloc:
        return "the URL may have a host, a port and a path, and nothing else"
    return None
