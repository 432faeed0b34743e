"""Which row of the secondary is which of the primary's."""

import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from assay.console.answers import Shown
from assay.console.relaying import Relayed

MOST: Final = 20_000
"""Rows that are remembered; the oldest are forgotten first."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def operation_of(request: Relayed) -> str:
    """
    >>> operation_of(Relayed("GET", "/users/01890a5d-ac96-774b-bcce-b302099a8057", "", {}, b""))
    'GET /users/{id}'
    """
    return f"{request.method} {_ID.sub('{id}', request.path)}"


class Correspondence:
    """Learnt from creations that both answered alike: ids at the same place stand for the same row."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, str] = OrderedDict()

    def translated(self, request: Relayed) -> Relayed:
        """With the secondary's ids. One that is not known stays: data that were copied keep theirs."""
        body = request.body
        if _is_text(request):
            body = self._put(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return Relayed(
            request.method, self._put(request.path), self._put(request.query), request.headers, body
        )

    def misses(self, request: Relayed) -> bool:
        """Whether it names a row whose counterpart is not known."""
        named = _ID.findall(request.path) + _ID.findall(request.body.decode("utf-8", "replace"))
        return any(one not in self._ids for one in named)

    def learn(self, request: Relayed, expected: Shown, found: Shown) -> None:
        if request.method != "POST" or expected.status != found.status or not _is_success(expected):
            return
        for one, other in _pairs(expected.body, found.body):
            self._ids[one] = other
        while len(self._ids) > MOST:
            self._ids.popitem(last=False)

    def _put(self, text: str) -> str:
        return _ID.sub(lambda found: self._ids.get(found[0], found[0]), text)


def _is_success(shown: Shown) -> bool:
    return shown.status is not None and 200 <= shown.status < 300


def _is_text(request: Relayed) -> bool:
    return "json" in request.headers.get("content-type", "")


def _pairs(one: Any, other: Any) -> Iterator[tuple[str, str]]:
    """Ids at the same place of both."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() & other.keys():
            yield from _pairs(one[name], other[name])
    elif isinstance(one, list) and isinstance(other, list):
        for pair in zip(one, other, strict=False):
            yield from _pairs(*pair)
    elif isinstance(one, str) and isinstance(other, str) and _ID.fullmatch(one) and _ID.fullmatch(other):
        yield one, other
