"""The backends and services that a command was asked for."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from assay.stand import StandError
from shared.registry import Service, names, services

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}").fullmatch
_OURS = re.compile(r"floor-.*|.*-again|asyncpg-plain").fullmatch


def chosen(wanted: Sequence[str]) -> list[Service]:
    """In the order of their names; StandError for one that is not installed."""
    installed = names()
    for name in wanted:
        if name not in installed:
            raise StandError(f"there is no backend {name!r}: choose of {', '.join(installed)}.")
    return services(*wanted)


def given(pairs: Sequence[str]) -> dict[str, str]:
    """Base URLs without a slash at the end by name, of `NAME=URL` each.

    >>> given(["mine=http://localhost:8080/asyncpg/"])
    {'mine': 'http://localhost:8080/asyncpg'}
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, separator, url = pair.partition("=")
        if not (separator and _NAME(name)):
            raise StandError(f"--api-url {pair}: write NAME=http://host:port, NAME of letters and digits.")
        if name in found or name in names() or _OURS(name):
            raise StandError(f"--api-url {pair}: {name!r} is the name of another arm: choose another.")
        _check(pair, url)
        found[name] = url.rstrip("/")
    return found


def _check(pair: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise StandError(f"--api-url {pair}: {error}.") from None
    if parts.scheme == "https":
        raise StandError(
            f"--api-url {pair}: the load generator speaks plain HTTP: give the address behind the TLS proxy."
        )
    if parts.scheme != "http" or not host or port == 0:
        raise StandError(f"--api-url {pair}: write NAME=http://host:port.")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise StandError(f"--api-url {pair}: the URL may have a host, a port and a path, and nothing else.")
