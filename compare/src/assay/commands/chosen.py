"""The backends and services that a command was asked for."""

import re
from collections.abc import Sequence

from assay.named_urls import named_urls
from assay.stand import StandError
from shared.registry import Service, names, services

_OURS = re.compile(r"floor-.*|.*-again|asyncpg-plain").fullmatch


def chosen(wanted: Sequence[str]) -> list[Service]:
    """In the order of their names; StandError for one that is not installed, or if none is."""
    installed = names()
    if not installed:
        raise StandError("no service is installed: run `uv sync --all-packages --all-groups` first.")
    for name in wanted:
        if name not in installed:
            raise StandError(f"there is no backend {name!r}: choose of {', '.join(installed)}.")
    return services(*wanted)


def given(pairs: Sequence[str]) -> dict[str, str]:
    """Base URLs without a slash at the end by name, of `NAME=URL` each.

    >>> given(["mine=http://localhost:8080/asyncpg/"])
    {'mine': 'http://localhost:8080/asyncpg'}
    """
    try:
        found = named_urls("--api-url", pairs)
    except ValueError as error:
        raise StandError(str(error)) from None
    for name, url in found.items():
        if name in names() or _OURS(name):
            raise StandError(f"--api-url {name}={url}: {name!r} is the name of another arm: choose another.")
        if url.startswith("https:"):
            raise StandError(
                f"--api-url {name}={url}: the load generator speaks plain HTTP: give the address behind the"
                " TLS proxy."
            )
    return found
