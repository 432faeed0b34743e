"""Documents under concurrent requests (GEN-9, GEN-10, DOC-3, DOC-4, DOC-8)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any

import httpx2
import pytest
from api import Api
from builders import if_match, make_document, make_documents, make_user, make_users, unique_word
from expectations import expect_document, expect_page, expect_problem, walk

WRITERS = 20
CROWD = 40
ROUNDS = 5
Row = dict[str, Any]


async def at_once(requests: Sequence[Awaitable[httpx2.Response]]) -> list[httpx2.Response]:
    """The answers to requests that run at the same moment, in the order given."""
    return list(await asyncio.gather(*requests))


def statuses(answers: Sequence[httpx2.Response]) -> Counter[int]:
    """How often each status was answered."""
    return Counter(answer.status_code for answer in answers)


def transfer(api: Api, documents: Sequence[Row], giver: Row, taker: Row) -> Awaitable[httpx2.Response]:
    """A transfer of the documents in the order given."""
    body = {
        "document_ids": [document["id"] for document in documents],
        "from_owner_id": giver["id"],
        "to_owner_id": taker["id"],
    }
    return api.post("/documents/transfer", json=body)


@pytest.mark.clause("GEN-10", "DOC-3")
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_of_twenty_writers_with_one_etag_exactly_one_wins(api: Api, method: str) -> None:
    document = await make_document(api)
    path = f"/documents/{document['id']}"
    bodies = [
        {"title": f"writer {number}", "content": {"n": number}, "tags": []} for number in range(WRITERS)
    ]
    answers = await at_once(
        [api.request(method, path, json=body, headers=if_match(document)) for body in bodies]
    )
    assert statuses(answers) == {200: 1, 412: WRITERS - 1}
    won = next(answer for answer in answers if answer.status_code == 200)
    assert (await api.get(path)).json() == expect_document(won, version=2)


@pytest.mark.clause("GEN-10", "DOC-3", "DOC-4")
async def test_of_patches_puts_and_deletes_with_one_etag_exactly_one_wins(api: Api) -> None:
    document = await make_document(api)
    path, headers = f"/documents/{document['id']}", if_match(document)
    whole = {"title": "put", "content": {}, "tags": []}
    answers = await at_once(
        [
            *(api.patch(path, json={"title": f"p{number}"}, headers=headers) for number in range(7)),
            *(api.delete(path, headers=headers) for _ in range(7)),
            *(api.put(path, json={**whole, "tags": [f"t{number}"]}, headers=headers) for number in range(6)),
        ]
    )
    assert sum(answer.status_code in (200, 204) for answer in answers) == 1
    assert set(statuses(answers)) <= {200, 204, 404, 412}


@pytest.mark.clause("GEN-10", "DOC-3")
async def test_writers_that_change_nothing_all_succeed_and_leave_the_version(api: Api) -> None:
    document = await make_document(api)
    path, same = f"/documents/{document['id']}", {"title": document["title"]}
    answers = await at_once([api.patch(path, json=same, headers=if_match(document)) for _ in range(WRITERS)])
    assert [expect_document(answer) for answer in answers] == [document] * WRITERS


@pytest.mark.clause("GEN-10", "DOC-3")
async def test_writers_that_read_and_try_again_lose_no_change(api: Api) -> None:
    document = await make_document(api, content={})
    path = f"/documents/{document['id']}"

    async def add(name: str) -> None:
        answer = await api.patch(path, json={"content": {name: 1}}, headers=if_match(document))
        while answer.status_code == 412:
            now = (await api.get(path)).json()
            answer = await api.patch(path, json={"content": {name: 1}}, headers=if_match(now))
        assert answer.status_code == 200

    names = [f"n{number}" for number in range(8)]
    await asyncio.gather(*(add(name) for name in names))
    expect_document(await api.get(path), version=9, content=dict.fromkeys(names, 1))


@pytest.mark.clause("DOC-4", "DOC-3")
@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_a_delete_against_a_patch_leaves_no_document(api: Api, _round: int) -> None:
    document = await make_document(api)
    path = f"/documents/{document['id']}"
    patched, deleted = await at_once(
        [api.patch(path, json={"title": "late"}, headers=if_match(document)), api.delete(path)]
    )
    assert deleted.status_code == 204
    assert patched.status_code in (200, 404)
    expect_problem(await api.get(path), 404, "not-found")


@pytest.mark.clause("DOC-4")
async def test_of_many_deletes_exactly_one_finds_the_document(api: Api) -> None:
    document = await make_document(api)
    answers = await at_once([api.delete(f"/documents/{document['id']}") for _ in range(CROWD)])
    assert statuses(answers) == {204: 1, 404: CROWD - 1}


@pytest.mark.clause("DOC-8", "GEN-10")
@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_of_two_transfers_of_the_same_documents_in_opposite_orders_one_wins(
    api: Api, _round: int
) -> None:
    giver, first, second = await make_users(api, 3)
    documents = await make_documents(api, giver, 40)
    answers = await at_once(
        [transfer(api, documents, giver, first), transfer(api, documents[::-1], giver, second)]
    )
    assert statuses(answers) == {200: 1, 409: 1}
    counts = [len(await walk(api, "/documents", {"owner_id": taker["id"]})) for taker in (first, second)]
    assert sorted(counts) == [0, 40]


@pytest.mark.clause("DOC-8", "GEN-10")
async def test_of_many_transfers_of_one_document_one_wins_and_it_moves_once(api: Api) -> None:
    giver, *takers = await make_users(api, CROWD + 1)
    document = await make_document(api, giver)
    answers = await at_once([transfer(api, [document], giver, taker) for taker in takers])
    assert statuses(answers) == {200: 1, 409: CROWD - 1}
    won = [answer.status_code for answer in answers].index(200)
    expect_document(await api.get(f"/documents/{document['id']}"), version=2, owner_id=takers[won]["id"])


@pytest.mark.clause("DOC-8")
@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_transfers_between_two_owners_in_both_directions_all_succeed(api: Api, _round: int) -> None:
    one, other = await make_users(api, 2)
    ones, others = await make_documents(api, one, 20), await make_documents(api, other, 20)
    answers = await at_once(
        [
            *(transfer(api, ones[start : start + 5], one, other) for start in range(0, 20, 5)),
            *(transfer(api, others[start : start + 5], other, one) for start in range(0, 20, 5)),
        ]
    )
    assert statuses(answers) == {200: 8}


@pytest.mark.clause("DOC-8")
async def test_of_overlapping_transfers_no_document_moves_twice(api: Api) -> None:
    giver, *takers = await make_users(api, 6)
    documents = await make_documents(api, giver, 30)
    answers = await at_once(
        [
            transfer(api, documents[start * 5 : start * 5 + 10], giver, taker)
            for start, taker in enumerate(takers)
        ]
    )
    assert set(statuses(answers)) <= {200, 409}
    rows = [(await api.get(f"/documents/{document['id']}")).json() for document in documents]
    moved = sum(answer.json().get("transferred", 0) for answer in answers)
    assert {row["version"] for row in rows} <= {1, 2}
    assert sum(row["version"] == 2 for row in rows) == moved >= 10


@pytest.mark.clause("DOC-8", "USR-5")
@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_a_transfer_against_the_deletion_of_the_taker_leaves_no_orphan(api: Api, _round: int) -> None:
    giver, taker = await make_users(api, 2)
    documents = await make_documents(api, giver, 5)
    moved, deleted = await at_once(
        [transfer(api, documents, giver, taker), api.delete(f"/users/{taker['id']}")]
    )
    assert deleted.status_code == 204
    assert moved.status_code in (200, 409)
    left = await walk(api, "/documents", {"owner_id": giver["id"]})
    orphans, _ = expect_page(await api.get("/documents", params={"owner_id": taker["id"]}))
    assert (len(left), orphans) == ({200: 0, 409: 5}[moved.status_code], [])


@pytest.mark.clause("DOC-8", "DOC-3", "GEN-10")
@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_a_transfer_against_a_patch_loses_neither(api: Api, _round: int) -> None:
    giver, taker = await make_users(api, 2)
    document = await make_document(api, giver)
    path = f"/documents/{document['id']}"
    moved, patched = await at_once(
        [
            transfer(api, [document], giver, taker),
            api.patch(path, json={"title": "patched"}, headers=if_match(document)),
        ]
    )
    assert moved.status_code == 200
    titles = {200: "patched", 412: document["title"]}
    versions = {200: 3, 412: 2}
    expect_document(
        await api.get(path),
        owner_id=taker["id"],
        title=titles[patched.status_code],
        version=versions[patched.status_code],
    )


@pytest.mark.clause("GEN-9", "DOC-6")
@pytest.mark.parametrize("sort", ["created_at", "-created_at", "-title", "updated_at"])
async def test_a_walk_among_creates_and_deletes_shows_every_lasting_row_once(api: Api, sort: str) -> None:
    owner, tag = await make_user(api), unique_word()
    lasting = await make_documents(api, owner, 40, title="same", tags=[tag])
    passing = await make_documents(api, owner, 25, title="same", tags=[tag])

    async def come_and_go() -> None:
        for document in passing:
            await api.delete(f"/documents/{document['id']}")
            await make_document(api, owner, title="same", tags=[tag])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(come_and_go())
        walking = tasks.create_task(walk(api, "/documents", {"tag": tag, "sort": sort, "limit": 5}))
    shown = Counter(row["id"] for row in walking.result())
    assert all(shown[row["id"]] == 1 for row in lasting)
    assert max(shown.values()) == 1
