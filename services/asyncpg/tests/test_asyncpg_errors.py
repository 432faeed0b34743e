"""The error table: what goes wrong between this service and a real server, and what the client is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import httpx2
import pytest

from assay.stand import Stand, database_name
from assay.stand.relay import Relay
from asyncpg_service import service
from asyncpg_service.database import Database
from shared.errors import TimedOut, Unavailable
from shared.settings import Settings

NewUser = Callable[[], Awaitable[str]]
NewDocuments = Callable[[str, int], Awaitable[list[str]]]

_ANY = {"If-Match": "*"}
_WAITING = "SELECT DISTINCT pid FROM pg_locks WHERE NOT granted"
_UNKNOWN = "outcome is unknown"
SLACK = 4
"""Seconds that a busy machine may add to any bound."""


@pytest.fixture(autouse=True)
async def _pool_is_whole_afterwards(
    api: httpx2.AsyncClient, relay: Relay, stand: Stand, settings: Settings, new_user: NewUser
) -> AsyncIterator[None]:
    """As many changes as the pool has connections run at once, and each session left is one of the pool's."""
    user = await new_user()
    yield
    rows = await asyncpg.connect(stand.databases.url_for(service)["DATABASE_URL"])
    async with locked(rows, "users", user):
        changes = [asyncio.create_task(change(api, user)) for _ in range(settings.pool_size)]
        await waiting(rows, settings.pool_size)
    await rows.close()
    assert [answer.status_code for answer in await asyncio.gather(*changes)] == [200] * settings.pool_size
    assert relay.connections == settings.pool_size


@asynccontextmanager
async def locked(rows: asyncpg.Connection, table: str, row: str | None = None) -> AsyncIterator[None]:
    """The row against changes, or the whole table against reads too."""
    async with rows.transaction():
        if row is None:
            await rows.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        else:
            await rows.execute(f"SELECT FROM {table} WHERE id = $1 FOR UPDATE", row)
        yield


async def waiting(rows: asyncpg.Connection, count: int) -> list[int]:
    """The servers' processes that wait for a lock, as soon as there are so many."""
    deadline = time.monotonic() + 10
    while len(found := await rows.fetch(_WAITING)) < count:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.01)
    return [row["pid"] for row in found]


async def change(api: httpx2.AsyncClient, user: str) -> httpx2.Response:
    return await api.patch(f"/users/{user}", json={"name": str(time.monotonic())}, headers=_ANY)


def is_problem(answer: httpx2.Response, status: int) -> bool:
    slug = {503: "overloaded", 504: "timeout"}[status]
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["type"] == f"/problems/{slug}"
    assert ("retry-after" in answer.headers) == (status == 503)
    return True


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("57014", (TimedOut, None)),
        ("55P03", (TimedOut, None)),
        # refused, with nothing that holds
        ("25P03", (Unavailable, False)),
        ("25P04", (Unavailable, False)),
        ("40001", (Unavailable, False)),
        ("40P01", (Unavailable, False)),
        ("53100", (Unavailable, False)),
        ("53200", (Unavailable, False)),
        ("53300", (Unavailable, False)),
        # lost, or told so by the server or by a pooler
        ("08006", (Unavailable, True)),
        ("40003", (Unavailable, True)),
        ("57P01", (Unavailable, True)),
        ("58000", (Unavailable, True)),
        ("58030", (Unavailable, True)),
        # defects, of ours or of the settings
        ("22012", (asyncpg.PostgresError, None)),
        ("26000", (asyncpg.PostgresError, None)),
        ("42501", (asyncpg.PostgresError, None)),
        ("54000", (asyncpg.PostgresError, None)),
        ("55000", (asyncpg.PostgresError, None)),
    ],
)
async def test_a_state_of_the_server_is_an_error_of_the_port(
    database: Database, sqlstate: str, expected: tuple[type[Exception], bool | None]
) -> None:
    statement = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$"
    with pytest.raises(expected[0]) as raised:
        async with database.unit_of_work() as work:
            await work._conn.execute(statement)
    assert getattr(raised.value, "outcome_unknown", None) == expected[1]


async def test_a_server_without_numbers_for_transactions_is_unavailable(database: Database) -> None:
    message = (
        "database is not accepting commands that assign new transaction IDs to avoid wraparound data loss"
    )
    statement = f"DO $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = '54000'; END $$"
    with pytest.raises(Unavailable) as raised:
        async with database.unit_of_work() as work:
            await work._conn.execute(statement)
    assert not raised.value.outcome_unknown


@pytest.mark.parametrize(("end", "status"), [("pg_terminate_backend", 503), ("pg_cancel_backend", 504)])
async def test_a_change_that_the_server_ends_has_an_unknown_outcome(
    api: httpx2.AsyncClient, new_user: NewUser, rows: asyncpg.Connection, end: str, status: int
) -> None:
    user = await new_user()
    async with locked(rows, "users", user):
        changing = asyncio.create_task(change(api, user))
        (server,) = await waiting(rows, 1)
        await rows.execute(f"SELECT {end}($1)", server)
        answer = await changing
    assert is_problem(answer, status)
    assert "unknown" in answer.json()["detail"]


async def test_a_read_that_the_server_ends_has_no_outcome(
    api: httpx2.AsyncClient, new_user: NewUser, rows: asyncpg.Connection
) -> None:
    user = await new_user()
    async with locked(rows, "users"):
        reading = asyncio.create_task(api.get(f"/users/{user}"))
        (server,) = await waiting(rows, 1)
        await rows.execute("SELECT pg_terminate_backend($1)", server)
        answer = await reading
    assert is_problem(answer, 503)
    assert _UNKNOWN not in answer.json()["detail"]


async def test_a_lock_is_waited_for_as_long_as_a_statement_may_take(
    api: httpx2.AsyncClient, settings: Settings, new_user: NewUser, rows: asyncpg.Connection
) -> None:
    user = await new_user()
    before = (await api.get(f"/users/{user}")).json()
    async with locked(rows, "users", user):
        started = time.monotonic()
        answer = await change(api, user)
        assert settings.statement_timeout * 0.9 < time.monotonic() - started < settings.db_timeout + SLACK
        assert await rows.fetch(_WAITING) == []
    assert is_problem(answer, 504)
    assert (await api.get(f"/users/{user}")).json() == before


async def test_a_full_pool_is_waited_for_and_then_refused(
    api: httpx2.AsyncClient, settings: Settings, new_user: NewUser, rows: asyncpg.Connection
) -> None:
    user = await new_user()
    async with locked(rows, "users", user):
        changes = [asyncio.create_task(change(api, user)) for _ in range(settings.pool_size)]
        await waiting(rows, settings.pool_size)
        started = time.monotonic()
        answer = await api.get(f"/users/{user}")
        assert time.monotonic() - started < settings.db_timeout + SLACK
    assert is_problem(answer, 503)
    assert _UNKNOWN not in answer.json()["detail"]
    await asyncio.gather(*changes)


async def test_a_client_that_hangs_up_takes_no_connection_along(
    api: httpx2.AsyncClient, settings: Settings, new_user: NewUser, rows: asyncpg.Connection
) -> None:
    user = await new_user()
    async with locked(rows, "users", user):
        for _ in range(settings.pool_size + 1):
            with pytest.raises(httpx2.ReadTimeout):
                await api.patch(f"/users/{user}", json={"name": "Gone"}, headers=_ANY, timeout=0.1)
        await waiting(rows, settings.pool_size)


async def test_a_deadlock_is_broken_with_nothing_changed(
    api: httpx2.AsyncClient,
    new_user: NewUser,
    new_documents: NewDocuments,
    rows: asyncpg.Connection,
) -> None:
    owner, other = await new_user(), await new_user()
    first, second = documents = await new_documents(owner, 2)
    body = {"document_ids": documents, "from_owner_id": owner, "to_owner_id": other}
    await rows.execute("SET deadlock_timeout = '10s'")
    async with locked(rows, "documents", second):
        moving = asyncio.create_task(api.post("/documents/transfer", json=body))
        await waiting(rows, 1)
        await rows.execute("SELECT FROM documents WHERE id = $1 FOR UPDATE", first)
        answer = await moving
    assert is_problem(answer, 503)
    assert _UNKNOWN not in answer.json()["detail"]
    assert (await api.get(f"/documents/{first}")).json()["owner_id"] == owner


@pytest.mark.parametrize("connected", [True, False])
async def test_a_frozen_server_is_given_up_in_time_and_taken_up_again(
    api: httpx2.AsyncClient, relay: Relay, settings: Settings, new_user: NewUser, *, connected: bool
) -> None:
    user = await new_user()
    if not connected:
        relay.cut()
    relay.freeze()
    try:
        started = time.monotonic()
        reads = [api.get(f"/users/{user}") for _ in range(settings.pool_size)]
        answers = await asyncio.gather(change(api, user), api.get("/readyz"), *reads)
        assert time.monotonic() - started < settings.db_timeout + SLACK
    finally:
        relay.thaw()
    assert all(is_problem(answer, answer.status_code) for answer in answers)
    await answers_again(api, user)


async def test_a_lost_connection_costs_what_was_on_it_and_no_more(
    api: httpx2.AsyncClient, relay: Relay, new_user: NewUser, rows: asyncpg.Connection
) -> None:
    user = await new_user()
    async with locked(rows, "users", user):
        changing = asyncio.create_task(change(api, user))
        await waiting(rows, 1)
        relay.cut()
        answer = await changing
    assert is_problem(answer, 503)
    assert _UNKNOWN in answer.json()["detail"]
    assert [(await api.get(f"/users/{user}")).status_code for _ in range(3)] == [200] * 3


async def test_a_change_whose_answer_is_lost_may_hold(api: httpx2.AsyncClient, relay: Relay) -> None:
    body = {"email": "unheard@example.org", "name": "Ada"}
    relay.lose_answer(b"unheard@example.org")
    answer = await api.post("/users", json=body)
    assert is_problem(answer, 503)
    assert _UNKNOWN in answer.json()["detail"]
    assert (await api.post("/users", json=body)).status_code == 409


async def test_a_database_that_takes_no_connections_is_unavailable(
    api: httpx2.AsyncClient, relay: Relay, stand: Stand, new_user: NewUser
) -> None:
    user = await new_user()
    name = database_name(service)
    administration = await asyncpg.connect(stand.databases["postgresql"].url)
    try:
        await administration.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        relay.cut()
        answers = [await api.get(f"/users/{user}"), await api.get("/readyz"), await change(api, user)]
    finally:
        await administration.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await administration.close()
    assert all(is_problem(answer, 503) for answer in answers)
    assert not any(_UNKNOWN in answer.json()["detail"] for answer in answers)


async def test_a_killed_server_is_found_again_when_it_is_back(stand: Stand, new_user: NewUser) -> None:
    user = await new_user()
    server = stand.databases["postgresql"]
    url = stand.services[service.name].url
    async with httpx2.AsyncClient(base_url=url, timeout=10, trust_env=False) as direct:
        for _ in range(2):
            assert (await direct.get(f"/users/{user}")).status_code == 200
            await server.kill()
            started = time.monotonic()
            down = [
                await change(direct, user),
                await direct.get(f"/users/{user}"),
                await direct.get("/readyz"),
            ]
            assert time.monotonic() - started < Settings().db_timeout + SLACK
            assert all(is_problem(answer, 503) for answer in down)
            await server.start()
            await answers_again(direct, user)


async def answers_again(api: httpx2.AsyncClient, user: str) -> None:
    async with asyncio.timeout(10):
        while (await api.get(f"/users/{user}")).status_code != 200:
            await asyncio.sleep(0.05)
