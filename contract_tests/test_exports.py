"""Whole sets as CSV and NDJSON: what is in them, in which order and form (EXP-1)."""

import csv
import io
import json
from typing import Any, Final

import httpx2
import pytest
from api import Api
from builders import make_document, make_user, make_users, new_user, unique_word
from expectations import Json, expect_problem, round_trips, walk

USER_COLUMNS: Final = ["id", "email", "name", "version", "created_at", "updated_at"]
DOCUMENT_COLUMNS: Final = [
    *("id", "owner_id", "title", "content", "tags", "version"),
    *("created_at", "updated_at"),
]
MEDIA_TYPES: Final = {"csv": "text/csv; charset=utf-8; header=present", "ndjson": "application/x-ndjson"}

NAMES: Final = [
    *(
        "a,b",
        'a"b',
        '"',
        "a\nb",
        "a\r\nb",
        "a;b",
        " a ",
        "'a'",
        "ü€😀",
        "a=1",
        "1+1",
        "null",
        "\ufeffa",
        "\u2028",
    ),
]
FORMULAS: Final = ["=1+1", "+1", "-1", "@a", "\ta", "\ra", "=", "-\n1"]

csv.field_size_limit(2 * 1024 * 1024)  # a content may have 1 MiB

FORMATS = pytest.mark.parametrize("form", ["csv", "ndjson"])
COLLECTIONS = pytest.mark.parametrize("collection", ["users", "documents"])


def rows_of(response: httpx2.Response, form: str) -> list[Json]:
    """The rows of an export as they would be in a page; the formulas' quotes stay."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == MEDIA_TYPES[form]
    text = response.content.decode()
    if form == "ndjson":
        assert text == "" or text.endswith("\n")
        return [json.loads(line) for line in text.split("\n")[:-1]]
    return [_typed(row) for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]


def _typed(row: dict[str, str]) -> Json:
    of_json = ("version", "content", "tags")
    return {name: json.loads(cell) if name in of_json else cell for name, cell in row.items()}


async def users_of(api: Api, form: str, word: str) -> list[Json]:
    """The exported users whose e-mails start with the word."""
    return rows_of(await api.get("/users/export", params={"format": form, "q": word}), form)


async def named_users(api: Api, names: list[str]) -> tuple[str, list[Json]]:
    """A word, and users of these names, whose e-mails start with it, in the order of creation."""
    word = unique_word("export")
    bodies = [new_user(name=name, email=f"{word}n{number}@example.org") for number, name in enumerate(names)]
    response = await api.post("/users/batch", json=bodies)
    assert response.status_code == 201, response.text
    users: list[Json] = response.json()["items"]
    return word, sorted(users, key=lambda user: (user["created_at"], user["id"]))


@pytest.mark.clause("EXP-1")
@FORMATS
async def test_an_export_of_users_is_what_their_collection_shows(api: Api, form: str) -> None:
    word, users = await named_users(api, NAMES)
    assert await users_of(api, form, word) == users == await walk(api, "/users", {"q": word})


@pytest.mark.clause("EXP-1")
@FORMATS
async def test_an_export_without_filters_holds_everything(api: Api, form: str) -> None:
    user = await make_user(api)
    document = await make_document(api, user)
    assert user in rows_of(await api.get(f"/users/export?format={form}"), form)
    assert document in rows_of(await api.get(f"/documents/export?format={form}"), form)


@pytest.mark.clause("EXP-1", "GEN-6")
@FORMATS
async def test_an_export_of_documents_is_what_their_collection_shows(api: Api, form: str) -> None:
    owner = await make_user(api)
    contents: list[Json] = [
        {},
        {"a": 'é"\n,', "b": [1, 2.5, None, True], "c": {"$d": -(2**63)}},
        {"=1": "=1+1", "large": 1e300, "small": 5e-324},
    ]
    for content in contents:
        await make_document(api, owner, content=content, tags=["a,b", "=c", "ü"])
    params = {"format": form, "owner_id": owner["id"]}
    exported = rows_of(await api.get("/documents/export", params=params), form)
    assert exported == await walk(api, "/documents", {"owner_id": owner["id"]})
    assert [row["content"] for row in exported] == contents


@pytest.mark.clause("EXP-1")
async def test_csv_is_rfc_4180_with_a_header(api: Api) -> None:
    word, users = await named_users(api, ['a"b', "a\nb", "plain"])
    response = await api.get("/users/export", params={"format": "csv", "q": word})
    cells = ['"a""b"', '"a\nb"', "plain"]
    lines = [",".join(USER_COLUMNS)] + [
        f"{user['id']},{user['email']},{cell},1,{user['created_at']},{user['updated_at']}"
        for user, cell in zip(users, cells, strict=True)
    ]
    assert response.content.decode() == "".join(f"{line}\r\n" for line in lines)


@pytest.mark.clause("EXP-1")
async def test_json_cells_of_csv_are_compact(api: Api) -> None:
    document = await make_document(api, content={"a": [1, "ü"]}, tags=["x", "y"])
    params = {"format": "csv", "owner_id": document["owner_id"]}
    text = (await api.get("/documents/export", params=params)).content.decode()
    assert text.startswith(",".join(DOCUMENT_COLUMNS) + "\r\n")
    assert ',"{""a"":[1,""ü""]}","[""x"",""y""]",1,' in text


@pytest.mark.clause("EXP-1")
async def test_cells_that_a_spreadsheet_would_run_are_quoted(api: Api) -> None:
    word, _ = await named_users(api, FORMULAS)
    assert [row["name"] for row in await users_of(api, "csv", word)] == [f"'{name}" for name in FORMULAS]
    assert [row["name"] for row in await users_of(api, "ndjson", word)] == FORMULAS


@pytest.mark.clause("EXP-1")
async def test_other_texts_than_names_are_quoted_too(api: Api) -> None:
    word = unique_word()
    user = await make_user(api, email=f"+{word}@example.org")
    assert [row["email"] for row in await users_of(api, "csv", f"+{word}")] == [f"'{user['email']}"]
    document = await make_document(api, user, title="@sum")
    params = {"format": "csv", "owner_id": document["owner_id"]}
    assert [row["title"] for row in rows_of(await api.get("/documents/export", params=params), "csv")] == [
        "'@sum"
    ]


@pytest.mark.clause("EXP-1")
@FORMATS
async def test_rows_of_many_pages_come_by_creation_each_once(api: Api, form: str) -> None:
    word = unique_word("many")
    users: list[Json] = []
    for part in "bca":
        bodies = [new_user(email=f"{word}{part}{number}@example.org") for number in range(999, 299, -1)]
        users += (await api.post("/users/batch", json=bodies)).json()["items"]
    exported = await users_of(api, form, word)
    assert exported == sorted(users, key=lambda user: (user["created_at"], user["id"]))


@pytest.mark.clause("EXP-1")
@FORMATS
async def test_a_filter_that_nothing_fits_leaves_the_header_alone(api: Api, form: str) -> None:
    head = {"csv": ",".join(USER_COLUMNS) + "\r\n", "ndjson": ""}[form]
    response = await api.get("/users/export", params={"format": form, "q": unique_word("nobody")})
    assert (response.status_code, response.content.decode()) == (200, head)


@pytest.mark.clause("EXP-1", "DOC-6")
async def test_documents_are_filtered_as_in_their_collection(api: Api) -> None:
    owner, word = await make_user(api), unique_word()
    fields: list[dict[str, Any]] = [
        {"tags": ["x", "y"], "content": {"n": 1}, "title": f"one {word}"},
        {"tags": ["x"], "content": {"n": 2}, "title": f"two {word}"},
        {"tags": ["y"], "content": {}, "title": "three"},
    ]
    for given in fields:
        await make_document(api, owner, **given)
    await make_document(api, title=f"other {word}")
    filters: list[dict[str, Any]] = [
        {"tag": "x"},
        {"tag": ["x", "y"]},
        {"where": "n:ge:1"},
        {"where": ["n:ge:1", "n:lt:2"]},
        {"where": "n:exists:false"},
        {"q": word},
        {"q": "..."},
        {"tag": "z"},
    ]
    sizes = []
    for filtered in filters:
        params = {"owner_id": owner["id"], **filtered}
        exported = rows_of(
            await api.get("/documents/export", params={**params, "format": "ndjson"}), "ndjson"
        )
        assert exported == await walk(api, "/documents", params)
        sizes.append(len(exported))
    assert sizes == [2, 1, 2, 1, 1, 2, 0, 0]


@pytest.mark.clause("EXP-1", "GEN-1")
@COLLECTIONS
@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ("", "format"),
        ("format=", "format"),
        ("format=xml", "format"),
        ("format=CSV", "format"),
        ("format=csv&format=csv", "format"),
        ("format=csv&sort=name", "sort"),
        ("format=csv&limit=1", "limit"),
        ("format=csv&cursor=x", "cursor"),
        ("format=csv&include=owner", "include"),
        ("format=csv&x=1", "x"),
    ],
)
async def test_what_an_export_does_not_take_is_invalid(
    api: Api, collection: str, query: str, loc: str
) -> None:
    response = await api.get(f"/{collection}/export?{query}")
    expect_problem(response, 422, "validation", ["query", loc])


@pytest.mark.clause("EXP-1", "DOC-6")
@pytest.mark.parametrize(
    "query", ["owner_id=x", "tag=", "where=a", "where=a:like:1", "q=%00", f"q={'x' * 201}"]
)
async def test_a_malformed_filter_is_invalid(api: Api, query: str) -> None:
    response = await api.get(f"/documents/export?format=csv&{query}")
    problem = expect_problem(response, 422, "validation")
    assert problem["errors"][0]["loc"][:2] == ["query", query.partition("=")[0]]


@pytest.mark.clause("EXP-1")
@COLLECTIONS
@FORMATS
async def test_an_export_is_a_file_with_a_name(api: Api, collection: str, form: str) -> None:
    response = await api.get(f"/{collection}/export?format={form}")
    assert response.headers["content-type"] == MEDIA_TYPES[form]
    assert response.headers["content-disposition"] == f'attachment; filename="{collection}.{form}"'


@pytest.mark.clause("EXP-1", "GEN-12", "GEN-7")
@COLLECTIONS
@FORMATS
async def test_head_gives_the_headers_and_asks_nobody(api: Api, collection: str, form: str) -> None:
    got = await api.get(f"/{collection}/export?format={form}")
    head = await api.head(f"/{collection}/export?format={form}")
    assert head.status_code == 200
    for name in ("content-type", "content-disposition", "content-encoding", "vary"):
        assert head.headers[name] == got.headers[name]
    assert round_trips(head) == 0


@pytest.mark.clause("EXP-1", "GEN-12")
async def test_head_refuses_what_get_refuses(api: Api) -> None:
    assert (await api.head("/users/export?format=xml")).status_code == 422


@pytest.mark.clause("EXP-1", "GEN-2", "GEN-12")
@COLLECTIONS
async def test_the_name_of_an_export_wins_over_an_id(api: Api, collection: str) -> None:
    response = await api.delete(f"/{collection}/export")
    expect_problem(response, 405, "method-not-allowed")
    assert {method.strip() for method in response.headers["allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.clause("EXP-1")
@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *", False),
        ("br", False),
    ],
)
async def test_an_export_is_packed_for_who_asks(api: Api, accepted: str, is_packed: bool) -> None:
    word, users = await named_users(api, [f"name {number}" for number in range(700)])
    params = {"format": "ndjson", "q": word}
    response = await api.get("/users/export", params=params, headers={"Accept-Encoding": accepted})
    assert response.headers["vary"].lower() == "accept-encoding"
    assert response.headers.get("content-encoding") == ("gzip" if is_packed else None)
    assert rows_of(response, "ndjson") == users


@pytest.mark.clause("EXP-1", "USR-5")
async def test_what_is_deleted_is_exported_no_more(api: Api) -> None:
    users = await make_users(api, 2)
    await api.delete(f"/users/{users[0]['id']}")
    exported = rows_of(await api.get("/users/export?format=csv"), "csv")
    assert users[0]["id"] not in {row["id"] for row in exported}
    assert users[1] in exported


@pytest.mark.clause("EXP-1")
async def test_exports_of_both_collections_follow_one_another_on_the_same_connections(api: Api) -> None:
    document = await make_document(api)
    for collection in ("users", "documents", "users", "documents"):
        response = await api.get(f"/{collection}/export", params={"format": "ndjson", "q": "On"})
        assert response.status_code == 200, response.text
    assert document["id"] in response.text
