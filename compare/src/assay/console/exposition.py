"""What a service's `/metrics` says of the last seconds (OPS-3)."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

_REQUESTS: Final = "http_server_request_duration_seconds_bucket"
_LAG: Final = "assay_event_loop_lag_seconds_bucket"
_CONNECTIONS: Final = "db_client_connection_count"
_PENDING: Final = "db_client_connection_pending_requests"
_READ: Final = (_REQUESTS, _LAG, _CONNECTIONS, _PENDING)
_NOT_LOAD: Final = frozenset({"/metrics", "/livez", "/readyz"})
"""Routes that probes and the console itself ask."""

Buckets = Mapping[float, float]
"""Cumulated counts by upper bound in seconds; the last bound is infinite."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """At the moment `at` of the console's clock, in seconds."""

    at: float
    requests: Buckets
    lag: Buckets
    in_use: int
    size: int
    waiting: int


def snapshot(text: str, at: float) -> Snapshot:
    """Raises ValueError or KeyError where the text is no exposition."""
    lines = "\n".join(line for line in text.splitlines() if line.startswith(_READ))
    requests: dict[float, float] = defaultdict(float)
    lag: dict[float, float] = defaultdict(float)
    pool: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(lines + "\n"):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == _REQUESTS:
                if labels.get("http_route") not in _NOT_LOAD:
                    requests[float(labels["le"])] += sample.value
            elif sample.name == _LAG:
                lag[float(labels["le"])] += sample.value
            elif labels.get("db_client_connection_pool_name") == "requests":
                pool[labels.get("db_client_connection_state", "waiting")] += sample.value
    bounds, figures = {*requests, *lag}, (*requests.values(), *lag.values(), *pool.values())
    if not all(bound > -inf for bound in bounds) or not all(map(isfinite, figures)):
        raise ValueError("a figure that is none")
    size = pool["used"] + pool["idle"]
    return Snapshot(at, requests, lag, int(pool["used"]), int(size), int(pool["waiting"]))


def since(earlier: Buckets, later: Buckets) -> Buckets | None:
    """What came between the two; None where the later one counts from a new start."""
    gained = {bound: count - earlier.get(bound, 0) for bound, count in sorted(later.items())}
    return None if any(count < 0 for count in gained.values()) else gained


def total(buckets: Buckets) -> float:
    return buckets.get(inf, 0)


def quantile(buckets: Buckets, share: float) -> float | None:
    """Seconds, straight between the bounds of the bucket as Prometheus's `histogram_quantile` does; beyond
    the last bound that bound. None where nothing was counted.

    >>> quantile({0.1: 10, 0.2: 20, inf: 20}, 0.75)
    0.15
    >>> quantile({0.1: 0, inf: 0}, 0.5) is None
    True
    """
    wanted = share * total(buckets)
    below, before = 0.0, 0.0
    if not wanted:
        return None
    for bound, count in sorted(buckets.items()):
        if count >= wanted:
            part = (wanted - before) / (count - before)
            return below if bound == inf else round(below + (bound - below) * part, 6)
        below, before = bound, count
    return below
