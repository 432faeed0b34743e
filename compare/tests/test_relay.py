"""The relay on real wires: what it counts, however the bytes come, how slow it is, and how it fails."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx2
import psutil
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient, WriteConcern

from assay.stand import Databases, Stand, StandOptions, open_databases, silent
from assay.stand.relay import Relay, open_relay
from assay.stand.relay_process import Orders, start_relay

pytestmark = pytest.mark.measures

_READY = b"Z\0\0\0\x05I"
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


async def test_a_delay_is_that_of_a_round_trip(relay: Relay, connection: asyncpg.Connection) -> None:
    found = {}
    for delay_ms in (0.0, 2.0, 10.0):
        relay.delay_ms = delay_ms
        # the best of many: a busy machine only adds, though for minutes; a delay taken twice is twice as long
        found[delay_ms] = min([await _round_trip_ms(connection) for _ in range(40)])
    assert 1.85 <= found[2.0] - found[0.0] <= 3.7
    assert 9.85 <= found[10.0] - found[0.0] <= 18.5


async def test_delayed_bytes_travel_behind_each_other(relay: Relay, connection: asyncpg.Connection) -> None:
    relay.delay_ms = 400
    started = time.monotonic()
    # a hundred reads and more: one after the other they would take forty seconds
    found = await connection.fetchval("SELECT repeat('x', 30_000_000)")
    assert len(found) == 30_000_000
    assert time.monotonic() - started < 10


async def test_a_shorter_delay_lets_nothing_overtake(relay: Relay) -> None:
    reader, writer = await _started(relay)
    relay.delay_ms = 200
    writer.write(_query(b"SELECT 'slow'"))
    await asyncio.sleep(0.02)
    relay.delay_ms = 0
    writer.write(_query(b"SELECT 'fast'"))
    assert [await _ready(reader), await _ready(reader)] == [b"slow", b"fast"]
    writer.close()


async def test_connections_share_a_narrow_way(relay: Relay, connection: asyncpg.Connection) -> None:
    other = await asyncpg.connect(relay.url)
    relay.bandwidth = 1_000_000
    started = time.monotonic()
    long = "SELECT repeat('x', 200_000)"
    await asyncio.gather(connection.fetchval(long), other.fetchval(long))
    assert time.monotonic() - started >= 0.4
    relay.bandwidth = None
    async with asyncio.timeout(10):
        await connection.fetchval("SELECT repeat('x', 20_000_000)")
    await other.close()


async def test_a_stall_ends_by_itself(relay: Relay, connection: asyncpg.Connection) -> None:
    relay.stall(0.4)
    assert 390 <= await _round_trip_ms(connection) < 10_000
    assert min([await _round_trip_ms(connection) for _ in range(10)]) < 200


async def test_a_reset_is_one(relay: Relay) -> None:
    reader, _writer = await _started(relay)
    relay.reset()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    again = await asyncpg.connect(relay.url)
    assert await again.fetchval("SELECT 7") == 7
    await again.close()


async def test_a_reset_comes_in_the_middle_of_an_answer(relay: Relay, connection: asyncpg.Connection) -> None:
    passed = bytearray()
    with socket.create_connection(("127.0.0.1", urlsplit(relay.url).port or 0)) as wire:
        wire.settimeout(20)
        await asyncio.to_thread(_exchange, wire, (len(_STARTUP) + 4).to_bytes(4) + _STARTUP, bytearray())
        relay.reset(after=1_000)
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(_exchange, wire, _query(b"SELECT repeat('x', 5000)"), passed)
    assert len(passed) == 1_000
    assert await connection.fetchval("SELECT 7") == 7


@pytest.mark.parametrize("turns", range(6))
async def test_who_comes_while_a_relay_closes_is_sent_away(databases: Databases, turns: int) -> None:
    async with open_relay(databases["postgresql"].url) as closing:
        late = socket.create_connection(("127.0.0.1", urlsplit(closing.url).port or 0))
        for _ in range(turns):
            await asyncio.sleep(0)
    with late, suppress(ConnectionResetError):
        late.settimeout(20)
        assert await asyncio.to_thread(late.recv, 1) == b""
    assert not closing.ends


async def test_a_relay_in_a_process_of_its_own_takes_orders(databases: Databases) -> None:
    url = databases["postgresql"].url
    relay = await start_relay(Stand(databases, silent), "way", url)
    process = psutil.Process(relay.running.pid)
    assert not any(url in word for word in process.cmdline())
    try:
        connection = await asyncpg.connect(relay.url)
        await relay.order(Orders(delay_ms=20))
        assert 19.5 <= await _round_trip_ms(connection) < 10_000
        await relay.order(Orders(delay_ms=0, stall_seconds=0.3))
        assert 290 <= await _round_trip_ms(connection) < 10_000
        async with httpx2.AsyncClient(base_url=relay.running.url, trust_env=False) as client:
            assert (await client.put("/", json={"delay": 5})).status_code == 422
            assert (await client.get("/")).json()["round_trips"] == 2
        await relay.order(Orders(reset_after=0))
        # the driver may notice the reset before it is asked anything: then it is closed by its own word
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, ConnectionError)):
            await connection.fetchval("SELECT 7")
    finally:
        await relay.close()
    assert not process.is_running()


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


async def _round_trip_ms(connection: asyncpg.Connection) -> float:
    started = time.perf_counter()
    await connection.execute("SELECT 1")
    return (time.perf_counter() - started) * 1_000


def _query(statement: bytes) -> bytes:
    return b"Q" + (len(statement) + 5).to_bytes(4) + statement + b"\0"


def _exchange(wire: socket.socket, request: bytes, answer: bytearray) -> None:
    """What came before a reset is in `answer` all the same."""
    wire.sendall(request)
    while not answer.endswith(_READY) and (some := wire.recv(65_536)):
        answer += some


async def _started(relay: Relay) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(relay.url).port)
    writer.write((len(_STARTUP) + 4).to_bytes(4) + _STARTUP)
    await _ready(reader)
    return reader, writer


async def _ready(reader: asyncio.StreamReader) -> bytes:
    """Reads up to where the server waits for the next request; the single value of a row on the way."""
    kind, value = b"", b""
    while kind != b"Z":
        kind = await reader.readexactly(1)
        body = await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
        if kind == b"D":
            value = body[6:]
    return value
