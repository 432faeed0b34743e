"""`assay contract`: the contract suite, and the part of it that a comparison runs on every arm."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.commands.chosen import chosen
from assay.stand import StandError

SUITE = Path(__file__).resolve().parents[4] / "contract_tests"

LOG = "contract.log"

QUICK = ("test_users.py", "test_documents.py", "test_documents_patch.py", "test_documents_transfer.py")


@dataclass(frozen=True)
class Proof:
    """Outcomes by clause and backend; failed tests by backend."""

    clauses: Mapping[str, Mapping[str, Any]]
    failures: Mapping[str, Mapping[str, list[str]]]
    """By backend and test: the clauses that it would have proved."""


def contract(names: Sequence[str], api_urls: Sequence[str], token: str | None, *, docker: bool) -> int:
    """pytest's own exit code, but 2 for wrong use."""
    if not api_urls or names:
        chosen(names)
    arguments = [f"--service={name}" for name in names] + [f"--api-url={pair}" for pair in api_urls]
    # where every user of the machine may read a command line, nobody else reads the environment
    environment = os.environ | ({} if token is None else {"CONTRACT_TOKEN": token})
    command = [*_pytest(), *arguments, *(["--docker"] if docker else [])]
    ended = subprocess.run(command, check=False, env=environment)
    return 1 if ended.returncode == 1 else 2 if ended.returncode else 0


async def prove(urls: Mapping[str, str], folder: Path, output: Path) -> Proof:
    """The quick part against running services. Its words go to the run's `folder`; where it could not run, to
    `output` as well."""
    outcome, log = folder / "conformance.json", folder / LOG
    tests = [str(SUITE / name) for name in QUICK]
    arguments = [f"--api-url={name}={url}" for name, url in urls.items()]
    with log.open("wb") as words:
        process = await asyncio.create_subprocess_exec(
            *_pytest(tests), *arguments, f"--conformance={outcome}", stdout=words, stderr=words
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode not in (0, 1) or not outcome.exists():
        raise StandError(f"the contract suite could not run; see {kept(folder, output)}.")
    return _read(json.loads(outcome.read_bytes()))


def kept(folder: Path, output: Path) -> Path:
    """What the suite said, where it outlives the folder of the run."""
    return Path(shutil.copyfile(folder / LOG, output / LOG))


def _pytest(tests: Sequence[str] = ()) -> list[str]:
    if not SUITE.is_dir():
        raise StandError("the contract suite is not here: run assay from a checkout of the repository.")
    return [sys.executable, "-m", "pytest", "-q", *(tests or [str(SUITE)])]


def _read(conformance: Mapping[str, Any]) -> Proof:
    clauses = {
        row["id"]: {backend: cell["outcome"] for backend, cell in row["backends"].items()}
        for row in conformance["clauses"]
    }
    failures: dict[str, dict[str, list[str]]] = {}
    for row in conformance["clauses"]:
        for backend, cell in row["backends"].items():
            for test in cell["tests"]:
                if test["outcome"] == "failed":
                    failures.setdefault(backend, {}).setdefault(test["id"], []).append(row["id"])
    return Proof(clauses, failures)
