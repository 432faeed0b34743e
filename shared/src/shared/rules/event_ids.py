"""Ids of events: a position in the log and the time of its entry, sealed, the same from every process."""

from datetime import UTC, datetime

import orjson

from shared.rules.seals import SealBroken, Seals


class EventIds:
    """Seals and opens ids with a secret. Ids go into headers and URLs, so they are short and URL-safe.

    >>> ids, at = EventIds(b"secret"), datetime(2026, 11, 22, tzinfo=UTC)
    >>> ids.open(ids.seal("0007", at))
    ('0007', datetime.datetime(2026, 11, 22, 0, 0, tzinfo=datetime.timezone.utc))
    >>> ids.open(EventIds(b"another").seal("0007", at)) is None
    True
    """

    def __init__(self, secret: bytes) -> None:
        self._seals = Seals(secret, b"assay-event")

    def seal(self, position: str, at: datetime) -> str:
        return self._seals.close(orjson.dumps([position, int(at.timestamp())]))

    def open(self, event_id: str) -> tuple[str, datetime] | None:
        """The position and the time, to the second; None where the id was not made with this secret."""
        try:
            position, seconds = orjson.loads(self._seals.open(event_id))
        except SealBroken:
            return None
        return position, datetime.fromtimestamp(seconds, UTC)
