"""What is measured beside the cost of a request: latency, capacity, attribution, footprint, growth, delay.

As everywhere: CPU in microseconds for each request, latencies in milliseconds, rates in requests per second,
sizes in bytes. Where a figure is missing, `missing` says why.
"""

from typing import Literal

from pydantic import Field

from assay.report.part import Interval, Part


class Percentile(Part):
    """`percentile` from 0 to 100, with an interval from the order statistics around it."""

    percentile: float
    ms: float
    low_ms: float
    high_ms: float


class Latency(Part):
    """An arm in a scenario in an open loop: requests at `per_second`, counted from the time at which they
    were due. `percentiles` are those that the samples carry, ascending; `curve` is (percentile, ms) for a
    chart; `histogram` is HdrHistogram's own compressed form, in microseconds."""

    arm: str
    scenario: str
    missing: str | None
    arrivals: Literal["poisson", "constant"] = "poisson"
    per_second: float = 0.0
    samples: int = 0
    errors: int = 0
    percentiles: list[Percentile] = Field(default_factory=list)
    max_ms: float | None = None
    curve: list[tuple[float, float]] = Field(default_factory=list)
    histogram: str | None = None


class Step(Part):
    """One rate of the search for the capacity. `kept` says whether p99 and errors stayed within their limits,
    None where the slice is void because the generator could not keep up."""

    per_second: float
    samples: int
    errors: int
    p99_ms: float | None
    kept: bool | None


class Capacity(Part):
    """The highest rate with p99 under `target_ms` and errors under 0.1 %: `low` is the highest that was kept,
    `high` the lowest that was not."""

    arm: str
    scenario: str
    missing: str | None
    target_ms: float
    per_second: Interval | None = None
    steps: list[Step] = Field(default_factory=list)


class Split(Part):
    """Where the CPU of a request goes, in microseconds. `framework` is what the HTTP surface costs without a
    database, `driver` what a bare loop over the driver costs above a bare application, `layer` the rest of
    the service; `waiting` is the latency at one request at a time that is nobody's CPU. A part is None where
    no floor tells it apart: it is then in `layer`, which `joined` names."""

    arm: str
    scenario: str
    missing: str | None
    framework: float | None = None
    driver: float | None = None
    layer: float | None = None
    database: float | None = None
    waiting: float | None = None
    joined: list[str] = Field(default_factory=list)


class Footprint(Part):
    """What an arm takes to stand there. `import_seconds` is CPU of importing it alone, `start_seconds` from
    the process's start to the first ready answer; memory is resident, of all its processes; `loop_lag_ms` is
    the p99 of the event loop's lag under load."""

    arm: str
    missing: str | None
    import_seconds: float | None = None
    start_seconds: float | None = None
    idle_bytes: int | None = None
    peak_bytes: int | None = None
    after_bytes: int | None = None
    loop_lag_ms: float | None = None


class GrowthPoint(Part):
    rows: int
    service_cpu: Interval | None
    database_cpu: Interval | None


class Growth(Part):
    """How the cost of an operation grows with the rows that one request is about."""

    arm: str
    operation: str
    missing: str | None
    points: list[GrowthPoint] = Field(default_factory=list)


class Delay(Part):
    """A scenario with a slower way to the database. `asked_ms` is the round trip that was asked for,
    `added_ms` what the relay was measured to add; `predicted_ms` is the p50 at no delay and `round_trips`
    times `added_ms`."""

    arm: str
    scenario: str
    missing: str | None
    asked_ms: float
    added_ms: float | None = None
    requests: int = 0
    round_trips: float | None = None
    p50_ms: Percentile | None = None
    predicted_ms: float | None = None
    service_cpu: Interval | None = None
