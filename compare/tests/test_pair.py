"""Two runs against each other, and a run for a pull request: what is said, and with which exit code."""

import json
from io import StringIO
from pathlib import Path

import pytest
from results_builder import build
from rich.console import Console

from assay.commands.report import Form, report
from assay.report import json_file, markdown
from assay.report.model import Cell, Results
from assay.report.pair import NoPair, pair
from assay.report.part import Interval
from assay.stand import StandError


def scaled(interval: Interval, by: float) -> Interval:
    return Interval(value=interval.value * by, low=interval.low * by, high=interval.high * by)


def dearer(results: Results, arm: str, scenario: str, by: float) -> Results:
    """The same run, but that one arm's ratio in one scenario is so many times as large."""

    def changed(cell: Cell) -> Cell:
        against = cell.against_baseline
        if (cell.arm, cell.scenario) != (arm, scenario) or against is None:
            return cell
        ratio = against.model_copy(update={"ratio": scaled(against.ratio, by)})
        return cell.model_copy(update={"against_baseline": ratio})

    return results.model_copy(update={"cells": [changed(cell) for cell in results.cells]})


def without(results: Results, scenario: str) -> Results:
    return results.model_copy(
        update={
            "scenarios": [one for one in results.scenarios if one.name != scenario],
            "cells": [cell for cell in results.cells if cell.scenario != scenario],
        }
    )


def told(files: list[Path], form: Form = "table") -> tuple[int, str]:
    shown = StringIO()
    code = report(files, form, None, Console(file=shown, width=140))
    return code, shown.getvalue()


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Path]:
    before = build()
    runs = {"before": before, "after": dearer(before, "sqlalchemy", "users.get", 1.5)}
    for name, results in runs.items():
        json_file.write(results, tmp_path / f"{name}.json")
    return {name: tmp_path / f"{name}.json" for name in runs}


def test_a_run_agrees_with_itself() -> None:
    found = pair(build(), build())
    assert found.compared > 10
    assert found.apart == []
    assert found.agrees


def test_one_ratio_that_moved_is_found_and_sized_with_both_errors() -> None:
    before = build()
    found = pair(before, dearer(before, "sqlalchemy", "users.get", 1.5))
    (apart,) = found.apart
    assert (apart.arm, apart.scenario, apart.says) == ("sqlalchemy", "users.get", "dearer")
    assert apart.change is not None
    assert apart.before is not None
    assert apart.change.value == pytest.approx(1.5)
    own = apart.before.high / apart.before.value
    assert apart.change.high / apart.change.value > own


def test_one_of_many_may_be_apart_by_chance_and_several_may_not() -> None:
    before = build()
    one = pair(before, dearer(before, "sqlalchemy", "users.get", 0.6))
    assert one.apart[0].says == "cheaper"
    assert one.agrees == (one.compared >= 20)
    after = before
    for scenario in before.scenarios:
        after = dearer(after, "sqlalchemy", scenario.name, 0.6)
    assert not pair(before, after).agrees


def test_a_scenario_that_one_run_lacks_stays_in_place_as_a_gap() -> None:
    before = build()
    found = pair(before, without(before, "users.get"))
    gaps = {one.says for one in found.ratios if one.scenario == "users.get"}
    assert gaps <= {"only before", "no figure"}
    assert "only before" in gaps
    assert found.agrees


def test_runs_without_a_ratio_in_common_agree_in_nothing() -> None:
    before = build()
    nothing = before.model_copy(update={"cells": []})
    assert not pair(before, nothing).agrees
    assert "no ratio in common" in markdown.summary(pair(before, nothing))


def test_another_machine_compares_ratios_and_no_costs_and_says_what_changed() -> None:
    before = build()
    elsewhere = before.environment.model_copy(update={"cpu_model": "Other", "python": "3.13.0"})
    found = pair(before, before.model_copy(update={"environment": elsewhere}))
    assert not found.same_machine
    assert found.costs == []
    assert found.compared > 0
    assert ("python", before.environment.python, "3.13.0") in found.changed


def test_other_baselines_are_no_pair() -> None:
    before = build()
    with pytest.raises(NoPair, match="--baseline"):
        pair(before, before.model_copy(update={"baseline": "motor"}))


def test_the_command_ends_with_1_where_runs_differ_and_names_what_did(written: dict[str, Path]) -> None:
    code, shown = told([written["before"], written["after"]])
    found = pair(*(json_file.read(written[name]) for name in ("before", "after")))
    assert code == (0 if found.agrees else 1)
    assert "sqlalchemy" in shown
    assert "dearer" in shown
    assert told([written["before"], written["before"]])[0] == 0


def test_json_and_markdown_say_the_same(written: dict[str, Path]) -> None:
    _, text = told([written["before"], written["after"]], "json")
    found = json.loads(text)
    assert [one["says"] for one in found["ratios"] if one["arm"] == "sqlalchemy"].count("dearer") == 1
    _, text = told([written["before"], written["after"]], "markdown")
    assert "| `users.get` | sqlalchemy |" in text


def test_a_run_as_markdown_has_a_row_for_each_scenario_and_its_advice(written: dict[str, Path]) -> None:
    code, text = told([written["before"]], "markdown")
    results = json_file.read(written["before"])
    assert code == 0
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(results.scenarios)
    columns = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ")}
    assert len(columns) == 1
    assert "<script>" not in text


def test_the_page_of_a_run_is_written_again(written: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "again.html"
    report([written["before"]], "table", page, Console(file=StringIO()))
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_what_is_no_results_file_is_refused_in_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}", encoding="utf-8")
    for files in ([wrong], [tmp_path / "gone.json"], [wrong, wrong, wrong]):
        with pytest.raises(StandError) as refused:
            told(files)
        assert "\n" not in str(refused.value)
