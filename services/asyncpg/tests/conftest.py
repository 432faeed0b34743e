"""A real server, the service on it twice: once directly, once by way of a relay with a pool of two."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from typing import Any

import asyncpg
import httpx2
import pytest

from assay.stand import Stand, StandOptions, open_stand
from assay.stand.relay import Relay, open_relay
from asyncpg_service import service
from shared.settings import Settings

_NUMBERS = count()


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Those of the service behind the relay."""
    return Settings(pool_size=2, pool_timeout=1, db_timeout=4, dashboard_ttl=0, server_timing=True)


@pytest.fixture(scope="session")
def _no_given_url() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("DATABASE_URL", raising=False)
        yield


@pytest.fixture(scope="session")
async def stand(_no_given_url: None) -> AsyncIterator[Stand]:
    async with open_stand([service], StandOptions(durable=False)) as opened:
        yield opened


@pytest.fixture(scope="session")
async def relay(stand: Stand) -> AsyncIterator[Relay]:
    async with open_relay(stand.databases.url_for(service)["DATABASE_URL"]) as opened:
        yield opened


@pytest.fixture(scope="session")
async def api(stand: Stand, relay: Relay, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Of the service behind the relay."""
    chosen = settings.model_dump(include=settings.model_fields_set, mode="json")
    variables = {name.upper(): str(value) for name, value in chosen.items()}
    # its deadlocks are its own: found before its lock time-out, and before the other side finds them
    variables["DATABASE_URL"] = f"{relay.url}?deadlock_timeout=300ms"
    running = await stand.start_service(service, name="asyncpg-relayed", environment=variables)
    async with httpx2.AsyncClient(base_url=running.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
async def rows(stand: Stand) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the tests' own, around the service."""
    connection = await asyncpg.connect(stand.databases.url_for(service)["DATABASE_URL"])
    yield connection
    await connection.close(timeout=5)


@pytest.fixture(scope="session")
def new_user(api: httpx2.AsyncClient) -> Callable[[], Awaitable[str]]:
    """Creates a user and answers the id."""

    async def create() -> str:
        number = next(_NUMBERS)
        answer = await api.post("/users", json={"email": f"u{number}@example.org", "name": f"U{number}"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return create


@pytest.fixture(scope="session")
def new_documents(api: httpx2.AsyncClient) -> Callable[[str, int], Awaitable[list[str]]]:
    """Creates as many documents of the owner as asked for and answers their ids."""

    async def create(owner: str, many: int) -> list[str]:
        body: list[Any] = [{"owner_id": owner, "title": f"T{place}", "tags": ["t"]} for place in range(many)]
        answer = await api.post("/documents/batch", json=body)
        assert answer.status_code == 201, answer.text
        return [document["id"] for document in answer.json()["items"]]

    return create
