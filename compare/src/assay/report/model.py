"""What a comparison found, as it is written to `results.json` and read by every report.

Missing figures are null, with the reason beside them; a cell never vanishes. CPU is in microseconds for each
request, latencies in milliseconds, rates in requests per second.
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from assay.report.care import Candidate, Change, LayerCode
from assay.report.decision import Decision
from assay.report.figures import Capacity, Delay, Footprint, Growth, Latency, Split
from assay.report.part import Interval, Part

FORMAT = "assay-results/2"


class Comparison(Part):
    """The arm's service CPU as a multiple of the baseline's, paired by round, and what that says. The
    interval is one of several that hold together."""

    ratio: Interval
    rounds: int
    verdict: Literal["better", "worse", "equivalent", "cannot tell"]


class Doubt(StrEnum):
    """Why a figure may not hold."""

    GENERATOR_BUSY = "the load generator was near its limit"
    NOISY = "the machine was noisy: rounds of one arm differed widely"
    DRIFT = "the figures moved in one direction all through the rounds"
    THROTTLED = "the machine ran slower than before, for every arm at once"
    TOO_FEW = "too few samples"
    NOT_WARM = "the arm was still getting faster when its warm-up ended"
    TWINS_APART = "two equal arms came out as different"
    WIDE = "the interval is wider than was asked for"
    UNEQUAL = "an arm differs from the others in what should be equal"
    NO_CPU = "no CPU figures: the process cannot be read from here"


ADVICE: dict[Doubt, str] = {
    Doubt.GENERATOR_BUSY: "Lower the connections, or give the generator a core of its own.",
    Doubt.NOISY: "Close other programs, or give the run a larger budget.",
    Doubt.DRIFT: "Something grows while it is measured: look at the rows that are written, or at the "
    "machine's temperature; then measure again.",
    Doubt.THROTTLED: "Measure on mains power, away from virtual machines with shared cores.",
    Doubt.TOO_FEW: "Give the run a larger budget.",
    Doubt.NOT_WARM: "Its figures may be too high: run without --quick, for a longer warm-up, or again.",
    Doubt.TWINS_APART: "Distrust every ratio of this scenario that is not much larger; measure again.",
    Doubt.WIDE: "Give the run a larger budget, or ask for less with --precision.",
    Doubt.UNEQUAL: "Read the parity manifest; --strict refuses such a run.",
    Doubt.NO_CPU: "Let assay start the service itself.",
}


class Database(Part):
    kind: Literal["postgresql", "mongodb"]
    version: str
    source: Literal["embedded", "docker", "url"]
    settings: dict[str, str]


class Environment(Part):
    """Where it ran. `versions` by distribution."""

    platform: str
    python: str
    cpus: int
    cpu_model: str
    memory_bytes: int
    databases: list[Database]
    versions: dict[str, str]


class Method(Part):
    """How it was measured: a closed loop on each arm, on equal rows. `slices` are those of an arm in each
    round; `precision` is the half-width of a ratio's interval at which its scenario ends early; `confidence`
    is that of all ratios of a scenario together; `workload` the text of the file that gave the scenarios."""

    slices: int
    slice_seconds: float
    warm_up_seconds: float
    budget_seconds: float
    precision: float
    confidence: float
    practical: float
    users: int
    documents: int
    workload: str | None


class Failure(Part):
    test: str
    clauses: list[str]
    message: str


class Arm(Part):
    """One running server. `again` is the A/A arm: a backend entered twice; `url` is a service that runs
    elsewhere. `alarms` name what differs from the other arms and should not; `excluded` says why an arm has
    no figures."""

    name: str
    title: str
    kind: Literal["service", "again", "floor", "url"]
    backend: str | None
    layer: str
    database: Literal["postgresql", "mongodb"] | None
    alarms: list[str]
    failures: list[Failure]
    excluded: str | None


class Scenario(Part):
    """One operation under load, over `connections` with one request at a time. `example` is one of its
    requests, method and path (and body)."""

    name: str
    title: str
    operation: str
    clauses: list[str]
    example: str
    connections: int
    floor: bool


class Property(Part):
    """One line of the parity manifest, by arm; None where an arm does not have it. `declared` says why arms
    may differ in it; where it is None and values differ, the arms that differ are alarmed."""

    name: str
    values: dict[str, str | None]
    declared: str | None
    differs: bool


class Content(Part):
    """What a backend's database holds, before and after the measurements: rows and a checksum of their values
    without ids and times, by collection. `expected` says whether both are what the measurements had to leave
    behind."""

    backend: str
    before: dict[str, str]
    after: dict[str, str]
    expected: bool
    because: str


class Cell(Part):
    """One arm in one scenario. Without figures, `missing` says why; `round_trips` and bytes are per
    request. `compared` answers were held against the baseline's, `wrong` of them differed."""

    arm: str
    scenario: str
    missing: str | None
    rounds: int = 0
    requests: int = 0
    errors: int = 0
    compared: int = 0
    wrong: int = 0
    service_cpu: Interval | None = None
    database_cpu: Interval | None = None
    round_trips: float | None = None
    bytes_in: float | None = None
    bytes_out: float | None = None
    per_second: Interval | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    against_baseline: Comparison | None = None
    doubts: list[Doubt] = Field(default_factory=list)


class Noise(Part):
    """The A/A pair of a scenario: how far two equal arms seemed apart."""

    scenario: str
    comparison: Comparison | None


class ClauseResult(Part):
    """By backend; `gap` fails as the backend says it does, `not run` also where the run left it out."""

    clause: str
    backends: dict[str, Literal["passed", "failed", "gap", "not run"]]


class Implementation(Part):
    backend: str
    file: str
    line: int
    lines: int
    source: str


class Operation(Part):
    """One operation of the ports, as each backend answers it."""

    name: str
    promise: str
    implementations: list[Implementation]


class Judgement(Part):
    """In words: the verdict first, then what stands behind it and what it does not cover."""

    headline: str
    reasons: list[str]
    limits: list[str]


class Results(Part):
    format: Literal["assay-results/2"]
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
    parity: list[Property]
    contents: list[Content]
    latencies: list[Latency]
    capacities: list[Capacity]
    splits: list[Split]
    footprints: list[Footprint]
    growth: list[Growth]
    delays: list[Delay]
    code: list[LayerCode]
    changes: list[Change]
    candidates: list[Candidate]
    conformance: list[ClauseResult]
    operations: list[Operation]
    doubts: list[Doubt]
    judgement: Judgement
    decision: Decision

    @property
    def is_quick(self) -> bool:
        """A quick run has one turn, and so does not know how much turns differ."""
        return "--quick" in self.command.split()
