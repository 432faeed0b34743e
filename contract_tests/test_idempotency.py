"""Requests that are sent again with their idempotency key (GEN-13)."""

import asyncio
import secrets
from typing import Any, Final

import httpx2
import pytest
from api import Api
from builders import make_document, make_user, new_document, new_user, unique_email
from expectations import Json, expect_page, expect_problem, expect_user

NOBODY: Final = "01890a5d-ac96-774b-bcce-b302099a8057"

AT_ONCE: Final = 8


def new_key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_urlsafe(24)}


def expect_replayed(first: httpx2.Response, again: httpx2.Response) -> None:
    """The first answer, word for word, marked as a replay; the first one is not."""
    assert "idempotency-replayed" not in first.headers
    assert again.headers.get("idempotency-replayed") == "true", again.text
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("content-type", "location", "etag"):
        assert again.headers.get(name) == first.headers.get(name), name


async def send_twice(api: Api, path: str, body: Any) -> httpx2.Response:
    """The first of two equal requests under one key, after the second was checked to be its replay."""
    key = new_key()
    first = await api.post(path, json=body, headers=key)
    expect_replayed(first, await api.post(path, json=body, headers=key))
    return first


async def users_with_email_of(api: Api, user: Json) -> list[Json]:
    items, _ = expect_page(await api.get("/users", params={"q": user["email"]}))
    return items


@pytest.mark.clause("GEN-13", "USR-1")
async def test_a_repeated_creation_of_a_user_answers_the_first_user(api: Api) -> None:
    user = expect_user(await send_twice(api, "/users", new_user()), 201)
    assert await users_with_email_of(api, user) == [user]


@pytest.mark.clause("GEN-13", "USR-6", "DOC-5")
async def test_a_repeated_batch_is_stored_once(api: Api) -> None:
    bodies = [new_user(), new_user()]
    users = (await send_twice(api, "/users/batch", bodies)).json()["items"]
    assert [user["email"] for user in users] == [body["email"] for body in bodies]
    documents = [new_document(users[0]["id"]), new_document(users[1]["id"])]
    assert (await send_twice(api, "/documents/batch", documents)).status_code == 201
    for user in users:
        assert len(expect_page(await api.get(f"/users/{user['id']}/documents"))[0]) == 1


@pytest.mark.clause("GEN-13", "DOC-1")
async def test_a_repeated_creation_of_a_document_answers_the_first_document(api: Api) -> None:
    owner = await make_user(api)
    document = (await send_twice(api, "/documents", new_document(owner["id"]))).json()
    assert expect_page(await api.get(f"/users/{owner['id']}/documents"))[0] == [document]


@pytest.mark.clause("GEN-13", "DOC-8")
async def test_a_repeated_transfer_moves_the_documents_once(api: Api) -> None:
    giver, taker = await make_user(api), await make_user(api)
    document = await make_document(api, giver)
    transfer = {
        "document_ids": [document["id"]],
        "from_owner_id": giver["id"],
        "to_owner_id": taker["id"],
    }
    assert (await send_twice(api, "/documents/transfer", transfer)).json() == {"transferred": 1}
    assert (await api.get(f"/documents/{document['id']}")).json()["version"] == 2


@pytest.mark.clause("GEN-13")
@pytest.mark.parametrize(
    "written", [b'{"name":"Ada","email":"%s"}', b' { "email" : "%s", "name" : "\\u0041da" } ']
)
async def test_a_body_is_the_same_however_its_json_is_written(api: Api, written: bytes) -> None:
    key, email = new_key(), unique_email()
    first = await api.post("/users", json={"email": email, "name": "Ada"}, headers=key)
    headers = {**key, "Content-Type": "application/json"}
    again = await api.post("/users", content=written.replace(b"%s", email.encode()), headers=headers)
    expect_replayed(first, again)


@pytest.mark.clause("GEN-13", "USR-2")
async def test_a_taken_email_is_kept_as_the_answer_even_when_it_is_free_again(api: Api) -> None:
    taken = await make_user(api)
    body = new_user(email=taken["email"])
    key = new_key()
    first = await api.post("/users", json=body, headers=key)
    expect_problem(first, 409, "email-taken")
    await api.delete(f"/users/{taken['id']}")
    expect_replayed(first, await api.post("/users", json=body, headers=key))


@pytest.mark.clause("GEN-13", "DOC-1", "DOC-5", "DOC-8")
async def test_refusals_that_the_data_decided_are_kept(api: Api) -> None:
    owner = await make_user(api)
    ownerless = new_document(NOBODY)
    expect_problem(await send_twice(api, "/documents", ownerless), 422, "validation", ["body", "owner_id"])
    batch = [new_document(owner["id"]), ownerless]
    refused = await send_twice(api, "/documents/batch", batch)
    expect_problem(refused, 422, "validation", ["body", 1, "owner_id"])
    transfer = {"document_ids": [NOBODY], "from_owner_id": owner["id"], "to_owner_id": owner["id"]}
    expect_problem(await send_twice(api, "/documents/transfer", transfer), 409, "conflict")
    assert expect_page(await api.get(f"/users/{owner['id']}/documents"))[0] == []


@pytest.mark.clause("GEN-13", "USR-6")
async def test_a_refused_batch_names_its_places_again_and_leaves_nothing(api: Api) -> None:
    taken = await make_user(api)
    fresh = new_user()
    refused = await send_twice(api, "/users/batch", [fresh, new_user(email=taken["email"].upper())])
    expect_problem(refused, 409, "email-taken", ["body", 1, "email"])
    assert expect_page(await api.get("/users", params={"q": fresh["email"]}))[0] == []


@pytest.mark.clause("GEN-13")
async def test_a_request_that_broke_a_rule_does_not_use_up_its_key(api: Api) -> None:
    key = new_key()
    expect_problem(await api.post("/users", json={"name": "Ada"}, headers=key), 422, "validation")
    user = expect_user(await api.post("/users", json=new_user(), headers=key), 201)
    assert user["version"] == 1


@pytest.mark.clause("GEN-13")
async def test_a_key_with_another_body_or_path_is_a_conflict_and_changes_nothing(api: Api) -> None:
    key, body, other = new_key(), new_user(), new_user()
    first = await api.post("/users", json=body, headers=key)
    expect_problem(await api.post("/users", json=other, headers=key), 409, "conflict")
    expect_problem(await api.post("/users/batch", json=[other], headers=key), 409, "conflict")
    assert expect_page(await api.get("/users", params={"q": other["email"]}))[0] == []
    expect_replayed(first, await api.post("/users", json=body, headers=key))


@pytest.mark.clause("GEN-13")
@pytest.mark.parametrize(
    "key", ["", "k" * 129, "ключ".encode(), "tab\there"], ids=["empty", "long", "letters", "tab"]
)
async def test_a_key_out_of_form_is_refused_and_nothing_is_stored(api: Api, key: str | bytes) -> None:
    body = new_user()
    answer = await api.post("/users", json=body, headers={"Idempotency-Key": key})
    expect_problem(answer, 422, "validation", ["header", "Idempotency-Key"])
    assert expect_page(await api.get("/users", params={"q": body["email"]}))[0] == []


@pytest.mark.clause("GEN-13")
async def test_a_key_of_the_greatest_length_with_spaces_and_signs_is_fine(api: Api) -> None:
    key = {"Idempotency-Key": f'~"{secrets.token_hex(4)} !'.ljust(127, "-") + "~"}
    body = new_user()
    first = await api.post("/users", json=body, headers=key)
    expect_user(first, 201)
    expect_replayed(first, await api.post("/users", json=body, headers=key))


@pytest.mark.clause("GEN-13")
async def test_requests_under_one_key_at_the_same_moment_take_effect_once(api: Api) -> None:
    for _ in range(5):
        key, body = new_key(), new_user()
        sent = [api.post("/users", json=body, headers=key) for _ in range(AT_ONCE)]
        answers = await asyncio.gather(*sent)
        [first] = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
        user = expect_user(first, 201)
        for answer in answers:
            assert (answer.status_code, answer.json()) == (201, user)


@pytest.mark.clause("GEN-13")
async def test_different_bodies_under_one_key_at_the_same_moment_take_effect_once(api: Api) -> None:
    key = new_key()
    bodies = [new_user() for _ in range(AT_ONCE)]
    answers = await asyncio.gather(*(api.post("/users", json=body, headers=key) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (AT_ONCE - 1)
    found = [expect_page(await api.get("/users", params={"q": body["email"]}))[0] for body in bodies]
    assert sorted(map(len, found)) == [0] * (AT_ONCE - 1) + [1]


@pytest.mark.clause("GEN-13", "GEN-8")
async def test_a_large_answer_is_kept_whole(api: Api) -> None:
    owner = await make_user(api)
    bodies = [new_document(owner["id"], content={"filler": "ü" * 7_800}) for _ in range(1_000)]
    first = await send_twice(api, "/documents/batch", bodies)
    assert len(first.json()["items"]) == 1_000


@pytest.mark.clause("GEN-13")
async def test_reads_and_changes_by_other_methods_take_no_notice_of_a_key(api: Api) -> None:
    user = await make_user(api)
    key = new_key()
    for _ in range(2):
        answer = await api.get(f"/users/{user['id']}", headers=key)
        assert answer.status_code == 200
        assert "idempotency-replayed" not in answer.headers
