"""What an arm takes to stand there: import, start, memory, and how late its event loop is under load."""

import asyncio
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx2
import psutil
from prometheus_client.parser import text_string_to_metric_families

from assay.measure.accounting import AccountingError
from assay.measure.arms import Entrant
from assay.report.figures import Footprint
from assay.stand import RunningService, Stand, StandError

IMPORTS = 3
LAG_PERIOD_SECONDS = 0.1
"""So often a service looks how late its event loop is."""
ELSEWHERE = "it runs elsewhere: its process cannot be read from here"

Buckets = Mapping[float, float]
"""How many were at most so many seconds, all before them counted with."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a process and its descendants. `peak` is None where the system keeps none."""

    resident: int
    peak: int | None


@dataclass(frozen=True)
class _Before:
    import_seconds: float | None
    start_seconds: float | None
    idle: Memory
    lags: Buckets


class Footprints:
    """`before` the load and `after` it; an arm that came in between, or is gone by then, has no figures.
    Without `starts` neither start nor import is timed, which takes the most of the time."""

    def __init__(self, stand: Stand, *, starts: bool = True) -> None:
        self._stand = stand
        self._starts = starts
        self._before: dict[str, _Before] = {}

    async def before(self, entrants: Sequence[Entrant]) -> None:
        """Starts each arm once more, one after the other, while nothing else is measured. StandError where
        one does not start again."""
        for entrant in entrants:
            if entrant.running is not None:
                self._before[entrant.name] = await self._look(entrant, entrant.running)

    async def after(
        self, entrants: Sequence[Entrant], loaded_seconds: float | None = None
    ) -> list[Footprint]:
        """`loaded_seconds` is how long each arm was under load since `before`: the event loop's lag is then
        told of that time alone, of which the longest lags are taken to be."""
        return [await self._footprint(entrant, loaded_seconds) for entrant in entrants]

    async def _look(self, entrant: Entrant, running: RunningService) -> _Before:
        idle = memory(running.pid)
        lags = await loop_lags(running.url) if entrant.kind != "floor" else {}
        imported = started = None
        if self._starts:
            started = await start_seconds(self._stand, running)
        if self._starts and entrant.kind != "floor" and entrant.backend is not None:
            imported = await import_seconds(f"{entrant.backend.module}.app", running.pid)
        return _Before(imported, started, idle, lags)

    async def _footprint(self, entrant: Entrant, loaded_seconds: float | None) -> Footprint:
        before, running = self._before.get(entrant.name), entrant.running
        if running is None or before is None:
            return Footprint(arm=entrant.name, missing=ELSEWHERE if running is None else "not seen before")
        try:
            now = memory(running.pid)
            lags = await loop_lags(running.url) if entrant.kind != "floor" else {}
        except (AccountingError, httpx2.HTTPError) as error:
            return Footprint(arm=entrant.name, missing=f"it did not last: {error}")
        lag = lag_percentile(before.lags, lags, loaded_seconds)
        return Footprint(
            arm=entrant.name,
            missing=None,
            import_seconds=before.import_seconds,
            start_seconds=before.start_seconds,
            idle_bytes=before.idle.resident,
            peak_bytes=now.peak,
            after_bytes=now.resident,
            loop_lag_ms=None if lag is None else lag * 1e3,
        )


async def import_seconds(module: str, like: int) -> float:
    """CPU seconds of a fresh process that imports the module and ends, in the environment of the process
    `like`: the median of `IMPORTS`. The interpreter's own start is in it."""
    code = f"import time, {module}; print(time.process_time())"
    found: list[float] = []
    for _ in range(IMPORTS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, env=_environment(like), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
        if process.returncode != 0:
            raise StandError(f"{module} cannot be imported: try {sys.executable} -c 'import {module}'.")
        found.append(float(printed))
    return median(found)


async def start_seconds(stand: Stand, running: RunningService) -> float:
    """From the start of a process to its first ready answer: a second one like the running one is started,
    and stopped again."""
    *command, option, _ = psutil.Process(running.pid).cmdline()
    if option != "--port":
        raise StandError(f"{running.name} was not started as the stand starts: its start is not known.")
    again = await stand.start_process(f"{running.name}-start", command, _environment(running.pid))
    took = time.time() - again.child.started
    await again.stop()
    del stand.services[again.name]
    return took


def _environment(pid: int) -> dict[str, str]:
    return psutil.Process(pid).environ()


def memory(pid: int) -> Memory:
    """Of the process and its descendants, pages that several share counted once. AccountingError where it is
    gone.

    On Linux that is the proportional set size; the peak is what was resident at most, measured alike: the
    present size and what the high-water mark is above it. Elsewhere psutil's resident size, and no peak.
    """
    try:
        root = psutil.Process(pid)
        sizes = [_memory(process) for process in (root, *root.children(recursive=True))]
    except psutil.NoSuchProcess as error:
        raise AccountingError(f"process {pid} has ended: it has no memory") from error
    peaks = [size.peak for size in sizes if size.peak is not None]
    return Memory(sum(size.resident for size in sizes), sum(peaks) if len(peaks) == len(sizes) else None)


if sys.platform == "linux":

    def _memory(process: psutil.Process) -> Memory:
        folder = Path(f"/proc/{process.pid}")
        try:
            status = _kilobytes(folder / "status")
            resident = _kilobytes(folder / "smaps_rollup")["Pss"]
        except (FileNotFoundError, ProcessLookupError) as error:
            raise psutil.NoSuchProcess(process.pid) from error
        except PermissionError:  # somebody else's process
            resident = status["VmRSS"]
        return Memory(resident, resident + status["VmHWM"] - status["VmRSS"])

    def _kilobytes(file: Path) -> dict[str, int]:
        """The lines `name: number kB` of a file in /proc, in bytes."""
        lines = [line.split() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        return {line[0][:-1]: int(line[1]) * 1_024 for line in lines if line[2:] == ["kB"]}

else:

    def _memory(process: psutil.Process) -> Memory:
        return Memory(process.memory_info().rss, None)


async def loop_lags(url: str) -> Buckets:
    """What the service itself has counted, from its `/metrics`."""
    async with httpx2.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:
        answer = await client.get("/metrics")
    answer.raise_for_status()
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "assay_event_loop_lag_seconds_bucket"
    }


def lag_percentile(before: Buckets, after: Buckets, loaded_seconds: float | None) -> float | None:
    """Seconds that 99 of 100 of the lags in between did not exceed, or of the longest of them, as many as
    there were in the seconds under load; None where there were none.

    Within a bucket they are taken to be spread evenly, as Prometheus's `histogram_quantile` does; beyond the
    last bound, to lie on it.

    >>> lag_percentile({}, {0.001: 90.0, 0.01: 100.0, math.inf: 100.0}, None)
    0.0091
    >>> lag_percentile({}, {0.001: 90.0, 0.01: 100.0, math.inf: 100.0}, 1.0)
    0.00991
    """
    counts = {bound: count - before.get(bound, 0.0) for bound, count in sorted(after.items())}
    total = counts.get(math.inf, 0.0)
    if not total:
        return None
    considered = total if loaded_seconds is None else min(total, loaded_seconds / LAG_PERIOD_SECONDS)
    rank = total - considered / 100
    low, below = 0.0, 0.0
    for bound, count in counts.items():
        if count >= rank:
            share = (rank - below) / (count - below)
            return low if math.isinf(bound) else round(low + (bound - low) * share, 9)
        low, below = bound, count
    raise AssertionError
