"""The relay on real wires: what it counts, however the bytes come, and what a cut or a freeze does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient, WriteConcern

from assay.stand import Databases, StandOptions, open_databases
from assay.stand.relay import Relay, open_relay

_STARTUP = b"\0\x03\0\0user\0app\0database\0postgres\0\0"


@pytest_asyncio.fixture(scope="module")
async def databases() -> AsyncIterator[Databases]:
    with pytest.MonkeyPatch.context() as environment:
        for variable in ("DATABASE_URL", "MONGODB_URL", "MONGO_URL"):
            environment.delenv(variable, raising=False)
        async with open_databases(("postgresql", "mongodb"), StandOptions(durable=False)) as opened:
            yield opened


@pytest_asyncio.fixture
async def relay(databases: Databases) -> AsyncIterator[Relay]:
    async with open_relay(databases["postgresql"].url) as opened:
        yield opened


@pytest_asyncio.fixture
async def connection(relay: Relay) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(relay.url)
    yield opened
    opened.terminate()


async def test_starting_up_is_no_round_trip(relay: Relay, connection: asyncpg.Connection) -> None:
    assert (relay.round_trips, relay.flushes, relay.connections) == (0, 0, 1)
    await connection.close()
    assert relay.round_trips == 0


async def test_every_wait_of_a_postgresql_client_counts(relay: Relay, connection: asyncpg.Connection) -> None:
    await connection.fetchval("SELECT $1::integer", 1)
    assert (relay.round_trips, relay.flushes) == (1, 1)
    await connection.fetchval("SELECT $1::integer", 1)
    assert (relay.round_trips, relay.flushes) == (2, 1)
    async with connection.transaction():
        await connection.execute("SELECT 1")
    assert (relay.round_trips, relay.flushes) == (5, 1)


async def test_large_messages_pass_whole(relay: Relay, connection: asyncpg.Connection) -> None:
    # as many bytes that look like messages as fit into a few reads
    text = "S\0\0\0\4".replace("\0", "\1") * 100_000
    assert await connection.fetchval("SELECT $1::text", text) == text
    assert relay.round_trips == 1


async def test_messages_may_come_in_single_bytes_or_many_at_once(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(relay.url).port)
    for byte in (len(_STARTUP) + 4).to_bytes(4) + _STARTUP:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    await _ready(reader)
    query = b"Q\0\0\0\x0dSELECT 1\0"
    for byte in query:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.001)
    await _ready(reader)
    assert relay.round_trips == 1
    writer.write(query * 5)
    for _ in range(5):
        await _ready(reader)
    assert relay.round_trips == 6
    writer.close()


async def test_a_frozen_relay_passes_nothing_on_until_it_thaws(
    relay: Relay, connection: asyncpg.Connection
) -> None:
    relay.freeze()
    asked = asyncio.create_task(connection.fetchval("SELECT 7"))
    connecting = asyncio.create_task(asyncpg.connect(relay.url))
    done, _ = await asyncio.wait({asked, connecting}, timeout=0.3)
    assert not done
    relay.thaw()
    assert await asked == 7
    await (await connecting).close()


async def test_a_cut_ends_all_connections_and_takes_new_ones(
    relay: Relay, connection: asyncpg.Connection
) -> None:
    asked = asyncio.create_task(connection.fetchval("SELECT pg_sleep(5)"))
    while not relay.round_trips + relay.flushes:
        await asyncio.sleep(0.01)
    relay.cut()
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await asked
    again = await asyncpg.connect(relay.url)
    assert await again.fetchval("SELECT 7") == 7
    assert relay.connections == 1
    await again.close()


async def test_a_lost_answer_is_to_a_request_that_was_served(
    relay: Relay, connection: asyncpg.Connection
) -> None:
    await connection.execute("CREATE TABLE kept (word text)")
    relay.lose_answer(b"'once'")
    await connection.execute("INSERT INTO kept VALUES ('before')")
    assert relay.lost_answers == 0
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await connection.execute("INSERT INTO kept VALUES ('once')")
    assert relay.lost_answers == 1
    again = await asyncpg.connect(relay.url)
    assert await again.fetchval("SELECT array_agg(word) FROM kept") == ["before", "once"]
    await again.close()


async def test_a_server_that_is_not_there_is_a_lost_connection() -> None:
    async with open_relay("postgresql://app@127.0.0.1:1/postgres") as nowhere:
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await asyncpg.connect(nowhere.url)


async def test_answered_requests_of_a_mongodb_client_count(databases: Databases) -> None:
    async with open_relay(databases["mongodb"].url) as relay:
        async with AsyncMongoClient[dict[str, Any]](relay.url, heartbeatFrequencyMS=500) as client:
            rows = client["assay_relay"]["rows"]
            await client.aconnect()
            assert relay.round_trips == 0
            await rows.insert_one({"number": 1})
            await rows.find_one({})
            assert relay.round_trips == 2
            await rows.with_options(write_concern=WriteConcern(w=0)).insert_one({"number": 2})
            assert relay.round_trips == 2
            async with client.start_session() as session, await session.start_transaction():
                await rows.insert_one({"number": 3}, session=session)
            assert relay.round_trips == 4
            await asyncio.sleep(0.6)
            assert relay.round_trips == 4
            assert relay.connections >= 2


async def _ready(reader: asyncio.StreamReader) -> None:
    """Reads up to where the server waits for the next request."""
    kind = b""
    while kind != b"Z":
        kind = await reader.readexactly(1)
        await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
