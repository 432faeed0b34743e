"""However a run ends, nothing stays: no process, no port, no folder."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from assay.stand import Stand, StandError, StandOptions, open_stand, ports
from assay.stand.folder import open_folder
from assay.stand.process import POLITE

SERVER = """
import argparse, os, uvicorn
arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int)
if os.environ.get("FAIL"):
    raise SystemExit(os.environ["FAIL"])
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": os.environ["WORD"].encode()})
uvicorn.run(app, port=arguments.parse_args().port, lifespan="off")
"""

OWNER = """
import asyncio, json, sys
from assay.stand import StandOptions, StoppedError, open_databases, run_until_stopped
async def main():
    async with open_databases(["postgresql", "mongodb"], StandOptions()) as databases:
        pids = [database.pid for database in databases]
        print(json.dumps({"pids": pids, "folder": str(databases.folder.path)}), flush=True)
        await asyncio.sleep(60)
try:
    asyncio.run(run_until_stopped(main()))
except StoppedError as stopped:
    print(stopped)
    sys.exit(7)
"""


@dataclass
class Owner:
    """Another process that holds two databases."""

    process: asyncio.subprocess.Process
    folder: Path
    servers: list[psutil.Process]
    children: list[psutil.Process]

    def serving(self) -> bool:
        """Of the servers themselves: PostgreSQL ends a child of its own accord when its work is done."""
        return all(_is_left(server) for server in self.servers)

    def left(self) -> list[psutil.Process]:
        return [one for one in (*self.servers, *self.children) if _is_left(one)]


def _is_left(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder for this test alone, open to PostgreSQL's account, where runs put theirs."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder) / f"assay-{os.getuid()}"


@asynccontextmanager
async def started_owner() -> AsyncIterator[Owner]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, stdout=asyncio.subprocess.PIPE, env=own_environment()
    )
    assert process.stdout is not None
    try:
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        servers = [psutil.Process(pid) for pid in told["pids"]]
        children = [child for server in servers for child in server.children(recursive=True)]
        yield Owner(process, Path(told["folder"]), servers, children)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def own_environment() -> dict[str, str]:
    urls = ("DATABASE_URL", "MONGODB_URL", "MONGO_URL")
    return {name: value for name, value in os.environ.items() if name not in urls}


def server_command() -> list[str]:
    return [sys.executable, "-c", SERVER]


async def test_a_signal_leaves_nothing(root: Path) -> None:
    await asyncio.gather(*(_ended_by(number) for number in (signal.SIGINT, signal.SIGTERM)))
    assert [path.name for path in root.iterdir()] == ["lock"]


async def _ended_by(number: signal.Signals) -> None:
    async with started_owner() as owner:
        owner.process.send_signal(number)
        output, _ = await asyncio.wait_for(owner.process.communicate(), 10)
        assert owner.process.returncode == 7
        assert number.name in output.decode()
        assert owner.left() == []
        assert not owner.folder.exists()


async def test_the_next_run_cleans_up_after_a_killed_one(root: Path) -> None:
    async with AsyncExitStack() as stack:
        owners = [stack.enter_async_context(started_owner()) for _ in range(2)]
        killed, living = await asyncio.gather(*owners)
        killed.process.kill()
        await killed.process.wait()
        assert killed.serving()
        async with open_folder() as folder:
            assert killed.left() == []
            assert not killed.folder.exists()
            assert living.serving()
            assert {path for path in root.iterdir() if path.is_dir()} == {living.folder, folder.path}


async def test_runs_that_come_and_go_leave_each_other_alone(root: Path) -> None:
    async def come_and_go() -> None:
        for _ in range(12):
            async with open_folder() as folder:
                for number in range(150):
                    (folder.path / str(number)).touch()

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, come_and_go()) for _ in range(4)))
    assert [path.name for path in root.iterdir()] == ["lock"]


async def test_a_reused_process_id_is_never_hit(root: Path) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        stale = root / "run-stale"
        stale.mkdir(parents=True)
        stale.with_suffix(".lock").touch()
        record: dict[str, Any] = {"name": "postgresql", "pid": bystander.pid, "started": 1.0}
        record["ending"] = {"signal": int(signal.SIGKILL), "grace": 0.0}
        (stale / "manifest.json").write_text(json.dumps({"owner": 1, "children": [record]}))
        async with open_folder():
            assert not stale.exists()
        assert bystander.returncode is None
        assert psutil.Process(bystander.pid).status() != psutil.STATUS_ZOMBIE
    finally:
        bystander.kill()
        await bystander.wait()


async def test_an_exception_leaves_nothing(root: Path) -> None:
    stands: list[Stand] = []

    async def fail() -> None:
        async with open_stand([], StandOptions()) as stand:
            stands.append(stand)
            await stand.start_process("one", server_command(), {"WORD": "one"})
            await stand.start_process("two", server_command(), {"WORD": "two"})
            assert await words(stand) == {"one", "two"}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not stands[0].folder.exists()
    for running in stands[0].services.values():
        assert not running.alive
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(ports.HOST, int(running.url.rpartition(":")[2]))


async def words(stand: Stand) -> set[str]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return {(await client.get(running.url)).text for running in stand.services.values()}


async def test_a_process_that_ends_at_once_is_told_by_its_last_words(root: Path) -> None:
    async with open_stand([], StandOptions()) as stand:
        with pytest.raises(StandError, match=r"^broken ended with exit code 1: no such table$"):
            await stand.start_process("broken", server_command(), {"FAIL": "no such table"})


async def test_a_stubborn_process_is_killed_with_its_children(root: Path) -> None:
    script = "trap '' TERM; sleep 60 & echo ready; wait; wait"
    async with open_folder() as folder:
        child = folder.spawn("stubborn", ["bash", "-c", script], os.environ, ending=POLITE)
        async with asyncio.timeout(10):
            while not child.log.read_text():
                await asyncio.sleep(0.02)
        family = psutil.Process(child.pid).children()
        await child.stop()
        assert not child.alive
        assert len(family) == 1
        assert not family[0].is_running() or family[0].status() == psutil.STATUS_ZOMBIE
