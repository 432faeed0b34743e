"""`assay report`: a run again, or two against each other."""

from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.report import html, json_file, markdown, terminal
from assay.report.json_file import UnreadableResults
from assay.report.markdown import ratio, shown, summary
from assay.report.pair import NoPair, Pair, pair
from assay.stand import StandError

Form = Literal["table", "json", "markdown"]


def report(files: list[Path], form: Form, page: Path | None, console: Console) -> int:
    """0; for two runs 1 where more of their ratios differ than chance would have it. Raises StandError."""
    if len(files) > 2:
        raise StandError("assay report takes one results.json, or two to hold against each other.")
    if page is not None and len(files) != 1:
        raise StandError("--page takes one results.json: two runs are told as a table, JSON or Markdown.")
    try:
        runs = [json_file.read(file) for file in files]
        if len(runs) == 2:
            return _two(pair(*runs), form, console)
    except (UnreadableResults, NoPair) as error:
        raise StandError(f"{error}.") from error
    (results,) = runs
    if page is not None:
        html.write(results, page)
    if form == "json":
        _print(console, results.model_dump_json(indent=2))
    elif form == "markdown":
        _print(console, markdown.of_run(results))
    else:
        terminal.show(results, page, console)
    return 0


def _two(found: Pair, form: Form, console: Console) -> int:
    if form == "json":
        _print(console, found.model_dump_json(indent=2))
    elif form == "markdown":
        _print(console, markdown.of_pair(found))
    else:
        _show(found, console)
    return 0 if found.agrees else 1


def _show(found: Pair, console: Console) -> None:
    console.print(Text(summary(found), "bold"))
    console.print(
        Text(f"{found.before} → {found.after}; service CPU as multiples of {found.baseline}'s", "dim")
    )
    rows = shown(found)
    if rows:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("scenario", "arm", "before", "after", "change", ""):
            table.add_column(heading, no_wrap=True)
        for one in rows:
            figures = (ratio(one.before), ratio(one.after), ratio(one.change))
            style = {"dearer": "red", "cheaper": "green"}.get(one.says, "dim")
            table.add_row(Text(one.scenario), Text(one.arm), *figures, Text(one.says, style))
        console.print(table)
    for name, held, now in found.changed:
        console.print(Text(f"· {name}: {held} → {now}", "dim"))


def _print(console: Console, text: str) -> None:
    """As it is: no wrapping, no markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
