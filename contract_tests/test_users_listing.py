"""Listing users: sorts by key and the prefix filter (USR-7)."""

from typing import Any, Final

import pytest
from api import Api
from builders import make_user, make_users, new_user, unique_word
from expectations import Json, check_user, expect_page, expect_problem, walk


async def _names(api: Api, endings: list[str]) -> tuple[str, list[Json]]:
    word = unique_word("list")
    return word, [await make_user(api, name=f"{word}{ending}") for ending in endings]


def _ids(rows: list[Json]) -> list[str]:
    return [row["id"] for row in rows]


@pytest.mark.clause("USR-7")
async def test_names_sort_by_key_and_code_point(api: Api) -> None:
    endings = [
        "b",
        "A",
        "a",
        "B",
        "z",
        "Z",
        "é",
        "e\u0301",
        "É",
        "ß",
        "ss",
        "SS",
        "0",
        "10",
        "2",
        "_",
        "!",
        "😀",
        "ａ",
        "Я",
        "я",
    ]
    word, users = await _names(api, endings)
    rows = await walk(api, "/users", {"q": word, "sort": "name", "limit": 4})
    assert [row["name"].removeprefix(word) for row in rows] == [
        "!", "0", "10", "2", "_", "A", "a", "b", "B", "ß", "ss", "SS", "z", "Z",
        "é", "e\u0301", "É", "Я", "я", "ａ", "😀",
    ]  # fmt: skip
    assert set(_ids(rows)) == set(_ids(users))


@pytest.mark.clause("USR-7", "GEN-9")
async def test_names_beyond_the_basic_plane_sort_behind_those_in_it(api: Api) -> None:
    word, _ = await _names(api, ["\U0001f600", "\uffee", "\ue000", "\U00010000"])
    rows = await walk(api, "/users", {"q": word, "sort": "name", "limit": 1})
    assert [row["name"][-1] for row in rows] == ["\ue000", "\uffee", "\U00010000", "\U0001f600"]


@pytest.mark.clause("USR-7")
async def test_emails_sort_by_key(api: Api) -> None:
    word = unique_word("mail")
    emails = [f"{word}.{ending}@example.org" for ending in ["b", "A", "c", "B1", "é"]]
    await api.post("/users/batch", json=[new_user(email=email) for email in emails])
    rows = await walk(api, "/users", {"q": word, "sort": "email", "limit": 2})
    assert [row["email"] for row in rows] == [emails[1], emails[3], emails[0], emails[2], emails[4]]


@pytest.mark.clause("USR-7")
@pytest.mark.parametrize(("sort", "backwards"), [(None, False), ("created_at", False), ("-created_at", True)])
async def test_users_sort_by_creation_if_not_told_otherwise(
    api: Api, sort: str | None, *, backwards: bool
) -> None:
    word, users = await _names(api, ["c", "a", "b"])
    params: dict[str, Any] = {"q": word} | ({"sort": sort} if sort else {})
    rows, _ = expect_page(await api.get("/users", params=params))
    assert _ids(rows) == (_ids(users)[::-1] if backwards else _ids(users))


@pytest.mark.clause("USR-7")
@pytest.mark.parametrize(
    "sort",
    [
        "id",
        "updated_at",
        "Name",
        "--name",
        "+name",
        "name,email",
        "name ",
        "-",
        "name_key",
        "version",
        "$where",
    ],
)
async def test_another_sort_is_invalid(api: Api, sort: str) -> None:
    expect_problem(await api.get("/users", params={"sort": sort}), 422, "validation", ["query", "sort"])


FOUND: Final = {
    "the whole name": ("Ada Lovelace", "Ada Lovelace"),
    "its beginning": ("Ada Lovelace", "Ada L"),
    "in another case": ("Ada", "aDA"),
    "sharp s by ss": ("Straße", "strasse"),
    "ss by sharp s": ("STRASSE", "straße"),
    "decomposed by composed": ("e\u0301toile", "ÉT"),
    "composed by decomposed": ("étoile", "E\u0301T"),
    "percent": ("50%", "50%"),
    "underscore": ("a_b", "a_"),
    "backslash": ("a\\b", "a\\"),
    "dot": ("a.b", "a."),
    "star": ("a*", "a*"),
    "brackets": ("[a]", "["),
    "parentheses": ("(a", "("),
    "dollar": ("$a", "$"),
    "caret": ("^a", "^a"),
    "quote": ("o'brien", "o'"),
    "emoji": ("😀x", "😀"),
    "space": (" a", " "),
    "last code point": ("a\U0010ffffb", "a\U0010ffff"),
    "before the surrogates": ("a\ud7ffb", "a\ud7ff"),
    "slash": ("a/b", "a/"),
}


@pytest.mark.clause("USR-7")
@pytest.mark.parametrize(("name", "q"), FOUND.values(), ids=FOUND.keys())
async def test_q_finds_the_name_by_the_beginning_of_its_key(api: Api, name: str, q: str) -> None:
    word, users = await _names(api, [f" {name}"])
    rows, _ = expect_page(await api.get("/users", params={"q": f"{word} {q}"}))
    assert rows == users


LOST: Final = {
    "percent is no wildcard": ("abc", "%"),
    "underscore is no wildcard": ("abc", "_"),
    "percent behind": ("abc", "a%"),
    "dot is no wildcard": ("abc", "."),
    "star is no wildcard": ("aaa", "a*"),
    "brackets are no class": ("abc", "[a]"),
    "caret is no anchor": ("abc", "^a"),
    "bar is no choice": ("abc", "abc|x"),
    "backslash is no escape": ("a%", "a\\%"),
    "the middle": ("abc", "bc"),
    "more than the name": ("abc", "abcd"),
    "another letter": ("abd", "abc"),
    "an accent more": ("abc", "ábc"),
}


@pytest.mark.clause("USR-7")
@pytest.mark.parametrize(("name", "q"), LOST.values(), ids=LOST.keys())
async def test_q_does_not_find_what_begins_otherwise(api: Api, name: str, q: str) -> None:
    word, _ = await _names(api, [f" {name}"])
    assert expect_page(await api.get("/users", params={"q": f"{word} {q}"})) == ([], None)


@pytest.mark.clause("USR-7")
async def test_q_finds_names_and_emails_each_once(api: Api) -> None:
    word = unique_word("both")
    by_name = await make_user(api, name=f"{word.upper()} Ada")
    by_email = await make_user(api, email=f"{word}@example.org")
    by_both = await make_user(api, name=word, email=f"{word}.x@example.org")
    await make_user(api, name=f"Ada {word}", email=f"x.{word}@example.org")
    rows = await walk(api, "/users", {"q": word, "limit": 1})
    assert rows == [by_name, by_email, by_both]


@pytest.mark.clause("USR-7", "GEN-1")
async def test_an_empty_q_is_no_filter(api: Api) -> None:
    await make_users(api, 2)
    everyone = expect_page(await api.get("/users?limit=2"))
    assert expect_page(await api.get("/users?limit=2&q="))[0] == everyone[0]


@pytest.mark.clause("USR-7")
async def test_listed_users_have_the_shape_of_users(api: Api) -> None:
    word, _ = await _names(api, ["a"])
    rows, _ = expect_page(await api.get("/users", params={"q": word}))
    check_user(rows[0], **new_user(name=f"{word}a", email=rows[0]["email"]))


@pytest.mark.clause("USR-7", "USR-4")
async def test_a_renamed_user_is_listed_under_the_new_name(api: Api) -> None:
    word, [user] = await _names(api, ["old"])
    change = {"name": f"{word}new"}
    await api.patch(f"/users/{user['id']}", json=change, headers={"If-Match": '"1"'})
    assert expect_page(await api.get("/users", params={"q": f"{word}old"}))[0] == []
    assert _ids(expect_page(await api.get("/users", params={"q": f"{word}new"}))[0]) == [user["id"]]
