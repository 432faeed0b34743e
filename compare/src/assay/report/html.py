"""The report as one page that needs neither a network nor a script."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from assay.measure.statistics import CONFIDENCE, PRACTICAL, RESAMPLES
from assay.report.model import Results
from assay.report.views import View
from assay.report.words import SIGNS, figure, times, trips


def write(results: Results, file: Path) -> None:
    file.write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            view=View(results), results=results, signs=SIGNS, statistics=(CONFIDENCE, RESAMPLES, PRACTICAL)
        )
    )


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("assay.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"figure": figure, "times": times, "trips": trips, "coloured": _coloured}
    return templates


def _coloured(source: str) -> Markup:
    """Python as spans with classes; Pygments escapes what it is given."""
    return Markup(highlight(source, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)))  # noqa: S704
