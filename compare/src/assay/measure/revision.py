"""Sources of another revision of the repository, to run in the present environment."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from assay.stand import StandError

_SOURCES = ("shared", "services")


@dataclass(frozen=True)
class Tree:
    """Sources that a service runs from: `paths` come before what is installed; without any, that is run."""

    name: str
    paths: tuple[Path, ...] = ()

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": ":".join(map(str, self.paths))} if self.paths else {}


PRESENT = Tree("present")


def tree_at(root: Path, name: str) -> Tree:
    """The services and what they share, as the folder of a repository has them."""
    return Tree(name, (root / "shared" / "src", *sorted(root.glob("services/*/src"))))


@contextmanager
def revision(name: str) -> Iterator[Tree]:
    """A commit's sources in a folder of their own: git need not know, so nothing is left to it if we die.

    StandError where the package is in no repository, or the repository has no such revision.
    """
    root = Path(_git(Path(__file__).parent, "rev-parse", "--show-toplevel").decode().strip())
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
    archive = _git(root, "archive", commit, *_SOURCES)
    with TemporaryDirectory(prefix="assay-revision-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as sources:
            sources.extractall(folder, filter="data")
        yield tree_at(Path(folder), commit[:10])


def _git(folder: Path, *words: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise StandError("git is missing: install it, or leave --against out.") from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().partition("\n")[0] or "there is no such one"
        raise StandError(f"--against needs a revision of this repository: {reason}.") from None
