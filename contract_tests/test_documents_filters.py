"""Filters on content (DOC-6)."""

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any, Final

import pytest
from api import Api
from builders import make_document, make_user, new_document
from expectations import expect_page, expect_problem, walk

NOBODY = "0197f000-0000-7000-8000-000000000000"

STORED: Final[Mapping[str, dict[str, Any]]] = {
    "missing": {},
    "null": {"v": None},
    "true": {"v": True},
    "false": {"v": False},
    "zero": {"v": 0},
    "one": {"v": 1},
    "one as a float": {"v": 1.0},
    "two": {"v": 2},
    "ten": {"v": 10},
    "one and a half": {"v": 1.5},
    "minus one": {"v": -1},
    "a tenth": {"v": 0.1},
    "2^53": {"v": 2**53},
    "2^53 + 1": {"v": 2**53 + 1},
    "2^63 - 1": {"v": 2**63 - 1},
    "-2^63": {"v": -(2**63)},
    "2^63 as a float": {"v": 2.0**63},
    "1e22": {"v": 1e22},
    "1e300": {"v": 1e300},
    "5e-324": {"v": 5e-324},
    "empty text": {"v": ""},
    "text one": {"v": "1"},
    "text ten": {"v": "10"},
    "text null": {"v": "null"},
    "text true": {"v": "true"},
    "a": {"v": "a"},
    "A": {"v": "A"},
    "ab": {"v": "ab"},
    "composed": {"v": "\u00e9"},
    "decomposed": {"v": "e\u0301"},
    "U+FFFF": {"v": "\uffff"},
    "emoji": {"v": "\U0001f600"},
    "empty list": {"v": []},
    "list of one": {"v": [1]},
    "list of a": {"v": ["a"]},
    "empty object": {"v": {}},
    "object": {"v": {"v": 1, "0": "a"}},
    "dotted key": {"v.v": 1},
}
SCALARS: Final[Mapping[str, Any]] = {
    "null": None,
    "true": True,
    "false": False,
    "0": 0,
    "1": 1,
    "1.0": 1,
    "10e-1": 1,
    "-0.0": 0,
    "1.5": 1.5,
    "0.1": 0.1,
    "5e-324": 5e-324,
    "1.1": 1.1,
    "-1": -1,
    "9007199254740992": 2**53,
    "9007199254740993": 2**53 + 1,
    "9223372036854775807": 2**63 - 1,
    "9223372036854775808.0": 2.0**63,
    "-9223372036854775808": -(2**63),
    "1e22": 1e22,
    "1e300": 1e300,
    '""': "",
    '"1"': "1",
    '"null"': "null",
    '"true"': "true",
    "a": "a",
    '"a"': "a",
    "A": "A",
    "\u00e9": "\u00e9",
    "e\u0301": "e\u0301",
    "\uffff": "\uffff",
    "\U0001f600": "\U0001f600",
    "b": "b",
}
ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {"lt": lt, "le": le, "gt": gt, "ge": ge}


def kind(value: object) -> str:
    """The JSON type of a value; Python counts booleans as numbers."""
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object"}
    return kinds.get(type(value), "null")


ORDERED = [
    "0",
    "1.5",
    "0.1",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808.0",
    "-9223372036854775808",
    "1e22",
    '""',
    '"1"',
    "a",
    "e\u0301",
    "\uffff",
    "\U0001f600",
]


def equal_to(value: object) -> set[str]:
    """The stored documents whose `v` is that scalar, by JSON type and value."""
    return {
        title
        for title, content in STORED.items()
        if "v" in content and kind(content["v"]) == kind(value) and content["v"] == value
    }


def ordered_as(operator: str, value: object) -> set[str]:
    """The stored documents whose `v` is of the value's JSON type and stands in that order to it."""
    return {
        title
        for title, content in STORED.items()
        if "v" in content and kind(content["v"]) == kind(value) and ORDERS[operator](content["v"], value)
    }


@pytest.fixture(scope="module")
async def owner(api: Api) -> str:
    """The id of the owner of one document for each entry of STORED, titled by it."""
    made = await make_user(api)
    bodies = [new_document(made["id"], title=title, content=content) for title, content in STORED.items()]
    answer = await api.post("/documents/batch", json=bodies)
    assert answer.status_code == 201
    return str(made["id"])


async def found(api: Api, owner: str, *where: str) -> set[str]:
    """The titles of the owner's documents that pass all filters."""
    items, cursor = expect_page(
        await api.get("/documents", params={"owner_id": owner, "where": list(where), "limit": 200})
    )
    assert cursor is None
    return {item["title"] for item in items}


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize("written", SCALARS)
async def test_eq_finds_values_of_the_same_type_that_are_equal(api: Api, owner: str, written: str) -> None:
    assert await found(api, owner, f"v:eq:{written}") == equal_to(SCALARS[written])


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize("written", SCALARS)
async def test_ne_finds_exactly_what_eq_does_not(api: Api, owner: str, written: str) -> None:
    assert await found(api, owner, f"v:ne:{written}") == STORED.keys() - equal_to(SCALARS[written])


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize("operator", ORDERS)
@pytest.mark.parametrize("written", ORDERED)
async def test_an_order_compares_numbers_by_value_and_strings_by_code_point(
    api: Api, owner: str, written: str, operator: str
) -> None:
    expected = ordered_as(operator, SCALARS[written])
    assert await found(api, owner, f"v:{operator}:{written}") == expected


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize(("written", "expected"), [("true", True), ("false", False)])
async def test_exists_asks_for_the_key_and_not_for_its_value(
    api: Api, owner: str, written: str, expected: bool
) -> None:
    having = {title for title, content in STORED.items() if ("v" in content) is expected}
    assert await found(api, owner, f"v:exists:{written}") == having


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize(
    ("where", "titles"),
    [
        pytest.param(
            ["v:gt:0", "v:lt:2"], {"one", "one as a float", "one and a half", "a tenth", "5e-324"}, id="range"
        ),
        pytest.param(["v:eq:1", "v:eq:2"], set(), id="two values"),
        pytest.param(["v:exists:true", "v:ne:1", "v:lt:1.6", "v:gt:0.5"], {"one and a half"}, id="four"),
        pytest.param(["v:eq:a", "v:eq:a"], {"a"}, id="the same twice"),
        pytest.param(["v:exists:false", "v:eq:null"], set(), id="a missing key is not null"),
        pytest.param(["v.v:eq:1"], {"object"}, id="inside an object"),
        pytest.param(["v.0:eq:a"], {"object"}, id="a key of digits"),
        pytest.param(["v.0:exists:true"], {"object"}, id="no index into a list"),
        pytest.param(["v.-1:exists:true"], set(), id="no index from the end"),
        pytest.param(["v.length:exists:true"], set(), id="no length of a list"),
        pytest.param(["V:exists:true"], set(), id="the case of a key counts"),
    ],
)
async def test_filters_join_and_paths_lead_through_objects_only(
    api: Api, owner: str, where: list[str], titles: set[str]
) -> None:
    assert await found(api, owner, *where) == titles


@pytest.mark.clause("DOC-6")
async def test_a_path_that_meets_no_object_counts_as_missing(api: Api, owner: str) -> None:
    assert await found(api, owner, "v.0:ne:a") == STORED.keys() - {"object"}


@pytest.mark.clause("DOC-6")
@pytest.mark.parametrize(
    ("content", "where"),
    [
        pytest.param(
            {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}, "a.b.c.d.e.f.g.h:eq:1", id="eight deep"
        ),
        pytest.param({"k" * 64: 1}, f"{'k' * 64}:eq:1", id="64 letters"),
        pytest.param({"_id": 1}, "_id:eq:1", id="_id"),
        pytest.param({"v": ""}, "v:eq:", id="no value is the empty string"),
        pytest.param({"a-b_C": {"-": 1}}, "a-b_C.-:eq:1", id="hyphens and underscores"),
        pytest.param({"a": [{"b": 1}]}, "a.b:exists:false", id="not into the items of a list"),
        pytest.param({"__proto__": 1}, "__proto__:exists:true", id="__proto__"),
        pytest.param({"title": "x"}, "title:eq:x", id="a key named like a field"),
        pytest.param({"a": "b:c"}, "a:eq:b:c", id="a value with colons"),
        pytest.param({"a": "x y"}, "a:eq:x y", id="a value with a space"),
        pytest.param({"a": "$b"}, "a:eq:$b", id="a value with a dollar"),
        pytest.param({"a": "%"}, "a:eq:%", id="a value that is a LIKE sign"),
    ],
)
async def test_a_filter_finds_its_document(api: Api, content: dict[str, Any], where: str) -> None:
    document = await make_document(api, content=content)
    assert await found(api, document["owner_id"], where) == {document["title"]}


@pytest.mark.clause("DOC-6", "GEN-4")
@pytest.mark.parametrize("path", ["/documents", f"/users/{NOBODY}/documents"], ids=["all", "a user's"])
@pytest.mark.parametrize(
    "where",
    [
        "",
        "v",
        "v:eq",
        ":eq:1",
        "v:like:1",
        "v:EQ:1",
        "v::1",
        "v: eq:1",
        ".v:eq:1",
        "v.:eq:1",
        "a..b:eq:1",
        "a.b.c.d.e.f.g.h.i:eq:1",
        f"{'k' * 65}:eq:1",
        "a b:eq:1",
        "é:eq:1",
        "$v:eq:1",
        "v[0]:eq:1",
        "v'--:eq:1",
        "v:eq:[]",
        "v:eq:[1]",
        "v:eq:{}",
        "v:ne:[]",
        'v:ne:{"a":1}',
        "v:lt:true",
        "v:ge:null",
        "v:gt:[1]",
        "v:exists:",
        "v:exists:1",
        "v:exists:yes",
        'v:exists:"true"',
        "v:exists:null",
        "v:exists:True",
        "v:eq:12abc",
        "v:eq:-x",
        'v:eq:"open',
        'v:eq:"a" "b"',
        "v:eq:{x",
    ],
)
async def test_a_filter_of_another_form_is_refused(api: Api, path: str, where: str) -> None:
    problem = expect_problem(await api.get(path, params={"where": where}), 422, "validation")
    assert problem["errors"][0]["loc"][:2] == ["query", "where"]


@pytest.mark.clause("DOC-6", "GEN-9")
async def test_a_filtered_walk_shows_what_one_page_shows(api: Api, owner: str) -> None:
    query = {"owner_id": owner, "where": "v:ge:0", "sort": "title"}
    whole, _ = expect_page(await api.get("/documents", params={**query, "limit": 200}))
    assert await walk(api, "/documents", {**query, "limit": 2}) == whole
