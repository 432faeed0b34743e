"""Words of the title: `q` (DOC-6)."""

from typing import Any

import pytest
from api import Api
from builders import make_document, make_user
from expectations import expect_page


@pytest.fixture(scope="module")
async def owner(api: Api) -> dict[str, Any]:
    """A user who owns what the tests of this module make."""
    return await make_user(api)


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize(
    ("title", "q"),
    [
        pytest.param("Red sky at night", "night red", id="any order"),
        pytest.param("Red sky at night", "RED SKY", id="any case"),
        pytest.param("Red sky at night", "red red", id="repeats"),
        pytest.param("Red sky at night", "  at ", id="a small word"),
        pytest.param("The cat and the dog", "the and", id="words that other indexes drop"),
        pytest.param("foo-bar/baz.qux", "qux bar", id="signs part words"),
        pytest.param("snake_case", "case snake", id="an underscore parts words"),
        pytest.param("don't", "t", id="an apostrophe parts words"),
        pytest.param("a,b;c", "a+b|c", id="signs in q part words too"),
        pytest.param("foo bar", "foo & !bar:*", id="operators are only signs"),
        pytest.param("foo bar", '"bar foo"', id="quotes are only signs"),
        pytest.param("foo bar", "-bar", id="a minus is only a sign"),
        pytest.param("Straße", "STRASSE", id="folded letters"),
        pytest.param("café", "CAFÉ", id="normal forms"),
        pytest.param("version 2.10", "10 2", id="digits"),
        pytest.param("٢٣", "٢٣", id="decimal digits of another script"),
        pytest.param("日本語 テスト", "テスト", id="another script"),
        pytest.param("हिन्दी में", "में हिन्दी", id="letters with marks"),
        pytest.param("😀smile😀", "smile", id="emoji part words"),
        pytest.param("x" * 200, "X" * 200, id="a long word"),
        pytest.param("İstanbul", "i̇stanbul", id="a letter that folds to two"),
        pytest.param("a $b {c}", "b c", id="signs of a query language"),
        pytest.param("email me at ada@example.org", "example", id="addresses are parted"),
        pytest.param("see http://example.org/path", "path http", id="links are parted"),
        pytest.param("50x5", "50x5", id="digits and letters together"),
    ],
)
async def test_q_finds_a_title_that_has_all_its_words(
    api: Api, owner: dict[str, Any], title: str, q: str
) -> None:
    document = await make_document(api, owner, title=title)
    query = {"owner_id": document["owner_id"], "q": q, "limit": 200}
    assert document in expect_page(await api.get("/documents", params=query))[0]


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize(
    ("title", "q"),
    [
        pytest.param("Red sky at night", "red sun", id="one word is missing"),
        pytest.param("documents", "document", id="a beginning is no word"),
        pytest.param("running", "run", id="no stems"),
        pytest.param("run", "running", id="no stems the other way"),
        pytest.param("cafe", "café", id="accents count"),
        pytest.param("foobar", "foo bar", id="two words in one"),
        pytest.param("foo bar", "foobar", id="one word for two"),
        pytest.param("日本語", "日本", id="a part of a run of letters"),
        pytest.param("50x5", "50", id="a part of a run of digits and letters"),
        pytest.param("anything", "!!!", id="signs alone"),
        pytest.param("anything", " ", id="a space alone"),
        pytest.param("😀", "😀", id="an emoji is no word"),
        pytest.param("½ ²", "½", id="fractions are no digits"),
        pytest.param("a_b", "a_c", id="no wildcard"),
    ],
)
async def test_q_does_not_find_a_title_without_its_words(
    api: Api, owner: dict[str, Any], title: str, q: str
) -> None:
    document = await make_document(api, owner, title=title)
    query = {"owner_id": document["owner_id"], "q": q, "limit": 200}
    assert document not in expect_page(await api.get("/documents", params=query))[0]


@pytest.mark.clause("DOC-6")
async def test_an_empty_q_is_no_filter(api: Api, owner: dict[str, Any]) -> None:
    document = await make_document(api, owner)
    query = {"owner_id": document["owner_id"], "q": "", "sort": "-created_at", "limit": 200}
    assert document in expect_page(await api.get("/documents", params=query))[0]


@pytest.mark.clause("DOC-6")
async def test_q_and_filters_follow_a_change_of_the_document(api: Api, owner: dict[str, Any]) -> None:
    document = await make_document(api, owner, title="Stale words", content={"v": 1})
    await api.patch(
        f"/documents/{document['id']}",
        json={"title": "Fresh words", "content": {"v": 2}},
        headers={"If-Match": '"1"'},
    )
    mine = {"owner_id": document["owner_id"]}
    new, _ = expect_page(await api.get("/documents", params={**mine, "q": "fresh", "where": "v:eq:2"}))
    old, _ = expect_page(await api.get("/documents", params={**mine, "q": "stale"}))
    assert [len(new), len(old)] == [1, 0]
