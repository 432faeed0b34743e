"""Real concurrent requests about users: who wins, who loses, what is left (USR-2, USR-5, GEN-10)."""

import asyncio
from collections import Counter

import httpx2
import pytest
from api import Api
from builders import (
    if_match,
    make_documents,
    make_user,
    make_users,
    new_document,
    new_user,
    unique_email,
    unique_word,
)
from expectations import expect_page, expect_problem, expect_user


def _statuses(answers: list[httpx2.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


@pytest.mark.clause("USR-2")
async def test_of_40_equal_creates_one_wins(api: Api) -> None:
    email = unique_email()
    bodies = [new_user(email=email) for _ in range(40)]
    answers = await asyncio.gather(*(api.post("/users", json=body) for body in bodies))
    assert _statuses(answers) == {201: 1, 409: 39}
    loser = next(answer for answer in answers if answer.status_code == 409)
    expect_problem(loser, 409, "email-taken")
    assert len(expect_page(await api.get("/users", params={"q": email}))[0]) == 1


@pytest.mark.clause("USR-2")
async def test_of_20_creates_with_one_key_in_other_spellings_one_wins(api: Api) -> None:
    rest = f".{unique_word()}@example.org"
    spellings = ["straße", "STRASSE", "Straße", "strasse"] * 5
    answers = await asyncio.gather(
        *(api.post("/users", json=new_user(email=spelling + rest)) for spelling in spellings)
    )
    assert _statuses(answers) == {201: 1, 409: 19}


@pytest.mark.clause("USR-2", "USR-4")
async def test_of_20_users_that_take_one_email_at_once_one_gets_it(api: Api) -> None:
    users, email = await make_users(api, 20), unique_email()
    answers = await asyncio.gather(
        *(api.patch(f"/users/{user['id']}", json={"email": email}, headers=if_match(user)) for user in users)
    )
    assert _statuses(answers) == {200: 1, 409: 19}


@pytest.mark.clause("USR-6", "USR-2")
async def test_of_10_batches_that_share_an_email_one_is_stored_whole(api: Api) -> None:
    word, email = unique_word("batch"), unique_email()
    batches = [
        [*(new_user(name=word) for _ in range(9)), new_user(name=word, email=email)] for _ in range(10)
    ]
    answers = await asyncio.gather(*(api.post("/users/batch", json=batch) for batch in batches))
    assert _statuses(answers) == {201: 1, 409: 9}
    assert len(expect_page(await api.get("/users", params={"q": word}))[0]) == 10


@pytest.mark.clause("USR-6", "USR-2")
async def test_two_batches_with_the_same_emails_in_opposite_order_do_not_deadlock(api: Api) -> None:
    batch = [new_user() for _ in range(200)]
    both = (batch, batch[::-1])
    answers = await asyncio.gather(*(api.post("/users/batch", json=sent) for sent in both))
    assert _statuses(answers) == {201: 1, 409: 1}


@pytest.mark.clause("GEN-10")
async def test_of_20_patches_with_one_etag_one_wins(api: Api) -> None:
    user = await make_user(api)
    answers = await asyncio.gather(
        *(
            api.patch(f"/users/{user['id']}", json={"name": f"writer {number}"}, headers=if_match(user))
            for number in range(20)
        )
    )
    assert _statuses(answers) == {200: 1, 412: 19}
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert expect_user(await api.get(f"/users/{user['id']}"), version=2) == winner


@pytest.mark.clause("GEN-10")
async def test_no_unconditional_writer_is_lost(api: Api) -> None:
    user = await make_user(api)
    answers = await asyncio.gather(
        *(
            api.patch(f"/users/{user['id']}", json={"name": f"writer {number}"}, headers={"If-Match": "*"})
            for number in range(20)
        )
    )
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 22))
    last = max((answer.json() for answer in answers), key=lambda changed: changed["version"])
    assert expect_user(await api.get(f"/users/{user['id']}")) == last


@pytest.mark.clause("GEN-10", "USR-5")
async def test_of_a_patch_and_a_delete_with_one_etag_one_wins(api: Api) -> None:
    user = await make_user(api)
    path = f"/users/{user['id']}"
    patched, deleted = await asyncio.gather(
        api.patch(path, json={"name": "survivor"}, headers=if_match(user)),
        api.delete(path, headers=if_match(user)),
    )
    assert (patched.status_code, deleted.status_code) in {(200, 412), (404, 204)}


@pytest.mark.clause("USR-5")
async def test_of_10_deletes_one_deletes(api: Api) -> None:
    user = await make_user(api)
    await make_documents(api, user, 20)
    answers = await asyncio.gather(*(api.delete(f"/users/{user['id']}") for _ in range(10)))
    assert _statuses(answers) == {204: 1, 404: 9}


@pytest.mark.clause("USR-5", "DOC-1")
async def test_a_user_deleted_among_100_creates_leaves_no_document(api: Api) -> None:
    user = await make_user(api)
    creates = [asyncio.create_task(api.post("/documents", json=new_document(user["id"]))) for _ in range(100)]
    await asyncio.wait(creates, return_when=asyncio.FIRST_COMPLETED)
    deleted = await api.delete(f"/users/{user['id']}")
    answers = await asyncio.gather(*creates)
    assert deleted.status_code == 204
    assert set(_statuses(answers)) <= {201, 422}
    created = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    left = await asyncio.gather(*(api.get(f"/documents/{document}") for document in created))
    assert _statuses(left) == {404: len(created)}
    assert expect_page(await api.get(f"/documents?owner_id={user['id']}")) == ([], None)


@pytest.mark.clause("USR-5", "DOC-5")
async def test_a_user_deleted_among_batches_leaves_no_document(api: Api) -> None:
    user = await make_user(api)
    batch = [new_document(user["id"]) for _ in range(50)]
    *answers, deleted = await asyncio.gather(
        *(api.post("/documents/batch", json=batch) for _ in range(10)), api.delete(f"/users/{user['id']}")
    )
    assert deleted.status_code == 204
    assert set(_statuses(list(answers))) <= {201, 422}
    assert expect_page(await api.get(f"/documents?owner_id={user['id']}")) == ([], None)
