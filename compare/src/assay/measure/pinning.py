"""Keeps what is measured and what measures on different cores."""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil


def pin(services: Iterable[int], others: Iterable[int]) -> str | None:
    """Gives the services the last core and everything else (databases, generator) the rest; only one service
    is under load at a time. Process ids in, what was done out; None where there is one core or no Linux."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None
    for pid in services:
        _bind(pid, {cores[-1]})
    for pid in (*others, os.getpid()):
        _bind(pid, set(cores[:-1]))
    return f"services on core {cores[-1]}, databases and load generator on {cores[:-1]}"


def _bind(pid: int, cores: set[int]) -> None:
    """All threads of a process and of its children; those started later inherit."""
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)
