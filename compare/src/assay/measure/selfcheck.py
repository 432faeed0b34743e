"""Checks the load generator against wrk on a bare ASGI app.

`python -m assay.measure.selfcheck` ends with 1 where the generator costs more than 30 µs CPU for a request or
reaches less than 0.9 of wrk's rate, both in short turns one after the other, or where its p50 is 5 % or its
p99 15 % away from wrk's while both load the server at once. Without wrk only the cost is checked, and it says
so.
"""

import asyncio
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import uvloop
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from assay.measure.accounting import CpuMeter
from assay.measure.connection import LoadError, prepare
from assay.measure.load import Loader
from assay.measure.pinning import pin
from assay.measure.samples import Samples
from assay.stand.ports import HOST, free_port

ROUNDS = 7
ROUNDS_TOGETHER = 21
TURN_SECONDS = 1
CONNECTIONS = 16
SMALL, LISTED = "/users/1", "/documents?limit=50"
MOST_CPU_US = 30.0
LEAST_OF_WRK = 0.9
MOST_P50_APART = 0.05
MOST_P99_APART = 0.15
WRK_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}
START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a generator: rates per second, CPU in µs for each request, latencies in µs."""

    per_second: float
    own_cpu_us: float
    server_cpu_us: float
    p50_us: float
    p99_us: float


@contextmanager
def floor_server(name: str, environment: Mapping[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """Port and pid of a floor that accepts connections; `environment` is added to this process's own."""
    port = free_port()
    command = [sys.executable, "-m", "assay.measure.floors", name, "--port", str(port)]
    with subprocess.Popen(command, env={**os.environ, **(environment or {})}) as server:
        try:
            _await_port(server, port, command)
            yield port, server.pid
        finally:
            server.terminate()


def _await_port(server: "subprocess.Popen[bytes]", port: int, command: list[str]) -> None:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise LoadError(f"the floor did not start: run {' '.join(map(str, command))} to see why")


def wrk_turn(program: str, port: int, path: str, meter: CpuMeter) -> Turn:
    load = ["-t1", f"-c{CONNECTIONS}", f"-d{TURN_SECONDS}s", "--latency"]
    command = [program, *load, f"http://{HOST}:{port}{path}"]
    before = meter.cpu_ns()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        printed = run.stdout.read()
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    server_ns = meter.cpu_ns() - before
    requests = re.search(r"(\d+) requests in", printed)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", printed)
    spread = {
        int(percentile): float(number) * WRK_UNITS[unit]
        for percentile, number, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", printed)
    }
    if run.returncode or requests is None or rate is None or spread.keys() != {50, 99}:
        raise LoadError(f"wrk failed with {run.returncode}: {printed[:200]}")
    answers = int(requests[1])
    own_us = (used.ru_utime + used.ru_stime) * 1e6 / answers
    return Turn(float(rate[1]), own_us, server_ns / 1_000 / answers, spread[50], spread[99])


async def own_turn(loader: Loader, wire: bytes, meter: CpuMeter) -> Turn:
    before = meter.cpu_ns()
    seen = await loader.closed(lambda: wire, TURN_SECONDS)
    if not seen.answers or seen.errors:
        raise LoadError(f"the bare server gave errors: {dict(seen.errors)}")
    server_ns = meter.cpu_ns() - before
    own_us = seen.generator_cpu_ns / 1_000 / seen.answers
    p50_us, p99_us = np.percentile(as_wrk_counts(seen), [50, 99])
    return Turn(seen.per_second, own_us, server_ns / 1_000 / seen.answers, float(p50_us), float(p99_us))


def as_wrk_counts(seen: Samples) -> NDArray[np.float64]:
    """Latencies in µs with those that wrk 4 adds: for a request that took more than twice the mean, the ones
    that its connection would have sent meanwhile."""
    latencies_us = np.asarray(seen.latencies_ns) / 1_000
    mean_us = seen.elapsed_ns / 1_000 / (seen.answers / CONNECTIONS)
    added = []
    rest = latencies_us[latencies_us >= 2 * mean_us] - mean_us
    while rest.size:
        added.append(rest)
        rest = rest[rest > 2 * mean_us] - mean_us
    return np.concatenate([latencies_us, *added])


async def compare_with_wrk(program: str | None) -> dict[str, list[Turn]]:
    """The turns of both generators, paired by round; wrk's are missing where `program` is None."""
    turns: dict[str, list[Turn]] = {"assay": []}
    if program is not None:
        turns["wrk"] = []
    with floor_server("bare") as (port, pid):
        meter = CpuMeter(pid)
        wire = prepare("GET", SMALL, f"{HOST}:{port}")
        async with Loader(HOST, port, CONNECTIONS) as loader:
            await loader.closed(lambda: wire, TURN_SECONDS)
            for number in track(range(ROUNDS), description="turns"):
                for name in sorted(turns, reverse=number % 2 == 1):
                    if name == "wrk" and program is not None:
                        turns[name].append(await asyncio.to_thread(wrk_turn, program, port, SMALL, meter))
                    else:
                        turns[name].append(await own_turn(loader, wire, meter))
    return turns


async def beside_wrk(program: str) -> list[tuple[Turn, Turn]]:
    """Turns of the generator and of wrk at the same time, so that both wait for one server in one state: from
    one second to the next a busy machine differs by more than what is to be seen. The answer is a list, as a
    server that has less to do than the two on their core would show which of them is cheaper, not what they
    read. Pins this process."""
    with floor_server("bare") as (port, pid):
        pin([pid], [])
        meter = CpuMeter(pid)
        wire = prepare("GET", LISTED, f"{HOST}:{port}")
        pairs = []
        async with Loader(HOST, port, CONNECTIONS) as loader:
            await loader.closed(lambda: wire, TURN_SECONDS)
            for _ in track(range(ROUNDS_TOGETHER), description="both at once"):
                other = asyncio.to_thread(wrk_turn, program, port, LISTED, meter)
                pairs.append(await asyncio.gather(own_turn(loader, wire, meter), other))
    return pairs


def apart_from_wrk(program: str) -> tuple[float, float]:
    """How far p50 and p99 are above wrk's, as parts of wrk's: medians of the rounds' ratios."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pairs = runner.run(beside_wrk(program))
    p50 = statistics.median(own.p50_us / other.p50_us for own, other in pairs)
    p99 = statistics.median(own.p99_us / other.p99_us for own, other in pairs)
    return p50 - 1, p99 - 1


def _spread(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def report(turns: dict[str, list[Turn]], console: Console) -> bool:
    """Prints the table; whether the generator is good enough."""
    table = Table(title=f"bare ASGI app, {CONNECTIONS} connections, {ROUNDS} rounds of {TURN_SECONDS} s")
    for title in ("generator", "requests/s", "own CPU µs/request", "server CPU µs/request"):
        table.add_column(title, justify="left" if title == "generator" else "right")
    for name, seen in turns.items():
        rates = _spread([turn.per_second for turn in seen])
        own = _spread([turn.own_cpu_us for turn in seen], 1)
        table.add_row(name, rates, own, _spread([turn.server_cpu_us for turn in seen], 1))
    console.print(table)
    cost = statistics.median(turn.own_cpu_us for turn in turns["assay"])
    good = cost <= MOST_CPU_US
    judged = "good" if good else "TOO MUCH"
    console.print(f"own CPU per request: {cost:.1f} µs, at most {MOST_CPU_US:.0f}: {judged}")
    if "wrk" not in turns:
        console.print(
            "[bold red]wrk is not installed: rate and latencies were NOT checked (install wrk and run again)"
        )
        return good
    pairs = zip(turns["assay"], turns["wrk"], strict=True)
    ratios = [own.per_second / other.per_second for own, other in pairs]
    reached = statistics.median(ratios) >= LEAST_OF_WRK
    console.print(
        f"rate as a multiple of wrk's, by round: {_spread(ratios, 2)}, at least {LEAST_OF_WRK}: "
        f"{'good' if reached else 'TOO LOW'}"
    )
    return good and reached


def report_apart(p50: float, p99: float, console: Console) -> bool:
    agreed = abs(p50) <= MOST_P50_APART and abs(p99) <= MOST_P99_APART
    console.print(
        f"p50 {p50:+.1%} from wrk's, at most {MOST_P50_APART:.0%}; "
        f"p99 {p99:+.1%}, at most {MOST_P99_APART:.0%}: {'good' if agreed else 'TOO FAR'}"
    )
    return agreed


def main() -> int:
    program, console = shutil.which("wrk"), Console()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        turns = runner.run(compare_with_wrk(program))
    good = report(turns, console)
    return 0 if (program is None or report_apart(*apart_from_wrk(program), console)) and good else 1


if __name__ == "__main__":
    sys.exit(main())
