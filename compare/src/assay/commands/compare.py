"""`assay compare`: stand, equal work, seed, measure, report."""

import asyncio
import os
from contextlib import AsyncExitStack

from rich.console import Console

from assay.commands.comparison import Comparison
from assay.commands.options import Options, options_of
from assay.commands.phases import LEFT_OUT, NOT_ASKED
from assay.measure.arms import COUNTS_OTHER_ROWS, NO_SUCH_OPERATION
from assay.progress import Steps
from assay.report import html, json_file, terminal
from assay.report.model import Results
from assay.stand import StandError, StandOptions, open_stand

__all__ = ["compare", "options_of"]

_NO_FAULT = frozenset({None, NO_SUCH_OPERATION, COUNTS_OTHER_ROWS, LEFT_OUT, NOT_ASKED})

# read by every service that the stand starts: round trips are told, and no dashboard comes from a cache
_MEASURED = {"SERVER_TIMING": "1", "DASHBOARD_TTL": "0"}


async def compare(options: Options, stand_options: StandOptions, console: Console) -> int:
    """0, or 1 where an arm failed the contract or a number was withheld. What was measured before it is
    stopped is written as well, once the costs are there."""
    os.environ.update(_MEASURED)
    options.output.mkdir(parents=True, exist_ok=True)
    with Steps(console) as steps:
        async with AsyncExitStack() as stack:
            stand = await stack.enter_async_context(open_stand(options.services, stand_options, steps))
            comparison = Comparison(options, stand_options, stand, steps)
            try:
                await comparison.run()
            except asyncio.CancelledError:
                if comparison.has_figures:
                    _write(options, comparison.results())
                    console.print(f"What was measured until now is in {options.output / 'report.html'}")
                raise
            results = comparison.results()
        with steps.step("report"):
            _write(options, results)
    terminal.show(results, options.output / "report.html", Console())
    excluded = any(arm.excluded for arm in results.arms)
    withheld = any(cell.missing not in _NO_FAULT for cell in results.cells)
    return 1 if excluded or withheld else 0


def _write(options: Options, results: Results) -> None:
    try:
        json_file.write(results, options.output / "results.json")
        html.write(results, options.output / "report.html")
    except OSError as error:
        raise StandError(f"--output {options.output}: {error.strerror}: choose another folder.") from error
