"""The contract and its proofs name each other: every clause has a test, every mark is a clause."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import clauses

SUITE: Final = Path(__file__).parents[1]


def marks(tree: ast.AST) -> Iterator[str]:
    """The clause ids of every `pytest.mark.clause(…)` below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.clause":
            yield from (ast.literal_eval(argument) for argument in node.args)


def marked_clauses() -> set[str]:
    """All clause ids that a test of the suite is marked with, whether it is run now or not."""
    files = SUITE.rglob("test_*.py")
    return {clause for file in files for clause in marks(ast.parse(file.read_text(encoding="utf-8")))}


def test_every_clause_has_a_test_and_every_mark_is_a_clause() -> None:
    assert marked_clauses() == set(clauses.written())
