"""What the drills measure, beside the limits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

LOOK_SECONDS = 0.02


class Figure(NamedTuple):
    """One row of the table. Without a limit it only tells."""

    service: str
    what: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def is_kept(self) -> bool:
        return self.limit is None or self.value <= self.limit


def show(title: str, figures: Sequence[Figure], console: Console) -> int:
    """Prints the table; answers the exit code, 1 where a limit is broken."""
    table = Table("service", "what", "measured", "at most", "", title=title)
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:,.0f} {figure.unit}"
        verdict = "" if figure.limit is None else "kept" if figure.is_kept else "BROKEN"
        table.add_row(figure.service, figure.what, f"{figure.value:,.1f} {figure.unit}", limit, verdict)
    console.print(table)
    return 0 if all(figure.is_kept for figure in figures) else 1


def percentile_99(seconds: Sequence[float]) -> float:
    """
    >>> percentile_99([number / 100 for number in range(1, 101)])
    0.99
    """
    return sorted(seconds)[-1 - len(seconds) // 100]


@asynccontextmanager
async def resident(process: psutil.Process) -> AsyncIterator[list[int]]:
    """The process's resident bytes, looked at every `LOOK_SECONDS` while entered."""
    seen = [process.memory_info().rss]

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            seen.append(process.memory_info().rss)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        await asyncio.wait({looking})
