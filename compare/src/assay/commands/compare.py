"""`assay compare`: stand, equal work, seed, measure, report."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console
from rich.text import Text

from assay.commands.comparison import Comparison
from assay.commands.options import Options, options_of
from assay.commands.phases import LEFT_OUT, NOT_ASKED
from assay.commands.places import check_folder, refused
from assay.measure.arms import COUNTS_OTHER_ROWS, NO_SUCH_OPERATION
from assay.progress import Steps
from assay.report import html, json_file, terminal
from assay.report.model import Results
from assay.stand import StandError, StandOptions, open_stand

__all__ = ["compare", "options_of"]

RESULTS, REPORT = "results.json", "report.html"

_NO_FAULT = frozenset({None, NO_SUCH_OPERATION, COUNTS_OTHER_ROWS, LEFT_OUT, NOT_ASKED})

# read by every service that the stand starts: round trips are told, and no dashboard comes from a cache
_MEASURED = {"SERVER_TIMING": "1", "DASHBOARD_TTL": "0"}


async def compare(options: Options, stand_options: StandOptions, console: Console) -> int:
    """0, or 1 where an arm failed the contract or a number was withheld. What was measured before it is
    stopped is written as well, once the costs are there. StandError where it cannot be written: before
    anything starts, or if the disk is full by then, after it was shown."""
    check_folder("--output", options.output, (RESULTS, REPORT))
    os.environ.update(_MEASURED)
    with Steps(console) as steps:
        async with AsyncExitStack() as stack:
            stand = await stack.enter_async_context(open_stand(options.services, stand_options, steps))
            comparison = Comparison(options, stand_options, stand, steps)
            try:
                await comparison.run()
            except asyncio.CancelledError:
                if comparison.has_figures:
                    _keep(comparison.results(), options.output, console)
                raise
            results = comparison.results()
    tell(results, options.output, Console())
    excluded = any(arm.excluded for arm in results.arms)
    withheld = any(cell.missing not in _NO_FAULT for cell in results.cells)
    return 1 if excluded or withheld else 0


def tell(results: Results, output: Path, console: Console) -> None:
    """On the screen first, for the disk may be full; and in the files even where nobody reads the screen."""
    try:
        terminal.show(results, None, console)
    finally:
        _write(results, output)
    console.print()
    # a path that is broken over two lines cannot be opened
    console.print(Text(f"Report: {output / REPORT}"), soft_wrap=True)


def _keep(results: Results, output: Path, console: Console) -> None:
    """What a run that is stopped has found: on the screen only where it cannot be written."""
    try:
        _write(results, output)
    except StandError:
        terminal.show(results, None, Console())
        raise
    console.print(f"What was measured until now is in {output / REPORT}")


def _write(results: Results, output: Path) -> None:
    try:
        json_file.write(results, output / RESULTS)
        html.write(results, output / REPORT)
    except OSError as error:
        raise refused("--output", output, error, "folder") from error
