"""No file of the repository names the machine it was written on or the registry it was installed from."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
# each pattern is written so that it does not find itself
REGISTRIES: Final = re.compile(
    r"p[y]pi\.(?:org|python)|python[h]osted|registry\.n[p]mjs|n[p]mjs\.(?:com|org)|/s[i]mple/"
)
PLACES: Final = re.compile(r"(?<![\w.~$}\-])/(?:h[o]me|U[s]ers|r[o]ot|w[o]rk|t[m]p)/[\w.]|[A-Z]:\\\\?U[s]ers")


def texts() -> Iterator[tuple[str, str]]:
    """Path and text of every file that is or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        file = ROOT / name
        if file.is_file():
            yield name, file.read_text(encoding="utf-8", errors="replace")


def lines(pattern: re.Pattern[str]) -> list[str]:
    """`file:line` of everything that a pattern finds."""
    return [
        f"{name}:{number}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert lines(REGISTRIES) == []


def test_no_file_names_a_path_of_a_machine() -> None:
    assert lines(PLACES) == []


def test_no_file_names_the_folder_of_this_checkout() -> None:
    assert lines(re.compile(re.escape(f"{ROOT}/"))) == []
