"""What a layer may answer instead of a result. No HTTP here: `shared.http.problems` gives each its answer."""

from collections.abc import Sequence


class Refused(Exception):
    """A request that the stored rows decide against."""


class NotFound(Refused):
    """No such row."""


class PreconditionFailed(Refused):
    """The stored version is none of those that the write accepts; nothing changed."""


class Misplaced(Refused):
    """Refused because of members of a batch. `places` are their positions; empty for a single row."""

    def __init__(self, places: Sequence[int] = ()) -> None:
        super().__init__()
        self.places = tuple(places)


class EmailTaken(Misplaced):
    """Another user has an e-mail with the same key; nothing changed."""


class UnknownOwner(Misplaced):
    """A document names an owner that does not exist; nothing changed."""


class TransferConflict(Misplaced):
    """Documents at `places` are missing or not owned by the giving user, or a named owner does not exist;
    nothing changed."""

    def __init__(self, places: Sequence[int] = (), *, unknown_owner: str | None = None) -> None:
        super().__init__(places)
        self.unknown_owner = unknown_owner


class KeyReused(Refused):
    """The idempotency key came with another request before; nothing changed."""


class PositionLost(Exception):
    """The change feed cannot go on from there without the risk of a gap."""


class Unavailable(Exception):
    """The database cannot be reached, refuses, or has no connection free: 503.

    `outcome_unknown` when a write had been sent and no answer came.
    """

    def __init__(self, *, outcome_unknown: bool = False) -> None:
        super().__init__()
        self.outcome_unknown = outcome_unknown


class TimedOut(Exception):
    """The database did not answer in time: 504. A write may hold or not."""
