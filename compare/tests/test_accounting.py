"""Accounting of real processes: threads, children that live, children that came and went."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from assay.measure.accounting import AccountingError, CpuMeter

pytestmark = pytest.mark.measures

BURN = "import time\ndef burn(s):\n while time.process_time() < s: pass\n"
STEPS = """
import subprocess, sys, threading
source = sys.argv[1]
exec(source)
for line in sys.stdin:
    step = line.strip()
    until = time.process_time() + 0.2
    if step == "self":
        burn(until)
    elif step == "thread":
        thread = threading.Thread(target=burn, args=(until,))
        thread.start()
        thread.join()
    elif step == "gone":
        subprocess.run([sys.executable, "-c", source + "burn(0.2)"], check=True)
    elif step == "child":
        command = [sys.executable, "-c", source + "burn(0.2); print(1, flush=True); input()"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
    elif step == "end":
        child.communicate(b"\\n")
    print("done", flush=True)
"""


@contextmanager
def worker() -> Iterator[tuple[int, Callable[[str], None]]]:
    """A process that takes steps: its pid, and the order to take one."""
    command = [sys.executable, "-c", STEPS, BURN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        orders, answers = process.stdin, process.stdout

        def take(step: str) -> None:
            orders.write(step + "\n")
            orders.flush()
            assert answers.readline() == "done\n"

        yield process.pid, take


def used_ms(meter: CpuMeter, take: Callable[[str], None], step: str) -> float:
    before = meter.cpu_ns()
    take(step)
    return (meter.cpu_ns() - before) / 1e6


@pytest.mark.parametrize("step", ["self", "thread", "gone", "child"])
def test_cpu_of_threads_and_children_is_counted(step: str) -> None:
    with worker() as (pid, take):
        meter = CpuMeter(pid)
        assert (
            used_ms(meter, take, step) >= 185
        )  # 200 burnt; a child that came and went is known to a tick or two
        if step == "child":
            take("end")


def test_the_count_never_falls_and_counts_no_child_twice() -> None:
    with worker() as (pid, take):
        meter = CpuMeter(pid)
        alive = used_ms(meter, take, "child")
        ended = used_ms(meter, take, "end")
        assert 0 <= ended < alive
        idle = meter.cpu_ns()
        assert 0 <= meter.cpu_ns() - idle < 20_000_000


def test_the_own_process_agrees_with_its_own_clock() -> None:
    meter = CpuMeter(os.getpid())
    before, own = meter.cpu_ns(), time.process_time_ns()
    while time.process_time_ns() < own + 50_000_000:
        pass
    assert meter.cpu_ns() - before >= 50_000_000


def test_a_process_that_ended_is_one_clear_line() -> None:
    with worker() as (pid, take):
        take("none")
        meter = CpuMeter(pid)
    with pytest.raises(AccountingError, match=f"process {pid} has ended"):
        meter.cpu_ns()
