"""What the command shows while it works: the step, how long it has taken, and how long it may still take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from assay.stand import StepState


class Steps:
    """Steps on standard error; a step without a known length shows its time alone. Where nobody watches (a
    pipe, a log), each step is a line when it ends."""

    def __init__(self, console: Console) -> None:
        self._shown = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            refresh_per_second=2,
            disable=not console.is_terminal,
        )
        self._console = console
        self._began = time.monotonic()
        self._open: dict[str, TaskID] = {}

    def __enter__(self) -> "Steps":
        self._shown.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._shown.stop()

    def __call__(self, step: str, state: StepState) -> None:
        """The stand's progress: each of its steps is a line."""
        if state == "started":
            self._open[step] = self._shown.add_task(step, total=None)
        else:
            self._finish(self._open.pop(step), step if state == "done" else f"{step}: failed")

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator["Advance"]:
        task = self._shown.add_task(name, total=total)
        try:
            yield Advance(self._shown, task)
        except BaseException:
            self._finish(task, f"{name}: stopped")
            raise
        self._finish(task, name)

    def _finish(self, task: TaskID, description: str) -> None:
        self._shown.update(task, description=description, total=1, completed=1)
        if not self._console.is_terminal:
            seconds = time.monotonic() - self._began
            self._console.print(f"{seconds:6.1f} s  {description}", markup=False, highlight=False)


class Advance:
    """Tells the progress of one step."""

    def __init__(self, shown: Progress, task: TaskID) -> None:
        self._shown = shown
        self._task = task

    def __call__(self) -> None:
        self._shown.update(self._task, advance=1)

    def to(self, doing: str, completed: float) -> None:
        """`completed` of the step's total, and what it is about now."""
        self._shown.update(self._task, description=doing, completed=completed)
