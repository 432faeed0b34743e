"""Batches of rows: which of them repeat another, and how many to read at once."""

from collections.abc import Hashable, Sequence

SET_SECONDS = 0.02
"""How long one set of a stream may take to read and to become objects: nothing else runs meanwhile."""


def repeats(keys: Sequence[Hashable]) -> set[int]:
    """The places of keys that stand at an earlier place already.

    >>> repeats(["a", "b", "a", "a"]) == {2, 3}
    True
    """
    first: dict[Hashable, int] = {}
    return {place for place, key in enumerate(keys) if first.setdefault(key, place) != place}


class Pace:
    """How many rows of a stream to read at once: few where rows are large, `most` where they are small.
    Powers of two, as a driver keeps a statement for each count.

    >>> pace = Pace(most=512)
    >>> pace.count, pace.took(0.0001), pace.took(0.4)
    (8, 64, 2)
    """

    def __init__(self, most: int) -> None:
        self.count = 8
        self._most = most

    def took(self, seconds: float) -> int:
        """The next count, after the last one took so long: at most eight times as many."""
        fitting = int(self.count * SET_SECONDS / max(seconds, 1e-6))
        wanted = max(1, min(fitting, self.count * 8, self._most))
        self.count = 1 << wanted.bit_length() - 1
        return self.count
