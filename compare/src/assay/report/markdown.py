"""A run, or two of them, as Markdown for a pull request."""

from collections.abc import Iterable, Sequence

from assay.measure.statistics import PRACTICAL
from assay.report.model import Results
from assay.report.pair import Difference, Pair
from assay.report.part import Interval
from assay.report.views import View
from assay.report.words import figure, times


def of_run(results: Results) -> str:
    view = View(results)
    arms = [arm.name for arm in view.services]
    rows = [
        [f"`{found.scenario.name}`", *(_cell(view, arm, found.scenario.name) for arm in arms), found.spread]
        for found in view.scenarios
    ]
    decision = results.decision
    advice = decision.recommended or f"nothing: {decision.withheld}"
    doubts = [f"- {doubt.value}" for doubt in results.doubts] or ["- none"]
    return "\n".join(
        [
            f"## {_plain(results.judgement.headline)}",
            "",
            f"Recommended under the weights of this run: **{_plain(advice)}**.",
            "",
            f"Service CPU per request, as multiples of {results.baseline}'s, with intervals:",
            "",
            *table(["scenario", *arms, "A/A noise"], rows),
            "",
            "Doubts:",
            *doubts,
            "",
            f"{results.environment.cpu_model}, {results.environment.cpus} cores; {results.started_at}; "
            f"`{results.command}`",
            "",
        ]
    )


def of_pair(found: Pair) -> str:
    rows = [
        [f"`{one.scenario}`", one.arm, ratio(one.before), ratio(one.after), ratio(one.change), said(one)]
        for one in shown(found)
    ]
    told = [f"- {_plain(name)}: {_plain(held)} → {_plain(now)}" for name, held, now in found.changed]
    return "\n".join(
        [
            f"## {summary(found)}",
            "",
            f"{found.before} → {found.after}; ratios to {found.baseline}.",
            *(f"\n{note}" for note in notes(found)),
            "",
            *(table(["scenario", "arm", "before", "after", "change", ""], rows) if rows else []),
            *(["", "Not the same in both:", *told] if told else []),
            "",
        ]
    )


def summary(found: Pair) -> str:
    lost = f" Only in one of the runs: {len(found.lost)}." if found.lost else ""
    if not found.compared:
        return f"The two runs have no ratio in common.{lost}"
    if found.agrees:
        shift = found.shift
        cost = "" if shift is None else f" But the CPU of a request is {times(shift)} what it was."
        return f"No difference found: of {found.compared} ratios none is apart.{cost}"
    return f"The two runs differ: {len(found.apart)} of {found.compared} ratios are apart.{lost}"


def notes(found: Pair) -> list[str]:
    """How far the summary carries."""
    lines = [
        f"Apart are ratios that moved by more than {100 * PRACTICAL:.0f} % and whose intervals exclude each "
        "other; of equal ratios about 0.6 % do by chance, or fewer. What is not apart may differ by less "
        "than can be told."
    ]
    if found.quick:
        lines.append(
            "One of the runs was quick: such a run has one turn and cannot know how much turns differ, so "
            "what is apart may be another hour of the machine."
        )
    if not found.floors:
        lines.append("No floor was measured in both: what changed in all services alike would not show.")
    elif any(one.says == "cheaper" for one in found.apart):
        lines.append(
            f"Where floors are cheaper, {found.baseline} itself got dearer, and with it every service whose "
            "ratio is not apart."
        )
    if found.shift is not None:
        lines.append(
            f"The CPU of a request is {times(found.shift)} what it was, as the median over arms and "
            "scenarios: the machine, or what all of them share."
        )
    return lines


def said(one: Difference) -> str:
    return one.says if one.lost is None else f"{one.says}: {one.lost}"


def shown(found: Pair) -> list[Difference]:
    """Those that say anything but that nothing is known to differ, or that both have none."""
    return [one for one in found.ratios if one.says not in ("not apart", "no figure")]


def ratio(interval: Interval | None) -> str:
    """
    >>> ratio(Interval(value=1.5, low=1.4, high=1.62))
    '1.50 × (1.40–1.62)'
    """
    if interval is None:
        return "–"
    return f"{times(interval.value)} ({interval.low:.2f}–{interval.high:.2f})"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(map(_plain, line))} |" for line in lines]


def _cell(view: View, arm: str, scenario: str) -> str:
    cells = view.results.cells
    found = next((cell for cell in cells if (cell.arm, cell.scenario) == (arm, scenario)), None)
    # an arm that is excluded has no cells at all
    if found is None or found.service_cpu is None:
        return "no figure"
    against = found.against_baseline
    cost = f"{figure(found.service_cpu.value)} µs"
    doubted = " ?" if found.doubts else ""
    return f"{cost}{doubted}" if against is None else f"{ratio(against.ratio)} {against.verdict}{doubted}"


def _plain(text: str) -> str:
    """Nothing in it ends a cell or starts markup."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
