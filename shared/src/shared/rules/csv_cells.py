"""Rows as lines of CSV (RFC 4180) that no spreadsheet runs as formulas (EXP-1)."""

import csv
from collections.abc import Iterable

_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    """A file to the csv module, which hands on what `write` answers."""

    def write(self, line: str) -> str:
        return line


_WRITER = csv.writer(_Echo(), lineterminator="\r\n")


def line(cells: Iterable[object]) -> bytes:
    r"""One record with its CRLF, as UTF-8.

    >>> line(["a", 'b,"c', 7])
    b'a,"b,""c",7\r\n'
    >>> line(["=1+1", "x=1", "\tx"])
    b"'=1+1,x=1,'\tx\r\n"
    """
    written: str = _WRITER.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return written.encode()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text
