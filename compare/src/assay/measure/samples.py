"""What one slice of load saw: raw, so that every later figure can be recomputed from it."""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SampledAnswer:
    """One answer kept whole for comparison between arms; `index` counts the requests of its source from 0."""

    index: int
    status: int
    body: bytes


@dataclass(slots=True)
class Samples:
    """The record of one slice, or of several merged; times are nanoseconds.

    `sent` counts the requests begun: it equals the answers plus the errors. `latencies_ns` holds one entry
    for each answer, whatever its status, in order of arrival. `generator_cpu_ns` is what the generator itself
    used; `lag_ns` is the longest delay with which it noticed that a scheduled request was due.
    """

    sent: int = 0
    latencies_ns: "array[int]" = field(default_factory=lambda: array("q"))
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sampled: list[SampledAnswer] = field(default_factory=list)
    bytes_in: int = 0
    bytes_out: int = 0
    elapsed_ns: int = 0
    generator_cpu_ns: int = 0
    lag_ns: int = 0

    @property
    def answers(self) -> int:
        return len(self.latencies_ns)

    @property
    def per_second(self) -> float:
        """Answers per second of the slice's own time; 0 for an empty slice."""
        return self.answers * 1e9 / self.elapsed_ns if self.elapsed_ns else 0.0

    @property
    def generator_share(self) -> float:
        """The part of one core that the generator used, 0–1: near 1 it is the generator that was measured."""
        return self.generator_cpu_ns / self.elapsed_ns if self.elapsed_ns else 0.0


def merged(parts: Iterable[Samples]) -> Samples:
    """One record of all parts; elapsed times add up, as the parts ran one after the other."""
    whole = Samples()
    for part in parts:
        whole.sent += part.sent
        whole.latencies_ns.extend(part.latencies_ns)
        whole.statuses.update(part.statuses)
        whole.errors.update(part.errors)
        whole.sampled.extend(part.sampled)
        whole.bytes_in += part.bytes_in
        whole.bytes_out += part.bytes_out
        whole.elapsed_ns += part.elapsed_ns
        whole.generator_cpu_ns += part.generator_cpu_ns
        whole.lag_ns = max(whole.lag_ns, part.lag_ns)
    return whole
