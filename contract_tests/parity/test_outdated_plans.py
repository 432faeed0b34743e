"""A migration of the next version passes while this one serves: plans that sessions keep are outdated."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import asyncpg
import httpx2
import pytest
from api import Api
from builders import if_match, make_document, make_user, new_user, unique_word
from expectations import expect_problem
from parity.round_trip_calls import CALLS, Call, Rows, new_document_body, new_user_body
from streams import subscribed

from assay.stand import Stand, StandOptions, open_stand
from shared.registry import services

SERVICES: Final = {service.name: service for service in services() if service.database == "postgresql"}
AT_ONCE: Final = 30
"""More than a pool has connections."""
MIGRATIONS: Final = {
    "a column is added": "ALTER TABLE {} ADD COLUMN spare integer",
    "a column is widened": "ALTER TABLE {} ALTER COLUMN version TYPE bigint",
}

EXPORTS: Final = ("/users/export?format=csv", "/documents/export?format=ndjson")

OTHER_INDEXES: Final = (
    "ALTER TABLE idempotency_keys ADD COLUMN spare integer",
    "ALTER TABLE events ADD COLUMN spare integer",
    "DROP INDEX users_by_name",
    "CREATE INDEX users_by_name ON users (name_key, id) INCLUDE (email)",
    "CREATE INDEX documents_by_version ON documents (version)",
    # what `ON CONFLICT` stands on
    "ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_pkey,"
    " ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key)",
    "ALTER TABLE users DROP CONSTRAINT users_email_key_unique,"
    " ADD CONSTRAINT users_email_key_unique UNIQUE (email_key)",
)
OF_ANOTHER_TYPE: Final = (
    "ALTER TABLE users ALTER COLUMN name TYPE varchar(200)",
    "ALTER TABLE users ALTER COLUMN version TYPE smallint",
    "ALTER TABLE documents ALTER COLUMN title TYPE varchar(300)",
    "ALTER TABLE documents ALTER COLUMN version TYPE smallint",
    "ALTER TABLE idempotency_keys ALTER COLUMN etag TYPE varchar",
    "ALTER TABLE events ALTER COLUMN type TYPE varchar",
)
"""Each is in the answers of statements. PostgreSQL refuses to run those as they were prepared; a FETCH it
runs, and the driver misreads numbers of another size."""


@pytest.fixture(scope="module")
async def stand() -> AsyncIterator[Stand]:
    async with open_stand(SERVICES.values(), StandOptions(durable=False), serving=False) as opened:
        for service in SERVICES.values():
            await opened.start_service(service, environment={"DASHBOARD_TTL": "0"})
        yield opened


@pytest.fixture(params=SERVICES)
async def api(stand: Stand, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """Who asks one thing after the other meets what was prepared before: pools lend what came back last."""
    async with Api(request.param, stand.services[request.param].url) as client:
        yield client


@pytest.mark.clause("OPS-5", "GEN-4")
@pytest.mark.parametrize("migration", MIGRATIONS)
@pytest.mark.parametrize("name", SERVICES)
async def test_no_request_fails_for_long_when_a_migration_passes(
    stand: Stand, name: str, migration: str
) -> None:
    async with Api(name, stand.services[name].url) as api:
        user = await make_user(api)
        document = await make_document(api, user)
        paths = [
            f"/users/{user['id']}",
            f"/documents/{document['id']}",
            "/users?limit=1",
            "/documents?limit=1",
        ]
        assert await _statuses(api, paths) == {200}
        statement = MIGRATIONS[migration]
        await _migrate(stand, name, [statement.format(table) for table in ("users", "documents")])
        # whoever is told to try again does, and is answered
        assert await _statuses(api, paths) <= {200, 503}
        assert await _statuses(api, paths) == {200}
        change = {"name": "Renamed"}
        changed = await api.patch(f"/users/{user['id']}", json=change, headers=if_match(user))
        made = await api.post("/users", json=new_user())
        assert (changed.status_code, made.status_code) == (200, 201)


@pytest.mark.clause("GEN-4")
async def test_other_indexes_are_not_noticed(stand: Stand, api: Api) -> None:
    before = await _answers(api, await _calls(api))
    calls = await _calls(api)
    await _migrate(stand, api.name, OTHER_INDEXES)
    assert _codes(await _answers(api, calls)) == _codes(before)


@pytest.mark.clause("GEN-4", "GEN-13")
async def test_a_column_of_another_type_costs_each_pool_one_refusal_at_most(stand: Stand, api: Api) -> None:
    before = await _answers(api, await _calls(api))
    calls = await _calls(api)
    await _migrate(stand, api.name, OF_ANOTHER_TYPE)
    after = await _answers(api, calls)
    refusals = [answer for answer in after if answer.status_code >= 500]
    for answer in refusals:
        _expect_to_come_again(answer)
    # one pool for requests, one for exports
    assert len(refusals) <= 2
    assert _codes(await _answers(api, await _calls(api))) == _codes(before)


@pytest.mark.clause("GEN-4", "GEN-13")
async def test_in_a_transaction_a_column_of_another_type_is_met_once_at_most(stand: Stand, api: Api) -> None:
    request: Call = ("POST", "/users", new_user(), {"Idempotency-Key": unique_word()})
    first, replayed = await _answers(api, [request, request])
    await _migrate(stand, api.name, ["ALTER TABLE idempotency_keys ALTER COLUMN location TYPE varchar"])
    met, again = await _answers(api, [request, request])
    if met.status_code != 201:
        _expect_to_come_again(met)
    assert again.headers["idempotency-replayed"] == replayed.headers["idempotency-replayed"]
    assert again.json() == first.json()


@pytest.mark.clause("EVT-2")
async def test_no_event_is_missed_over_a_column_of_another_type(stand: Stand, api: Api) -> None:
    async with subscribed(api) as subscriber:
        first = await make_user(api)
        await subscriber.of([first["id"]], 1)
        await _migrate(stand, api.name, ["ALTER TABLE events ALTER COLUMN version TYPE smallint"])
        made = await make_user(api)
        [heard] = await subscriber.of([made["id"]], 1)
    assert heard.change == ("user.created", made["id"], 1)


def _expect_to_come_again(answer: httpx2.Response) -> None:
    problem = expect_problem(answer, 503, "overloaded")
    assert answer.headers["retry-after"]
    assert "unknown" not in problem["detail"]


async def _calls(api: Api) -> list[Call]:
    """One of each operation, each on rows of its own; and a request that is told its answer again."""
    key = {"Idempotency-Key": unique_word()}
    again: Call = ("POST", "/users", new_user(), key)
    [kept] = await _answers(api, [again])
    assert kept.status_code == 201
    exports: list[Call] = [("GET", path, None, {}) for path in EXPORTS]
    return [*[call(await _rows(api)) for call in CALLS.values()], *exports, again]


async def _rows(api: Api) -> Rows:
    users = await api.post("/users/batch", json=[new_user_body(), new_user_body()])
    owner, other = (user["id"] for user in users.json()["items"])
    documents = await api.post("/documents/batch", json=[new_document_body(owner), new_document_body(owner)])
    return Rows(owner, other, [document["id"] for document in documents.json()["items"]])


async def _answers(api: Api, calls: Sequence[Call]) -> list[httpx2.Response]:
    return [
        await api.request(method, path, json=body, headers=headers) for method, path, body, headers in calls
    ]


def _codes(answers: Sequence[httpx2.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


async def _statuses(api: Api, paths: list[str]) -> set[int]:
    async def ask(path: str) -> httpx2.Response:
        return await api.get(path)

    return {one.status_code for one in await asyncio.gather(*(ask(path) for path in paths * AT_ONCE))}


async def _migrate(stand: Stand, name: str, statements: Sequence[str]) -> None:
    conn = await asyncpg.connect(stand.databases.url_for(SERVICES[name])["DATABASE_URL"])
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()
