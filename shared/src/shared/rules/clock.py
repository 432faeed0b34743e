"""The service's clock, cut to the milliseconds that every backend keeps, and the one form of a time."""

from datetime import UTC, datetime
from functools import lru_cache


def now() -> datetime:
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


# formatting costs as much as all other fields of a row, and the same rows are asked for again and again
@lru_cache(maxsize=8_192)
def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with exactly three decimals. `moment` must be in UTC.

    >>> rfc3339(datetime(2026, 11, 22, 6, 33, 27, 230_000, UTC))
    '2026-11-22T06:33:27.230Z'
    """
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
