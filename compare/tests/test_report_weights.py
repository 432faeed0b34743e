"""The page's script, run in a browser: the formula is the decision's, and the address holds the weights."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from results_builder import arms, build, cells
from results_parts import decision, parts

from assay.judge.decision import unfit
from assay.report import html
from assay.report.decision import Decision
from assay.report.model import Arm, Results

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
OTHER_WEIGHTS = "cpu=0,code=8,change=6,latency=0,capacity=0.5"

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here to run the page's script")


def own_arms() -> list[Arm]:
    """Beside an arm by URL only what is known of every arm counts, and there is little to weigh."""
    gone = {"excluded": "it was not asked for"}
    return [one.model_copy(update=gone) if one.kind == "url" else one for one in arms()]


def weighed(results: Results, weights: str | None = None) -> Decision:
    names = [scenario.name for scenario in results.scenarios]
    return decision(cells(names), own_arms(), parts(names[:3]), weights)


@pytest.fixture(scope="module")
def results() -> Results:
    built = build()
    return built.model_copy(update={"arms": own_arms(), "decision": weighed(built)})


def opened(results: Results, address: str, folder: Path) -> str:
    """The page as the browser has it after its script ran."""
    assert BROWSER is not None
    file = folder / "report.html"
    html.write(results, file)
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={folder / 'browser'}",
        "--dump-dom",
    ]
    found = subprocess.run(
        [BROWSER, *flags, f"{file.as_uri()}{address}"], capture_output=True, text=True, timeout=60, check=True
    )
    return found.stdout


def shown(page: str) -> dict[str, tuple[str, str]]:
    """Score and place by arm."""
    scores = dict(re.findall(r'data-score="([^"]+)"><strong>([^<]+)</strong>', page))
    places = dict(re.findall(r'data-place="([^"]+)">([^<]+)<', page))
    return {arm: (score, places[arm]) for arm, score in scores.items()}


def expected(found: Decision) -> dict[str, tuple[str, str]]:
    fit = [score.arm for score in found.scores if score.fit]
    return {
        score.arm: (
            f"{score.score.value:.3f}",
            str(fit.index(score.arm) + 1) if score.fit else str(unfit(score.arm, found.requirements)),
        )
        for score in found.scores
    }


def standing(page: str) -> str:
    found = re.search(r'id="standing"[^>]*><p>([^<]*)</p>', page)
    assert found is not None
    return found[1]


def test_without_other_weights_the_script_adds_only_controls(results: Results, tmp_path: Path) -> None:
    static, live = html.page(results), opened(results, "", tmp_path)
    assert '<span class="scripted" hidden' in static
    assert '<span class="scripted" hidden' not in live
    assert '<button type="button">Arm</button></th>' in live
    assert shown(live) == shown(static) == expected(results.decision)
    assert standing(live) == standing(static)


def test_weights_in_the_address_are_weighed_with_the_same_formula(results: Results, tmp_path: Path) -> None:
    other = weighed(results, OTHER_WEIGHTS)
    live = opened(results, "#weights=" + OTHER_WEIGHTS.replace("=", ":"), tmp_path)
    assert shown(live) == expected(other)
    assert expected(other) != expected(results.decision)
    assert standing(live).startswith("At these weights: ")
    reason = other.withheld or f"{other.recommended} comes first"
    assert reason in standing(live)
    address = re.search(r'id="permalink" href="#weights=([^"]+)"', live)
    assert address is not None
    assert {"cpu:0", "code:8", "capacity:0.5", "memory:1"} <= set(address[1].split(","))


def test_what_is_left_out_beside_an_arm_by_url_counts_for_the_script_neither(tmp_path: Path) -> None:
    beside = build()
    assert "code" in beside.decision.left_out
    live = opened(beside, "", tmp_path)
    assert shown(live) == expected(beside.decision)
    assert 'aria-label="Weight of Code of the layer"' not in live


@pytest.mark.parametrize("address", ["#weights=cpu:x,nothing:3,code:-1,memory,%zz:1", "#care"])
def test_an_address_that_makes_no_sense_leaves_the_weights_alone(
    results: Results, address: str, tmp_path: Path
) -> None:
    live = opened(results, address, tmp_path)
    assert shown(live) == expected(results.decision)
    assert 'id="permalink" href="#weights=cpu:3,' in live
