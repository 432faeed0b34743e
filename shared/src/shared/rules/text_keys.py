"""Keys that make text compare alike on every backend: computed here, stored beside the text."""

import re
import sys
from unicodedata import category, normalize

_ASCII_WORDS = re.compile(r"[a-z0-9]+").findall
_SURROGATES = range(0xD800, 0xE000)


def key(text: str) -> str:
    """NFC, case-folded, NFC again: the form in which e-mails are unique, names sort and words match.

    >>> key("Ada@Example.ORG"), key("Straße") == key("STRASSE"), key("e\\u0301") == key("é")
    ('ada@example.org', True, True)
    """
    if text.isascii():
        return text.lower()
    return normalize("NFC", normalize("NFC", text).casefold())


def words(text: str) -> tuple[str, ...]:
    """The distinct words of a text, in order: runs of letters, marks and decimal digits of its key.

    >>> words("The cat; the CAFÉ, 2nd")
    ('the', 'cat', 'café', '2nd')
    """
    return tuple(dict.fromkeys(_runs(key(text))))


def count_words(text: str) -> int:
    """
    >>> count_words("to be or not to be")
    6
    """
    return len(_runs(key(text)))


def _runs(folded: str) -> list[str]:
    if folded.isascii():
        return _ASCII_WORDS(folded)
    return "".join(letter if _in_word(letter) else " " for letter in folded).split()


def _in_word(letter: str) -> bool:
    kind = category(letter)
    return kind[0] in "LM" or kind == "Nd"


def prefix_end(prefix: str) -> str | None:
    """The least text above every text that starts with `prefix`, by code point; None where there is none.

    >>> prefix_end("ab"), prefix_end("a" + chr(sys.maxunicode)), prefix_end("")
    ('ac', 'b', None)
    """
    kept = prefix.rstrip(chr(sys.maxunicode))
    if not kept:
        return None
    last = ord(kept[-1]) + 1
    if last in _SURROGATES:
        last = _SURROGATES.stop
    return kept[:-1] + chr(last)
