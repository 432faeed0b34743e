"""Locust sends the requests of a workload: LOAD_WORKLOAD names its file, the host is the service.

The requests, and what their answers teach, are those of the comparison (`assay.measure`). Every worker
changes documents of its own lane, a tenth of all.
"""

import logging
import os
import random
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import rows
from locust import FastHttpUser, constant, events, task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from assay.measure import workload
from assay.measure.connection import Asked
from assay.measure.dataset import LANES, Rows
from assay.measure.scenarios import Past, Target
from assay.stand import StandError

_WRONG_USE = 2
_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MADE_BY_CLIENT = frozenset({"host", "content-length"})

_log = logging.getLogger(__name__)


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def name(self) -> str:
        """What its figures stand under, beside the method: no ids, no query."""
        return _ID.sub("{id}", self.path).partition("?")[0]


def request_of(wire: bytes) -> Request:
    """What `assay.measure.connection.prepare` made bytes of."""
    head, _, body = wire.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    method, path, _version = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return Request(
        method, path, {name: text for name, text in headers.items() if name not in _MADE_BY_CLIENT}, body
    )


def _workload() -> workload.Workload:
    try:
        return workload.load(Path(os.environ.get("LOAD_WORKLOAD", "examples/ycsb_b.toml")))
    except StandError as error:
        _refuse(error)


def _refuse(error: StandError) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    sys.exit(_WRONG_USE)


WORKLOAD = _workload()


class Source:
    """One sequence of requests for all users of a process."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._url = ""
        self._stored = rows.Stored(Rows((), ()), {})
        self._requests: Iterator[bytes | Asked] = iter(())

    def read(self, url: str) -> None:
        """Once for each service. StandError where it does not hold the rows."""
        # a run may be told to start while a worker still reads
        with self._reading:
            if url != self._url:
                self._stored = rows.read(url)
                self._url = url

    def start(self, lane: int) -> None:
        # what this process has changed before is in the tags
        target = Target(self._url, self._stored.rows, lane, past=Past(tags=self._stored.tags))
        # another seed each time: it names the rows that are created
        self._requests = WORKLOAD.scenario().requests(target, random.Random(time.time_ns()))

    def next(self) -> bytes | Asked:
        return next(self._requests)


SOURCE = Source()


def read_early(environment: Environment, **_: Any) -> None:
    """Before the time of a run begins to count; the master asks for nothing itself."""
    if environment.host and not isinstance(environment.runner, MasterRunner):
        try:
            SOURCE.read(environment.host)
        except StandError as error:
            _refuse(error)


def start(environment: Environment, **_: Any) -> None:
    """Before the first user; the page may have named another host."""
    runner = environment.runner
    if isinstance(runner, MasterRunner) or runner is None:
        return
    try:
        SOURCE.read(str(environment.host))
    except StandError as error:
        _log.error("%s", error)
        environment.process_exit_code = _WRONG_USE
        runner.quit()
    else:
        SOURCE.start(runner.worker_index % LANES if isinstance(runner, WorkerRunner) else 0)


# Locust types no listeners
events.init.add_listener(read_early)  # type: ignore[no-untyped-call]
events.test_start.add_listener(start)  # type: ignore[no-untyped-call]


class Client(FastHttpUser):
    """Asks, waits for the answer, rests as long as the workload says, asks again."""

    wait_time = constant(WORKLOAD.load.think_ms / 1000)

    def on_start(self) -> None:
        self._access = rows.authorization()

    @task
    def ask(self) -> None:
        asked = SOURCE.next()
        request = request_of(asked.wire if isinstance(asked, Asked) else asked)
        answer = self.client.request(
            request.method,
            request.path,
            name=request.name,
            data=request.body.decode() or None,
            headers={**request.headers, **self._access},
        )
        if isinstance(asked, Asked) and answer.headers is not None:
            head = "".join(f"\r\n{name}: {text}" for name, text in answer.headers.items())
            asked.on_answer(answer.status_code, head.encode(), answer.content or b"")
