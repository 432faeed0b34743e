"""The folder of one run: logs, temporary databases and the list of started processes.

A run holds a lock as long as it lives. A folder whose lock is free belongs to a run that was killed: the next
run stops the processes on its list and removes it. The lock file lies beside the folder, is made before and
removed after it: a folder is never without one, not even half removed.
"""

import asyncio
import fcntl
import json
import os
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from assay.stand.account import Account
from assay.stand.errors import StandError
from assay.stand.parallel import all_in_any_case
from assay.stand.process import POLITE, Child, Ending, end_family

_LOCK = "lock"
_LOCK_SUFFIX = ".lock"
_MANIFEST = "manifest.json"
# The kernel's boot time, from which start times are counted, may be corrected by a fraction of a second.
_START_TOLERANCE = 1.0


@dataclass(frozen=True)
class ProcessRecord:
    """Enough to recognise a process later without ever taking another one for it."""

    name: str
    pid: int
    started: float
    ending: Ending


class RunFolder:
    """The folder of the run that this process is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._children: list[Child] = []
        self._write_manifest()

    def spawn(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        ending: Ending = POLITE,
        account: Account | None = None,
    ) -> Child:
        """Start a process that writes to `name`.log, in a session of its own: Ctrl-C is not meant for it."""
        log = self.path / f"{name}.log"
        with log.open("ab") as output:
            log_start = output.tell()
            popen = self._popen(command, environment, output.fileno(), account)
        child = Child(name, popen, log, log_start, ending)
        self._children = [*(other for other in self._children if other.alive), child]
        self._write_manifest()
        return child

    async def stop_all(self) -> None:
        await all_in_any_case(child.stop() for child in self._children)

    def _popen(
        self, command: Sequence[str], environment: Mapping[str, str], output: int, account: Account | None
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.path,
                env=environment,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        except OSError as error:
            raise StandError(f"{command[0]} cannot be started: {error.strerror}.") from None

    def _write_manifest(self) -> None:
        children = [
            asdict(ProcessRecord(child.name, child.pid, child.started, child.ending))
            for child in self._children
        ]
        draft = self.path / f"{_MANIFEST}.new"
        draft.write_text(json.dumps({"owner": os.getpid(), "children": children}))
        draft.replace(self.path / _MANIFEST)


@asynccontextmanager
async def open_folder() -> AsyncIterator[RunFolder]:
    """A fresh folder, after cleaning up what killed runs left; all processes started in it end with it."""
    root = _root()
    path = root / f"run-{secrets.token_hex(8)}"
    async with AsyncExitStack() as stack:
        async with _locked(root / _LOCK):
            await _reclaim(root)
            await stack.enter_async_context(_locked(_lock_of(path)))
        path.mkdir()
        path.chmod(_folder_mode())
        folder = RunFolder(path)
        try:
            yield folder
        finally:
            await folder.stop_all()
            _remove(path)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other runs away from a folder of kept databases."""
    lock = _try_lock(folder / ".assay.lock")
    if lock is None:
        raise StandError(f"{folder} is in use by another run: end it, or choose another --data folder.")
    try:
        yield
    finally:
        os.close(lock)


def _root() -> Path:
    root = Path(tempfile.gettempdir()) / f"assay-{os.getuid()}"
    root.mkdir(exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StandError(
            f"{root} belongs to somebody else: remove it, or set TMPDIR to a folder of your own."
        )
    root.chmod(_folder_mode())
    return root


def _lock_of(run: Path) -> Path:
    return run.with_suffix(_LOCK_SUFFIX)


def _remove(run: Path) -> None:
    """By whoever holds its lock."""
    if run.exists():
        shutil.rmtree(run)
    _lock_of(run).unlink(missing_ok=True)


def _runs(root: Path) -> list[Path]:
    return [lock.with_suffix("") for lock in root.glob(f"run-*{_LOCK_SUFFIX}")]


def _folder_mode() -> int:
    """As root PostgreSQL runs under another account, which must be able to pass through."""
    return 0o711 if os.getuid() == 0 else 0o700


async def _reclaim(root: Path) -> None:
    for path in _runs(root):
        lock = _try_lock(_lock_of(path))
        if lock is None:
            continue
        try:
            await all_in_any_case(_end_orphan(record) for record in _recorded(path))
            _remove(path)
        finally:
            os.close(lock)


def _recorded(path: Path) -> list[ProcessRecord]:
    manifest = path / _MANIFEST
    if not manifest.exists():
        return []
    return [
        ProcessRecord(child["name"], child["pid"], child["started"], Ending(**child["ending"]))
        for child in json.loads(manifest.read_text())["children"]
    ]


async def _end_orphan(record: ProcessRecord) -> None:
    try:
        process = psutil.Process(record.pid)
    except psutil.NoSuchProcess:
        return
    if abs(process.create_time() - record.started) < _START_TOLERANCE:
        await end_family(process, record.ending)


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    while True:
        lock = _try_lock(path)
        if lock is not None:
            break
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        os.close(lock)


def _try_lock(path: Path) -> int | None:
    """An open file that holds the lock until it is closed or its process ends; None when another holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
