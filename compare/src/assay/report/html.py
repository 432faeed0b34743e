"""The report as one page that needs no network, and no script but to weigh anew and to sort."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from assay.report.anatomy import PARTS, delay_views, growth_views, parts_of, split_views
from assay.report.choice import Choice
from assay.report.colours import coloured
from assay.report.model import ADVICE, Results
from assay.report.pace import capacity_views, latency_views
from assay.report.sameness import Sameness
from assay.report.upkeep import Upkeep
from assay.report.views import NOT_MEASURED, View
from assay.report.words import SIGNS, amount, figure, seconds, times, trips


def write(results: Results, file: Path) -> None:
    file.write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    view = View(results)
    script = _templates().get_template("page.js").render()
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            view=view,
            results=results,
            choice=Choice(view),
            latencies=latency_views(view),
            capacities=capacity_views(view),
            splits=split_views(view),
            growth=growth_views(view),
            delays=delay_views(view),
            footprints=view.each(results.footprints),
            upkeep=Upkeep(view),
            sameness=Sameness(view),
            signs=SIGNS,
            advice=ADVICE,
            parts=PARTS,
            not_measured=NOT_MEASURED,
            script=Markup(script),  # noqa: S704
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
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
    templates.filters |= {
        "figure": figure,
        "times": times,
        "trips": trips,
        "amount": amount,
        "seconds": seconds,
        "parts_of": parts_of,
        "coloured": coloured,
    }
    return templates
