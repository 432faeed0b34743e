"""One service under valgrind, and how many instructions it executes while it answers.

Callgrind counts what the process executes in user mode, and nothing else: neither the machine's speed nor its
other work is in the figure.
"""

import asyncio
import re
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx2

from assay.measure.connection import Asked, LoadError, Source, read_head
from assay.measure.counted_service import RESTING
from assay.stand import Databases, StandError
from assay.stand.ports import HOST, on_free_port
from assay.stand.process import Child, Ending
from shared.registry import Service

_READY_SECONDS = 300.0
_AT_ONCE = Ending(signal.SIGKILL, 5.0)
"""It has nothing to lose, and no tick to hear of another signal by."""
_COMMAND_SECONDS = 120
_PATIENT = dict.fromkeys(("REQUEST_TIMEOUT", "DB_TIMEOUT", "POOL_TIMEOUT"), "600")
# what depends on chance or on the kernel's version is the same in every run
_REPEATABLE = {"PYTHONHASHSEED": "0", "UV_USE_IO_URING": "0", "DASHBOARD_TTL": "0"}
_SUMMARY = re.compile(r"^summary: (\d+)$", re.MULTILINE)


def require_valgrind() -> None:
    """StandError where it is not installed."""
    if shutil.which("valgrind") is None or shutil.which("vgdb") is None:
        raise StandError("valgrind is missing: install the package valgrind (apt-get, dnf, pacman).")


class CountedService:
    """A service that answers, one request at a time over one connection."""

    def __init__(self, child: Child, port: int, counts: Path) -> None:
        self._child = child
        self._port = port
        self._counts = counts
        self._dumps = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def host(self) -> str:
        return f"{HOST}:{self._port}"

    async def begin(self) -> None:
        """Start-up, which is far longer than all requests, runs uncounted and faster."""
        await self._tell("instrumentation", "on")

    async def count(self, source: Source, requests: int) -> int:
        """Instructions from before the first of the requests to after the last answer."""
        await self._tell("zero")
        await self.send(source, requests)
        await self._tell("dump")
        self._dumps += 1
        dump = self._counts.with_name(f"{self._counts.name}.{self._dumps}")
        summary = _SUMMARY.search(dump.read_text())
        dump.unlink()
        if summary is None:
            raise StandError(f"callgrind counted nothing for {self._child.name}.")
        return int(summary[1])

    async def send(self, source: Source, requests: int) -> None:
        """StandError where an answer is not a success."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._streams
        for _ in range(requests):
            request = source()
            wire = request.wire if isinstance(request, Asked) else request
            writer.write(wire)
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            try:
                status, length = read_head(head)
            except LoadError as error:
                raise StandError(f"{self._child.name}: {error}.") from error
            body = await reader.readexactly(length)
            if status >= 400:
                asked = wire.partition(b" HTTP")[0].decode()
                raise StandError(f"{self._child.name} answers {status} to {asked}.")
            if isinstance(request, Asked):
                request.on_answer(status, head, body)

    async def stop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        await self._child.stop()

    async def _tell(self, *command: str) -> None:
        options = [f"--pid={self._child.pid}", f"--vgdb-prefix={_prefix(self._counts)}"]
        vgdb = await asyncio.create_subprocess_exec(
            "vgdb",
            *options,
            f"--wait={_COMMAND_SECONDS}",
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await vgdb.communicate()
        if vgdb.returncode:
            last = said.decode(errors="replace").strip().rpartition("\n")[2]
            raise StandError(f"valgrind did not take {command[0]!r} for {self._child.name}: {last}.")


async def start_counted(
    databases: Databases, service: Service, name: str, environment: Mapping[str, str]
) -> CountedService:
    """On a database that is migrated; `name` is that of its log and counts in the run's folder."""
    counts = databases.folder.path / f"{name}.callgrind"
    command = [
        "valgrind",
        "--tool=callgrind",
        "--instr-atstart=no",
        "--fair-sched=yes",
        f"--callgrind-out-file={counts}",
        f"--vgdb-prefix={_prefix(counts)}",
        *(sys.executable, "-m", "assay.measure.counted_service", service.name, "serve", "--host", HOST),
    ]
    variables = {**environment, **RESTING, **_PATIENT, **_REPEATABLE}

    async def start(port: int) -> CountedService:
        child = databases.folder.spawn(name, [*command, "--port", str(port)], variables, ending=_AT_ONCE)
        async with httpx2.AsyncClient(
            base_url=f"http://{HOST}:{port}", timeout=60, trust_env=False
        ) as client:

            async def is_ready() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx2.TransportError:
                    return False

            await child.ready(port, is_ready, _READY_SECONDS)
        return CountedService(child, port, counts)

    return await on_free_port(start)


def _prefix(counts: Path) -> Path:
    return counts.with_suffix(".vgdb")
