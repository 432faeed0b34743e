"""`assay report`: a run again, or two against each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from assay.commands.places import refused
from assay.report import html, json_file, markdown, terminal
from assay.report.json_file import UnreadableResults
from assay.report.markdown import notes, ratio, said, shown, summary
from assay.report.pair import NoPair, Pair, pair
from assay.stand import StandError

Form = Literal["table", "json", "markdown"]


def report(files: list[Path], forms: Sequence[Form], page: Path | None, console: Console) -> int:
    """0; for two runs 1 where a ratio is apart, or is lost in one of them. Raises StandError."""
    if len(files) > 2:
        raise StandError("assay report takes one results.json, or two to hold against each other.")
    if len(forms) > 1:
        raise StandError("--json and --markdown are two forms of the same: leave one out.")
    form = forms[0] if forms else "table"
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
        try:
            html.write(results, page)
        except OSError as error:
            raise refused("--page", page, error, "file") from error
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
    # lines and no table, which loses figures where the terminal is narrow
    for one in shown(found):
        style = {"dearer": "red", "cheaper": "green"}.get(one.says, "yellow")
        figures = f"{ratio(one.before)} → {ratio(one.after)}"
        change = "" if one.change is None else f", changed {ratio(one.change)}"
        console.print(
            Text.assemble(f"{one.scenario} · {one.arm} ", (said(one), style), f" {figures}{change}")
        )
    for note in notes(found):
        console.print(Text(note, "dim"))
    for name, held, now in found.changed:
        console.print(Text(f"· {name}: {held} → {now}", "dim"))


def _print(console: Console, text: str) -> None:
    """As it is: no wrapping, no markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
