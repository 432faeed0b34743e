"""Moves the pins: the versions in the root `pyproject.toml`, the hashes in `docker/requirements/`.

`uv.lock` names registry hosts and is not committed; constraints and hashed requirement files say the same
without. `lock` resolves afresh and writes both; `pin` writes both where packages came or went, and moves no
version; `check` fails where what is installed is not what they say.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "pyproject.toml"
REQUIREMENTS = ROOT / "docker" / "requirements"
BEGIN, END = "# >>> pins\n", "# <<< pins\n"

EXPORT = ("export", "--frozen", "--no-header", "--no-annotate", "--no-emit-workspace")
EVERYTHING = ("--all-packages", "--all-groups", "--all-extras")


def lock(*, upgrade: bool) -> None:
    before = PROJECT.read_text()
    try:
        if upgrade:
            _write_pins([])
        _uv("lock", *(["--upgrade"] if upgrade else []))
        pins = [line for line in _uv(*EXPORT, *EVERYTHING, "--no-hashes").splitlines() if "==" in line]
        _write_pins(pins)
        _uv("lock")
    except subprocess.CalledProcessError:
        PROJECT.write_text(before)
        raise
    wanted = _requirements()
    for name, content in wanted.items():
        (REQUIREMENTS / name).write_text(content)
    for name in _left_over(wanted):
        (REQUIREMENTS / name).unlink()


def check() -> int:
    """The number of requirement files that are not what uv would install here."""
    wanted = _requirements()
    drifted = [name for name, content in wanted.items() if _read(REQUIREMENTS / name) != content]
    drifted += _left_over(wanted)
    for name in drifted:
        print(f"docker/requirements/{name} is not what uv resolves: run `just pin`", file=sys.stderr)  # noqa: T201
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


def _left_over(wanted: Mapping[str, str]) -> list[str]:
    """The files of services that are gone."""
    return sorted(file.name for file in REQUIREMENTS.glob("*.txt") if file.name not in wanted)


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
    if sys.argv[1:] in (["lock"], ["pin"]):
        lock(upgrade=sys.argv[1] == "lock")
    elif sys.argv[1:] == ["check"]:
        sys.exit(1 if check() else 0)
    else:
        sys.exit("usage: lock.py lock|pin|check")
