"""What docker/metrics asks Prometheus: rules, alerts and the dashboard's plots, parsed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import promql_parser as promql
import yaml

METRICS: Final = Path(__file__).parents[2] / "docker" / "metrics"
DASHBOARD: Final = METRICS / "grafana" / "dashboards" / "assay.json"


class Expression(NamedTuple):
    """`place` is where it is written."""

    place: str
    text: str


class Asked(NamedTuple):
    """A metric that an expression asks for, with the labels that it goes by."""

    metric: str
    labels: frozenset[str]
    routes: frozenset[str]


def rules(file: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((METRICS / file).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recorded() -> frozenset[str]:
    """The names under which rules keep what they worked out."""
    return frozenset(rule["record"] for rule in rules("rules.yml"))


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules("alerts.yml")}


def expressions() -> Iterator[Expression]:
    for file in ("rules.yml", "alerts.yml"):
        for rule in rules(file):
            yield Expression(rule.get("record") or rule["alert"], rule["expr"])
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            yield Expression(f"{panel['title']}: {target['legendFormat']}", target["expr"])


def asked(text: str) -> list[Asked]:
    """ValueError where it is no PromQL."""
    found: list[Asked] = []

    def look(expression: promql.Expr) -> None:
        if isinstance(expression, promql.VectorSelector):
            found.append(_asked(expression))

    promql.walk(promql.parse(text), look)
    return found


def _asked(selector: promql.VectorSelector) -> Asked:
    matchers = selector.matchers.matchers
    routes = (matcher.value.split("|") for matcher in matchers if matcher.name == "http_route")
    return Asked(
        str(selector.name),
        frozenset(matcher.name for matcher in matchers),
        frozenset(route for some in routes for route in some),
    )
