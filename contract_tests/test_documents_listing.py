"""Lists of documents: order, pages, owner and tags (DOC-6, GEN-9)."""

from typing import Any
from unicodedata import normalize

import pytest
from api import Api
from builders import if_match, make_document, make_documents, make_user, new_document, unique_word
from expectations import expect_page, expect_problem, walk

NOBODY = "0197f000-0000-7000-8000-000000000000"
SORTS = ["created_at", "updated_at", "title"]
TITLES = [
    "beta",
    "Alpha",
    "alpha",
    "ALPHA",
    "Äpfel",
    "A\u0308pfel",
    "zebra",
    "Straße",
    "STRASSE",
    "10",
    "9",
    " lead",
    "\uffff",
    "\U0001f600",
    "ｆｕｌｌ",
    "é",
    "e\u0301",
    "f",
]


def key(text: str) -> str:
    """The contract's key of a text (USR-2)."""
    return normalize("NFC", normalize("NFC", text).casefold())


def ordered(documents: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """The documents as a list of that sort shows them: by key, by code point, then by id."""

    def place(document: dict[str, Any]) -> tuple[str, str]:
        return (key(document[sort]) if sort == "title" else document[sort], document["id"])

    return sorted(documents, key=place)


@pytest.fixture(scope="module")
async def titled(api: Api) -> list[dict[str, Any]]:
    """Documents of one owner with awkward titles, some of them changed since, each as it is now."""
    owner = await make_user(api)
    bodies = [new_document(owner["id"], title=title) for title in TITLES]
    made = (await api.post("/documents/batch", json=bodies)).json()["items"]
    for document in made[3:15:4]:
        answer = await api.patch(
            f"/documents/{document['id']}", json={"tags": ["changed"]}, headers=if_match(document)
        )
        document.update(answer.json())
    return list(made)


@pytest.mark.clause("DOC-6", "GEN-9")
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 4, 200])
async def test_a_walk_shows_every_document_once_in_the_order_asked_for(
    api: Api, titled: list[dict[str, Any]], sort: str, limit: int
) -> None:
    query = {"owner_id": titled[0]["owner_id"], "sort": sort, "limit": limit}
    assert await walk(api, "/documents", query) == ordered(titled, sort)


@pytest.mark.clause("DOC-6", "GEN-9")
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 5, 200])
async def test_a_descending_walk_is_the_exact_reverse(
    api: Api, titled: list[dict[str, Any]], sort: str, limit: int
) -> None:
    query = {"owner_id": titled[0]["owner_id"], "sort": f"-{sort}", "limit": limit}
    assert await walk(api, "/documents", query) == ordered(titled, sort)[::-1]


@pytest.mark.clause("DOC-6", "GEN-9")
async def test_the_order_of_creation_is_the_default_and_may_be_left_out_between_pages(
    api: Api, titled: list[dict[str, Any]]
) -> None:
    query = {"owner_id": titled[0]["owner_id"], "limit": 3}
    first, cursor = expect_page(await api.get("/documents", params={**query, "sort": "created_at"}))
    second, _ = expect_page(await api.get("/documents", params={**query, "cursor": cursor}))
    assert first + second == ordered(titled, "created_at")[:6]


@pytest.mark.clause("DOC-6", "GEN-9")
async def test_limit_and_include_may_change_between_pages(api: Api, titled: list[dict[str, Any]]) -> None:
    query = {"owner_id": titled[0]["owner_id"], "sort": "title"}
    first, cursor = expect_page(await api.get("/documents", params={**query, "limit": 2}))
    answer = await api.get("/documents", params={**query, "limit": 5, "include": "owner", "cursor": cursor})
    second, _ = expect_page(answer)
    assert [item["id"] for item in first + second] == [item["id"] for item in ordered(titled, "title")[:7]]
    assert all(item["owner"]["id"] == item["owner_id"] for item in second)


@pytest.mark.clause("GEN-9", "DOC-6")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"sort": "title"}, id="another sort"),
        pytest.param({"sort": "-created_at"}, id="the reverse"),
        pytest.param({"tag": "engine"}, id="a tag"),
        pytest.param({"where": "kind:eq:note"}, id="a filter"),
        pytest.param({"q": "engine"}, id="words"),
        pytest.param({"owner_id": NOBODY}, id="another owner"),
    ],
)
async def test_a_cursor_is_refused_with_another_sort_or_filter(api: Api, change: dict[str, str]) -> None:
    owner = await make_user(api)
    await make_documents(api, owner, 2)
    query = {"owner_id": owner["id"], "limit": "1"}
    _, cursor = expect_page(await api.get("/documents", params=query))
    answer = await api.get("/documents", params={**query, **change, "cursor": str(cursor)})
    expect_problem(answer, 422, "validation", ["query", "cursor"])


@pytest.mark.clause("GEN-9", "USR-9")
async def test_the_last_page_is_full_and_has_no_cursor(api: Api) -> None:
    owner = await make_user(api)
    await make_documents(api, owner, 4)
    query = {"owner_id": owner["id"], "limit": 2}
    _, cursor = expect_page(await api.get("/documents", params=query))
    items, last = expect_page(await api.get("/documents", params={**query, "cursor": cursor}))
    assert (len(items), last) == (2, None)


@pytest.mark.clause("GEN-9")
@pytest.mark.parametrize(("query", "count"), [({}, 50), ({"limit": 200}, 200), ({"limit": 1}, 1)])
async def test_a_page_has_fifty_items_or_as_many_as_asked_for(
    api: Api, many: dict[str, Any], query: dict[str, int], count: int
) -> None:
    items, cursor = expect_page(await api.get("/documents", params={"owner_id": many["id"], **query}))
    assert len(items) == count
    assert cursor is not None


@pytest.fixture(scope="module")
async def many(api: Api) -> dict[str, Any]:
    """The owner of 230 documents, made in three batches."""
    owner = await make_user(api)
    await make_documents(api, owner, 100)
    await make_documents(api, owner, 100)
    await make_documents(api, owner, 30)
    return owner


@pytest.mark.clause("DOC-6", "GEN-2")
async def test_an_owner_that_does_not_exist_has_an_empty_list(api: Api) -> None:
    assert expect_page(await api.get("/documents", params={"owner_id": NOBODY})) == ([], None)


@pytest.mark.clause("DOC-6")
async def test_the_documents_of_another_owner_are_not_shown(api: Api) -> None:
    mine = await make_document(api)
    await make_document(api)
    items, _ = expect_page(await api.get("/documents", params={"owner_id": mine["owner_id"]}))
    assert items == [mine]


@pytest.mark.clause("DOC-6")
async def test_repeated_tags_mean_all_of_them(api: Api) -> None:
    owner, one, two = await make_user(api), unique_word(), unique_word()
    both = await make_document(api, owner, tags=[two, "x", one])
    await make_document(api, owner, tags=[one])
    await make_document(api, owner, tags=[two])
    items, _ = expect_page(await api.get("/documents", params={"tag": [one, two]}))
    assert items == [both]


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize("asked", ["En", "engines", "ENGINE", " engine", "eng%", "*", "e\u0301"])
async def test_a_tag_is_found_by_its_exact_text_alone(api: Api, asked: str) -> None:
    owner = await make_user(api)
    await make_document(api, owner, tags=["engine", "é"])
    assert expect_page(await api.get("/documents", params={"owner_id": owner["id"], "tag": asked}))[0] == []


@pytest.mark.clause("DOC-6", "GEN-9")
async def test_a_walk_with_all_filters_together_shows_what_passes_all(api: Api) -> None:
    owner, tag = await make_user(api), unique_word()
    wanted = await make_documents(api, owner, 7, tags=[tag], title="Red sky", content={"n": 1})
    await make_documents(api, owner, 3, tags=[tag], title="Red sky", content={"n": 2})
    await make_documents(api, owner, 3, tags=[tag], title="Blue sky", content={"n": 1})
    await make_documents(api, owner, 3, title="Red sky", content={"n": 1})
    query = {"owner_id": owner["id"], "tag": tag, "q": "red", "where": "n:eq:1", "sort": "-title", "limit": 2}
    assert await walk(api, "/documents", query) == ordered(wanted, "title")[::-1]


@pytest.mark.clause("DOC-6")
async def test_each_item_carries_its_owner_if_asked(api: Api) -> None:
    tag, first, second = unique_word(), await make_user(api), await make_user(api)
    await make_documents(api, first, 2, tags=[tag])
    await make_documents(api, second, 2, tags=[tag])
    items, _ = expect_page(await api.get("/documents", params={"tag": tag, "include": "owner"}))
    plain, _ = expect_page(await api.get("/documents", params={"tag": tag}))
    owners = {first["id"]: first, second["id"]: second}
    assert items == [{**item, "owner": owners[item["owner_id"]]} for item in plain]


@pytest.mark.clause("DOC-6", "GEN-1", "GEN-9")
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("sort=name", "sort"),
        ("sort=TITLE", "sort"),
        ("sort=%2Btitle", "sort"),
        ("sort=--title", "sort"),
        ("sort=title&sort=title", "sort"),
        ("sort=id", "sort"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=010", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=1", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
        ("owner_id=x", "owner_id"),
        ("owner_id=", "owner_id"),
        (f"owner_id={NOBODY}&owner_id={NOBODY}", "owner_id"),
        ("include=tags", "include"),
        ("page=2", "page"),
        ("offset=2", "offset"),
        ("q=a&q=b", "q"),
        ("&".join(f"tag=t{n}" for n in range(9)), "tag"),
        ("&".join(f"where=a:eq:{n}" for n in range(9)), "where"),
        ("q=" + "x" * 201, "q"),
    ],
)
async def test_a_query_of_another_form_is_refused_by_its_name(api: Api, query: str, parameter: str) -> None:
    problem = expect_problem(await api.get(f"/documents?{query}"), 422, "validation")
    assert [error["loc"][:2] for error in problem["errors"]] == [["query", parameter]]


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize(
    "query",
    [
        "&".join(f"tag=t{n}" for n in range(8)),
        "&".join(f"where=a:ne:{n}" for n in range(8)),
        "q=" + "x" * 200,
    ],
    ids=["eight tags", "eight filters", "200 characters of words"],
)
async def test_a_query_at_its_limit_is_taken(api: Api, query: str) -> None:
    expect_page(await api.get(f"/documents?owner_id={NOBODY}&{query}"))


@pytest.mark.clause("USR-9")
async def test_the_list_under_a_user_equals_the_list_of_that_owner(
    api: Api, titled: list[dict[str, Any]]
) -> None:
    owner = titled[0]["owner_id"]
    query = {"sort": "-title", "limit": 7, "tag": "changed"}
    under = await walk(api, f"/users/{owner}/documents", query)
    assert under == await walk(api, "/documents", {**query, "owner_id": owner})
    assert len(under) == 3


@pytest.mark.clause("USR-9")
async def test_the_list_under_an_unknown_user_gets_404(api: Api) -> None:
    expect_problem(await api.get(f"/users/{NOBODY}/documents"), 404, "not-found")
