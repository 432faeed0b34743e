"""Whether arms answered alike: the same request, the same status, the same body by value.

Ids and times differ between databases and are looked past; so is the label by which arms of one database keep
what they create apart.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from assay.measure.samples import SampledAnswer
from shared.rules.json_content import same

Look = Callable[[Any], Any]
"""Takes a body for what it is compared as."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}(?:Z|\+00:00)")
_LABEL = re.compile(r"@lane\d+\.example$")
_OPAQUE = frozenset({"next_cursor"})
_LOOKED_PAST = tuple(
    (re.compile(pattern), b"<%d>" % place)
    for place, pattern in enumerate(
        (
            rb'"%b"' % _ID.pattern.encode(),
            rb'"%b"' % _TIME.pattern.encode(),
            rb'@lane\d+\.example(?=")',
            rb'"next_cursor":"[^"]*"',
        )
    )
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A request to which an arm answered otherwise than the baseline."""

    index: int
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Held:
    """So many answers of an arm were held against the baseline's, so many of them were `wrong`; `first` is
    the first of those."""

    compared: int = 0
    wrong: int = 0
    first: Mismatch | None = None


def normalised(value: Any) -> Any:
    """
    >>> normalised({"id": "01890a5d-ac96-774b-bcce-b302099a8057", "next_cursor": "x", "size": 1})
    {'id': '<id>', 'next_cursor': '<opaque>', 'size': 1}
    """
    if isinstance(value, Mapping):
        return {
            name: "<opaque>" if name in _OPAQUE and member is not None else normalised(member)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [normalised(member) for member in value]
    if isinstance(value, str):
        if _ID.fullmatch(value):
            return "<id>"
        if _TIME.fullmatch(value):
            return "<time>"
        return _LABEL.sub("@<lane>", value)
    return value


class Ledger:
    """Holds the arms' answers against the baseline's while a measurement goes on, and keeps only those that
    still wait for their counterpart: a list of 50 documents is 25 kB."""

    def __init__(self, baseline: str, arms: Sequence[str], look: Look = normalised) -> None:
        self._baseline = baseline
        self._look = look
        self._waiting: dict[str, dict[int, SampledAnswer]] = {name: {} for name in (baseline, *arms)}
        self._reached = dict.fromkeys(self._waiting, -1)
        self._held = {name: Held() for name in arms}

    def add(self, name: str, answers: Iterable[SampledAnswer]) -> None:
        """Answers of the baseline or an arm; those of anybody else are not compared."""
        if name in self._waiting:
            waiting = self._waiting[name]
            waiting.update((answer.index, answer) for answer in answers)
            self._reached[name] = max([self._reached[name], *waiting])

    def settle(self) -> None:
        """Compares what has been answered on both sides, and forgets what everybody has passed."""
        expected = self._waiting[self._baseline]
        seen: dict[int, Any] = {}
        for name in self._held:
            arm = self._waiting[name]
            for index in sorted(arm.keys() & expected.keys()):
                alike = self._same_text(expected[index], arm[index])
                if not alike:
                    if index not in seen:
                        seen[index] = self._seen(expected[index])
                    alike = _alike(seen[index], self._seen(arm[index]))
                self._count(name, expected[index], arm.pop(index), alike=alike)
        passed = min(self._reached.values())
        for name, waiting in self._waiting.items():
            self._waiting[name] = {index: one for index, one in waiting.items() if index > passed}

    def held(self, name: str) -> Held:
        return self._held[name]

    def _same_text(self, one: SampledAnswer, other: SampledAnswer) -> bool:
        """Equal to the letter but for what is looked past, which needs no parsing."""
        if self._look is not normalised or one.status != other.status:
            return False
        return _blurred(one.body) == _blurred(other.body)

    def _seen(self, answer: SampledAnswer) -> tuple[int, Any]:
        return answer.status, self._look(orjson.loads(answer.body)) if answer.body else None

    def _count(self, name: str, expected: SampledAnswer, found: SampledAnswer, *, alike: bool) -> None:
        before = self._held[name]
        first = before.first
        if not alike and (first is None or found.index < first.index):
            first = Mismatch(found.index, _shown(expected), _shown(found))
        self._held[name] = Held(before.compared + 1, before.wrong + (not alike), first)


def _blurred(body: bytes) -> bytes:
    for pattern, sign in _LOOKED_PAST:
        body = pattern.sub(sign, body)
    return body


def _alike(one: tuple[int, Any], other: tuple[int, Any]) -> bool:
    return one[0] == other[0] and same(one[1], other[1])


def _shown(answer: SampledAnswer) -> str:
    return f"{answer.status} {answer.body[:300].decode('utf-8', 'replace')}"
