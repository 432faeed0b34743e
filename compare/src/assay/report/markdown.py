"""A run, or two of them, as Markdown for a pull request."""

from collections.abc import Iterable, Sequence

from assay.report.model import Results
from assay.report.pair import MOST_APART, Difference, Pair
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
        [f"`{one.scenario}`", one.arm, ratio(one.before), ratio(one.after), ratio(one.change), one.says]
        for one in shown(found)
    ]
    changed = [f"- {_plain(name)}: {_plain(held)} → {_plain(now)}" for name, held, now in found.changed]
    return "\n".join(
        [
            f"## {summary(found)}",
            "",
            f"{found.before} → {found.after}; ratios to {found.baseline}.",
            "",
            *(table(["scenario", "arm", "before", "after", "change", ""], rows) if rows else []),
            *(["", "Not the same in both:", *changed] if changed else []),
            "",
        ]
    )


def summary(found: Pair) -> str:
    if not found.compared:
        return "The two runs have no ratio in common."
    apart = len(found.apart)
    share = f"{apart} of {found.compared} ratios have intervals that exclude each other"
    asked = f"at most {100 * MOST_APART:.0f} % may by chance"
    return f"The two runs {'agree' if found.agrees else 'differ'}: {share} ({asked})."


def shown(found: Pair) -> list[Difference]:
    """Those that say anything but that both agree, or have none."""
    return [one for one in found.ratios if one.says not in ("agree", "no figure")]


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
    found = next(cell for cell in view.results.cells if (cell.arm, cell.scenario) == (arm, scenario))
    if found.service_cpu is None:
        return "no figure"
    against = found.against_baseline
    cost = f"{figure(found.service_cpu.value)} µs"
    doubted = " ?" if found.doubts else ""
    return f"{cost}{doubted}" if against is None else f"{ratio(against.ratio)} {against.verdict}{doubted}"


def _plain(text: str) -> str:
    """Nothing in it ends a cell or starts markup."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
