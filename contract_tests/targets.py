"""Which running services a test run is about, and the stand that starts those which do not run yet."""

import asyncio
import os
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import clauses
import httpx2
import pytest

from assay.named_urls import named_urls
from assay.stand import RunningService, StandError, StandOptions, open_stand, silent
from shared.registry import Service, names, services

START_TIMEOUT = 120.0
"""Seconds for databases, migrations and services together; a first `--docker` run pulls images."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*").fullmatch

QUIET_DASHBOARD_TTL = 1.0
"""Seconds; the service that the dashboard's figures are read from forgets soon."""


@dataclass(frozen=True)
class Target:
    """A service to test: registered here (`service`), or only known by its URL (`url`), or both."""

    name: str
    url: str | None
    service: Service | None

    @property
    def gaps(self) -> Mapping[str, str]:
        """Clause id → why this service does not keep it."""
        if self.service is None:
            return {}
        known = self.service.known_gaps.items()
        return {clause: reason for reason, ids in known for clause in ids}


def chosen_targets(config: pytest.Config) -> list[Target]:
    """The targets of `--service` and `--api-url`; all registered services if neither was given."""
    urls = _named_urls(config.getoption("--api-url"))
    installed = names()
    wanted = config.getoption("--service") or ([] if urls else installed)
    if not (wanted or urls):
        raise pytest.UsageError("no service is installed: run `uv sync --all-packages --all-groups` first")
    for name in wanted:
        if name not in installed and name not in urls:
            raise pytest.UsageError(f"--service {name}: choose from {', '.join(installed)}")
    chosen = list(dict.fromkeys([*wanted, *urls]))
    registered = {service.name: service for service in services(*chosen)}
    targets = [Target(name, urls.get(name), registered.get(name)) for name in chosen]
    for target in targets:
        if unknown := target.gaps.keys() - set(clauses.written()):
            raise pytest.UsageError(f"{target.name}: no such clauses in known_gaps: {sorted(unknown)}")
    return targets


def given_token(config: pytest.Config) -> str | None:
    """The access token of `--token` or the environment."""
    token = config.getoption("--token") or os.environ.get("CONTRACT_TOKEN") or None
    if token is not None and _TOKEN(token) is None:
        raise pytest.UsageError("--token: give an access token alone, such as `assay token --sub ada` prints")
    return token


def check_answers(targets: Sequence[Target], token: str | None) -> None:
    """Raises UsageError where nothing answers at a URL, or nothing but 401."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    for target in targets:
        if target.url is None:
            continue
        place = f"--api-url {target.name}={target.url}"
        try:
            answer = httpx2.get(f"{target.url}/users?limit=1", headers=headers, timeout=10, trust_env=False)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise pytest.UsageError(f"{place}: nothing answers there ({error})") from None
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            wish = "wants a token: give --token" if token is None else "does not take this --token"
            raise pytest.UsageError(f"{place}: it {wish}")


def _named_urls(given: Sequence[str]) -> dict[str, str]:
    try:
        return named_urls("--api-url", given)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


class StandThread:
    """A stand with an event loop of its own, so that it outlives the loops of the tests."""

    def __init__(self, wanted: Sequence[Service], options: StandOptions) -> None:
        self._wanted = wanted
        self._options = options
        self._started: Future[dict[str, RunningService]] = Future()
        self._stop: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="stand")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set_result(None)
        self._thread.join()

    def services(self) -> dict[str, RunningService]:
        """By name; waits until all are ready."""
        try:
            return self._started.result(START_TIMEOUT)
        except StandError as error:
            raise pytest.UsageError(str(error)) from None

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        async with open_stand(self._wanted, self._options, silent) as stand:
            self._started.set_result(dict(stand.services))
            await asyncio.wrap_future(self._stop)
