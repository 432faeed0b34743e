"""Batches of rows: which of them repeat another."""

from collections.abc import Hashable, Sequence


def repeats(keys: Sequence[Hashable]) -> set[int]:
    """The places of keys that stand at an earlier place already.

    >>> repeats(["a", "b", "a", "a"]) == {2, 3}
    True
    """
    first: dict[Hashable, int] = {}
    return {place for place, key in enumerate(keys) if first.setdefault(key, place) != place}
