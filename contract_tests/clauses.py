"""The contract's clause ids, and which of them are in force.

CONTRACT.md is the only list of clauses; this module only says how far the services have come.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

CONTRACT: Final = Path(__file__).with_name("CONTRACT.md")

_CLAUSE: Final = re.compile(r"^- ([A-Z]{2,3}-\d+) ", re.MULTILINE)

_NOT_YET: Final = frozenset({"GEN-13", "OPS-3", "OPS-4", "OPS-5"})
_FAMILIES: Final = frozenset({"GEN", "USR", "DOC", "DSH", "OPS"})


@cache
def written() -> tuple[str, ...]:
    """All clause ids of CONTRACT.md, in its order."""
    return tuple(_CLAUSE.findall(CONTRACT.read_text(encoding="utf-8")))


@cache
def in_force() -> tuple[str, ...]:
    """The clause ids that every service has to keep today, in the contract's order."""
    return tuple(
        clause for clause in written() if clause.split("-")[0] in _FAMILIES and clause not in _NOT_YET
    )
