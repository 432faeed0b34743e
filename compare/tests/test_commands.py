"""The command as its users meet it: what it prints, and what it ends with."""

import subprocess
import sys

import pytest

from shared.registry import names


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
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do_and_exit_code_2(arguments: list[str], hint: str) -> None:
    ended = assay(*arguments)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert hint in ended.stderr


def test_an_unknown_option_is_exit_code_2() -> None:
    assert assay("compare", "--nosuch").returncode == 2


@pytest.mark.parametrize("command", ["up", "serve", "contract", "show", "compare"])
def test_every_command_explains_itself(command: str) -> None:
    assert command in assay("--help").stdout
    assert assay(command, "--help").returncode == 0


def test_show_prints_the_method_of_every_backend() -> None:
    shown = assay("show", "documents.transfer")
    assert shown.returncode == 0
    assert all(f"{name} · " in shown.stdout for name in names())
    assert shown.stdout.count("async def transfer(") == len(names())
