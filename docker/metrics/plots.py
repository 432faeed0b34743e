"""What the dashboard shows: its rows, and the expression of each plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HERE: Final = 'backend="$backend"'
"""In a column of one backend."""

_REQUESTS_POOL: Final = 'db_client_connection_pool_name="requests"'
_EXPORTS_POOL: Final = 'db_client_connection_pool_name="exports"'
_USED: Final = 'db_client_connection_state="used"'


@dataclass(frozen=True)
class Plot:
    """`unit` by Grafana's names; `legend` names the label that tells lines apart; `each` draws a column for
    each backend."""

    title: str
    expr: str
    unit: str
    about: str = ""
    legend: str = "backend"
    each: bool = False


@dataclass(frozen=True)
class Row:
    title: str
    plots: Sequence[Plot]


def _by_backend(expr: str) -> str:
    return f"sum by (backend) ({expr})"


ROWS: Final = (
    Row(
        "Requests of clients",
        (
            Plot("Requests", "backend:http_requests:rate1m", "reqps"),
            Plot("Answered 5xx", "backend:http_request_errors:ratio_rate1m", "percentunit"),
            Plot(
                "Refused for the database",
                "max by (backend) (instance:database_refusals:ratio_rate1m)",
                "percentunit",
                "503 and 504 among what needs the database, readiness probes included.",
            ),
            Plot("Latency, p50", "backend:http_request_duration_seconds:p50_rate5m", "s"),
            Plot("Latency, p95", "backend:http_request_duration_seconds:p95_rate5m", "s"),
            Plot("Latency, p99", "backend:http_request_duration_seconds:p99_rate5m", "s"),
            Plot(
                "$backend, by route",
                "topk(8, sum by (http_route, http_request_method)"
                f" (rate(http_server_request_duration_seconds_count{{{HERE}}}[1m])))",
                "reqps",
                legend="http_request_method}} {{http_route",
                each=True,
            ),
        ),
    ),
    Row(
        "Connections to the database",
        (
            Plot(
                "In use",
                _by_backend(f"db_client_connection_count{{{_REQUESTS_POOL}, {_USED}}}"),
                "none",
            ),
            Plot(
                "Requests that wait for one",
                _by_backend(f"db_client_connection_pending_requests{{{_REQUESTS_POOL}}}"),
                "none",
            ),
            Plot(
                "In use by exports",
                _by_backend(f"db_client_connection_count{{{_EXPORTS_POOL}, {_USED}}}"),
                "none",
            ),
        ),
    ),
    Row(
        "Round trips to the database",
        (
            Plot(
                "For each request",
                "sum by (backend) (backend_operation:db_round_trips:rate1m)"
                " / (backend:http_requests:rate1m > 0)",
                "none",
                "What works beside requests is not counted.",
            ),
            Plot(
                "Seconds for each request",
                _by_backend("rate(db_client_operation_duration_seconds_sum[1m])")
                + " / (backend:http_requests:rate1m > 0)",
                "s",
            ),
            Plot(
                "$backend, each second",
                f"topk(8, backend_operation:db_round_trips:rate1m{{{HERE}}})",
                "ops",
                legend="db_operation_name",
                each=True,
            ),
            Plot(
                "$backend, seconds of one",
                f"topk(8, backend_operation:db_round_trip_seconds:mean_rate1m{{{HERE}}})",
                "s",
                legend="db_operation_name",
                each=True,
            ),
        ),
    ),
    Row(
        "Event loop",
        (
            Plot("Lag, p99", "max by (backend) (instance:event_loop_lag_seconds:p99_rate5m)", "s"),
            Plot("Greatest lag of a minute", "max by (backend) (assay_event_loop_lag_greatest_seconds)", "s"),
        ),
    ),
    Row(
        "Streams, WebSockets and what runs beside requests",
        (
            Plot("Open streams", _by_backend("assay_open_streams"), "none"),
            Plot("Open WebSockets", _by_backend("assay_open_websockets"), "none"),
            Plot("Subscriptions to the feed", _by_backend("assay_feed_subscriptions"), "none"),
            Plot("The feed's lag, p99", "max by (backend) (instance:feed_lag_seconds:p99_rate5m)", "s"),
            Plot(
                "Activity not stored yet",
                _by_backend("assay_activity_buffer_length"),
                "none",
                "A process refuses new actions at 10,000.",
            ),
            Plot(
                "Mails that were put off or given up",
                _by_backend('increase(assay_mail_tries_total{outcome!="sent"}[5m])'),
                "none",
            ),
        ),
    ),
    Row(
        "Processes",
        (
            Plot(
                "CPU, of one core",
                _by_backend('rate(process_cpu_seconds_total{job="services"}[1m])'),
                "percentunit",
            ),
            Plot("Memory", _by_backend('process_resident_memory_bytes{job="services"}'), "bytes"),
            Plot("File descriptors", _by_backend('process_open_fds{job="services"}'), "none"),
        ),
    ),
)
