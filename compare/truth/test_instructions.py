"""Counted instructions repeat, and a little more work is seen: whatever else the machine does."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from rich.console import Console

from assay.measure.dataset import BUSY_OWNERS
from assay.measure.instructions import Plan, count, show
from assay.measure.revision import PRESENT, Tree, tree_at
from assay.measure.scenarios import SCENARIOS
from assay.progress import Steps
from shared.registry import services

ROOT = Path(__file__).parents[2]
REPEATS = 0.003
ADDED = "sum(range(150))"
"""What the changed sources do more for each request."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["asyncpg", "motor"])
def test_a_count_repeats_and_a_little_more_work_is_seen(
    name: str, tmp_path: Path, tell: Callable[[str, str, str], None]
) -> None:
    trees = [PRESENT, Tree("again"), _dearer(tmp_path)]
    scenarios = [scenario for scenario in SCENARIOS if scenario.name == "users.get"]
    console = Console(stderr=True)
    with Steps(console) as steps:
        counting = count(services(name), scenarios, trees, Plan(), steps, seeded=BUSY_OWNERS)
        costs = uvloop.run(counting)
    present, again, dearer = costs
    repeats = again.instructions / present.instructions - 1
    more = dearer.instructions / present.instructions - 1
    tell(f"{name}: the same sources twice", f"{repeats:+.3%}", f"within ±{REPEATS:.1%}")
    tell(f"{name}: {ADDED} more in each request", f"{more:+.2%}", "from 1 % to 6 %, exit code 1")
    assert abs(repeats) <= REPEATS
    assert 0.01 < more < 0.06
    assert show([present, again], 1.0, console) == 0
    assert show([present, dearer], 1.0, console) == 1


def _dearer(folder: Path) -> Tree:
    for part in ("shared", "services"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    route = folder / "shared" / "src" / "shared" / "http" / "users.py"
    before = route.read_text("utf-8")
    changed = before.replace('    """USR-3"""\n', f'    """USR-3"""\n    {ADDED}\n')
    assert changed != before
    route.write_text(changed, "utf-8")
    return tree_at(folder, "dearer")
