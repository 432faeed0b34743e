"""Writes docs/divergences.md from the table of awkward values: `python contract_tests/divergences.py`."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from awkward_values import QUERIES, ROWS, Query, Refused, Row

PAGE: Final = Path(__file__).parents[1] / "docs" / "divergences.md"

_LONGEST_SHOWN: Final = 60
_HEAD: Final = """# Awkward values

Databases and drivers disagree about the values below; here they must not. Every row is sent to every backend
by `contract_tests/test_awkward_values.py`, and every backend gives the answer of the last column (GEN-14 of
the contract). This page is written from the table that those tests run: `just generate`.

"Kept" means 201, and that the value comes back equal: text code point by code point, numbers by value, the
order of keys free. Where what comes back is written differently, it is shown.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, *_values(), "", *_queries(), ""])


def _values() -> Iterator[str]:
    yield "## Values in bodies\n"
    yield "| case | sent | as | answer |"
    yield "| --- | --- | --- | --- |"
    for (case, sent, answer), rows in groupby(ROWS, lambda row: (row.case, _shown(row.sent), _answer(row))):
        places = ", ".join(row.place.label for row in rows)
        yield f"| {case} | {sent} | {places} | {answer} |"


def _queries() -> Iterator[str]:
    yield "## Queries of `GET /documents`\n"
    yield "| case | query | answer |"
    yield "| --- | --- | --- |"
    for query in QUERIES:
        yield f"| {query.case} | {_shown(query.query.encode())} | {_found(query)} |"


def _answer(row: Row) -> str:
    if isinstance(row.outcome, Refused):
        return _problem(row.outcome)
    written = json.dumps(row.outcome.value)
    if _same_text(row.sent, written) or len(written) > _LONGEST_SHOWN or row.place.label == "content key":
        return "kept"
    return f"kept as {_shown(written.encode())}"


def _same_text(sent: bytes, written: str) -> bool:
    try:
        return json.dumps(json.loads(sent)) == written
    except ValueError:
        return False


def _found(query: Query) -> str:
    if isinstance(query.outcome, Refused):
        return _problem(query.outcome)
    return f"finds {_shown(json.dumps(query.outcome.value).encode())}"


def _problem(refused: Refused) -> str:
    return f"{refused.status} `{refused.slug}`"


def _shown(sent: bytes) -> str:
    """Bytes as a code span: other than printable ASCII escaped, long ones cut with their size."""
    text = sent[: 4 * _LONGEST_SHOWN].decode("utf-8", "backslashreplace")
    plain = "".join(letter if 0x20 <= ord(letter) < 0x7F else _escaped(letter) for letter in text)
    if len(plain) > _LONGEST_SHOWN:
        return f"`{_cell(plain[:24])}` … ({len(sent):,} bytes)"
    return f"`{_cell(plain)}`" if plain.strip() else "nothing but white space" if plain else "nothing"


def _escaped(letter: str) -> str:
    return f"<U+{ord(letter):04X}>"


def _cell(plain: str) -> str:
    return plain.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
