"""Seconds by bucket, as Prometheus reads them."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.metrics_core import HistogramMetricFamily


class Histogram:
    """Counts by bucket, each without those before it, and the sum of all seconds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def put_into(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        named = [*map(str, self._bounds), "+Inf"]
        family.add_metric(labels, list(zip(named, accumulate(self._counts), strict=True)), self._sum)
