"""Which row of the secondary is which of the primary's."""

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from assay.console.answers import Shown
from assay.console.relayed import Relayed

MOST: Final = 20_000
"""Rows that are remembered; the oldest are forgotten first."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def operation_of(request: Relayed) -> str:
    """
    >>> operation_of(Relayed("GET", "/users/01890a5d-ac96-774b-bcce-b302099a8057"))
    'GET /users/{id}'
    """
    return f"{request.method} {_ID.sub('{id}', request.path)}"


class Correspondence:
    """Learnt from creations that both answered alike: ids at the same place stand for the same row. What the
    primary alone made is missed; a row that it had before the shadow began must be at the secondary too."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, str] = OrderedDict()
        self._missed: OrderedDict[str, None] = OrderedDict()

    def translated(self, request: Relayed) -> Relayed:
        """With the secondary's ids. One that is not known stays: data that were copied keep theirs."""
        body = request.body
        if _is_text(request):
            body = self._put(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return replace(request, path=self._put(request.path), query=self._put(request.query), body=body)

    def misses(self, request: Relayed) -> bool:
        """Whether it names a row that the secondary was not asked to make, or did not."""
        return any(one in self._missed for one in _named(request) - self._ids.keys())

    def learn(self, request: Relayed, expected: Shown, found: Shown | None) -> None:
        """`found` is None where the secondary was not asked, or gave no answer."""
        if request.method != "POST" or not _is_success(expected):
            return
        if found is not None and found.status == expected.status:
            self._ids.update(_pairs(expected.body, found.body))
        else:
            # others, such as an owner's, were there before
            new = _told(expected) - _named(request) - self._ids.keys()
            self._missed.update(dict.fromkeys(new))
        for remembered in (self._ids, self._missed):
            while len(remembered) > MOST:
                remembered.popitem(last=False)

    def _put(self, text: str) -> str:
        return _ID.sub(lambda found: self._ids.get(found[0], found[0]), text)


def _is_success(shown: Shown) -> bool:
    return shown.status is not None and 200 <= shown.status < 300


def _is_text(request: Relayed) -> bool:
    return any(name == b"content-type" and b"json" in value for name, value in request.headers)


def _named(request: Relayed) -> set[str]:
    body = request.body.decode("utf-8", "replace")
    return {one for part in (request.path, request.query, body) for one in _ID.findall(part)}


def _told(shown: Shown) -> set[str]:
    return set(_ID.findall(f"{shown.text or ''} {shown.headers.get('location', '')}"))


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
