"""What processes used, from the operating system's own accounting."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

PROCESS_CLOCK = 2
"""CPUCLOCK_SCHED in Linux's posix-timers: the scheduler's clock of a whole process, all its threads."""

Key = tuple[int, float]
"""Process id and start: an id alone may be used again."""


class AccountingError(Exception):
    """The process to account for is not there."""


@dataclass(frozen=True, slots=True)
class _Member:
    key: Key
    reaped_ns: int


class CpuMeter:
    """CPU time (user and system) of a process, its living descendants, and those that came and went.

    On Linux the living are read from their process clocks, which count nanoseconds and include threads that
    have ended (`clock_getcpuclockid(3)`); children that ended count with the last reading of their clock or,
    where that is more, with what the kernel added to their parent when it reaped them (`cutime`, `cstime` of
    proc_pid_stat(5), in ticks of 10 ms). So a stable set of processes is exact to well under a microsecond,
    and a child that came and went unseen is missed by at most one tick. Elsewhere psutil's counters are
    used; macOS gives microseconds, Windows about 16 ms.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._last: dict[Key, int] = {}
        self._ended_ns = 0
        self._reaped_before_ns = sum(member.reaped_ns for member in self._members())
        self.cpu_ns()

    def cpu_ns(self) -> int:
        """Nanoseconds so far; never less than the reading before. Only differences mean something."""
        members = list(self._members())  # all reaped times before any clock: a child ending now counts once
        clocks = {member.key: used for member in members if (used := _clock_ns(member.key)) is not None}
        ended_ns = sum(used for key, used in self._last.items() if key not in clocks)
        reaped_ns = sum(member.reaped_ns for member in members) - self._reaped_before_ns
        self._ended_ns = max(self._ended_ns + ended_ns, reaped_ns)
        self._last = clocks
        return self._ended_ns + sum(clocks.values())

    def _members(self) -> Iterator[_Member]:
        """The process and its descendants, parents first."""
        root = _member(self._pid)
        if root is None:
            raise AccountingError(f"process {self._pid} has ended: nothing to account for")
        queue = [root]
        for member in queue:
            yield member
            queue += [child for pid in _children(member.key[0]) if (child := _member(pid)) is not None]


if sys.platform == "linux":
    _TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def _member(pid: int) -> _Member | None:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # from field 3 on: the name before it may hold anything
        return _Member((pid, float(fields[19])), (int(fields[13]) + int(fields[14])) * _TICK_NS)

    def _children(pid: int) -> list[int]:
        found: list[int] = []
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                text = Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii")
                found += map(int, text.split())
        except (FileNotFoundError, ProcessLookupError):
            return found
        return found

    def _clock_ns(key: Key) -> int | None:
        try:
            return time.clock_gettime_ns((~key[0] << 3) | PROCESS_CLOCK)
        except OSError:
            return None

else:

    def _member(pid: int) -> _Member | None:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            started = process.create_time()
        except psutil.NoSuchProcess:
            return None
        return _Member((pid, started), int((times.children_user + times.children_system) * 1e9))

    def _children(pid: int) -> list[int]:
        try:
            return [child.pid for child in psutil.Process(pid).children()]
        except psutil.NoSuchProcess:
            return []

    def _clock_ns(key: Key) -> int | None:
        try:
            times = psutil.Process(key[0]).cpu_times()
        except psutil.NoSuchProcess:
            return None
        return int((times.user + times.system) * 1e9)
