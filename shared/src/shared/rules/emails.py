"""Which e-mail addresses are valid (USR-1). No DNS, no rewriting: stored as sent."""

import re
from unicodedata import category

from shared.rules import limits

_ASCII = re.compile(
    r"(?=[^@]{1,64}@)[!#$%&'*+\-/0-9=?A-Z^_`a-z{|}~]+(?:\.[!#$%&'*+\-/0-9=?A-Z^_`a-z{|}~]+)*"
    r"@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
).fullmatch
_FORBIDDEN_LOCAL = frozenset('"(),:;<>[\\]@')


def is_email(text: str) -> bool:
    """
    >>> is_email("ada.l+x@example.org"), is_email("jörg@müller.example")
    (True, True)
    >>> is_email("a..b@example.org"), is_email("ada@localhost"), is_email("a b@example.org")
    (False, False, False)
    """
    if len(text) > limits.EMAIL_MAX:
        return False
    if text.isascii():
        return _ASCII(text) is not None
    local, separator, domain = text.partition("@")
    return bool(separator) and _is_local(local) and _is_domain(domain)


def _is_local(local: str) -> bool:
    return 1 <= len(local) <= limits.EMAIL_LOCAL_MAX and all(local.split(".")) and all(map(_in_local, local))


def _in_local(letter: str) -> bool:
    kind = category(letter)
    return letter not in _FORBIDDEN_LOCAL and kind != "Cc" and kind[0] != "Z"


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    return len(labels) >= 2 and all(label and all(map(_in_label, label)) for label in labels)


def _in_label(letter: str) -> bool:
    return letter == "-" or category(letter)[0] in "LM" or category(letter) == "Nd"
