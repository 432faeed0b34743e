"""Locust sends what the comparison sends: docker/load, against a service that wants tokens."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from assay.stand import StandOptions, open_stand
from assay.stand.ports import free_port
from shared.http.access import make_token
from shared.registry import services

LOAD = Path(__file__).parents[2] / "docker" / "load"
WORKLOAD = """
name = "small"
title = "A small store, of which all is asked"
[rows]
users = 1_000
documents = 1_000
[keys]
skew = "latest"
[load]
connections = 2
[[operation]]
kind = "documents.get"
weight = 4
[[operation]]
kind = "documents.patch"
weight = 2
[[operation]]
kind = "read-modify-write"
weight = 2
[[operation]]
kind = "documents.create"
weight = 1
[[operation]]
kind = "documents.scan"
weight = 1
"""


@dataclass(frozen=True)
class Seeded:
    """A service that holds the rows of a workload, and what its programs read from the environment."""

    url: str
    workload: Path
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


async def run(environment: Mapping[str, str], *command: str | Path) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture(scope="module")
async def seeded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seeded]:
    workload = tmp_path_factory.mktemp("load") / "small.toml"
    workload.write_text(WORKLOAD)
    secret = secrets.token_hex(32)
    (service,) = services("asyncpg")
    async with open_stand([service], StandOptions(durable=False)) as stand:
        guarded = await stand.start_service(service, name="guarded", environment={"AUTH_SECRET": secret})
        token = make_token(secret, "locust", "read write", 600)
        environment = {"LOAD_TOKEN": token, "LOAD_WORKLOAD": str(workload)}
        ended = await run(environment, LOAD / "seed.py", guarded.url, workload)
        assert ended.code == 0, ended.err
        yield Seeded(guarded.url, workload, environment)


async def locust(seeded: Seeded, *options: str) -> tuple[Ended, Mapping[str, Any]]:
    """How it ended, and its figures by method and path."""
    ended = await run(
        seeded.environment,
        *("-m", "locust", "-f", LOAD / "locustfile.py", "--headless", "--host", seeded.url),
        *("--only-summary", "--json", "--users", "4", "--spawn-rate", "4", "--run-time", "2s"),
        *options,
    )
    # workers print a list as well, an empty one
    return ended, {
        f"{one['method']} {one['name']}": one for one in json.loads(ended.out.replace("[]\n", "") or "[]")
    }


@pytest.mark.parametrize("workers", [0, 2], ids=["alone", "a master and two workers"])
async def test_every_kind_of_request_is_sent_and_none_fails(seeded: Seeded, workers: int) -> None:
    port = str(free_port())
    spread = ("--processes", str(workers), "--master-bind-port", port, "--master-port", port)
    ended, figures = await locust(seeded, *(spread if workers else ()))
    assert ended.code == 0, ended.err
    assert figures.keys() == {
        "GET /documents/{id}",
        "PATCH /documents/{id}",
        "POST /documents",
        "GET /documents",
    }
    assert all(one["num_requests"] > 0 for one in figures.values())
    assert sum(one["num_failures"] for one in figures.values()) == 0


async def test_what_an_earlier_load_changed_is_changed_on(seeded: Seeded) -> None:
    for _ in range(2):
        _, figures = await locust(seeded)
        assert figures["PATCH /documents/{id}"]["num_requests"] > 0
        assert figures["PATCH /documents/{id}"]["num_failures"] == 0


async def test_rows_are_stored_once(seeded: Seeded) -> None:
    ended = await run(seeded.environment, LOAD / "seed.py", seeded.url, seeded.workload)
    assert ended.code == 0
    assert ended.out == f"{seeded.url} holds the rows of a workload already.\n"


async def test_a_load_without_a_token_is_told_so_in_one_line(seeded: Seeded) -> None:
    ended = await run({}, LOAD / "seed.py", seeded.url, seeded.workload)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "answered 401" in ended.err


async def test_an_address_where_nobody_answers_is_refused_in_one_line(tmp_path: Path) -> None:
    workload = tmp_path / "small.toml"
    workload.write_text(WORKLOAD)
    url = f"http://127.0.0.1:{free_port()}"
    ended = await run({}, LOAD / "seed.py", url, workload)
    assert ended.code == 2
    assert ended.err.startswith(f"{url}: nothing answers there")
    assert len(ended.err.splitlines()) == 1


async def test_a_service_without_the_rows_is_not_loaded(seeded: Seeded) -> None:
    (service,) = services("asyncpg")
    async with open_stand([service], StandOptions(durable=False)) as stand:
        url = stand.services[service.name].url
        ended, figures = await locust(replace(seeded, url=url), "--skip-log")
    assert ended.code == 2
    assert f"{url} holds 0 users and 0 documents of a workload" in ended.err
    assert figures == {}


async def test_a_workload_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    ended = await run(
        {"LOAD_WORKLOAD": str(file)}, "-m", "locust", "-f", LOAD / "locustfile.py", "--headless"
    )
    assert ended.code == 2
    assert ended.err == f"{file}: cannot be read: No such file or directory.\n"
