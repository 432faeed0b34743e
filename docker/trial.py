"""`just deploy test`: a deployment of its own is brought up, tried, stopped, killed, restored, taken down."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import copies
import httpx2
import secret_files
from rich.console import Console
from rich.table import Table
from stack import DATABASES, HERE, Stack, docker

from assay.stand.ports import free_port

ROOT = HERE.parent

QUIET = {"DASHBOARD_TTL": "1"}
"""The suite waits for a dashboard to expire."""

STOP_SECONDS = 10.0
"""OPS-4."""
ANSWER_SECONDS = 5.0
"""OPS-5: with the database away."""
BACK_SECONDS = 1.0
"""OPS-5: from the database's first answer on."""

_AWAY_SECONDS = 12.0
"""Twice what a request may take, so that some begin and end meanwhile."""
_AWAY = {503, 504}


@dataclass
class Findings:
    """Each with the figure that was seen; `failed` counts those that were not as they should be."""

    rows: list[tuple[str, str, bool]] = field(default_factory=list)

    def note(self, what: str, seen: str, *, holds: bool) -> None:
        self.rows.append((what, seen, holds))
        sys.stderr.write(f"{'ok    ' if holds else 'FAILED'} {what}: {seen}\n")

    @property
    def failed(self) -> int:
        return sum(not holds for _, _, holds in self.rows)

    def table(self) -> Table:
        table = Table("what was tried", "seen", "")
        for what, seen, holds in self.rows:
            table.add_row(what, seen, "ok" if holds else "[red]failed[/]")
        return table


def run() -> int:
    """0 where everything held."""
    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="assay-deploy-") as scratch:
        folder = Path(scratch)
        stack = _own(folder)
        try:
            began = time.monotonic()
            stack.up()
            findings.note("everything is up and healthy", f"{time.monotonic() - began:.0f} s", holds=True)
            _sizes(stack, findings)
            _contract(stack, findings)
            asyncio.run(_drills(stack, findings))
            _copies(stack, findings, folder / "backup")
        finally:
            stack.down(purge=True)
        _left(stack, findings)
    Console().print(findings.table())
    return 1 if findings.failed else 0


def _own(folder: Path) -> Stack:
    """Its images too are its own: another deployment's stay what they are."""
    name = f"assay-test-{os.getpid()}"
    gateway = {"GATEWAY_ADDRESS": "127.0.0.1", "GATEWAY_PORT": str(free_port())}
    return Stack(name, folder / "secrets", {**QUIET, **gateway, "ASSAY_TAG": name})


def _sizes(stack: Stack, findings: Findings) -> None:
    for name in (*stack.services, "console"):
        # what an engine calls an image's size depends on how it stores it; layers are as large everywhere
        told = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}}", stack.image(name))
        size = sum(map(int, told.split())) / 1e6
        findings.note(f"the image of {name} is under 200 MB", f"{size:.0f} MB", holds=size < 200)


def _contract(stack: Stack, findings: Findings) -> None:
    """The whole suite, all four at once, from outside."""
    url = stack.url()
    urls = [option for name in stack.services for option in ("--api-url", f"{name}={url}/{name}")]
    token = secret_files.token(stack.secrets, "contract", "read write", 3 * 3600)
    outcome = stack.secrets.parent / "conformance.json"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "contract_tests", *urls, "--conformance", str(outcome), "-q"],
        cwd=ROOT,
        env={**os.environ, "CONTRACT_TOKEN": token},
        check=False,
    )
    seen = f"exit code {ran.returncode}"
    if outcome.exists():
        clauses = json.loads(outcome.read_text(encoding="utf-8"))["clauses"]
        counts = Counter(cell["outcome"] for clause in clauses for cell in clause["backends"].values())
        seen = ", ".join(f"{count} {result}" for result, count in counts.most_common())
    findings.note("the contract through the gateway", seen, holds=ran.returncode == 0)


async def _drills(stack: Stack, findings: Findings) -> None:
    token = secret_files.token(stack.secrets, "drill", "read write", 3600)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(
        base_url=stack.url(), headers=headers, timeout=30, trust_env=False
    ) as client:
        for name in stack.services:
            await _stop(stack, findings, client, name)
        for database in dict.fromkeys(DATABASES.values()):
            await _kill(stack, findings, client, database)


async def _stop(stack: Stack, findings: Findings, client: httpx2.AsyncClient, name: str) -> None:
    """With a reader on the stream of events, who would keep a careless server for ever."""
    container = stack.container(name)
    async with client.stream("GET", f"/{name}/events") as stream:
        began = time.monotonic()
        await asyncio.to_thread(docker, "stop", "--time", "30", container)
        took = time.monotonic() - began
        with suppress(httpx2.HTTPError):
            await stream.aread()
    code = docker("inspect", "--format", "{{.State.ExitCode}}", container)
    await asyncio.to_thread(stack.start, name)
    findings.note(
        f"docker stop of {name}, with an open stream",
        f"exit code {code} after {took:.1f} s",
        holds=code == "0" and took <= STOP_SECONDS,
    )


async def _kill(stack: Stack, findings: Findings, client: httpx2.AsyncClient, database: str) -> None:
    """Under load: what is answered while it is away, and how soon after it is back."""
    names = [name for name, own in DATABASES.items() if own == database]
    asking = [Asking(client, name) for name in names]
    container = stack.container(database)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.ask_on()) for one in asking]
        await asyncio.sleep(1)
        await asyncio.to_thread(docker, "kill", container)
        for one in asking:
            one.away = True
        await asyncio.sleep(_AWAY_SECONDS)
        for one in asking:
            one.away = False
        await asyncio.to_thread(docker, "start", container)
        # healthy as its own healthcheck says, which knows no earlier than the services do
        await asyncio.to_thread(stack.start, database)
        waits = await asyncio.gather(*(one.answered() for one in asking))
        for task in tasks:
            task.cancel()
    for one, wait in zip(asking, waits, strict=True):
        told = ", ".join(f"{count} × {status}" for status, count in sorted(one.statuses.items()))
        findings.note(
            f"docker kill of {database}: {one.name} meanwhile",
            f"{told}; slowest {one.slowest:.1f} s",
            holds=bool(one.statuses) and one.statuses.keys() <= _AWAY and one.slowest <= ANSWER_SECONDS,
        )
        findings.note(
            f"{database} is back: {one.name} answers by itself",
            f"after {wait:.1f} s",
            holds=wait <= BACK_SECONDS,
        )


class Asking:
    """Reads and writes of one service, one after the other. `statuses` and `slowest` are of requests that
    began and ended while its database was `away`."""

    def __init__(self, client: httpx2.AsyncClient, name: str) -> None:
        self.name = name
        self.away = False
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self._client = client
        self._sent = 0

    async def ask_on(self) -> None:
        while True:
            was_away, began = self.away, time.monotonic()
            status = await self._ask()
            if was_away and self.away:
                self.statuses[status] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(0.02)

    async def answered(self) -> float:
        """Seconds until a read and a write are answered again."""
        return await _until(self._both)

    async def _both(self) -> bool:
        return {await self._ask(), await self._ask()} == {200, 201}

    async def _ask(self) -> int:
        self._sent += 1
        if self._sent % 2:
            return (await self._client.get(f"/{self.name}/users?limit=1")).status_code
        user = {"email": f"drill{self._sent}.{time.time_ns()}@drill.example", "name": "Drill"}
        return (await self._client.post(f"/{self.name}/users", json=user)).status_code


async def _until(holds: Callable[[], Awaitable[bool]]) -> float:
    began = time.monotonic()
    while not await holds():
        if time.monotonic() - began > 60:
            break
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def _copies(stack: Stack, findings: Findings, folder: Path) -> None:
    """What was deleted after the backup is there again, and what was made after it is not."""
    token = secret_files.token(stack.secrets, "copies", "read write", 3600)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=stack.url(), headers=headers, timeout=30, trust_env=False) as client:
        kept = {name: _made(client, name) for name in stack.services}
        copies.backup(stack, folder)
        later = {name: _made(client, name) for name in stack.services}
        for paths in kept.values():
            client.delete(paths[0]).raise_for_status()
        for name in secret_files.POSTGRESQL:
            # as a later version would have left it
            table = (
                "psql",
                "-U",
                "postgres",
                "-d",
                name,
                "-c",
                "CREATE TABLE later (id uuid REFERENCES users)",
            )
            stack.quiet("exec", "-T", "postgresql", *table)
        copies.restore(stack, folder)
        for name in stack.services:
            found = [client.get(path).status_code for path in (*kept[name], *later[name])]
            size = sum(file.stat().st_size for file in folder.glob(f"{name}*"))
            findings.note(
                f"{name} is restored from its backup, its attachments too",
                f"deleted {found[:2]}, made later {found[2:]}; {size / 1e6:.1f} MB",
                holds=found == [200, 200, 404, 404],
            )


def _made(client: httpx2.Client, name: str) -> list[str]:
    """A document with an attachment: where to ask for them."""
    user = {"email": f"kept.{time.time_ns()}@drill.example", "name": "Kept"}
    owner = client.post(f"/{name}/users", json=user).raise_for_status().json()
    titled = {"owner_id": owner["id"], "title": "Kept", "content": {}, "tags": []}
    document = client.post(f"/{name}/documents", json=titled).raise_for_status().json()
    place = f"/{name}/documents/{document['id']}"
    files = {"file": ("kept.txt", b"kept", "text/plain")}
    attachment = client.post(f"{place}/attachments", files=files).raise_for_status().json()
    return [place, f"/{name}/attachments/{attachment['id']}"]


def _left(stack: Stack, findings: Findings) -> None:
    own = f"label=com.docker.compose.project={stack.project}"
    left = [
        *docker("ps", "--all", "--quiet", "--filter", own).split(),
        *docker("network", "ls", "--quiet", "--filter", own).split(),
        *docker("volume", "ls", "--quiet", "--filter", own).split(),
    ]
    findings.note("nothing is left", f"{len(left)} containers, networks and volumes", holds=not left)
