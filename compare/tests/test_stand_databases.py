"""Real servers: found, started, killed, started again, kept, and refused with one line."""

import asyncio
import gc
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from assay.stand import DatabaseKind, Databases, StandError, StandOptions, open_databases, open_stand, ports
from assay.stand.binaries import copy_postgresql, postgresql_folder
from assay.stand.urls import with_database
from shared.registry import services

BOTH: tuple[DatabaseKind, DatabaseKind] = ("postgresql", "mongodb")
# Half a second on an idle machine: five is the promise, the rest is for what else runs beside the tests.
GENEROUS_SECONDS = 15


@pytest.fixture(autouse=True)
def _no_given_url(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DATABASE_URL", "MONGODB_URL", "MONGO_URL"):
        monkeypatch.delenv(variable, raising=False)


@pytest_asyncio.fixture(scope="module")
async def databases() -> AsyncIterator[Databases]:
    with pytest.MonkeyPatch.context() as environment:
        for variable in ("DATABASE_URL", "MONGODB_URL", "MONGO_URL"):
            environment.delenv(variable, raising=False)
        begin = time.monotonic()
        async with open_databases(BOTH, StandOptions()) as opened:
            assert time.monotonic() - begin < GENEROUS_SECONDS
            yield opened


@pytest.fixture
def open_folder_for_all() -> Iterator[Path]:
    """As root PostgreSQL runs under another account, for which pytest's own folders are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def fetch(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def write_both(databases: Databases) -> None:
    await fetch(databases["postgresql"].url, "CREATE TABLE kept AS SELECT 7 AS number")
    async with AsyncMongoClient[dict[str, Any]](databases["mongodb"].url) as client:
        await client["assay_kept"]["rows"].insert_one({"number": 7})


async def read_both(databases: Databases) -> tuple[int, int]:
    async with AsyncMongoClient[dict[str, Any]](databases["mongodb"].url) as client:
        row = await client["assay_kept"]["rows"].find_one({})
    assert row is not None
    return await fetch(databases["postgresql"].url, "SELECT number FROM kept"), row["number"]


async def test_both_run_durable(databases: Databases) -> None:
    found = [(database.kind, database.durable, database.alive) for database in databases]
    assert found == [("postgresql", True, True), ("mongodb", True, True)]
    assert await fetch(databases["postgresql"].url, "SHOW fsync") == "on"
    assert await fetch(databases["postgresql"].url, "SHOW synchronous_commit") == "on"
    assert await fetch(databases["postgresql"].url, "SHOW max_connections") == "200"


async def test_less_durable_on_wish_and_told(databases: Databases) -> None:
    async with open_databases(["postgresql"], StandOptions(durable=False)) as hasty:
        assert await fetch(hasty["postgresql"].url, "SHOW fsync") == "off"
        assert not hasty["postgresql"].durable


async def test_transactions_work_on_mongodb(databases: Databases) -> None:
    async with AsyncMongoClient[dict[str, Any]](databases["mongodb"].url) as client:
        async with client.start_session() as session, await session.start_transaction():
            await client["assay_try"]["rows"].insert_one({"number": 1}, session=session)
        assert await client["assay_try"]["rows"].count_documents({}) == 1


async def test_a_created_database_is_empty(databases: Databases) -> None:
    server = databases["postgresql"]
    await server.create_database("assay_try")
    await fetch(with_database(server.url, "assay_try"), "CREATE TABLE leftover ()")
    await server.create_database("assay_try")
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert await fetch(with_database(server.url, "assay_try"), tables) == 0


async def test_killed_servers_come_back_on_their_port_with_their_rows() -> None:
    async with open_databases(BOTH, StandOptions()) as databases:
        await write_both(databases)
        for database in databases:
            before = database.pid, database.url
            await database.kill()
            assert not database.alive
            await database.start()
            assert database.alive
            assert database.pid != before[0]
            assert database.url == before[1]
        assert await read_both(databases) == (7, 7)


async def test_kept_folder_is_found_again_and_belongs_to_one_run(open_folder_for_all: Path) -> None:
    options = StandOptions(data=open_folder_for_all / "kept")
    async with open_databases(BOTH, options) as first:
        await write_both(first)
        urls = [database.url for database in first]
        with pytest.raises(StandError, match="in use by another run"):
            async with open_databases(BOTH, options):
                pass
    async with open_databases(BOTH, options) as second:
        assert [database.url for database in second] != urls
        assert await read_both(second) == (7, 7)


async def test_programs_that_only_root_may_enter_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTGRES_BIN", raising=False)
    with tempfile.TemporaryDirectory() as closed:
        private = copy_postgresql(postgresql_folder(), Path(closed))
        monkeypatch.setenv("POSTGRES_BIN", str(private))
        async with open_databases(["postgresql"], StandOptions()) as databases:
            assert await fetch(databases["postgresql"].url, "SELECT 1") == 1


async def test_a_lost_race_for_a_port_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    free_port = ports.free_port
    with socket.create_server((ports.HOST, 0)) as taken, socket.create_server((ports.HOST, 0)) as too:
        offers = [taken.getsockname()[1], too.getsockname()[1]]
        monkeypatch.setattr(ports, "free_port", lambda: offers.pop() if offers else free_port())
        async with open_databases(BOTH, StandOptions()) as databases:
            assert all(database.alive for database in databases)
        assert not offers


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+asyncpg"])
async def test_a_given_url_comes_first_and_is_not_touched(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    own = databases["postgresql"]
    monkeypatch.setenv("DATABASE_URL", own.url.replace("postgresql", scheme, 1))
    monkeypatch.setenv("MONGO_URL", databases["mongodb"].url)
    async with open_databases(BOTH, StandOptions(docker=True)) as given:
        assert given["postgresql"].url == own.url
        assert [(one.pid, one.version) for one in given] == [(None, one.version) for one in databases]
        await given["postgresql"].create_database("assay_mine")
        await fetch(with_database(own.url, "assay_mine"), "CREATE TABLE IF NOT EXISTS kept ()")
        await given["postgresql"].create_database("assay_mine")
        assert await fetch(with_database(own.url, "assay_mine"), "SELECT count(*) FROM kept") == 0
        with pytest.raises(StandError, match="unset the URL"):
            await given["mongodb"].kill()
    assert own.alive


@pytest.mark.parametrize(
    ("kind", "variable", "value"),
    [
        ("postgresql", "DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none"),
        ("postgresql", "DATABASE_URL", "mysql://db"),
        ("postgresql", "POSTGRES_BIN", "/nowhere"),
        ("mongodb", "MONGODB_URL", "mongodb://127.0.0.1:70000"),
        ("mongodb", "MONGOD_BIN", "/nowhere"),
    ],
)
async def test_wrong_wishes_are_answered_in_one_line(
    monkeypatch: pytest.MonkeyPatch, kind: DatabaseKind, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(StandError, match=variable) as caught:
        async with open_databases([kind], StandOptions()):
            pass
    assert "\n" not in str(caught.value)


async def test_without_docker_the_other_ways_are_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    with pytest.raises(StandError, match="DATABASE_URL and MONGODB_URL, or leave --docker out"):
        async with open_databases(["postgresql", "mongodb"], StandOptions(docker=True)):
            pass
    gc.collect()
    asyncio.get_running_loop().set_exception_handler(None)
    assert unheard == []


async def test_a_service_of_the_stand_hears_of_no_database_of_the_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (service,) = services("asyncpg")
    async with open_stand([service], StandOptions(durable=False), serving=False) as stand:
        for variable in ("MONGODB_URL", "MONGO_URL", "LISTEN_URL"):
            monkeypatch.setenv(variable, f"{variable.lower()}://elsewhere")
        monkeypatch.setenv("SERVER_TIMING", "1")
        running = await stand.start_service(service)
        given = psutil.Process(running.pid).environ()
    assert not {"MONGODB_URL", "MONGO_URL", "LISTEN_URL"} & given.keys()
    assert given["DATABASE_URL"] == stand.databases.url_for(service)["DATABASE_URL"]
    assert given["SERVER_TIMING"] == "1"
