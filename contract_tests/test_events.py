"""The change feed: what makes an event, who sees it, in which order (EVT-1, EVT-2)."""

import asyncio
import time
from typing import Any, Final

import pytest
from api import Api
from builders import etag, if_match, make_document, make_documents, make_user, make_users, new_user
from expectations import Json, expect_document, expect_gone, expect_problem, expect_user
from streams import Heard, Subscriber, subscribed

WITHIN: Final = 1.0
WRITERS: Final = 8
BATCH: Final = 1_000


async def up_to_a_mark(api: Api, subscriber: Subscriber) -> list[Heard]:
    """All events of what was committed before this call."""
    mark, heard = await make_user(api), list[Heard]()
    while not heard or heard[-1].data["resource_id"] != mark["id"]:
        heard.append(await subscriber.next())
    return heard[:-1]


def transfer(documents: list[Json], giver: Json, taker: Json) -> Json:
    """The body of a transfer."""
    ids = [document["id"] for document in documents]
    return {"document_ids": ids, "from_owner_id": giver["id"], "to_owner_id": taker["id"]}


@pytest.mark.clause("EVT-1", "EVT-2")
async def test_each_change_of_a_user_is_one_event(api: Api) -> None:
    async with subscribed(api, topic="users") as subscriber:
        user = await make_user(api)
        path = f"/users/{user['id']}"
        changed = expect_user(await api.patch(path, json={"name": "Mary"}, headers=if_match(user)))
        expect_gone(await api.delete(path))
        heard = await up_to_a_mark(api, subscriber)
    assert [one.change for one in heard] == [
        ("user.created", user["id"], 1),
        ("user.updated", user["id"], 2),
        ("user.deleted", user["id"], 3),
    ]
    assert {one.data["owner_id"] for one in heard} == {user["id"]}
    assert [one.data["at"] for one in heard[:2]] == [user["created_at"], changed["updated_at"]]
    assert heard[2].data["at"] >= heard[1].data["at"]


@pytest.mark.clause("EVT-1", "EVT-2")
async def test_each_change_of_a_document_is_one_event(api: Api) -> None:
    owner = await make_user(api)
    async with subscribed(api) as subscriber:
        document = await make_document(api, owner)
        path, whole = f"/documents/{document['id']}", {"title": "new", "content": {}, "tags": []}
        put = expect_document(await api.put(path, json=whole, headers=if_match(document)))
        changed = await api.patch(path, json={"tags": ["a"]}, headers=if_match(put))
        expect_gone(await api.delete(path, headers={"If-Match": etag(expect_document(changed))}))
        heard = await up_to_a_mark(api, subscriber)
    kinds = ["document.created", "document.updated", "document.updated", "document.deleted"]
    assert [one.change for one in heard] == [
        (kind, document["id"], version) for version, kind in enumerate(kinds, 1)
    ]
    assert {one.data["owner_id"] for one in heard} == {owner["id"]}
    assert [one.data["at"] for one in heard[:2]] == [document["created_at"], put["updated_at"]]


@pytest.mark.clause("EVT-1", "EVT-2")
async def test_a_batch_and_a_cascade_make_an_event_for_each_row_however_many(api: Api) -> None:
    async with subscribed(api) as subscriber:
        owner = await make_user(api)
        documents = await make_documents(api, owner, BATCH)
        expect_gone(await api.delete(f"/users/{owner['id']}"))
        heard = [one.change for one in await up_to_a_mark(api, subscriber)]
    ids = [document["id"] for document in documents]
    assert heard[0] == ("user.created", owner["id"], 1)
    assert sorted(heard[1 : BATCH + 1]) == sorted(("document.created", id, 1) for id in ids)
    deleted = [("user.deleted", owner["id"], 2), *(("document.deleted", id, 2) for id in ids)]
    assert sorted(heard[BATCH + 1 :]) == sorted(deleted)


@pytest.mark.clause("EVT-1", "DOC-8")
async def test_a_transfer_is_seen_by_the_filters_on_both_owners_and_by_no_other(api: Api) -> None:
    giver, taker, stranger = await make_users(api, 3)
    documents = await make_documents(api, giver, 2)
    async with (
        subscribed(api, owner_id=giver["id"]) as of_giver,
        subscribed(api, owner_id=taker["id"], topic="documents") as of_taker,
        subscribed(api, owner_id=stranger["id"]) as of_stranger,
    ):
        answer = await api.post("/documents/transfer", json=transfer(documents, giver, taker))
        assert answer.status_code == 200
        expect_gone(await api.delete(f"/users/{stranger['id']}"))
        heard = await of_giver.some(2)
        assert await of_taker.some(2) == heard
        assert (await of_stranger.next()).change == ("user.deleted", stranger["id"], 2)
    moved = {("document.updated", document["id"], 2) for document in documents}
    assert {one.change for one in heard} == moved
    assert {one.data["owner_id"] for one in heard} == {taker["id"]}


@pytest.mark.clause("EVT-2", "GEN-10", "GEN-13", "DOC-8")
async def test_what_changes_nothing_makes_no_event(api: Api) -> None:
    user, other = await make_users(api, 2)
    document = await make_document(api, user)
    path = f"/documents/{document['id']}"
    whole = {name: document[name] for name in ("title", "content", "tags")}
    key: dict[str, Any] = {"json": new_user(), "headers": {"Idempotency-Key": user["id"]}}
    first = expect_user(await api.post("/users", **key), 201)
    async with subscribed(api) as subscriber:
        answers = [
            await api.patch(f"/users/{user['id']}", json={"name": user["name"]}, headers=if_match(user)),
            await api.patch(path, json={}, headers=if_match(document)),
            await api.put(path, json=whole, headers=if_match(document)),
            await api.post("/documents/transfer", json=transfer([document], user, user)),
        ]
        assert [answer.status_code for answer in answers] == [200] * 4
        refused = [
            await api.post("/users", json=new_user(email=user["email"])),
            await api.post("/users/batch", json=[new_user(), new_user(email=user["email"])]),
            await api.patch(path, json={"title": "x"}, headers={"If-Match": '"9"'}),
            await api.post("/documents/transfer", json=transfer([document], other, user)),
            await api.delete(path, headers={"If-Match": '"9"'}),
        ]
        assert [answer.status_code for answer in refused] == [409, 409, 412, 409, 412]
        assert expect_user(await api.post("/users", **key), 201) == first
        assert await up_to_a_mark(api, subscriber) == []


@pytest.mark.clause("EVT-1")
async def test_filters_by_topic_and_owner_narrow_the_stream(api: Api) -> None:
    user = await make_user(api)
    async with (
        subscribed(api, topic="users", owner_id=user["id"]) as users,
        subscribed(api, topic="documents", owner_id=user["id"]) as documents,
        subscribed(api, owner_id=user["id"]) as both,
        subscribed(api, topic="documents") as all_documents,
    ):
        stranger = await make_document(api)
        document = await make_document(api, user)
        expect_gone(await api.delete(f"/documents/{document['id']}"))
        expect_gone(await api.delete(f"/users/{user['id']}"))
        of_document = [("document.created", document["id"], 1), ("document.deleted", document["id"], 2)]
        of_user = [("user.deleted", user["id"], 2)]
        assert await users.changes(1) == of_user
        assert await documents.changes(2) == of_document
        assert await both.changes(3) == of_document + of_user
        assert await all_documents.changes(3) == [("document.created", stranger["id"], 1), *of_document]


@pytest.mark.clause("EVT-2")
async def test_concurrent_changes_come_in_the_order_of_versions_and_alike_for_all(api: Api) -> None:
    documents = [await make_document(api) for _ in range(WRITERS)]
    async with subscribed(api) as one, subscribed(api) as other:

        async def change(document: Json) -> None:
            path = f"/documents/{document['id']}"
            for number in range(12):
                patched = await api.patch(path, json={"title": str(number)}, headers=if_match(document))
                document = expect_document(patched)

        await asyncio.gather(*map(change, documents))
        heard = await up_to_a_mark(api, one)
        assert await other.some(len(heard)) == heard
    for document in documents:
        versions = [one.data["version"] for one in heard if one.data["resource_id"] == document["id"]]
        assert versions == list(range(2, 14))


@pytest.mark.clause("EVT-2")
async def test_an_event_is_there_within_a_second(api: Api) -> None:
    took: list[float] = []
    async with subscribed(api) as subscriber:
        for _ in range(20):
            user = await make_user(api)
            committed = time.monotonic()
            assert (await subscriber.next()).data["resource_id"] == user["id"]
            took.append(time.monotonic() - committed)
    # a machine that stands still meanwhile makes one late, a service that looks seldom makes many
    assert sorted(took)[-3] < WITHIN, took


@pytest.mark.clause("EVT-1", "EVT-4")
async def test_retry_comes_first_and_then_a_comment_and_where_to_resume(api: Api) -> None:
    async with subscribed(api) as subscriber:
        assert subscriber.opening[0] == "retry: 1000"
        assert subscriber.opening[1].startswith(":")
        assert subscriber.opening[2:] == [f"id: {subscriber.head}"]
        headers = subscriber.headers
    assert subscriber.head
    assert headers["content-type"].partition(";")[0] == "text/event-stream"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"


@pytest.mark.clause("EVT-1", "GEN-1", "GEN-2", "GEN-12")
async def test_what_is_no_subscription_is_refused(api: Api) -> None:
    for params, name in (
        ({"topic": "rooms"}, "topic"),
        ({"topic": ""}, "topic"),
        ({"owner_id": "7"}, "owner_id"),
        ({"since": "1"}, "since"),
    ):
        expect_problem(await api.get("/events", params=params), 422, "validation", ["query", name])
    for method in ("HEAD", "POST", "DELETE"):
        refused = await api.request(method, "/events")
        assert refused.status_code == 405
        assert refused.headers["allow"] == "GET"
