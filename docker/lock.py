"""Moves the pins: the versions in the root `pyproject.toml`, the hashes in `docker/requirements/`.

`uv.lock` names registry hosts and is not committed; constraints and hashed requirement files say the same
without. `lock` resolves afresh and writes both; `check` fails where what is installed is not what they say.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "pyproject.toml"
REQUIREMENTS = ROOT / "docker" / "requirements"
BEGIN, END = "# >>> pins\n", "# <<< pins\n"

EXPORT = ("export", "--frozen", "--no-header", "--no-annotate", "--no-emit-workspace")
EVERYTHING = ("--all-packages", "--all-groups", "--all-extras")


def lock() -> None:
    before = PROJECT.read_text()
    try:
        _write_pins([])
        _uv("lock", "--upgrade")
        pins = [line for line in _uv(*EXPORT, *EVERYTHING, "--no-hashes").splitlines() if "==" in line]
        _write_pins(pins)
        _uv("lock")
    except subprocess.CalledProcessError:
        PROJECT.write_text(before)
        raise
    for name, content in _requirements().items():
        (REQUIREMENTS / name).write_text(content)


def check() -> int:
    """The number of requirement files that are not what uv would install here."""
    drifted = [name for name, content in _requirements().items() if _read(REQUIREMENTS / name) != content]
    for name in drifted:
        print(f"docker/requirements/{name} is not what uv resolves: run `just lock`", file=sys.stderr)  # noqa: T201
    return len(drifted)


def _requirements() -> dict[str, str]:
    layers = sorted(
        folder.name for folder in (ROOT / "services").iterdir() if (folder / "pyproject.toml").exists()
    )
    files = {
        f"{layer}.txt": _uv(*EXPORT, "--package", f"{layer}-service", "--no-dev", "--no-default-groups")
        for layer in layers
    }
    console = _uv(*EXPORT, "--only-group", "console")
    return files | {"console.txt": console, "all.txt": _uv(*EXPORT, *EVERYTHING)}


def _write_pins(pins: list[str]) -> None:
    head, _, rest = PROJECT.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    # TOML's basic strings: markers quote with apostrophes
    lines = "".join(f'    "{pin.strip()}",\n' for pin in pins)
    block = f"constraint-dependencies = [\n{lines}]\n" if pins else ""
    PROJECT.write_text(f"{head}{BEGIN}{block}{END}{tail}")


def _read(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


def _uv(*arguments: str) -> str:
    ran = subprocess.run(
        ["uv", "--quiet", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return ran.stdout


if __name__ == "__main__":
    if sys.argv[1:] == ["lock"]:
        lock()
    elif sys.argv[1:] == ["check"]:
        sys.exit(1 if check() else 0)
    else:
        sys.exit("usage: lock.py lock|check")
