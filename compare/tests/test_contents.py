"""What the databases hold, on real ones: alike where it was stored alike, and every change is seen."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import asyncpg
import httpx2
import pytest_asyncio

from assay.judge.contents import Held, check, contents
from assay.measure import dataset
from assay.stand import Stand, StandOptions, open_stand
from shared.registry import services

BACKENDS = ("asyncpg", "motor")
DOCUMENTS = 2_000


@pytest_asyncio.fixture(scope="module")
async def stand() -> AsyncIterator[Stand]:
    async with open_stand(services(*BACKENDS), StandOptions(durable=False)) as opened:
        for backend in BACKENDS:
            await dataset.seed(opened.services[backend].url, lambda: None, documents=DOCUMENTS)
        yield opened


def url(stand: Stand, backend: str) -> str:
    (found,) = stand.databases.url_for(services(backend)[0]).values()
    return found


async def test_what_was_stored_alike_has_one_checksum_and_what_is_written_is_told(stand: Stand) -> None:
    before = {backend: await contents(url(stand, backend)) for backend in BACKENDS}
    first, second = (one.shown() for one in before.values())
    assert first == second
    assert first["users"].startswith(f"{dataset.USERS:,} rows, ")
    assert first["documents"].startswith(f"{DOCUMENTS:,} rows, ")

    for backend in BACKENDS:
        await write(stand.services[backend].url)
        after = await contents(url(stand, backend), before[backend])
        found = check(backend, before[backend], after, before["asyncpg"], {"users": 1})
        assert found.expected, found.because
        assert found.before == first
        assert found.after["users"].startswith(f"{dataset.USERS + 1:,} rows, ")
        assert found.after["users"].endswith(first["users"].partition(", ")[2])
        assert found.after["documents"] != first["documents"]
        unheard = check(backend, before[backend], after, before["asyncpg"], {})
        assert unheard.because == "users grew by 1, and 0 were answered as created"


async def write(service: str) -> None:
    async with httpx2.AsyncClient(base_url=service, trust_env=False) as client:
        created = await client.post("/users", json={"email": "new@lane0.example", "name": "New"})
        assert created.status_code == 201
        listed = (await client.get("/documents?limit=1&sort=title")).json()["items"][0]
        path, etag = f"/documents/{listed['id']}", f'"{listed["version"]}"'
        patched = await client.patch(path, json={"title": "Another"}, headers={"if-match": etag})
        assert patched.status_code == 200


async def test_a_row_that_changes_behind_the_service_is_seen(stand: Stand) -> None:
    before = await contents(url(stand, "asyncpg"))
    conn = await asyncpg.connect(url(stand, "asyncpg"))
    try:
        await conn.execute("UPDATE users SET name = 'Nobody' WHERE email_key = 'user7@seed.example'")
        await conn.execute("DELETE FROM users WHERE email_key = 'user8@seed.example'")
    finally:
        await conn.close()
    after = await contents(url(stand, "asyncpg"), before)
    found = check("asyncpg", before, after, before, {"users": -1})
    assert not found.expected
    assert "1 users are gone" in found.because
    assert "1 users changed without a new version" in found.because


def test_a_baseline_that_held_something_else_is_named() -> None:
    one = Held({"users": 1, "documents": 0}, {"users": {UUID(int=1): (1, 5)}, "documents": {}})
    other = replace(one, rows={"users": {UUID(int=9): (1, 6)}, "documents": {}})
    alike = replace(one, rows={"users": {UUID(int=9): (1, 5)}, "documents": {}})
    assert check("motor", one, one, alike, None).expected
    found = check("motor", one, one, other, None)
    assert found.because == "users were not those of the baseline to begin with"
