"""Every link of docs/patterns.md leads to a file that has what the link names, where its service is here."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/patterns.md"

_LINK: Final = re.compile(r"\]\(([^)#]+)#(\w+)\)")
_ROW: Final = re.compile(r"^\| (?!Pattern|---)([^|]+) \|.*$", re.MULTILINE)
LINKS: Final = sorted(set(_LINK.findall(PAGE.read_text("utf-8"))))
ROWS: Final = {found[1]: found[0] for found in _ROW.finditer(PAGE.read_text("utf-8"))}


def layer(file: str) -> str | None:
    """Whose a linked file is."""
    return file.split("/")[2] if file.startswith("../services/") else None


def is_here(file: str) -> bool:
    """All files are, but those of a service that this checkout is without."""
    name = layer(file)
    return name is None or (ROOT / "services" / name / "pyproject.toml").exists()


LAYERS: Final = {name for file, _ in LINKS if (name := layer(file))}


@pytest.mark.parametrize(("file", "name"), [link for link in LINKS if is_here(link[0])])
def test_a_link_leads_to_what_it_names(file: str, name: str) -> None:
    source = (PAGE.parent / file).read_text("utf-8")
    assert re.search(rf"^\s*(?:async def|def|class) {name}\b|^{name}\b.* = ", source, re.MULTILINE)


@pytest.mark.parametrize("pattern", ROWS)
def test_a_pattern_names_its_place_and_its_test_and_all_layers_or_none(pattern: str) -> None:
    links = _LINK.findall(ROWS[pattern])
    tests = [file for file, _ in links if Path(file).name.startswith("test_")]
    assert 0 < len(tests) < len(links)
    named = [layer(file) for file, _ in links]
    assert {named.count(name) for name in LAYERS} in ({0}, {1}, {2})


def test_the_page_has_patterns() -> None:
    assert len(ROWS) > 30
