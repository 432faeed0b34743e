"""SIGTERM with both hands full: how long each backend takes to end, and how it ends."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# the suite is no package: its modules are found beside this folder
sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from api import Api
from busy import CLEAN_END, busy, fill
from rich.console import Console
from rich.table import Table

from assay.stand import StandOptions, open_stand
from shared.registry import names, services

STREAMS: Final = 100
SOCKETS: Final = 20
GRACE: Final = 10.0


@dataclass(frozen=True)
class Ending:
    """`told` counts the streams that were ended cleanly."""

    backend: str
    seconds: float
    code: int
    told: int

    @property
    def is_kept(self) -> bool:
        return self.seconds < GRACE and self.code == 0 and self.told == STREAMS


async def end(name: str) -> Ending:
    async with open_stand(services(name), StandOptions()) as stand:
        running = stand.services[name]
        async with Api(name, running.url) as api:
            attachments = await fill(api)
        async with busy(running.url, attachments, STREAMS, SOCKETS) as work:
            process, started = psutil.Process(running.pid), time.monotonic()
            process.send_signal(signal.SIGTERM)
            rests = asyncio.gather(*(stream.rest() for stream in work.streams))
            code = await asyncio.to_thread(process.wait, 3 * GRACE)
            seconds = time.monotonic() - started
            told = sum(rest.endswith(CLEAN_END) for rest in await rests)
        return Ending(name, seconds, -1 if code is None else int(code), told)


def show(endings: Sequence[Ending], console: Console) -> None:
    columns = ("backend", f"seconds (< {GRACE:g})", "exit code (0)", f"streams told ({STREAMS})")
    table = Table(*columns, title=f"SIGTERM: {STREAMS} streams, {SOCKETS} WebSockets, stalled export, upload")
    for ending in endings:
        style = None if ending.is_kept else "red"
        table.add_row(
            ending.backend, f"{ending.seconds:.2f}", str(ending.code), str(ending.told), style=style
        )
    console.print(table)


async def run(backends: Sequence[str]) -> list[Ending]:
    return [await end(name) for name in backends]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="drill shutdown", description=__doc__)
    parser.add_argument("--service", action="append", choices=names(), help="repeatable; all, if left out")
    endings = asyncio.run(run(parser.parse_args(argv).service or names()))
    show(endings, Console())
    return 0 if all(ending.is_kept for ending in endings) else 1


if __name__ == "__main__":
    sys.exit(main())
