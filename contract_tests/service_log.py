"""What a service of the stand wrote during a test that failed, shown with the failure."""

from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
from reporting import target_of

_MOST_BYTES = 16_384


class ServiceLog:
    """logs: by backend, of those that the stand started."""

    def __init__(self, logs: Mapping[str, Path]) -> None:
        self._logs = logs
        self._written_before: dict[Path, int] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._written_before = {log: log.stat().st_size for log in self._logs_of(item).values()}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            for name, log in self._logs_of(item).items():
                if words := _tail(log, self._written_before.get(log, 0)):
                    report.sections.append((f"log of {name}", words))
        return report

    def _logs_of(self, item: pytest.Item) -> Mapping[str, Path]:
        """That of the test's backend; those of all where it speaks for all."""
        target = target_of(item)
        return {name: log for name, log in self._logs.items() if target is None or name == target.name}


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - _MOST_BYTES))
        return file.read().decode(errors="replace")
