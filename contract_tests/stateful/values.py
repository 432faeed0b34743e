"""What the machine sends: few values that meet often, and every now and then an awkward one."""

from dataclasses import dataclass
from hashlib import shake_128
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


@dataclass(frozen=True)
class File:
    """What is uploaded; the content is made of its `size` in bytes and `seed`. Without a media type none is
    sent."""

    filename: str
    media_type: str | None
    size: int
    seed: str = ""

    @property
    def content(self) -> bytes:
        return shake_128(self.seed.encode()).digest(self.size)


files = st.builds(
    File,
    st.sampled_from(
        [
            "notes.txt",
            "../../etc/passwd",
            r"a \"quoted\" \\ name",
            "50%22%0D%0A.txt",
            "naïve 文件 👩‍🚀.txt",
            "line\nbreak\ttab",
            "x; filename=y",
            "e\u0301\u202e.txt",
            "👩" * 255,
            "n" * 256,
            "a\0b",
            "",
        ]
    ),
    st.sampled_from([None, "text/plain", "text/html; charset=utf-8", "text/csv", 'a/b; x="q \\" y"', "text"]),
    st.sampled_from([0, 1, 10, 65_535, 65_536, 65_537, 100_000]) | st.integers(0, 100_000),
    st.sampled_from("ab"),
)
ranges = st.sampled_from(
    [
        "bytes=0-0",
        "bytes=0-",
        "bytes=5-9",
        "bytes=-1",
        "bytes=-65536",
        "bytes=65536-",
        "bytes=65530-65540",
        "bytes=99999-99999999999999999999",
        "bytes=9-5",
        "bytes=-0",
        "bytes=0-1,3-4",
        "Bytes= 1-2",
        "lines=1-2",
    ]
)
actions = st.one_of(
    st.text(LETTERS, min_size=1, max_size=12), st.sampled_from(["opened", "opened", "é" * 100, "é" * 101, ""])
)
subjects = st.one_of(
    st.text(LETTERS, min_size=1, max_size=12),
    st.sampled_from(["Hello", "x" * 200, "=?utf-8?q?x?=", "x" * 201, "two\nlines"]),
)
letters = st.sampled_from(["Dear Ada,\nhello.\n", ".\n..\n", "日本語 😀", "x" * 20_000, "x" * 20_001, ""])
formats = st.sampled_from(["csv", "ndjson"])
searches = st.sampled_from(["", "", "red", "SKY red", "a", "ss", "..."])
filters = st.builds(
    lambda wheres, tags, q: (
        [("where", where) for where in wheres] + [("tag", tag) for tag in tags] + ([("q", q)] if q else [])
    ),
    st.lists(wheres, max_size=2),
    st.lists(st.sampled_from(TAGS), max_size=2),
    searches,
)
