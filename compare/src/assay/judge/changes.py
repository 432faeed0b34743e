"""What three change requests cost in each layer, read from the patches that answer them.

A request is a folder of `assay.changes`: `shared.patch` is what it asks of every layer (contract, port,
route, its contract test), and a patch beside it is all that one layer needs to answer it. Tests keep them
honest: each applies to the present sources, and its contract test passes on all layers.
"""

import tomllib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from assay.report.care import Change


class Touched(NamedTuple):
    """A file of a patch, and how many lines it gains and loses."""

    path: str
    added: int
    removed: int


def requests() -> list[Traversable]:
    """The folders, in the order of their names."""
    folders = (found for found in files("assay.changes").iterdir() if (found / "change.toml").is_file())
    return sorted(folders, key=lambda folder: folder.name)


def changes(backends: Sequence[str]) -> list[Change]:
    """Of every request for every backend that has a patch for it; others have no code here to change."""
    found: list[Change] = []
    for request in requests():
        told = tomllib.loads((request / "change.toml").read_text("utf-8"))
        for backend in backends:
            patch = request / f"{backend}.patch"
            if not patch.is_file():
                continue
            code = [file for file in touched(patch.read_text("utf-8")) if not _is_test(file.path)]
            found.append(
                Change(
                    request=request.name,
                    title=told["title"],
                    backend=backend,
                    added=sum(file.added for file in code),
                    removed=sum(file.removed for file in code),
                    files=[file.path for file in code],
                    steps=told["steps"][backend],
                )
            )
    return found


def touched(patch: str) -> list[Touched]:
    """The files of a patch in git's form; a removed one keeps its name.

    >>> touched("diff --git a/x.py b/x.py\\n--- a/x.py\\n+++ b/x.py\\n@@ -1 +1,2 @@\\n-a\\n+b\\n+--c\\n")
    [Touched(path='x.py', added=2, removed=1)]
    """
    return [_read(part) for part in _parts(patch)]


def _parts(patch: str) -> Iterator[list[str]]:
    part: list[str] = []
    for line in patch.splitlines():
        if line.startswith("diff --git "):
            if part:
                yield part
            part = []
        part.append(line)
    if part:
        yield part


def _read(part: Sequence[str]) -> Touched:
    path = part[0].rpartition(" b/")[2]
    start = next((place for place, line in enumerate(part) if line.startswith("@@")), len(part))
    code = part[start:]
    added = sum(line.startswith("+") for line in code)
    return Touched(path, added, sum(line.startswith("-") for line in code))


def _is_test(path: str) -> bool:
    return path.startswith("contract_tests/") or "/tests/" in path
