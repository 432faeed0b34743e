"""What a comparison found, as it is written to `results.json` and read by every report.

Missing figures are null, with the reason beside them; a cell never vanishes. CPU is in microseconds for each
request, latencies in milliseconds, rates in requests per second.
"""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

FORMAT = "assay-results/1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(_Part):
    """A median over rounds with its bootstrap 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(_Part):
    """The arm's service CPU as a multiple of the baseline's, paired by round, and what that says."""

    ratio: Interval
    rounds: int
    verdict: Literal["better", "worse", "equivalent", "cannot tell"]


class Doubt(StrEnum):
    """Why a figure may not hold."""

    GENERATOR_BUSY = "the load generator was near its limit"
    NOISY = "two equal arms differed by more than 10 %"
    TOO_FEW = "too few samples for every percentile"
    NO_CPU = "no CPU figures: the process cannot be read from here"


ADVICE: dict[Doubt, str] = {
    Doubt.GENERATOR_BUSY: "Lower the connections, or give the generator a core of its own.",
    Doubt.NOISY: "Close other programs, or give the run a larger budget.",
    Doubt.TOO_FEW: "Give the run a larger budget.",
    Doubt.NO_CPU: "Let assay start the service itself.",
}


class Database(_Part):
    kind: Literal["postgresql", "mongodb"]
    version: str
    source: Literal["embedded", "docker", "url"]
    settings: dict[str, str]


class Environment(_Part):
    """Where it ran. `versions` by distribution."""

    platform: str
    python: str
    cpus: int
    cpu_model: str
    memory_bytes: int
    databases: list[Database]
    versions: dict[str, str]


class Method(_Part):
    """How it was measured: a closed loop on each arm, on equal rows. `slices` are those of an arm in each
    round."""

    slices: int
    slice_seconds: float
    warm_up_seconds: float
    users: int
    documents: int


class Failure(_Part):
    test: str
    clauses: list[str]
    message: str


class Arm(_Part):
    """One running server. `again` is the A/A arm: a backend entered twice. `parity` holds what was read from
    the arm itself; `excluded` says why an arm has no figures."""

    name: str
    title: str
    kind: Literal["service", "again", "floor"]
    backend: str | None
    layer: str
    database: Literal["postgresql", "mongodb"] | None
    parity: dict[str, str]
    failures: list[Failure]
    excluded: str | None


class Scenario(_Part):
    """One operation under load, over `connections` with one request at a time. `example` is one of its
    requests, method and path (and body)."""

    name: str
    title: str
    operation: str
    clauses: list[str]
    example: str
    connections: int
    floor: bool


class Cell(_Part):
    """One arm in one scenario. Without figures, `missing` says why; `round_trips` is per request."""

    arm: str
    scenario: str
    missing: str | None
    rounds: int = 0
    requests: int = 0
    errors: int = 0
    service_cpu: Interval | None = None
    database_cpu: Interval | None = None
    round_trips: float | None = None
    per_second: Interval | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    against_baseline: Comparison | None = None


class Noise(_Part):
    """The A/A pair of a scenario: how far two equal arms seemed apart."""

    scenario: str
    comparison: Comparison | None


class ClauseResult(_Part):
    """By backend; `gap` fails as the backend says it does, `not run` also where the run left it out."""

    clause: str
    backends: dict[str, Literal["passed", "failed", "gap", "not run"]]


class Implementation(_Part):
    backend: str
    file: str
    line: int
    lines: int
    source: str


class Operation(_Part):
    """One operation of the ports, as each backend answers it."""

    name: str
    promise: str
    implementations: list[Implementation]


class Judgement(_Part):
    """In words: the verdict first, then what stands behind it and what it does not cover."""

    headline: str
    reasons: list[str]
    limits: list[str]


class Results(_Part):
    format: Literal["assay-results/1"]
    started_at: str
    seconds: float
    command: str
    seed: int
    baseline: str
    twin_of: str | None
    environment: Environment
    method: Method
    arms: list[Arm]
    scenarios: list[Scenario]
    cells: list[Cell]
    noise: list[Noise]
    conformance: list[ClauseResult]
    operations: list[Operation]
    doubts: list[Doubt]
    judgement: Judgement
