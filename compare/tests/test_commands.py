"""The command as its users meet it: what it prints, and what it ends with."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from results_builder import build
from rich.console import Console

from assay.commands.compare import REPORT, RESULTS, tell
from assay.report import json_file
from assay.stand import StandError
from shared.registry import names

HERE = Path(__file__)

INTERRUPTED_AT = """
import os, signal, sys

class Interrupting:
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
from assay.main import main
main()
"""
"""As the installed script starts, and Ctrl-C while it looks for a module."""


def assay(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        pytest.param(["up", "--only", "nosuch"], "choose of", id="up"),
        pytest.param(["contract", "nosuch"], "choose of", id="contract"),
        pytest.param(["serve", "nosuch", "--port", "8001"], "choose of", id="serve"),
        pytest.param(["show", "documents.nosuch"], "documents.transfer", id="show"),
        pytest.param(["compare", "nosuch"], "choose of", id="compare"),
        pytest.param(["compare", "--budget", "soon"], "90s or 5m", id="a budget that is no duration"),
        pytest.param(["compare", "asyncpg", "--baseline", "motor"], "--baseline", id="a baseline left out"),
        pytest.param(["compare", "--output", "/sys"], "--output /sys: Permission denied", id="no writing"),
        pytest.param(["compare", "--output", "/proc/xx"], "choose another folder", id="no folder to be"),
        pytest.param(["compare", "--output", str(HERE)], "is a file", id="a file for a folder"),
        pytest.param(["compare", "--output", str(HERE / "out")], "Not a directory", id="below a file"),
        pytest.param(["up", "--json", "/nonexist/u.json"], "--json /nonexist/u.json: No", id="nowhere"),
        pytest.param(["up", "--json", str(HERE.parent)], "Is a directory", id="a folder for a file"),
        pytest.param(["compare", "--require", "memory < 0 MiB"], "numbers above 0", id="no memory at all"),
        pytest.param(["compare", "--require", "p99 < 9 ms at 9999999/s"], "rates up to", id="no such rate"),
        pytest.param(["compare", "--weights", "cpu=1,cpu=2"], "cpu is named twice", id="two weights of one"),
        pytest.param(["report", "x", "--json", "--markdown"], "leave one out", id="two forms"),
        pytest.param(["token", "--sub", "ada", "--scope", "admin"], "'read write'", id="no such scope"),
        pytest.param(["token", "--sub", ""], "name somebody", id="nobody's token"),
        pytest.param(["compare", "--require", "p99 < 1.2.3 ms at 500/s"], "write one like", id="no number"),
        pytest.param(["compare", "--require", "capacity > ./s"], "write one like", id="a dot for a number"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do_and_exit_code_2(arguments: list[str], hint: str) -> None:
    ended = assay(*arguments)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert hint in ended.stderr


def test_a_page_that_cannot_be_written_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    run = tmp_path / RESULTS
    json_file.write(build(), run)
    ended = assay("report", str(run), "--page", "/nonexist/page.html")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "assay: --page /nonexist/page.html: No such file or directory: choose another file.\n"
    )


def test_a_result_is_shown_although_the_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / RESULTS).symlink_to("/dev/full")
    shown = StringIO()
    with pytest.raises(StandError, match=rf"^--output {tmp_path}: No space left on device"):
        tell(build(), tmp_path, Console(file=shown, width=200))
    assert build().judgement.headline in shown.getvalue()
    assert "Report:" not in shown.getvalue()


def test_a_result_is_written_although_nobody_reads_the_screen(tmp_path: Path) -> None:
    closed = StringIO()
    closed.close()
    with pytest.raises(ValueError, match="closed file"):
        tell(build(), tmp_path, Console(file=closed, width=200))
    assert {found.name for found in tmp_path.iterdir()} == {RESULTS, REPORT}


def test_an_unknown_option_is_exit_code_2() -> None:
    assert assay("compare", "--nosuch").returncode == 2


@pytest.mark.parametrize("command", ["up", "serve", "contract", "show", "compare"])
def test_every_command_explains_itself(command: str) -> None:
    assert command in assay("--help").stdout
    assert assay(command, "--help").returncode == 0


def test_the_seed_is_explained_by_what_it_decides() -> None:
    told = " ".join(assay("compare", "--help").stdout.replace("│", " ").split())
    assert "Of the order of the arms, the requests and their arrivals." in told


def closed(*arguments: str) -> tuple[int, str]:
    """As `assay … | head -1`, but that who reads is gone at once."""
    command = [sys.executable, "-m", "assay", *arguments]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        ended = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, timeout=60, check=False)
    return ended.returncode, ended.stderr.decode()


@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"]])
def test_a_report_that_nobody_reads_to_its_end_is_not_one_that_found_a_difference(
    form: list[str], tmp_path: Path
) -> None:
    json_file.write(build(), tmp_path / "results.json")
    assert closed("report", str(tmp_path / "results.json"), *form) == (141, "")


@pytest.mark.parametrize("arguments", [["show", "documents.transfer"], ["--help"], ["report", "--help"]])
def test_a_closed_pipe_ends_a_command_quietly(arguments: list[str]) -> None:
    assert closed(*arguments) == (141, "")


def test_a_token_that_nobody_reads_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_SECRET", "s" * 64)
    # what is printed is then written when the command has ended
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    assert closed("token", "--sub", "somebody") == (141, "")


@pytest.mark.parametrize("module", ["typer", "assay.stand", "assay.commands.show", "assay.judge.source"])
def test_ctrl_c_while_modules_load_ends_with_130_and_prints_nothing(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED_AT.format(module=module), "show", "documents.transfer"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_show_prints_the_method_of_every_backend() -> None:
    shown = assay("show", "documents.transfer")
    assert shown.returncode == 0
    assert all(f"{name} · " in shown.stdout for name in names())
    assert shown.stdout.count("async def transfer(") == len(names())
