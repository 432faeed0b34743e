"""A stand with its console, and a real Chromium that looks at it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from opened import Console
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

START_SECONDS = 120.0

NO_CHROMIUM = "no Chromium here: install it by `apt-get install chromium`, or put `chromium` on the PATH"

expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    urls = tmp_path_factory.mktemp("console") / "urls.json"
    command = [sys.executable, "-m", "assay", "up", "--console", "--json", str(urls)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    opened: Console | None = None
    try:
        opened = Console(_written(urls, process)["console"], psutil.Process(process.pid))
        yield opened
    finally:
        for service in () if opened is None else opened.restarted:
            service.terminate()
            service.wait(20)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told


def _written(urls: Path, process: "subprocess.Popen[str]") -> dict[str, str]:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            _, told = process.communicate()
            pytest.fail(told)
        if urls.exists() and (text := urls.read_text()).endswith("}\n"):
            found: dict[str, str] = json.loads(text)
            return found
        time.sleep(0.2)
    pytest.fail("the stand did not come up in time")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.exit(NO_CHROMIUM, returncode=2)
    # Chromium refuses its own sandbox to root
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=arguments)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(30_000)
        yield context


@pytest.fixture
def page(context: BrowserContext, console: Console) -> Iterator[Page]:
    """At the end nothing was complained of, and nothing left the page's own origin."""
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(console.url)
    page.locator("#operation option").first.wait_for(state="attached")
    yield page
    assert complaints == []
    assert asked
    assert [url for url in asked if not url.startswith(f"{console.url}/")] == []
