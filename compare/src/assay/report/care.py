"""What a layer asks of the people who keep it: code, dependencies, changes, the health of its parts."""

from typing import Literal

from assay.report.part import Part


class OperationCode(Part):
    """What answers one operation in a layer: code lines (no blanks, comments, docstrings), the cyclomatic
    complexity of its functions together (McCabe 1976), and places where the type checker is told to look
    away."""

    operation: str
    lines: int
    complexity: int
    untyped: int


class LayerCode(Part):
    """`findings` are errors of mypy --strict, None where it is not installed; `untyped` counts `Any`, `cast`
    and `type: ignore`. Dependencies and their size are those that the layer adds to what all services
    need."""

    backend: str
    files: int
    lines: int
    complexity: int
    findings: int | None
    untyped: int
    dependencies: list[str]
    install_bytes: int
    operations: list[OperationCode]


class Change(Part):
    """What one change request costs in a layer: lines and files of the patch that is kept for it, tests left
    out, and the steps that somebody who makes it takes."""

    request: str
    title: str
    backend: str
    added: int
    removed: int
    files: list[str]
    steps: list[str]


class Candidate(Part):
    """A library under a layer. Dates are ISO; `maintained` says whether it gets releases on the day of the
    run, `note` what whoever chooses it should know."""

    backend: str
    distribution: str
    version: str
    released: str | None
    age_days: int | None
    status: Literal["stable", "beta", "alpha", "unknown"]
    end_of_life: str | None
    maintained: bool
    note: str
    source: str
