"""Round trips: what a service says of itself, what its README says, and what went over the wire."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import pytest
from parity.round_trip_calls import CALLS, MANY, Rows, new_document_body, new_user_body

from assay.stand import Stand, StandOptions, open_stand
from assay.stand.relay import Relay, open_relay
from shared.registry import Service, names, services

SERVICES: Final = Path(__file__).parents[2] / "services"
# a connection asks about each statement once, and which of two gets a query of several is chance
CALLS_UNTIL_PREPARED: Final = 40
SMALL: Final = {
    "POOL_SIZE": "2",
    "DASHBOARD_TTL": "0",
    "SERVER_TIMING": "1",
    # no wake-ups of the change feed in between, and no sweeps
    "ANNOUNCE_SECONDS": "3600",
    "SWEEP_SECONDS": "1000000",
}

_ROW = re.compile(r"^\| (\d) \| (.+) \|$", re.MULTILINE)
_NAME = re.compile("`(.+?)`")
_COUNTED = re.compile(r'db;dur=[\d.]+;desc="(\d+)", statements;desc="(\d+)"')

STATEMENTS: Final = {
    "livez": 0,
    "users.get": 1,
    "users.create_many": 1,
    "documents.get with the owner": 1,
    "users.create under a key": 3,
    "dashboard": 4,
}
"""Of an operation; what begins and ends a transaction is none. Under a key: the claim, the effect, the kept
answer."""


@dataclass(frozen=True)
class Relayed:
    """A service whose database is behind a relay."""

    api: httpx2.AsyncClient
    relay: Relay


@pytest.fixture(scope="module")
async def relayed() -> AsyncIterator[Mapping[str, Relayed]]:
    """Every installed service by name."""
    async with AsyncExitStack() as stack:
        stand = await stack.enter_async_context(
            open_stand(services(), StandOptions(durable=False), serving=False)
        )
        yield {service.name: await _behind_a_relay(service, stand, stack) for service in services()}


async def _behind_a_relay(service: Service, stand: Stand, stack: AsyncExitStack) -> Relayed:
    [(variable, url)] = stand.databases.url_for(service).items()
    relay = await stack.enter_async_context(open_relay(url))
    running = await stand.start_service(
        service, name=f"{service.name}-relayed", environment={variable: relay.url, **SMALL}
    )
    client = httpx2.AsyncClient(base_url=running.url, timeout=30, trust_env=False)
    api = await stack.enter_async_context(client)
    users = await api.post("/users/batch", json=[new_user_body() for _ in range(MANY)])
    owner = users.json()["items"][0]["id"]
    await api.post("/documents/batch", json=[new_document_body(owner) for _ in range(MANY)])
    return Relayed(api, relay)


def promised(name: str) -> dict[str, int]:
    """The table of a README, by operation."""
    page = (SERVICES / name / "README.md").read_text("utf-8")
    return {found: int(trips) for trips, row in _ROW.findall(page) for found in _NAME.findall(row)}


@pytest.mark.parametrize("name", names())
def test_a_readme_tells_of_every_operation(name: str) -> None:
    assert sorted(promised(name)) == sorted(CALLS)


@pytest.mark.clause("GEN-7")
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("name", names())
async def test_an_operation_takes_the_round_trips_that_are_told(
    relayed: Mapping[str, Relayed], name: str, operation: str
) -> None:
    api, relay = relayed[name].api, relayed[name].relay
    for _ in range(CALLS_UNTIL_PREPARED):
        method, path, body, headers = CALLS[operation](await _rows(api))
        trips, flushes = relay.round_trips, relay.flushes
        answer = await api.request(method, path, json=body, headers=headers)
        assert answer.status_code < 500, answer.text
        trips, flushes = relay.round_trips - trips, relay.flushes - flushes
        counted = _COUNTED.search(answer.headers["server-timing"])
        assert counted is not None
        assert int(counted[1]) == trips + flushes
        if not flushes:
            break
    assert (trips, flushes) == (promised(name)[operation], 0)


@pytest.mark.clause("GEN-7")
@pytest.mark.parametrize("operation", STATEMENTS)
@pytest.mark.parametrize("name", names())
async def test_what_begins_and_ends_a_transaction_is_no_statement(
    relayed: Mapping[str, Relayed], name: str, operation: str
) -> None:
    api = relayed[name].api
    method, path, body, headers = CALLS[operation](await _rows(api))
    answer = await api.request(method, path, json=body, headers=headers)
    counted = _COUNTED.search(answer.headers["server-timing"])
    assert counted is not None
    assert int(counted[2]) == STATEMENTS[operation] <= int(counted[1])


async def _rows(api: httpx2.AsyncClient) -> Rows:
    users = await api.post("/users/batch", json=[new_user_body(), new_user_body()])
    owner, other = (user["id"] for user in users.json()["items"])
    documents = await api.post("/documents/batch", json=[new_document_body(owner), new_document_body(owner)])
    return Rows(owner, other, [document["id"] for document in documents.json()["items"]])
