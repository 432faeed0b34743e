"""What a process tells of itself to Prometheus (OPS-3).

The names are those of OpenTelemetry's conventions as Prometheus writes them; what these do not know starts
with `assay_`. Requests only count into plain numbers; families are made of them when somebody asks.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from shared.ports.backend import Backend, PoolState
from shared.work.activity import ActivityBuffer
from shared.work.feed import Feed
from shared.work.histogram import Histogram
from shared.work.loop_lag import LoopLag, measuring_lag
from shared.work.mail import OUTCOMES, Mailer
from shared.work.rooms import Rooms

if TYPE_CHECKING:
    from shared.http.call import Call, Streamed
    from shared.http.routing import ContractRoute

_REQUEST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TRIP_BOUNDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
_LAG_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "_OTHER"


class Metrics(Collector):
    """`count` runs in every request: it costs less than a microsecond."""

    def __init__(
        self, backend: Backend, activity: ActivityBuffer, mailer: Mailer | None, feed: Feed, rooms: Rooms
    ) -> None:
        self._backend = backend
        self._activity = activity
        self._mailer = mailer
        self._feed = feed
        self._rooms = rooms
        self._requests: dict[tuple[str, str, int], Histogram] = {}
        self._trips: dict[str, Histogram] = {}
        # there from the start, so that nobody takes a missing line for a missing metric
        self._streams = Counter({"text/event-stream": 0})
        self._lag_seconds = Histogram(_LAG_BOUNDS)
        self.lag = LoopLag(self._lag_seconds.add)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def count(self, route: "ContractRoute | None", status: int, call: "Call") -> None:
        """Of a request whose answer is ready; of a stream, whose beginning is."""
        key = _OTHER if route is None else route.path_format, call.scope["method"], status
        histogram = self._requests.get(key)
        if histogram is None:
            histogram = self._first(*key)
        histogram.add(time.perf_counter() - call.started)
        if call.trips.spent and route is not None:
            trips = self._trips.get(route.name)
            if trips is None:
                trips = self._trips[route.name] = Histogram(_TRIP_BOUNDS)
            for seconds in call.trips.spent:
                trips.add(seconds)

    @contextmanager
    def streaming(self, answer: "Streamed") -> Iterator[None]:
        """Counts a stream while it is open."""
        written = dict(answer.headers)[b"content-type"].partition(b";")[0].decode()
        self._streams[written] += 1
        try:
            yield
        finally:
            self._streams[written] -= 1

    def exposed(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        yield self._request_durations()
        yield self._trip_durations()
        yield from self._pools()
        yield from self._loop()
        yield from self._connections()
        yield from self._feed_lags()
        help_text = "Actions that are promised and not stored yet"
        yield GaugeMetricFamily("assay_activity_buffer_length", help_text, value=len(self._activity))
        yield self._mails()

    def _first(self, path: str, method: str, status: int) -> Histogram:
        """What no client may choose is no label: methods that the contract does not know are one."""
        named = method if method in _METHODS else _OTHER
        return self._requests.setdefault((path, named, status), Histogram(_REQUEST_BOUNDS))

    def _request_durations(self) -> Metric:
        labels = ["http_route", "http_request_method", "http_response_status_code"]
        help_text = "Seconds until an answer was ready; of streams, until their beginning was"
        family = HistogramMetricFamily("http_server_request_duration_seconds", help_text, labels=labels)
        for (path, method, status), histogram in self._requests.items():
            histogram.put_into(family, [path, method, str(status)])
        return family

    def _trip_durations(self) -> Metric:
        help_text = "Seconds of each round trip to the database, by the operation that asked"
        labels = ["db_operation_name"]
        family = HistogramMetricFamily("db_client_operation_duration_seconds", help_text, labels=labels)
        for name, histogram in self._trips.items():
            histogram.put_into(family, [name])
        return family

    def _pools(self) -> Iterator[Metric]:
        pool_label = "db_client_connection_pool_name"
        connections = GaugeMetricFamily(
            "db_client_connection_count",
            "Connections of a pool",
            labels=[pool_label, "db_client_connection_state"],
        )
        pending = GaugeMetricFamily(
            "db_client_connection_pending_requests",
            "Requests that wait for a connection",
            labels=[pool_label],
        )
        for name, pool in (("requests", self._backend.pool()), ("exports", self._backend.export_pool())):
            for state, count in _by_state(pool).items():
                connections.add_metric([name, state], count)
            pending.add_metric([name], pool.waiting)
        yield connections
        yield pending

    def _connections(self) -> Iterator[Metric]:
        streams = GaugeMetricFamily(
            "assay_open_streams", "Answers that are being streamed", labels=["media_type"]
        )
        for media_type, count in self._streams.items():
            streams.add_metric([media_type], count)
        yield streams
        help_text = "Open WebSocket connections"
        yield GaugeMetricFamily("assay_open_websockets", help_text, value=self._rooms.connections)
        help_text = "Subscriptions to the change feed, over SSE and WebSocket"
        yield GaugeMetricFamily("assay_feed_subscriptions", help_text, value=self._feed.subscriptions)

    def _feed_lags(self) -> Iterator[Metric]:
        name = "assay_feed_lag_seconds"
        help_text = (
            "Seconds from a change to the moment at which this process heard of it for its subscribers"
        )
        lags = HistogramMetricFamily(name, help_text, labels=[])
        self._feed.lags.put_into(lags, [])
        yield lags
        help_text = "1 while somebody listens and the change feed cannot be followed"
        yield GaugeMetricFamily("assay_feed_lost", help_text, value=self._feed.is_lost)

    def _mails(self) -> Metric:
        help_text = "Tries to hand a mail in, by how they ended"
        family = CounterMetricFamily("assay_mail_tries", help_text, labels=["outcome"])
        tries = dict.fromkeys(OUTCOMES, 0) if self._mailer is None else self._mailer.tries
        for outcome, count in tries.items():
            family.add_metric([outcome], count)
        return family

    def _loop(self) -> Iterator[Metric]:
        name, help_text = "assay_event_loop_lag_seconds", "How late the event loop was"
        lags = HistogramMetricFamily(name, help_text, labels=[])
        self._lag_seconds.put_into(lags, [])
        yield lags
        help_text = "The greatest lag of the last minute"
        yield GaugeMetricFamily("assay_event_loop_lag_greatest_seconds", help_text, value=self.lag.greatest())


def _by_state(pool: PoolState) -> dict[str, int]:
    return {"used": pool.in_use, "idle": max(0, pool.size - pool.in_use)}


@asynccontextmanager
async def open_metrics(
    backend: Backend, activity: ActivityBuffer, mailer: Mailer | None, feed: Feed, rooms: Rooms
) -> AsyncIterator[Metrics]:
    metrics = Metrics(backend, activity, mailer, feed, rooms)
    async with measuring_lag(metrics.lag):
        yield metrics
