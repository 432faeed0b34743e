"""The proof before a comparison: whoever is told to see a file finds it after the run."""

import re
from pathlib import Path

import pytest

from assay.commands import contract
from assay.commands.contract import LOG, Proof, prove
from assay.commands.entering import fit_services
from assay.commands.options import Options, options_of
from assay.stand import StandError
from assay.stand.folder import open_folder


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return options_of(
        ["asyncpg"],
        quick=True,
        budget="5m",
        output=tmp_path,
        baseline=None,
        seed=1,
        precision=0.05,
        target_ms=50,
        arrivals="poisson",
        delays=None,
        workload=None,
        api_urls=[],
        weights=None,
        require=[],
        strict=False,
        arguments=[],
    )


def named(message: str) -> str:
    """What is in the file that the message says to see."""
    (path,) = re.findall(r"see (.*)\.$", message)
    return Path(path).read_text()


async def test_a_suite_that_could_not_run_leaves_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "QUICK", ("test_nosuch.py",))
    async with open_folder() as folder:
        with pytest.raises(StandError) as refused:
            await prove({"mine": "http://127.0.0.1:9"}, folder.path, tmp_path)
    assert "pytest: error:" in named(str(refused.value))


async def test_where_no_backend_keeps_the_contract_what_the_suite_said_is_left(options: Options) -> None:
    proof = Proof({}, {"asyncpg": {"test_users.py::test_get": ["USR-3"]}})
    async with open_folder() as folder:
        (folder.path / LOG).write_text("1 failed")
        with pytest.raises(StandError, match="no backend keeps the contract") as refused:
            fit_services(options, proof, folder.path)
    assert named(str(refused.value)) == "1 failed"
