"""How figures and verdicts are written, the same in every report."""

import math

from assay.judge.verdict import floor_of
from assay.report.model import Arm, Cell, Noise

SIGNS = {"better": "▼", "worse": "▲", "equivalent": "≈", "cannot tell": "?", "baseline": "●", "floor": "◇"}
"""The sign never stands alone where there is room for the word."""


def figure(value: float) -> str:
    """Three digits at least are kept, and whole numbers above.

    >>> figure(1234.5), figure(45.67), figure(4.567), figure(0.0)
    ('1,234', '45.7', '4.57', '0')
    """
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(ratio: float) -> str:
    """
    >>> times(2.314)
    '2.31 ×'
    """
    return f"{figure(ratio) if ratio >= 100 else format(ratio, '.2f')} ×"


def trips(count: float) -> str:
    """
    >>> trips(1.0), trips(2.25)
    ('1', '2.25')
    """
    return f"{count:.2f}".rstrip("0").rstrip(".")


def amount(size: float) -> str:
    """
    >>> amount(812), amount(4_300_000)
    ('812 B', '4.10 MiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{figure(size)} {unit}"
        size /= 1024
    return f"{figure(size)} GiB"


def seconds(value: float) -> str:
    """
    >>> seconds(0.4182), seconds(12.4)
    ('418 ms', '12.4 s')
    """
    return f"{figure(1000 * value)} ms" if value < 1 else f"{figure(value)} s"


def spread(noise: Noise | None) -> str:
    """The noise floor of a scenario: how far apart two equal arms may seem, as a factor where it is large."""
    floor = floor_of(noise)
    if 0.3 < floor < math.inf:
        return f"×/÷ {math.exp(floor):.2f}"
    return f"± {100 * math.expm1(floor):.1f} %" if math.isfinite(floor) else "unknown"


def verdict_on(arm: Arm, cell: Cell, baseline: str) -> str | None:
    """The word for a cell; None where it has no figures. A floor is no candidate, and gets no verdict."""
    if cell.service_cpu is None:
        return None
    if arm.kind == "floor":
        return "floor"
    if arm.name == baseline:
        return "baseline"
    return "cannot tell" if cell.against_baseline is None else cell.against_baseline.verdict
