"""A request as a client of the shadow wrote it, and as a backend gets it."""

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import httpx2
from fastapi import Request

from assay.console.backends import Backend, Fleet
from assay.console.guard import SHOWN

Pairs = tuple[tuple[bytes, bytes], ...]
"""Headers as they came, repeats and all; names in small letters."""

_OF_A_CONNECTION: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
        b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_OWN: Final = frozenset({b"host", b"accept-encoding", b"expect"})
"""Of a request: those that the console writes itself, or has answered."""

_ENCODED_DOT = re.compile("%2e", re.IGNORECASE)
_TARGET = re.compile(r"/[!-~]*").fullmatch


@dataclass(frozen=True, slots=True)
class Relayed:
    """path, query: as the client wrote them, percent signs and all. signed: the console's token goes with
    it, as its client showed the console's password. body: of one too large to be held the beginning."""

    method: str
    path: str
    query: str = ""
    headers: Pairs = ()
    signed: bool = False
    body: bytes = b""


class NotPassable(Exception):
    """Why a request is not passed on."""


def relayed(request: Request, path: str) -> Relayed:
    """Without its body. Raises NotPassable."""
    query = request.scope["query_string"].decode("latin-1")
    if _TARGET(path + query) is None:
        raise NotPassable("the path and the query must be written in ASCII, with percent signs")
    if _climbs(path):
        raise NotPassable("the path leads above where it begins")
    signed = bool(request.scope[SHOWN])
    # what signs in at the console is no business of a backend
    left_out = _OWN | ({b"authorization"} if signed else set())
    if "transfer-encoding" in request.headers:
        left_out |= {b"content-length"}
    return Relayed(request.method, path, query, end_to_end(request.scope["headers"], left_out), signed)


def end_to_end(headers: Iterable[tuple[bytes, bytes]], left_out: Iterable[bytes]) -> Pairs:
    """Without those of the connection, of which some are named by it (RFC 9110, 7.6.1). A length frames a
    body on the next connection as well, whatever this one names."""
    pairs = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower() for name, value in pairs if name == b"connection" for token in value.split(b",")
    } - {b"content-length"}
    not_on = _OF_A_CONNECTION | named | set(left_out)
    return tuple((name, value) for name, value in pairs if name not in not_on)


def outgoing(
    fleet: Fleet, backend: Backend, request: Relayed, content: bytes | AsyncIterator[bytes] | None
) -> httpx2.Request:
    """To the letter: a client's own headers and a rewritten path would be another request."""
    headers = [*request.headers, (b"accept-encoding", b"identity")]
    if request.signed:
        headers += [(name.encode(), value.encode()) for name, value in fleet.signer.headers().items()]
    target = f"{backend.prefix}{request.path}{'?' if request.query else ''}{request.query}"
    return httpx2.Request(
        request.method,
        backend.url,
        headers=headers,
        content=content,
        extensions={"target": target.encode("latin-1")},
    )


def _climbs(path: str) -> bool:
    """Whether its dot segments lead above its beginning, for a server that reads `%2F` as a slash or for one
    that does not. Several slashes in a row count as one, as some servers take them.

    >>> [_climbs(path) for path in ("/a/../b", "/..b", "/a/..", "/a%2fb/%2E./c")]
    [False, False, False, False]
    >>> [_climbs(path) for path in ("/..", "/%2e%2E/b", "/a/../../b", "/..%2fb", "/a%2fb/../..", "/a//../..")]
    [True, True, True, True, True, True]
    """
    return any(_leads_above(read.split("/")) for read in (_ENCODED_DOT.sub(".", path), unquote(path)))


def _leads_above(segments: Iterable[str]) -> bool:
    depth = 0
    for segment in segments:
        if segment == "..":
            depth -= 1
        elif segment not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False
