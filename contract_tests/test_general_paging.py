"""Cursors and walks (GEN-9), shown on users and on one owner's documents."""

import asyncio
import re
from base64 import urlsafe_b64encode
from typing import Any, Final

import pytest
from api import Api
from builders import make_document, make_documents, make_user, make_users, unique_word
from expectations import Json, expect_gone, expect_page, expect_problem, walk

SORTS: Final = ["created_at", "-created_at", "name", "-name", "email", "-email"]


async def _family(api: Api, names: list[str]) -> tuple[str, list[Json]]:
    """Users whose names start with a word that only they share, so that `q` lists just them."""
    word = unique_word("family")
    return word, [await make_user(api, name=f"{word} {name}") for name in names]


def _ids(rows: list[Json]) -> list[str]:
    return [row["id"] for row in rows]


@pytest.mark.clause("GEN-9")
async def test_a_page_has_50_rows_if_no_limit_is_given(api: Api) -> None:
    owner = await make_user(api)
    await make_documents(api, owner, 51)
    items, cursor = expect_page(await api.get("/documents", params={"owner_id": owner["id"]}))
    assert len(items) == 50
    assert cursor is not None


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize("limit", [1, 2, 7, 199, 200])
async def test_a_page_has_as_many_rows_as_its_limit(api: Api, limit: int) -> None:
    owner = await make_user(api)
    await make_documents(api, owner, 201)
    items, cursor = expect_page(await api.get("/documents", params={"owner_id": owner["id"], "limit": limit}))
    assert len(items) == limit
    assert cursor is not None


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize(
    "limit", ["0", "201", "-1", "1.0", "01", "+1", "%201", "1%20", "1e1", "ten", "%D9%A1", "1000", "9" * 30]
)
@pytest.mark.parametrize("path", ["/users", "/documents"])
async def test_a_limit_out_of_form_is_invalid(api: Api, path: str, limit: str) -> None:
    expect_problem(await api.get(f"{path}?limit={limit}"), 422, "validation", ["query", "limit"])


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize("rows", [0, 1, 4, 5])
async def test_a_page_that_no_row_follows_has_no_cursor(api: Api, rows: int) -> None:
    word, _ = await _family(api, list("abcde")[:rows])
    items, cursor = expect_page(await api.get("/users", params={"q": word, "limit": 5}))
    assert (len(items), cursor) == (rows, None)


@pytest.mark.clause("GEN-9")
async def test_the_last_full_page_has_no_cursor(api: Api) -> None:
    word, users = await _family(api, list("abcd"))
    _, cursor = expect_page(await api.get("/users", params={"q": word, "limit": 2}))
    items, end = expect_page(await api.get("/users", params={"q": word, "limit": 2, "cursor": cursor}))
    assert (_ids(items), end) == (_ids(users)[2:], None)


@pytest.mark.clause("GEN-9", "USR-7")
@pytest.mark.parametrize("sort", SORTS)
async def test_a_walk_shows_every_row_once_and_in_order(api: Api, sort: str) -> None:
    word, users = await _family(api, ["b", "a", "c", "a", "B", "b"])
    rows = await walk(api, "/users", {"q": word, "sort": sort, "limit": 2})
    field = sort.removeprefix("-")
    ordered = sorted(users, key=lambda user: (user[field].lower(), user["id"]), reverse=sort.startswith("-"))
    assert _ids(rows) == _ids(ordered)


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize("field", ["created_at", "name"])
async def test_descending_is_the_exact_reverse_of_ascending(api: Api, field: str) -> None:
    word = unique_word("same")
    await make_users(api, 23, name=word)
    rising = await walk(api, "/users", {"q": word, "sort": field, "limit": 4})
    falling = await walk(api, "/users", {"q": word, "sort": f"-{field}", "limit": 3})
    assert len(rising) == 23
    assert _ids(falling) == _ids(rising)[::-1]


@pytest.mark.clause("GEN-9")
async def test_equal_sort_keys_are_ordered_by_id(api: Api) -> None:
    word = unique_word("same")
    users = await make_users(api, 12, name=word)
    rows = await walk(api, "/users", {"q": word, "sort": "name", "limit": 5})
    assert _ids(rows) == sorted(_ids(users))


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize("sort", SORTS)
async def test_a_cursor_is_url_safe(api: Api, sort: str) -> None:
    word, _ = await _family(api, ["ÿ<>&?#/+ \"'%", "Ω≈ç√", "z"])
    _, cursor = expect_page(await api.get("/users", params={"q": word, "sort": sort, "limit": 1}))
    assert re.fullmatch(r"[A-Za-z0-9_.~-]+", cursor or "")
    assert (await api.get(f"/users?q={word}&sort={sort}&limit=1&cursor={cursor}")).status_code == 200


async def _cursor(api: Api) -> tuple[str, str]:
    word, _ = await _family(api, ["a", "b", "c"])
    _, cursor = expect_page(await api.get("/users", params={"q": word, "sort": "name", "limit": 1}))
    assert cursor is not None
    return word, cursor


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"sort": "-name"}, id="the other direction"),
        pytest.param({"sort": "email"}, id="another sort"),
        pytest.param({"sort": None}, id="the default sort"),
        pytest.param({"q": "else"}, id="another filter"),
        pytest.param({"q": None}, id="no filter"),
    ],
)
async def test_a_cursor_is_bound_to_its_sort_and_filters(api: Api, changed: dict[str, Any]) -> None:
    word, cursor = await _cursor(api)
    params = {"q": word, "sort": "name", "cursor": cursor} | changed
    kept = {name: value for name, value in params.items() if value is not None}
    expect_problem(await api.get("/users", params=kept), 422, "validation", ["query", "cursor"])


@pytest.mark.clause("GEN-9")
async def test_a_cursor_is_bound_to_its_collection(api: Api) -> None:
    await make_users(api, 2)
    _, cursor = expect_page(await api.get("/users?limit=1"))
    expect_problem(await api.get(f"/documents?cursor={cursor}"), 422, "validation", ["query", "cursor"])


@pytest.mark.clause("GEN-9", "DOC-6")
async def test_a_cursor_is_bound_to_its_owner(api: Api) -> None:
    owner, other = await make_users(api, 2)
    await make_documents(api, owner, 2)
    await make_documents(api, other, 2)
    _, cursor = expect_page(await api.get(f"/documents?limit=1&owner_id={owner['id']}"))
    response = await api.get(f"/documents?owner_id={other['id']}&cursor={cursor}")
    expect_problem(response, 422, "validation", ["query", "cursor"])


@pytest.mark.clause("GEN-9")
async def test_limit_may_change_between_pages(api: Api) -> None:
    word, users = await _family(api, list("abcdef"))
    first, cursor = expect_page(await api.get("/users", params={"q": word, "limit": 1}))
    rest, end = expect_page(await api.get("/users", params={"q": word, "limit": 200, "cursor": cursor}))
    assert (_ids(first + rest), end) == (_ids(users), None)


@pytest.mark.clause("GEN-9", "DOC-6")
async def test_include_may_change_between_pages(api: Api) -> None:
    owner = await make_user(api)
    await make_documents(api, owner, 2)
    params = {"owner_id": owner["id"], "limit": 1}
    _, cursor = expect_page(await api.get("/documents", params=params))
    items, _ = expect_page(
        await api.get("/documents", params={**params, "include": "owner", "cursor": cursor})
    )
    assert items[0]["owner"]["id"] == owner["id"]


@pytest.mark.clause("GEN-9")
async def test_leaving_the_sort_out_equals_its_default(api: Api) -> None:
    word, users = await _family(api, list("abc"))
    _, cursor = expect_page(await api.get("/users", params={"q": word, "limit": 1}))
    params = {"q": word, "sort": "created_at", "cursor": cursor}
    rows, _ = expect_page(await api.get("/users", params=params))
    assert _ids(rows) == _ids(users)[1:]


@pytest.mark.clause("GEN-9", "GEN-4")
@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "null",
        "AAAA",
        "-",
        "~",
        "%00",
        "%FF",
        "ä",
        "=" * 4,
        "a" * 5000,
        "%0A",
        "eyJpZCI6MX0",
        "' OR 1=1 --",
    ],
)
async def test_an_invented_cursor_is_invalid(api: Api, cursor: str) -> None:
    expect_problem(await api.get(f"/users?cursor={cursor}"), 422, "validation")


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize("place", [0, 1, 10, -10, -3, -1])
async def test_a_cursor_that_was_tampered_with_is_invalid(api: Api, place: int) -> None:
    word, cursor = await _cursor(api)
    letters = list(cursor)
    letters[place] = "B" if letters[place] == "A" else "A"
    params = {"q": word, "sort": "name", "cursor": "".join(letters)}
    expect_problem(await api.get("/users", params=params), 422, "validation", ["query", "cursor"])


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize("cut", [1, 4, 20])
async def test_a_cut_or_lengthened_cursor_is_invalid(api: Api, cut: int) -> None:
    word, cursor = await _cursor(api)
    longer = cursor + urlsafe_b64encode(b"x" * cut).decode().rstrip("=")
    for_both = {"q": word, "sort": "name"}
    expect_problem(await api.get("/users", params={**for_both, "cursor": cursor[:-cut]}), 422, "validation")
    expect_problem(await api.get("/users", params={**for_both, "cursor": longer}), 422, "validation")


@pytest.mark.clause("GEN-9")
async def test_a_cursor_holds_after_its_row_is_deleted(api: Api) -> None:
    word, users = await _family(api, list("abcd"))
    items, cursor = expect_page(await api.get("/users", params={"q": word, "limit": 2}))
    expect_gone(await api.delete(f"/users/{items[-1]['id']}"))
    rows, _ = expect_page(await api.get("/users", params={"q": word, "cursor": cursor}))
    assert _ids(rows) == _ids(users)[2:]


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize("sort", ["created_at", "-created_at", "name", "-name"])
async def test_a_walk_misses_and_repeats_nothing_while_rows_come_and_go(api: Api, sort: str) -> None:
    word = unique_word("moving")
    staying = await make_users(api, 40, name=f"{word} m")
    going = await make_users(api, 20, name=f"{word} k")
    stop = asyncio.Event()
    writer = asyncio.create_task(_come_and_go(api, word, going, stop))
    rows = await walk(api, "/users", {"q": word, "sort": sort, "limit": 3})
    stop.set()
    await writer
    seen = _ids(rows)
    assert len(set(seen)) == len(seen)
    assert set(_ids(staying)) <= set(seen)


async def _come_and_go(api: Api, word: str, going: list[Json], stop: asyncio.Event) -> None:
    """Deletes rows and adds others on both sides of those that stay."""
    for number, user in enumerate(going):
        if stop.is_set():
            return
        await api.delete(f"/users/{user['id']}")
        await make_user(api, name=f"{word} {'az'[number % 2]}")


@pytest.mark.clause("GEN-9")
async def test_a_row_added_behind_the_cursor_is_seen_and_one_before_it_is_not(api: Api) -> None:
    word, _ = await _family(api, ["b", "d"])
    _, cursor = expect_page(await api.get("/users", params={"q": word, "sort": "name", "limit": 1}))
    await make_user(api, name=f"{word} a")
    behind = await make_user(api, name=f"{word} c")
    rows, _ = expect_page(await api.get("/users", params={"q": word, "sort": "name", "cursor": cursor}))
    assert rows[0]["id"] == behind["id"]
    assert [row["name"] for row in rows] == [f"{word} c", f"{word} d"]


@pytest.mark.clause("GEN-9", "GEN-3")
async def test_rows_of_one_millisecond_are_walked_one_by_one(api: Api) -> None:
    owner = await make_user(api)
    documents = await make_documents(api, owner, 15)
    rows = await walk(api, "/documents", {"owner_id": owner["id"], "limit": 1})
    assert _ids(rows) == _ids(documents)


@pytest.mark.clause("GEN-9")
async def test_a_listed_row_is_as_a_get_answers_it(api: Api) -> None:
    document = await make_document(api)
    items, _ = expect_page(await api.get("/documents", params={"owner_id": document["owner_id"]}))
    assert items == [document]
