"""Entity tags of versions, and the conditions that clients put on them (RFC 9110, section 13)."""

import re

from shared.rules import limits

Versions = frozenset[int] | None
"""The versions that a write accepts; None accepts any (`If-Match: *`, or no condition at all)."""

Digests = frozenset[str] | None
"""The same for what is named by its SHA-256."""

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# blanks stand in one place only between two commas: in two, there would be endless ways to read them
_MEMBER = rf"[ \t]*(?:{_TAG}[ \t]*)?"
_LIST = re.compile(rf"{_MEMBER}(?:,{_MEMBER})*").fullmatch
_MEMBERS = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"').findall
_VERSION = re.compile(r"[1-9][0-9]{0,9}").fullmatch


def etag(version: int) -> bytes:
    """
    >>> etag(3)
    b'"3"'
    """
    return b'"%d"' % version


def accepted_versions(header: str) -> Versions:
    """What an `If-Match` header accepts. Weak and unparsable tags never match.

    >>> accepted_versions('"1", W/"2", "3"') == {1, 3}, accepted_versions("*"), accepted_versions("1")
    (True, None, frozenset())
    """
    if header.strip(" \t") == "*":
        return None
    return frozenset(_versions(header, weak=False))


def has_version(header: str, version: int) -> bool:
    """Whether an `If-None-Match` header names the version, by weak comparison.

    >>> has_version('W/"2"', 2), has_version("*", 9), has_version('"1"', 2)
    (True, True, False)
    """
    return header.strip(" \t") == "*" or version in _versions(header, weak=True)


def accepted_digests(header: str) -> Digests:
    """The same where a tag is a digest.

    >>> accepted_digests('"ab", W/"cd"') == {"ab"}, accepted_digests("*"), accepted_digests("ab")
    (True, None, frozenset())
    """
    if header.strip(" \t") == "*":
        return None
    return frozenset(_tags(header, weak=False))


def has_digest(header: str, digest: str) -> bool:
    """Whether an `If-None-Match` header names the digest, by weak comparison.

    >>> has_digest('W/"ab"', "ab"), has_digest("*", "cd"), has_digest('"ab"', "cd")
    (True, True, False)
    """
    return header.strip(" \t") == "*" or digest in _tags(header, weak=True)


def _versions(header: str, *, weak: bool) -> list[int]:
    numbers = [int(tag) for tag in _tags(header, weak=weak) if _VERSION(tag)]
    return [number for number in numbers if number <= limits.VERSION_MAX]


def _tags(header: str, *, weak: bool) -> list[str]:
    if not _LIST(header):
        return []
    return [tag for is_weak, tag in _MEMBERS(header) if weak or not is_weak]
