"""Each case tells what it found beside what it may find; all of it is printed at the end."""

from collections.abc import Callable

import pytest
from rich.console import Console
from rich.table import Table

Tell = Callable[[str, str, str], None]

_ROWS = pytest.StashKey[list[tuple[str, str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


@pytest.fixture
def tell(pytestconfig: pytest.Config) -> Tell:
    """Takes the case, the figure that was found, and its limit, each in a few words."""

    def told(case: str, found: str, limit: str) -> None:
        pytestconfig.stash[_ROWS].append((case, found, limit))

    return told


def pytest_terminal_summary(config: pytest.Config) -> None:
    rows = config.stash[_ROWS]
    if not rows:
        return
    table = Table("case", "found", "asked", title="truth of the comparison", title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
