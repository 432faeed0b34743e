"""With a pooler before the database, who listens goes around it: one that lends by the transaction forgets
LISTEN."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import pytest
from api import Api
from builders import make_user
from streams import subscribed

from assay.stand import Stand, StandOptions, open_stand
from assay.stand.relay import Relay, open_relay
from shared.registry import Service, services

SERVICES: Final = {service.name: service for service in services() if service.database == "postgresql"}


@dataclass(frozen=True)
class Apart:
    """A service with two ways to its database."""

    url: str
    database: Relay
    listening: Relay


@pytest.fixture(scope="module")
async def apart() -> AsyncIterator[dict[str, Apart]]:
    async with (
        open_stand(SERVICES.values(), StandOptions(durable=False), serving=False) as stand,
        AsyncExitStack() as stack,
    ):
        yield {name: await _started(service, stand, stack) for name, service in SERVICES.items()}


async def _started(service: Service, stand: Stand, stack: AsyncExitStack) -> Apart:
    url = stand.databases.url_for(service)["DATABASE_URL"]
    database = await stack.enter_async_context(open_relay(url))
    listening = await stack.enter_async_context(open_relay(url))
    environment = {"DATABASE_URL": database.url, "LISTEN_URL": listening.url}
    running = await stand.start_service(service, environment=environment)
    return Apart(running.url, database, listening)


@pytest.mark.clause("EVT-1")
@pytest.mark.parametrize("name", SERVICES)
async def test_the_wake_up_connection_goes_where_listen_url_says(apart: dict[str, Apart], name: str) -> None:
    one = apart[name]
    async with Api(name, one.url) as api, subscribed(api) as subscriber:
        user = await make_user(api)
        await subscriber.of([user["id"]], 1, 5)
    # a connection has two ends
    assert len(one.listening.ends) == 2
    # those of the pool, and no other
    assert len(one.database.ends) >= 2 * 10
    assert one.listening.round_trips < one.database.round_trips
