"""What a layer asks of its people: code, change requests, the health of the libraries below it."""

from dataclasses import dataclass
from datetime import date

from assay.report.care import Candidate, Change, LayerCode, OperationCode
from assay.report.views import NOT_MEASURED, View


@dataclass(frozen=True)
class OperationRow:
    """What answers an operation, by backend in the order of `Upkeep.backends`; None where it has none."""

    operation: str
    cells: list[OperationCode | None]


@dataclass(frozen=True)
class ChangeRow:
    title: str
    request: str
    cells: list[Change | None]


@dataclass(frozen=True)
class CandidateRow:
    """`ended` says whether the end of its life has passed on the day of the run."""

    candidate: Candidate
    hue: int
    ended: bool


class Upkeep:
    def __init__(self, view: View) -> None:
        results = view.results
        entered = [arm.backend for arm in view.services if arm.backend is not None]
        others = [*(one.backend for one in results.code), *(one.backend for one in results.changes)]
        self.backends = [(name, view.hue(name)) for name in dict.fromkeys([*entered, *others])]
        self.code = self._code(results.code)
        self.operations = self._operations(results.code)
        self.changes = self._changes(results.changes)
        today = results.started_at[: len("2026-01-01")]
        self.candidates = [
            CandidateRow(found, view.hue(found.backend), _has_passed(found.end_of_life, today))
            for found in results.candidates
        ]

    def _code(self, found: list[LayerCode]) -> list[tuple[str, int, LayerCode | None, str]]:
        known = {layer.backend: layer for layer in found}
        return [(name, hue, known.get(name), NOT_MEASURED) for name, hue in self.backends]

    def _operations(self, found: list[LayerCode]) -> list[OperationRow]:
        known = {
            (layer.backend, operation.operation): operation
            for layer in found
            for operation in layer.operations
        }
        names = dict.fromkeys(operation for _, operation in known)
        return [
            OperationRow(name, [known.get((backend, name)) for backend, _ in self.backends]) for name in names
        ]

    def _changes(self, found: list[Change]) -> list[ChangeRow]:
        known = {(change.backend, change.request): change for change in found}
        titles = {change.request: change.title for change in found}
        return [
            ChangeRow(title, request, [known.get((backend, request)) for backend, _ in self.backends])
            for request, title in titles.items()
        ]


def _has_passed(end: str | None, today: str) -> bool:
    """
    >>> _has_passed("2026-05-14", "2026-11-22"), _has_passed(None, "2026-11-22")
    (True, False)
    """
    return end is not None and date.fromisoformat(end) <= date.fromisoformat(today)
