"""Who may use the console, how it starts and how it ends."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx2
import pytest
from console_processes import SECRET, console, exchanged, service
from pydantic import SecretStr, ValidationError

from assay.console.operations import OPERATIONS
from assay.console.settings import ConsoleSettings
from shared.http.access import make_token

REQUIREMENTS = Path(__file__).parents[2] / "docker/requirements/console.txt"
BACKEND = "--backend=one=http://127.0.0.1:9"


def _ended(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay.console", *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "hint"),
    [
        ([BACKEND, "--host", "0.0.0.0"], {}, "CONSOLE_PASSWORD"),
        ([], {}, "--backend NAME="),
        ([BACKEND, "--port", "0"], {}, "1 to 65535"),
        (["--backend=one"], {}, "NAME=http://host:port"),
        ([BACKEND, BACKEND], {}, "is the name of another one"),
        ([BACKEND, "--host", "0.0.0.0"], {"CONSOLE_PASSWORD": ""}, "without CONSOLE_PASSWORD"),
        ([BACKEND], {"AUTH_SECRET": "short"}, "AUTH_SECRET must have 32 bytes"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: list[str], environment: dict[str, str], hint: str
) -> None:
    ended = _ended(*arguments, **environment)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert hint in ended.stderr


def test_it_starts_with_no_more_than_its_image_installs() -> None:
    installed = set(re.findall(r"^([a-z0-9-]+)==", REQUIREMENTS.read_text(), re.MULTILINE))
    assert not {"numpy", "psutil", "testcontainers", "typer"} & installed
    # what else this environment has is hidden: some packages use others only where they find them
    hidden = [
        top
        for top, packages in packages_distributions().items()
        if top != "assay" and not {name.lower().replace("_", "-") for name in packages} & installed
    ]
    program = f"import sys; sys.modules.update(dict.fromkeys({hidden})); import assay.console.__main__"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_an_empty_password_is_none() -> None:
    with pytest.raises(ValidationError, match="must not be empty"):
        ConsoleSettings(console_password=SecretStr(""))


async def test_sigterm_tells_the_streams_and_ends_the_process_with_0() -> None:
    async with service() as one, console({"one": one.url}) as page:
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
            async with client.stream("GET", f"{page.url}/live") as live:
                lines = live.aiter_lines()
                assert await anext(lines) == "event: pulses"
                begun = time.monotonic()
                page.process.send_signal(signal.SIGTERM)
                assert "event: stopping" in [line async for line in lines]
        async with asyncio.timeout(10):
            assert await page.process.wait() == 0
    assert time.monotonic() - begun < 10


async def test_the_password_is_asked_for_everywhere_but_at_the_probe() -> None:
    given = {"CONSOLE_PASSWORD": "open sesame"}
    async with service() as one, console({"one": one.url}, "--host", "0.0.0.0", environment=given) as page:
        async with httpx2.AsyncClient(base_url=page.url, trust_env=False) as client:
            assert (await client.get("/livez")).status_code == 200
            for path in ("/", "/setting", "/page/console.js", "/shadow/things"):
                assert (await client.get(path)).status_code == 401
                assert (await client.get(path, auth=("any", "wrong"))).status_code == 401
            assert (await client.get("/", headers={"Authorization": "Basic %%%"})).status_code == 401
            assert (await client.get("/", auth=("any", "open sesame"))).status_code == 200


async def test_a_shadowed_client_may_show_the_token_of_the_services() -> None:
    given = {"CONSOLE_PASSWORD": "open sesame", "AUTH_SECRET": SECRET}
    async with service() as one, console({"one": one.url}, environment=given) as page:
        async with httpx2.AsyncClient(base_url=page.url, trust_env=False) as client:
            for secret, status in ((SECRET, 503), (SECRET[::-1], 401)):
                bearer = {"Authorization": f"Bearer {make_token(secret, 'ada', 'read', 60)}"}
                assert (await client.get("/shadow/things", headers=bearer)).status_code == status
                assert (await client.get("/setting", headers=bearer)).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({"Host": "elsewhere.example"}, 421),
        ({}, 204),
    ],
)
async def test_pages_of_other_origins_and_names_may_change_nothing(
    headers: dict[str, str], status: int
) -> None:
    async with console({"one": "http://127.0.0.1:9"}) as page:
        async with httpx2.AsyncClient(base_url=page.url, trust_env=False) as client:
            assert (await client.post("/rows", headers=headers)).status_code == status


async def test_the_page_loads_from_its_own_origin_alone() -> None:
    async with console({"one": "http://127.0.0.1:9"}) as page:
        async with httpx2.AsyncClient(base_url=page.url, trust_env=False) as client:
            answer = await client.get("/")
            assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert 'src="/' not in answer.text
            assert 'href="/' not in answer.text


def test_every_operation_of_the_contract_that_is_no_stream_is_offered() -> None:
    program = (
        "import json; from shared.registry import services; from importlib import import_module;"
        "from shared.http.description import describe;"
        "paths = describe(import_module(services()[0].module + '.app').app)['paths'];"
        "print(json.dumps([[m.upper(), p] for p, ms in paths.items() for m in ms]))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    described = {tuple(pair) for pair in json.loads(ran.stdout)}
    assert {(one.method, one.path) for one in OPERATIONS} == described - {("GET", "/events")}


async def test_a_handshake_that_cannot_be_read_is_refused() -> None:
    socket = b"Connection: Upgrade\r\nUpgrade: websocket\r\nCookie: a=" + b"a" * 9_000
    async with console({"one": "http://127.0.0.1:9"}) as running, asyncio.timeout(10):
        answer = await exchanged(running.url, b"GET / HTTP/1.1\r\n" + socket + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431")
