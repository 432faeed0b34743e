"""Whether arms answered alike: the same request, the same status, the same body by value.

Ids and times differ between databases and are looked past; so is the label by which arms of one database keep
what they create apart.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from assay.measure.samples import SampledAnswer
from shared.rules.json_content import same

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}(?:Z|\+00:00)")
_LABEL = re.compile(r"@lane\d+\.example$")
_OPAQUE = frozenset({"next_cursor"})


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first request to which an arm answered otherwise than the baseline."""

    index: int
    expected: str
    found: str


def mismatch(baseline: Sequence[SampledAnswer], arm: Sequence[SampledAnswer]) -> Mismatch | None:
    """Compares the answers to the requests that both were sampled at."""
    expected = {answer.index: answer for answer in baseline}
    for answer in arm:
        other = expected.get(answer.index)
        if other is not None and not _alike(other, answer):
            return Mismatch(answer.index, _shown(other), _shown(answer))
    return None


def compared(baseline: Sequence[SampledAnswer], arm: Sequence[SampledAnswer]) -> int:
    """How many answers of the two belong to the same request."""
    return len({answer.index for answer in baseline} & {answer.index for answer in arm})


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


def _alike(one: SampledAnswer, other: SampledAnswer) -> bool:
    return one.status == other.status and same(_body(one), _body(other))


def _body(answer: SampledAnswer) -> Any:
    return normalised(orjson.loads(answer.body)) if answer.body else None


def _shown(answer: SampledAnswer) -> str:
    return f"{answer.status} {answer.body[:300].decode('utf-8', 'replace')}"
