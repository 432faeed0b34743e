"""The contract's clause ids: CONTRACT.md is the only list of them, and every one is in force."""

import re
from functools import cache
from pathlib import Path
from typing import Final

CONTRACT: Final = Path(__file__).with_name("CONTRACT.md")

_CLAUSE: Final = re.compile(r"^- ([A-Z]{2,3}-\d+) ", re.MULTILINE)


@cache
def written() -> tuple[str, ...]:
    """All clause ids of CONTRACT.md, in its order."""
    return tuple(_CLAUSE.findall(CONTRACT.read_text(encoding="utf-8")))
