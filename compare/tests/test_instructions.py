"""The table of instruction counts, and what its command refuses."""

import io
import subprocess
import sys

import pytest
from rich.console import Console

from assay.measure.callgrind import require_valgrind
from assay.measure.instructions import Cost, show
from assay.measure.revision import PRESENT, revision
from assay.stand import StandError


def _told(old: float, new: float, limit: float) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=110)
    costs = [
        Cost("asyncpg", "users.get", "0123456789", old),
        Cost("asyncpg", "users.get", "present", new),
        Cost("motor", "users.get", "0123456789", 1_000_000),
        Cost("motor", "users.get", "present", 900_000),
    ]
    code = show(costs, limit, console)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


def test_one_arm_that_got_dearer_than_the_limit_fails_the_gate() -> None:
    code, table = _told(500_000, 505_100, 1.0)
    assert code == 1
    assert "1.0102 dearer" in table
    assert "0.9000" in table


def test_up_to_the_limit_the_gate_is_open() -> None:
    assert _told(500_000, 505_000, 1.0)[0] == 0
    assert _told(500_000, 520_000, 5.0)[0] == 0


def test_one_tree_has_no_ratio() -> None:
    console = Console(file=io.StringIO(), width=110)
    assert show([Cost("asyncpg", "users.get", "present", 1.0)], 1.0, console) == 0


def test_a_revision_has_its_sources_before_those_installed() -> None:
    with revision("HEAD") as tree:
        shared, *services = tree.paths
        assert (shared / "shared" / "serve.py").is_file()
        assert {path.parent.name for path in services} >= {"asyncpg", "motor", "sqlalchemy", "tortoise"}
        ran = subprocess.run(
            [sys.executable, "-c", "import shared.serve; print(shared.serve.__file__)"],
            env=tree.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.startswith(str(shared))
    assert not shared.exists()
    assert PRESENT.environment() == {}


def test_an_unknown_revision_is_refused_in_one_line() -> None:
    with pytest.raises(StandError, match="needs a revision"), revision("no-such-revision"):
        pass


def test_without_valgrind_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StandError, match="install the package valgrind"):
        require_valgrind()


@pytest.mark.parametrize("wrong", [["--scenario", "nothing"], ["nobody"], ["--against", "no-such-revision"]])
def test_wrong_use_is_one_line_and_exit_code_2(wrong: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "assay.measure.instructions", *wrong], capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("instructions: ")
    assert ran.stderr.count("\n") == 1
