"""The report in the terminal: one line for each scenario, in as many tables as the width asks for."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from assay.judge.decision import left_out_sentence, unfit
from assay.report.model import ADVICE, Arm, Results
from assay.report.narrow import fits, whole
from assay.report.views import Row, View
from assay.report.words import SIGNS, figure, times, trips

STYLES = {"better": "green", "worse": "red", "baseline": "bold"}


def show(results: Results, page: Path | None, console: Console) -> None:
    """`page` is the report that was written, if one was."""
    view = View(results)
    console.print()
    console.print(Text(results.judgement.headline, "bold"))
    console.print()
    for table in _fitting(view, view.services, console):
        console.print(whole(table, console))
        console.print()
    console.print(Text(_legend(results.baseline), "dim"))
    for found in (
        _floors(view),
        _latencies(results),
        _capacities(results),
        _delays(results),
        _decision(results),
        _reasons(results),
        Text(_conformance(view)),
        _doubts(results),
    ):
        if found is not None:
            console.print()
            console.print(whole(found, console) if isinstance(found, Table) else found)
    if page is not None:
        console.print()
        # a path that is broken over two lines cannot be opened
        console.print(Text(f"Report: {page}"), soft_wrap=True)


def _fitting(view: View, arms: Sequence[Arm], console: Console) -> list[Table]:
    """One table with a line for each scenario, else with two, else as many tables as show all names whole."""
    for separator in ("  ", "\n"):
        table = _table(view, arms, separator)
        if fits(table, console):
            return [table]
    if len(arms) <= 1:
        return [_table(view, arms, "  ")]
    half = (len(arms) + 1) // 2
    return [*_fitting(view, arms[:half], console), *_fitting(view, arms[half:], console)]


def _table(view: View, arms: Sequence[Arm], separator: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, separator.count("\n"), 0), header_style="dim")
    table.add_column("scenario", no_wrap=True)
    for arm in arms:
        table.add_column(Text(arm.name), no_wrap=True, justify="right")
    table.add_column("A/A noise", no_wrap=True, justify="right")
    for found in view.scenarios:
        shown = [view.row(arm, found.scenario) for arm in arms]
        cells = [_cell(row, separator) for row in shown]
        table.add_row(Text(found.scenario.name), *cells, Text(found.spread, "dim"))
    return table


def _cell(row: Row | None, separator: str) -> Text:
    if row is None or row.cell.service_cpu is None or row.verdict is None:
        return Text("no figure", "dim italic")
    against, count = row.cell.against_baseline, row.cell.round_trips
    ratio = "" if against is None else f"{times(against.ratio.value)} "
    told = f"{ratio}{row.sign}{'' if count is None else f' · {trips(count)}'}"
    return Text(f"{figure(row.cell.service_cpu.value)} µs{separator}{told}", STYLES.get(row.verdict, ""))


def _legend(baseline: str) -> str:
    signs = "  ".join(f"{sign} {word}" for word, sign in SIGNS.items())
    return f"Service CPU per request, × {baseline}, verdict · round trips.  {signs}"


def _lines(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def _latencies(results: Results) -> Table | None:
    table = _lines("latency", "arm", "rate", "p50 ms", "p99 ms", "highest")
    for found in results.latencies:
        told = {one.percentile: one for one in found.percentiles}
        if found.missing is None and told:
            last = found.percentiles[-1]
            middle, tail = (figure(told[at].ms) if at in told else "–" for at in (50.0, 99.0))
            highest = f"p{last.percentile:g} {figure(last.ms)}"
            rate = f"{figure(found.per_second)}/s"
            table.add_row(Text(found.scenario), Text(found.arm), rate, middle, tail, highest)
    return table if table.row_count else None


def _capacities(results: Results) -> Table | None:
    table = _lines("capacity", "arm", "requests/s", "bracket")
    for found in results.capacities:
        rate = found.per_second
        if rate is not None:
            bracket = f"{figure(rate.low)}–{figure(rate.high)}"
            table.add_row(Text(found.scenario), Text(found.arm), figure(rate.value), bracket)
    return table if table.row_count else None


def _delays(results: Results) -> Table | None:
    table = _lines("database delay", "arm", "ms", "trips", "p50 ms", "predicted")
    for found in results.delays:
        if found.p50_ms is not None:
            trip_count = "–" if found.round_trips is None else trips(found.round_trips)
            predicted = "–" if found.predicted_ms is None else figure(found.predicted_ms)
            delay = f"{found.asked_ms:g}"
            measured = figure(found.p50_ms.ms)
            table.add_row(Text(found.scenario), Text(found.arm), delay, trip_count, measured, predicted)
    return table if table.row_count else None


def _decision(results: Results) -> Group:
    decision = results.decision
    scores = ", ".join(
        f"{one.arm} {one.score.value:.2f} ({one.score.low:.2f}–{one.score.high:.2f})"
        f"{'' if one.fit else f' {unfit(one.arm, decision.requirements)}'}"
        for one in decision.scores
    )
    lines = [Text(f"Scores, 1 is best in everything that counts: {scores or 'none'}")]
    if decision.recommended is not None:
        lines.insert(0, Text(f"Recommended under these weights: {decision.recommended}", "bold"))
    else:
        lines.insert(0, Text(f"No recommendation: {decision.withheld}", "bold"))
    if decision.left_out:
        lines.append(Text(left_out_sentence(decision.criteria, decision.left_out)))
    lines += [Text(f"{arm} has no score: {why}") for arm, why in decision.absent.items()]
    return Group(*lines)


def _floors(view: View) -> Table | None:
    table = _lines("floor", "scenario", "service CPU", "ratio")
    for found in view.scenarios:
        for row in found.rows:
            cpu, against = row.cell.service_cpu, row.cell.against_baseline
            if row.arm.kind == "floor" and cpu is not None:
                table.add_row(
                    Text(row.arm.name),
                    Text(found.scenario.name),
                    f"{figure(cpu.value)} µs",
                    "" if against is None else times(against.ratio.value),
                )
    return table if table.row_count else None


def _reasons(results: Results) -> Group | None:
    lines = [Text(f"· {reason}") for reason in results.judgement.reasons]
    return Group(*lines) if lines else None


def _conformance(view: View) -> str:
    found = [status for _, clauses in view.conformance for _, row in clauses for status in row]
    counts = ", ".join(
        f"{found.count(status)} {status}" for status in ("passed", "failed", "not run") if status in found
    )
    return f"Conformance: {len(view.results.conformance)} clauses on {', '.join(view.backends)}: {counts}"


def _doubts(results: Results) -> Group | None:
    counts = Counter(doubt for cell in results.cells for doubt in cell.doubts)
    lines = [
        Text.assemble(("Doubt: ", "bold yellow"), f"{doubt.value}{_cells(counts[doubt])}. {ADVICE[doubt]}")
        for doubt in results.doubts
    ]
    return Group(*lines) if lines else None


def _cells(count: int) -> str:
    return f" ({count} cell{'s' if count > 1 else ''})" if count else ""
