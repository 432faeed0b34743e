"""What docker/metrics watches is what the services tell, and what somebody is told has its page."""

import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import pytest
import yaml
from api import Api
from parity.watched import DASHBOARD, METRICS, Expression, alerts, asked, expressions, recorded
from prometheus_client.parser import text_string_to_metric_families

ROOT: Final = METRICS.parents[1]
RUNBOOKS: Final = ROOT / "docs" / "operations.md"
ADDED: Final = frozenset({"backend", "instance", "job"})
"""Labels that Prometheus adds."""
EXPRESSIONS: Final = list(expressions())

Told = Mapping[str, frozenset[str]]


@pytest.fixture(scope="module")
async def told(api: Api) -> Told:
    """Of a service that has answered something, and of the rules: each metric with its labels."""
    await api.get("/users?limit=1")
    found: dict[str, frozenset[str]] = {"up": ADDED}
    for family in text_string_to_metric_families((await api.get("/metrics")).text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, ADDED) | sample.labels.keys()
    return {**found, **dict.fromkeys(recorded(), ADDED)}


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.place)
def test_an_expression_is_promql(expression: Expression) -> None:
    assert asked(expression.text)


async def test_expressions_ask_for_what_a_service_tells_and_by_its_labels(told: Told) -> None:
    wrong = [
        f"{expression.place}: {one.metric} by {sorted(one.labels)}"
        for expression in EXPRESSIONS
        for one in asked(expression.text)
        if one.metric not in told or not one.labels <= told[one.metric]
    ]
    assert wrong == []


async def test_routes_that_are_left_out_are_routes(api: Api) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"].keys()
    named = {route for expression in EXPRESSIONS for one in asked(expression.text) for route in one.routes}
    assert named
    # the description does not describe itself
    assert named - paths == {"/openapi.json"}


def test_whatever_is_worked_out_is_looked_at() -> None:
    used = {one.metric for expression in EXPRESSIONS for one in asked(expression.text)}
    assert recorded() - used == set()


def test_the_dashboard_is_what_its_program_prints() -> None:
    printed = subprocess.run(
        [sys.executable, METRICS / "dashboard.py"], check=True, capture_output=True, text=True
    ).stdout
    assert DASHBOARD.read_text(encoding="utf-8") == printed, "run `just generate`"


def test_every_alert_has_its_place_in_the_runbooks_and_none_is_left_over() -> None:
    page = RUNBOOKS.read_text(encoding="utf-8")
    _, _, runbooks = page.partition("\n## When an alert fires\n")
    headings = re.findall(r"^### (\w+)$", runbooks.partition("\n## ")[0], re.MULTILINE)
    assert headings == list(alerts())
    for name, alert in alerts().items():
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert alert["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"


def test_every_alert_has_a_test_in_which_it_fires_for_one_backend() -> None:
    tests = yaml.safe_load((METRICS / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    firing = {
        case["alertname"]
        for test in tests
        for case in test.get("alert_rule_test", ())
        if len(case.get("exp_alerts", ())) == 1
    }
    assert firing == alerts().keys()
