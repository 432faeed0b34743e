"""MONGODB_URL may send reads to secondaries; what has to be true at one server does not go there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import pymongo
import pytest
from api import Api
from builders import if_match, make_attachment, make_document, make_user, new_user, unique_word

from assay.stand import StandOptions, open_stand
from shared.registry import Service, services

_ASKED: Final = "readPreference=secondaryPreferred"
_EVERYTHING: Final = 2
"""Of what the server's profiler keeps."""


@dataclass(frozen=True)
class Watched:
    """A service on Motor, and the database that keeps every command it gets."""

    api: Api
    database: pymongo.asynchronous.database.AsyncDatabase[dict[str, Any]]

    async def modes(self) -> set[str]:
        """The read preferences of all commands since the last time, `primary` where none is told."""
        await self.database.command("profile", 0)
        kept = self.database["system.profile"]
        told = [row["command"] async for row in kept.find({"command.getMore": {"$exists": False}})]
        await kept.drop()
        await self.database.command("profile", _EVERYTHING)
        assert told
        return {command.get("$readPreference", {"mode": "primary"})["mode"] for command in told}


@pytest.fixture(
    scope="module",
    params=[service for service in services() if service.database == "mongodb"],
    ids=lambda service: service.name,
)
async def watched(request: pytest.FixtureRequest) -> AsyncIterator[Watched]:
    service: Service = request.param
    async with open_stand([service], StandOptions(durable=False), serving=False) as stand:
        url = stand.databases.url_for(service)["MONGODB_URL"]
        running = await stand.start_service(service, environment={"MONGODB_URL": f"{url}&{_ASKED}"})
        async with (
            Api(service.name, running.url) as api,
            pymongo.AsyncMongoClient[dict[str, Any]](url) as client,
        ):
            database = client.get_default_database()
            await database.command("profile", _EVERYTHING)
            yield Watched(api, database)


async def test_reading_goes_where_the_url_says(watched: Watched) -> None:
    user = await make_user(watched.api)
    await watched.modes()
    for path in (
        f"/users/{user['id']}",
        "/users?limit=1",
        "/documents?include=owner",
        "/users/export?format=csv",
    ):
        assert (await watched.api.get(path)).status_code == 200
        assert await watched.modes() == {"secondaryPreferred"}


@pytest.mark.clause("DOC-1", "GEN-10", "GEN-13")
async def test_what_decides_about_a_change_is_read_from_the_primary(watched: Watched) -> None:
    api = watched.api
    giver, taker = await make_user(api), await make_user(api)
    document = await make_document(api, giver)
    await make_attachment(api, document)
    await watched.modes()
    place, given = f"/documents/{document['id']}", if_match(document)
    transfer = {"document_ids": [document["id"]], "from_owner_id": giver["id"], "to_owner_id": taker["id"]}
    key = {"Idempotency-Key": unique_word()}
    for answer in (
        await api.patch(place, json={"title": document["title"]}, headers=given),
        await api.patch(place, json={"content": {"a": None}}, headers=given),
        await api.patch(place, json={"title": "Another"}, headers={"If-Match": '"9"'}),
        await api.post("/documents/transfer", json=transfer),
        await api.post("/documents/transfer", json=transfer),
        await api.post("/users", json=new_user(), headers=key),
        await api.delete(place, headers={"If-Match": "*"}),
        await api.delete(f"/users/{giver['id']}", headers={"If-Match": "*"}),
    ):
        assert answer.status_code in {200, 201, 204, 409, 412}
    assert await watched.modes() == {"primary"}
