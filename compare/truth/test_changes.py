"""The patches of a change request do what it asks: its own contract test passes on every layer."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.judge.changes import requests, touched
from shared.registry import names

ROOT = Path(__file__).parents[2]
REQUESTS = {request.name: Path(str(request)) for request in requests()}
PATCHES = {patch.stem for folder in REQUESTS.values() for patch in folder.glob("*.patch")}
LAYERS = sorted(PATCHES & set(names()))


@pytest.mark.slow
@pytest.mark.parametrize("name", REQUESTS)
def test_a_patched_copy_passes_the_requests_own_contract_test(
    name: str, tmp_path: Path, tell: Callable[[str, str, str], None]
) -> None:
    _copy(tmp_path)
    for part in ("shared", *LAYERS):
        patch = REQUESTS[name] / f"{part}.patch"
        subprocess.run(["git", "apply", "--whitespace=nowarn", patch], cwd=tmp_path, check=True)
    added = [file.path for file in touched((REQUESTS[name] / "shared.patch").read_text("utf-8"))]
    (test,) = (path for path in added if not (ROOT / path).exists() and "/test_" in path)
    sources = (tmp_path / "shared" / "src", tmp_path / "compare" / "src", *tmp_path.glob("services/*/src"))
    patched = [f"--service={layer}" for layer in LAYERS]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", test, *patched, "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ":".join(map(str, sources))},
        capture_output=True,
        text=True,
    )
    outcome = re.search(r"^.*\b(passed|failed|error).*$", ran.stdout, re.MULTILINE)
    tell(f"{name}: {Path(test).name} on {len(LAYERS)} layers", outcome[0] if outcome else "nothing", "passed")
    assert ran.returncode == 0, ran.stdout[-3_000:] + ran.stderr[-1_000:]
    assert all(re.search(rf"^{layer}: [1-9]", ran.stdout, re.MULTILINE) for layer in LAYERS)


def _copy(folder: Path) -> None:
    without = shutil.ignore_patterns("__pycache__", ".venv", "node_modules")
    for part in ("shared", "services", "contract_tests", "compare/src", "docs"):
        shutil.copytree(ROOT / part, folder / part, ignore=without)
    for file in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / file, folder / file)
