"""Two runs against each other, and a run for a pull request: what is said, and with which exit code."""

import json
from io import StringIO
from pathlib import Path

import pytest
from results_builder import FLOORS, build
from results_parts import around
from rich.console import Console

from assay.commands.report import Form, report
from assay.report import json_file, markdown
from assay.report.markdown import ratio
from assay.report.model import Cell, Results
from assay.report.pair import Difference, NoPair, Pair, pair
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
        moved = against.model_copy(update={"ratio": scaled(against.ratio, by)})
        return cell.model_copy(update={"against_baseline": moved})

    return results.model_copy(update={"cells": [changed(cell) for cell in results.cells]})


def without(results: Results, scenario: str) -> Results:
    return results.model_copy(
        update={
            "scenarios": [one for one in results.scenarios if one.name != scenario],
            "cells": [cell for cell in results.cells if cell.scenario != scenario],
        }
    )


def without_cells(results: Results, arm: str) -> Results:
    return results.model_copy(update={"cells": [cell for cell in results.cells if cell.arm != arm]})


def without_arm(results: Results, arm: str) -> Results:
    fewer = without_cells(results, arm)
    return fewer.model_copy(update={"arms": [one for one in results.arms if one.name != arm]})


def excluding(results: Results, name: str) -> Results:
    """As a run is in which the arm failed the contract: it has no cells at all."""
    reason = {"excluded": "9 tests of the contract failed"}
    arms = [one.model_copy(update=reason) if one.name == name else one for one in results.arms]
    return without_cells(results, name).model_copy(update={"arms": arms})


def narrow(results: Results) -> Results:
    def changed(cell: Cell) -> Cell:
        if cell.against_baseline is None:
            return cell
        held = cell.against_baseline
        closer = held.model_copy(update={"ratio": around(held.ratio.value, 0.001)})
        return cell.model_copy(update={"against_baseline": closer})

    return results.model_copy(update={"cells": [changed(cell) for cell in results.cells]})


def full(results: Results) -> Results:
    return results.model_copy(update={"command": "assay compare --output out"})


def of(found: Pair, arm: str, scenario: str) -> Difference:
    return next(one for one in found.ratios if (one.arm, one.scenario) == (arm, scenario))


def told(files: list[Path], form: Form = "table", width: int = 140) -> tuple[int, str]:
    shown = StringIO()
    code = report(files, [form], None, Console(file=shown, width=width))
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


def test_one_ratio_of_many_that_is_apart_is_a_difference() -> None:
    before = build()
    found = pair(before, dearer(before, "sqlalchemy", "users.get", 3.0))
    assert found.compared >= 20
    assert not found.agrees
    assert f"differ: 1 of {found.compared} ratios are apart" in markdown.summary(found)


@pytest.mark.parametrize(("by", "says"), [(1.025, "not apart"), (1.04, "dearer"), (0.96, "cheaper")])
def test_a_ratio_that_moved_by_less_than_3_percent_is_not_apart_however_narrow(by: float, says: str) -> None:
    before = narrow(build())
    found = pair(before, dearer(before, "sqlalchemy", "users.get", by))
    assert of(found, "sqlalchemy", "users.get").says == says


def test_an_arm_that_one_run_excluded_is_named_with_its_reason_and_is_a_difference() -> None:
    before = build()
    for found in (
        pair(before, excluding(before, "sqlalchemy")),
        pair(excluding(before, "sqlalchemy"), before),
    ):
        assert found.apart == []
        assert {one.arm for one in found.lost} == {"sqlalchemy"}
        assert {one.lost for one in found.lost} == {"9 tests of the contract failed"}
        assert not found.agrees
        assert "sqlalchemy" in markdown.of_pair(found)
        assert "9 tests of the contract failed" in markdown.of_pair(found)


def test_two_runs_whose_arms_are_all_excluded_in_one_differ() -> None:
    before = build()
    after = before
    for name in ("sqlalchemy", "motor", *FLOORS):
        after = excluding(after, name)
    found = pair(before, after)
    assert found.compared == 0
    assert not found.agrees
    assert f"Only in one of the runs: {len(found.lost)}" in markdown.summary(found)


def test_an_arm_that_one_run_was_not_asked_for_is_a_gap_and_no_difference() -> None:
    before = build()
    fewer = without_arm(before, "sqlalchemy")
    found = pair(before, fewer)
    assert {one.says for one in found.ratios if one.arm == "sqlalchemy"} == {"only before"}
    assert found.agrees


def test_floors_that_a_quick_run_leaves_out_are_no_difference_and_others_are() -> None:
    before = full(build())
    fewer = without_cells(before, "floor-http")
    assert not pair(before, fewer).agrees
    assert pair(before, fewer.model_copy(update={"command": "assay compare --quick"})).agrees


def test_a_change_common_to_all_services_shows_in_the_floors() -> None:
    before = build()
    after = before
    for floor in FLOORS:
        after = dearer(after, floor, "users.get", 0.5)
    found = pair(before, after)
    assert {(one.arm, one.says) for one in found.apart} == {(floor, "cheaper") for floor in FLOORS}
    assert any("asyncpg itself got dearer" in note for note in markdown.notes(found))


def test_where_no_floor_was_measured_in_both_it_says_what_would_not_show() -> None:
    bare = build()
    for floor in FLOORS:
        bare = without_arm(bare, floor)
    assert any("No floor" in note for note in markdown.notes(pair(bare, bare)))
    assert not any("No floor" in note for note in markdown.notes(pair(build(), build())))


def test_costs_that_all_moved_on_one_machine_are_told() -> None:
    before = build()
    cells = [
        cell
        if cell.service_cpu is None
        else cell.model_copy(update={"service_cpu": scaled(cell.service_cpu, 2)})
        for cell in before.cells
    ]
    found = pair(before, before.model_copy(update={"cells": cells}))
    assert any("2.00 × what it was" in note for note in markdown.notes(found))
    assert "But the CPU of a request is 2.00 ×" in markdown.summary(found)
    assert not any("what it was" in note for note in markdown.notes(pair(before, before)))


def test_a_quick_run_is_said_not_to_know_how_much_turns_differ() -> None:
    quick = build()
    assert any(
        "cannot know how much turns differ" in note for note in markdown.notes(pair(full(quick), quick))
    )
    whole = pair(full(quick), full(quick))
    assert not any("turns differ" in note for note in markdown.notes(whole))


def test_whatever_else_is_not_the_same_is_named() -> None:
    before = build()
    workload = (before.method.workload or "").replace("95", "90")
    method = before.method.model_copy(update={"workload": workload, "warm_up_seconds": 2.0})
    databases = [
        one.model_copy(update={"settings": dict.fromkeys(one.settings, "off")})
        for one in before.environment.databases
    ]
    scenarios = [one.model_copy(update={"connections": 4}) for one in before.scenarios]
    environment = before.environment.model_copy(update={"databases": databases})
    after = before.model_copy(
        update={"method": method, "environment": environment, "scenarios": scenarios, "seed": 8}
    )
    assert set(pair(before, after).changed) == {
        ("postgresql fsync", "on", "off"),
        ("mongodb journal", "true", "off"),
        ("seed", "7", "8"),
        ("warm-up", "0.5 s", "2 s"),
        ("workload weights users.get", "95", "90"),
        *((f"connections in {one.name}", "16", "4") for one in scenarios),
    }


def test_another_comment_in_the_workload_is_no_change() -> None:
    before = build()
    method = before.method.model_copy(update={"workload": f"# told\n{before.method.workload}"})
    assert pair(before, before.model_copy(update={"method": method})).changed == []


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


def test_a_baseline_that_failed_in_one_run_is_named_with_its_reason() -> None:
    before = build()
    after = excluding(before, "asyncpg").model_copy(update={"baseline": "motor"})
    with pytest.raises(NoPair, match="the baseline, has no figures in the second run: 9 tests"):
        pair(before, after)


def test_the_command_ends_with_1_where_runs_differ_and_names_what_did(written: dict[str, Path]) -> None:
    code, shown = told([written["before"], written["after"]])
    assert code == 1
    assert "sqlalchemy" in shown
    assert "dearer" in shown
    assert told([written["before"], written["before"]])[0] == 0


@pytest.mark.parametrize("width", [40, 80])
def test_two_runs_lose_no_figure_on_a_narrow_terminal(written: dict[str, Path], width: int) -> None:
    _, shown = told([written["before"], written["after"]], width=width)
    found = pair(*(json_file.read(written[name]) for name in ("before", "after")))
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for one in found.apart:
        assert one.change is not None
        for part in (one.scenario, one.arm, *map(ratio, (one.before, one.after, one.change))):
            assert part in " ".join(shown.split())


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


def test_an_arm_without_any_cell_is_no_figure_in_markdown() -> None:
    text = markdown.of_run(excluding(build(), "motor"))
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert all("no figure" in row for row in rows)


def test_the_page_of_a_run_is_written_again(written: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "again.html"
    report([written["before"]], [], page, Console(file=StringIO()))
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_what_is_no_results_file_is_refused_in_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}", encoding="utf-8")
    for files in ([wrong], [tmp_path / "gone.json"], [wrong, wrong, wrong]):
        with pytest.raises(StandError) as refused:
            told(files)
        assert "\n" not in str(refused.value)
