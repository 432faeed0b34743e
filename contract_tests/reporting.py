"""The pytest plugin that fills a `Run`, in the workers and in the process that started them."""

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import conformance
import pytest
from conformance import Planned, Run
from targets import Target


class Reporting:
    """Tells at the end what was proved; an empty run fails, and a full one with too few refusals too."""

    def __init__(self, config: pytest.Config, run: Run, folder: Path, given: Set[str]) -> None:
        """`given` are the backends that are known by a URL alone."""
        self._config = config
        self._run = run
        self._folder = folder
        self._given = given
        self._verdicts: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            if self._folder in item.path.parents:
                target = target_of(item)
                self._run.planned[item.nodeid] = Planned(clauses_of(item), target.name if target else None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._run.record(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Takes over what a worker knows; one that crashed tells nothing, and its tests count as not run."""
        told = getattr(node, "workeroutput", {}).get("contract")
        if told is not None:
            self._run.take(told)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self._config.option.collectonly:
            return
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput["contract"] = self._run.told()
            return
        outcome = self._run.conformance()
        conformance.write(outcome, self._config.rootpath / self._config.getoption("--conformance"))
        if self._run.is_empty():
            self._verdicts.append("No test of the contract ran.")
        elif conformance.is_full(outcome) and self._run.refusals() < conformance.REFUSALS_SHARE:
            self._verdicts.append("Less than a third of the requests expect anything but 2xx.")
        if self._verdicts and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._config.option.collectonly or not self._run.planned:
            return
        outcome = self._run.conformance()
        terminalreporter.section("contract")
        for line in [*conformance.table(outcome), "", *_requests(outcome["requests"])]:
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"{self._run.refusals():.0%} of all answers are not 2xx.")
        for seed in _seeds(terminalreporter):
            terminalreporter.write_line(f"random sequences: --hypothesis-seed={seed} sends them again.")
        for line in self._not_run():
            terminalreporter.write_line(f"not run: {line}", yellow=True)
        for verdict in self._verdicts:
            terminalreporter.write_line(verdict, red=True)

    def _not_run(self) -> list[str]:
        """Each test that is missing; those that a URL leaves out in one line."""
        left_out = [test for test in self._run.not_run() if self._is_left_out(test)]
        others = [test for test in self._run.not_run() if not self._is_left_out(test)]
        if not left_out:
            return others
        reason = "tests that start, stop or configure processes, which those behind a URL leave to you"
        return [*others, f"{len(left_out)} {reason}"]

    def _is_left_out(self, test: str) -> bool:
        """Whether a test was skipped as it is about a process of our own."""
        backends = (
            [self._run.planned[test].backend] if self._run.planned[test].backend else self._run.backends
        )
        return test in self._run.outcomes and self._given >= set(backends)


def clauses_of(item: pytest.Item) -> tuple[str, ...]:
    """The clauses that a test is marked with, each once."""
    ids = (clause for marker in item.iter_markers("clause") for clause in marker.args)
    return tuple(dict.fromkeys(ids))


def target_of(item: pytest.Item) -> Target | None:
    """The backend that a test is parametrised for; None if it speaks for all."""
    found = (
        item.callspec.params.get("target")
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else None
    )
    return found if isinstance(found, Target) else None


def _seeds(terminalreporter: pytest.TerminalReporter) -> list[object]:
    """Those that the random tests noted, whether they passed or failed."""
    ran = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    return [value for report in ran for name, value in report.user_properties if name == "seed"]


def _requests(requests: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"{name}: {sum(counted.values())} requests, "
        + ", ".join(f"{count} × {status}" for status, count in counted.items())
        for name, counted in requests.items()
    ]
