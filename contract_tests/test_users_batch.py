"""Many users at once: in order, all or nothing (USR-6)."""

from typing import Any, Final

import httpx2
import pytest
from api import Api
from builders import make_user, make_users, new_user, unique_email, unique_word
from expectations import check_user, expect_page, expect_places, expect_problem, least_round_trips, walk

EMAIL: Final = "email"
JSON: Final = {"Content-Type": "application/json"}


@pytest.mark.clause("USR-6")
@pytest.mark.parametrize("count", [1, 2, 1_000])
async def test_a_batch_is_answered_in_the_order_sent(api: Api, count: int) -> None:
    word = unique_word("batch")
    bodies = [new_user(name=f"{word} {number}") for number in range(count, 0, -1)]
    response = await api.post("/users/batch", json=bodies)
    assert response.status_code == 201
    users = response.json()["items"]
    assert [{"email": user["email"], "name": user["name"]} for user in users] == bodies
    check_user(users[-1], version=1)
    assert await walk(api, "/users", {"q": word, "limit": 200}) == users


@pytest.mark.clause("USR-6", "GEN-2")
async def test_ids_of_a_batch_rise(api: Api) -> None:
    ids = [user["id"] for user in await make_users(api, 300)]
    assert ids == sorted(set(ids))


@pytest.mark.clause("USR-6")
async def test_the_answer_of_a_batch_holds_items_alone(api: Api) -> None:
    response = await api.post("/users/batch", json=[new_user()])
    assert set(response.json()) == {"items"}
    assert "location" not in response.headers


@pytest.mark.clause("USR-6", "GEN-10")
async def test_a_user_of_a_batch_is_a_user_like_any_other(api: Api) -> None:
    [user] = await make_users(api, 1)
    response = await api.get(f"/users/{user['id']}")
    assert (response.json(), response.headers["etag"]) == (user, '"1"')


@pytest.mark.clause("USR-6")
@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_of_none_or_too_many_is_invalid(api: Api, count: int) -> None:
    response = await api.post("/users/batch", json=[new_user() for _ in range(count)])
    expect_problem(response, 422, "validation", ["body"])


@pytest.mark.clause("USR-6", "GEN-1")
@pytest.mark.parametrize("body", ["{}", '{"items": []}', "null", '"x"', "1"])
async def test_a_batch_that_is_no_array_is_invalid(api: Api, body: str) -> None:
    response = await api.post("/users/batch", content=body.encode(), headers=JSON)
    expect_problem(response, 422, "validation", ["body"])


@pytest.mark.clause("USR-6")
@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        pytest.param({"name": ""}, ["name"], id="name"),
        pytest.param({"email": "x"}, ["email"], id="email"),
        pytest.param({"age": 1}, ["age"], id="unknown field"),
        pytest.param({"name": None}, ["name"], id="null"),
    ],
)
@pytest.mark.parametrize("place", [0, 2, 4])
async def test_one_invalid_row_refuses_the_batch(
    api: Api, place: int, fields: dict[str, Any], loc: list[str | int]
) -> None:
    word = unique_word("batch")
    bodies = [new_user(name=word) for _ in range(5)]
    bodies[place] |= fields
    problem = expect_problem(await api.post("/users/batch", json=bodies), 422, "validation")
    expect_places(problem, ["body", place, *loc])
    assert expect_page(await api.get("/users", params={"q": word})) == ([], None)


@pytest.mark.clause("USR-6")
@pytest.mark.parametrize("row", [None, [], "x", 1], ids=repr)
async def test_a_row_that_is_no_object_refuses_the_batch(api: Api, row: Any) -> None:
    problem = expect_problem(await api.post("/users/batch", json=[new_user(), row]), 422, "validation")
    expect_places(problem, ["body", 1])


@pytest.mark.clause("USR-6", "USR-2")
@pytest.mark.parametrize("place", [0, 3, 6])
async def test_a_taken_email_is_named_and_refuses_the_batch(api: Api, place: int) -> None:
    taken, word = await make_user(api), unique_word("batch")
    bodies = [new_user(name=word) for _ in range(7)]
    bodies[place][EMAIL] = taken["email"].upper()
    problem = expect_problem(await api.post("/users/batch", json=bodies), 409, "email-taken")
    expect_places(problem, ["body", place, EMAIL])
    assert expect_page(await api.get("/users", params={"q": word})) == ([], None)


@pytest.mark.clause("USR-6", "USR-2")
async def test_every_taken_email_is_named(api: Api) -> None:
    first, second = await make_users(api, 2)
    bodies = [new_user(), new_user(email=second["email"]), new_user(), new_user(email=first["email"])]
    problem = expect_problem(await api.post("/users/batch", json=bodies), 409, "email-taken")
    expect_places(problem, ["body", 1, EMAIL], ["body", 3, EMAIL])


@pytest.mark.clause("USR-6", "USR-2")
async def test_of_repeated_emails_the_later_places_are_named(api: Api) -> None:
    word, email = unique_word("batch"), unique_email()
    emails = [unique_email(), email, email.upper(), unique_email(), email.title()]
    bodies = [new_user(name=word, email=one) for one in emails]
    problem = expect_problem(await api.post("/users/batch", json=bodies), 409, "email-taken")
    expect_places(problem, ["body", 2, EMAIL], ["body", 4, EMAIL])
    assert expect_page(await api.get("/users", params={"q": word})) == ([], None)


@pytest.mark.clause("USR-6", "USR-2")
async def test_taken_and_repeated_emails_are_named_together(api: Api) -> None:
    taken, email = await make_user(api), unique_email()
    bodies = [new_user(email=one) for one in [email, taken["email"], email, taken["email"]]]
    problem = expect_problem(await api.post("/users/batch", json=bodies), 409, "email-taken")
    expect_places(problem, ["body", 1, EMAIL], ["body", 2, EMAIL], ["body", 3, EMAIL])


@pytest.mark.clause("USR-6", "GEN-11")
async def test_the_emails_of_a_refused_batch_stay_free(api: Api) -> None:
    taken = await make_user(api)
    bodies = [new_user(), new_user(email=taken["email"])]
    expect_problem(await api.post("/users/batch", json=bodies), 409, "email-taken")
    await make_user(api, email=bodies[0]["email"])


@pytest.mark.clause("USR-6", "GEN-7")
async def test_a_batch_takes_a_constant_number_of_round_trips(api: Api) -> None:
    async def store(count: int) -> httpx2.Response:
        return await api.post("/users/batch", json=[new_user() for _ in range(count)])

    few = await least_round_trips(lambda: store(2))
    assert await least_round_trips(lambda: store(1_000), tries=4) == few
