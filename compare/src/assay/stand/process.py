"""One started process: watched, stopped and killed with everything that it started itself."""

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from assay.stand.errors import PortTakenError, StandError
from assay.stand.ports import accepts

_POLL_SECONDS = 0.02
_KILL_SECONDS = 5.0
_TAIL_BYTES = 16_384


@dataclass(frozen=True)
class Ending:
    """How a process is stopped: a signal, and the seconds that it and its descendants get before SIGKILL."""

    signal: int
    grace: float


POLITE = Ending(signal.SIGTERM, 1.5)


class Child:
    """A process started by this one; its own words begin at byte `log_start` of the log."""

    def __init__(
        self, name: str, popen: subprocess.Popen[bytes], log: Path, log_start: int, ending: Ending
    ) -> None:
        self.name = name
        self.log = log
        self._log_start = log_start
        self.ending = ending
        self._popen = popen
        self._process = psutil.Process(popen.pid)
        self.started: float = self._process.create_time()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    async def stop(self) -> None:
        await self._end(self.ending)

    async def kill(self, grace: float) -> None:
        """kill -9; its descendants get `grace` seconds to notice by themselves."""
        await self._end(Ending(signal.SIGKILL, grace))

    async def succeed(self, within: float) -> None:
        """Wait for exit code 0; raises StandError with its last words otherwise."""
        if not await _all_gone([self._process], within):
            raise StandError(f"{self.name} has not ended after {within:g} s: {self._last_words()}")
        if self._popen.wait() != 0:
            raise self._failure()

    async def ready(self, port: int, probe: Callable[[], Awaitable[bool]], within: float) -> None:
        """Wait until it listens itself, not a stranger on its port, and the probe says yes.

        Raises StandError when it ends first, or after `within` seconds.
        """
        listens = False
        try:
            async with asyncio.timeout(within):
                while not (listens and await probe()):
                    if not self.alive:
                        raise self._failure()
                    await asyncio.sleep(_POLL_SECONDS)
                    # The port is cheap to try; whose it is takes reading every socket of the machine.
                    listens = listens or (await accepts(port) and self._listens(port))
        except TimeoutError:
            raise StandError(f"{self.name} was not ready after {within:g} s: {self._last_words()}") from None

    def _listens(self, port: int) -> bool:
        try:
            sockets = self._process.net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets)

    async def _end(self, ending: Ending) -> None:
        if self.alive:
            await end_family(self._process, ending)
            self._popen.wait()

    def _failure(self) -> StandError:
        tail = self._tail()
        if "address already in use" in tail.lower():
            return PortTakenError(f"{self.name} did not start: its port is in use.")
        code = self._popen.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return StandError(f"{self.name} ended with {how}: {self._last_words()}")

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._tail().splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it wrote nothing."

    def _tail(self) -> str:
        with self.log.open("rb") as file:
            file.seek(max(self._log_start, self.log.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")


async def end_family(process: psutil.Process, ending: Ending) -> None:
    """Stop a process and whatever it started.

    Safe against reused process ids: psutil compares start times before it sends anything.
    """
    family = _family(process)
    _send(process, ending.signal)
    if await _all_gone(family, ending.grace):
        return
    for member in family:
        _send(member, signal.SIGKILL)
    if not await _all_gone(family, _KILL_SECONDS):
        raise StandError(f"Process {process.pid} does not end, not even by SIGKILL.")


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


async def _all_gone(processes: list[psutil.Process], within: float) -> bool:
    deadline = asyncio.get_running_loop().time() + within
    while not all(_gone(process) for process in processes):
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


def _gone(process: psutil.Process) -> bool:
    """A zombie counts as gone, it only waits for its parent: but not while other threads of it still end."""
    try:
        if not process.is_running():
            return True
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True
