"""Prints the dashboard of the four services for Grafana: `python docker/metrics/dashboard.py`.

A line is a backend and has the colour that the report gives it; what has a line for each route or operation
has a column for each backend.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

from plots import HERE, ROWS, Plot

import assay.report
from assay.report.views import HUES

JSON = dict[str, Any]

_WIDTH: Final = 24
_COLUMNS: Final = 4
_HEIGHT: Final = 8
_STYLE: Final = Path(assay.report.__file__).parent / "templates" / "style.css.j2"
_SOURCE: Final[JSON] = {"type": "prometheus", "uid": "prometheus"}


def dashboard() -> JSON:
    return {
        "uid": "assay",
        "title": "Assay: the services side by side",
        "description": "Written by docker/metrics/dashboard.py; edit that.",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [_backend_variable()]},
        "panels": list(_panels()),
    }


def _backend_variable() -> JSON:
    query = 'label_values(up{job="services"}, backend)'
    return {
        "name": "backend",
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "backends"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> Iterator[JSON]:
    ids = count(1)
    top = 0
    yield _now() | {"id": next(ids), "gridPos": _place(0, 0, _WIDTH // _COLUMNS)}
    top += _HEIGHT
    for row in ROWS:
        yield {"type": "row", "title": row.title, "id": next(ids), "gridPos": _place(0, top, _WIDTH, 1)}
        top += 1
        for line in _lines(row.plots):
            width = _WIDTH // (_COLUMNS if line[0].each else len(line))
            for number, plot in enumerate(line):
                yield _plot(plot) | {"id": next(ids), "gridPos": _place(number * width, top, width)}
            top += _HEIGHT


def _lines(plots: Sequence[Plot]) -> Iterator[Sequence[Plot]]:
    """Three beside each other, four where they are all there are; what has columns has a line for itself."""
    shared = [plot for plot in plots if not plot.each]
    most = _COLUMNS if len(shared) == _COLUMNS else 3
    for start in range(0, len(shared), most):
        yield shared[start : start + most]
    for plot in plots:
        if plot.each:
            yield [plot]


def _place(left: int, top: int, width: int, height: int = _HEIGHT) -> JSON:
    return {"x": left, "y": top, "w": width, "h": height}


def _now() -> JSON:
    """What is to be known at once: a column for each backend."""
    told = (
        ("up", f'min(up{{job="services", {HERE}}})', "bool_yes_no"),
        ("requests", f"backend:http_requests:rate1m{{{HERE}}}", "reqps"),
        ("5xx", f"backend:http_request_errors:ratio_rate1m{{{HERE}}}", "percentunit"),
        ("p99", f"backend:http_request_duration_seconds:p99_rate5m{{{HERE}}}", "s"),
    )
    return {
        "type": "stat",
        "title": "$backend",
        "datasource": _SOURCE,
        **_repeated(),
        "targets": [
            _target(letter, expr, name) for letter, (name, expr, _) in zip("ABCD", told, strict=True)
        ],
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name"},
        "fieldConfig": {
            "defaults": {"color": {"mode": "fixed", "fixedColor": "text"}},
            "overrides": [_override(name, {"id": "unit", "value": unit}) for name, _, unit in told],
        },
    }


def _plot(plot: Plot) -> JSON:
    return {
        "type": "timeseries",
        "title": plot.title,
        "description": plot.about,
        "datasource": _SOURCE,
        **(_repeated() if plot.each else {}),
        "targets": [_target("A", plot.expr, f"{{{{{plot.legend}}}}}")],
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "fieldConfig": {
            "defaults": {"unit": plot.unit, "min": 0},
            "overrides": [] if plot.each else [_override(name, _colour(hue)) for name, hue in hues().items()],
        },
    }


def _repeated() -> JSON:
    return {"repeat": "backend", "repeatDirection": "h", "maxPerRow": _COLUMNS}


def _target(letter: str, expr: str, legend: str) -> JSON:
    return {"refId": letter, "datasource": _SOURCE, "expr": expr, "legendFormat": legend}


def _override(name: str, described: JSON) -> JSON:
    return {"matcher": {"id": "byName", "options": name}, "properties": [described]}


def _colour(hue: str) -> JSON:
    return {"id": "color", "value": {"mode": "fixed", "fixedColor": hue}}


def hues() -> dict[str, str]:
    """The report's colour of each backend, on light paper."""
    light, _, _ = _STYLE.read_text(encoding="utf-8").partition("@media")
    found = dict(re.findall(r"--hue-(\d): (#[0-9a-f]{6});", light))
    return {backend: found[str(number)] for backend, number in HUES.items()}


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=1)
    sys.stdout.write("\n")
