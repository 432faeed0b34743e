"""The change requests: their patches apply to the sources as they are, and are counted as they read."""

import subprocess
from pathlib import Path

import pytest

from assay.judge.changes import changes, requests, touched
from shared.registry import names

ROOT = Path(__file__).parents[2]
PATCHES = {patch.stem for request in requests() for patch in Path(str(request)).glob("*.patch")}
LAYERS = sorted(PATCHES & set(names()))
"""Those that answer a request, and are here."""
NAMES = [request.name for request in requests()]


def _git(*words: str, index: Path) -> None:
    ran = subprocess.run(
        ["git", "-C", ROOT, *words], env={"GIT_INDEX_FILE": str(index)}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("name", NAMES)
def test_all_patches_of_a_request_apply_to_the_present_sources(name: str, tmp_path: Path) -> None:
    index = tmp_path / "index"
    _git("read-tree", "HEAD", index=index)
    _git("add", "--update", "shared", "services", "contract_tests", "compare/src", index=index)
    folder = next(Path(str(request)) for request in requests() if request.name == name)
    for part in ("shared", *LAYERS):
        _git("apply", "--cached", "--whitespace=nowarn", str(folder / f"{part}.patch"), index=index)


def test_every_layer_answers_every_request() -> None:
    found = changes(LAYERS)
    assert [(change.request, change.backend) for change in found] == [
        (name, layer) for name in ("add-field", "add-filter", "add-relation") for layer in LAYERS
    ]
    for change in found:
        assert change.added > 0
        assert len(change.steps) >= 2
        assert all(path.startswith(f"services/{change.backend}/src/") for path in change.files)


def test_a_service_that_runs_elsewhere_has_none() -> None:
    assert changes(["elsewhere"]) == []


def test_lines_that_look_like_headers_are_counted() -> None:
    patch = """diff --git a/old.sql b/old.sql
--- a/old.sql
+++ b/old.sql
@@ -1,2 +1,2 @@
--- a comment
+-- one
 kept
diff --git a/new.py b/new.py
new file mode 100644
--- /dev/null
+++ b/new.py
@@ -0,0 +1,2 @@
+++ b
+c
"""
    assert [tuple(file) for file in touched(patch)] == [("old.sql", 1, 1), ("new.py", 2, 0)]
