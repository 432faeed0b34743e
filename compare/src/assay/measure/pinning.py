"""Keeps what is measured and what measures on different cores."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import psutil


def pin(services: Collection[int], databases: Collection[int]) -> str | None:
    """For CPU: gives the services the last core and everything else (databases, generator) the rest; only one
    service is under load at a time. Process ids in, what was done out; None where there is one core or no
    Linux."""
    cores = _cores([*services, *databases])
    if len(cores) < 2:
        return None
    _bind(services, {cores[-1]})
    _bind([*databases, os.getpid()], set(cores[:-1]))
    return f"services on core {cores[-1]}, databases and load generator on {cores[:-1]}"


def pin_for_latency(services: Collection[int], databases: Collection[int]) -> str | None:
    """For time: gives the generator the first core alone, since a request that it sends late seems slow.
    Otherwise as `pin`."""
    cores = _cores([*services, *databases])
    if len(cores) < 2:
        return None
    _bind([*services, *databases], set(cores[1:]))
    _bind([os.getpid()], {cores[0]})
    return f"load generator on core {cores[0]}, services and databases on {cores[1:]}"


def _cores(pids: Iterable[int]) -> list[int]:
    """All that these and this process may use, ascending."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(set().union(*(os.sched_getaffinity(pid) for pid in (*pids, os.getpid()))))


def _bind(pids: Iterable[int], cores: set[int]) -> None:
    """All threads of the processes and of their children; those started later inherit."""
    for pid in pids:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            for thread in Path(f"/proc/{process.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)
