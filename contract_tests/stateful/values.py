"""What the machine sends: few values that meet often, and every now and then an awkward one."""

from typing import Final

from awkward_values import ROWS, Place
from hypothesis import strategies as st

INT64: Final = 2**63
LETTERS: Final = "aAbB ßéE\u0301\u0130ﬁ１_-%$.😀"
KEYS: Final = ["a", "b", "$set", "a.b", "_id", "", "é", "$ref", "$id"]
TAGS: Final = ["red", "Red", "é", "e\u0301", "NULL", "{a}", "$tag"]
LARGEST_AWKWARD_BODY: Final = 10_000
START_DOCUMENTS: Final = [
    ({"title": "red sky", "content": {"a": 1}, "tags": ["red"]}, "u1"),
    ({"title": "Blue", "content": {"a": 1.5, "b": {"a": "é"}}, "tags": ["Red", "red"]}, "u1"),
    ({"title": "RED SKY", "content": {"a": "1"}, "tags": []}, "u1"),
    ({"title": "a red thing", "content": {"a": None}, "tags": ["é"]}, "u1"),
    ({"title": "blue", "content": {"a": [1], "b": "A"}, "tags": ["e\u0301", "red"]}, "u1"),
    ({"title": "1", "content": {}, "tags": ["NULL"]}, "u2"),
    ({"title": "Äpfel", "content": {"$set": {"a.b": 1}, "a": {"b": 1}}, "tags": ["red"]}, "u2"),
]
"""What is there before the first step, with its owner."""

titles = st.one_of(st.sampled_from(["Red sky", "red SKY", "blue"]), st.text(LETTERS, min_size=1, max_size=12))
names = st.one_of(st.sampled_from(["Ada", "ada", "ADA"]), st.text(LETTERS, min_size=1, max_size=8))
tags = st.lists(st.sampled_from(TAGS), max_size=4)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([2**53, 2**53 + 1, INT64 - 1, -INT64, 0.5, 1.0, -0.0, 1e22, 1e300, 5e-324, float(INT64)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "1", "a", "A", "é", "e\u0301", "null", "\uffff", "😀", "$a", "{d1}"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=6,
)
contents = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
patches = st.dictionaries(st.sampled_from(KEYS), st.one_of(st.none(), values), max_size=3)
wheres = st.builds(
    lambda path, test: f"{path}:{test}",
    st.sampled_from(["a", "b", "a.b", "_id", "a.0", "b.a"]),
    st.sampled_from(
        [
            "eq:1",
            "eq:1.0",
            "ne:1",
            "eq:null",
            "ne:null",
            "eq:true",
            "eq:a",
            'eq:"1"',
            "lt:1",
            "ge:-0.5",
            "gt:9007199254740992",
            "le:1e22",
            "lt:a",
            "ge:é",
            "exists:true",
            "exists:false",
            "eq:[1]",
            "lt:true",
        ]
    ),
)
document_sorts = st.sampled_from(["created_at", "-created_at", "title", "-title"])
user_sorts = st.sampled_from(["created_at", "-created_at", "name", "-name", "email", "-email"])
etags = st.sampled_from(["fresh", "fresh", "fresh", "stale", "none", "any"])
awkward_rows = st.sampled_from(
    [row for row in ROWS if len(row.sent) < LARGEST_AWKWARD_BODY and row.place is not Place.EMAIL]
)
