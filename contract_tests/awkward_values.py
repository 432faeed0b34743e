"""The awkward values: what is sent, where, and what every backend answers.

One table of values (`ROWS`) and one of queries (`QUERIES`): the tests send each row, `docs/divergences.md`
prints it.
"""

import json
from dataclasses import dataclass
from enum import Enum

import awkward_cases as cases
from awkward_cases import GRIN, Json


@dataclass(frozen=True, slots=True)
class Kept:
    """Accepted; `value` is what a later GET reads, equal by value."""

    value: Json


@dataclass(frozen=True, slots=True)
class Refused:
    """Answered with the problem `slug` under `status`; nothing is stored."""

    status: int
    slug: str


INVALID = Refused(422, "validation")
MALFORMED = Refused(400, "malformed-json")


class Place(Enum):
    """Where a value is sent: the body around it, and the way to it in the resource that comes back."""

    MEMBER = (
        "content value",
        "/documents",
        b'{"owner_id":"<owner>","title":"t","content":{"v":<sent>}}',
        ("content", "v"),
    )
    KEY = (
        "content key",
        "/documents",
        b'{"owner_id":"<owner>","title":"t","content":{<sent>:1}}',
        ("content",),
    )
    CONTENT = ("content", "/documents", b'{"owner_id":"<owner>","title":"t","content":<sent>}', ("content",))
    TITLE = ("title", "/documents", b'{"owner_id":"<owner>","title":<sent>}', ("title",))
    TAG = ("tag", "/documents", b'{"owner_id":"<owner>","title":"t","tags":[<sent>]}', ("tags", 0))
    TAGS = ("tags", "/documents", b'{"owner_id":"<owner>","title":"t","tags":<sent>}', ("tags",))
    NAME = ("name", "/users", b'{"email":"<unique>@example.org","name":<sent>}', ("name",))
    EMAIL = ("email", "/users", b'{"email":<sent>,"name":"n"}', ("email",))
    BODY = ("body", "/documents", b"<sent>", ())

    def __init__(self, label: str, path: str, template: bytes, pointer: tuple[str | int, ...]) -> None:
        self.label = label
        self.path = path
        self.template = template
        self.pointer = pointer


@dataclass(frozen=True, slots=True)
class Row:
    """`sent` goes over the wire byte for byte; `<unique>` stands for 16 fresh letters."""

    case: str
    place: Place
    sent: bytes
    outcome: Kept | Refused

    def __str__(self) -> str:
        return f"{self.place.label}: {self.case}"

    def body(self, owner: str, unique: str) -> bytes:
        """The request body for an existing owner's id."""
        filled = self.place.template.replace(b"<owner>", owner.encode()).replace(b"<sent>", self.sent)
        return filled.replace(b"<unique>", unique.encode())

    def patch(self, unique: str) -> bytes:
        """The body of a PATCH that sets the same place."""
        return self.body("", unique).replace(b'"owner_id":"",', b"", 1)

    def read_back(self, unique: str) -> Json:
        """What the resource holds in this place afterwards."""
        assert isinstance(self.outcome, Kept)
        value = self.outcome.value
        return value.replace("<unique>", unique) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Query:
    """A query of GET /documents as it goes over the wire. An accepted one finds the content value `v`."""

    case: str
    query: str
    outcome: Kept | Refused

    def __str__(self) -> str:
        return f"query: {self.case}"


LENGTHS = {Place.TITLE: 300, Place.TAG: 64, Place.NAME: 200}
TEXT_PLACES = (Place.MEMBER, Place.KEY, Place.TITLE, Place.TAG, Place.NAME)
LIMITED_PLACES = (Place.TITLE, Place.TAG, Place.NAME)


def literal(text: str) -> bytes:
    """The text as a JSON string in plain UTF-8."""
    return json.dumps(text, ensure_ascii=False).encode()


def _text_rows() -> list[Row]:
    kept = [
        Row(case, place, literal(text), Kept({text: 1} if place is Place.KEY else text))
        for case, text in cases.TEXTS.items()
        for place in TEXT_PLACES
    ]
    refused = [
        Row(case, place, sent, INVALID)
        for case, sent in {**cases.NULS, **cases.LONE_SURROGATES}.items()
        for place in (*TEXT_PLACES, Place.EMAIL)
    ]
    typed = [
        Row(case, place, sent, INVALID)
        for case, sent in {**cases.WRONG_TYPES, "the empty string": b'""'}.items()
        for place in (*LIMITED_PLACES, Place.EMAIL)
    ]
    keys = [Row(case, Place.KEY, literal(key), Kept({key: 1})) for case, key in cases.KEPT_KEYS.items()]
    return [*kept, Row("the empty string", Place.MEMBER, b'""', Kept("")), *keys, *refused, *typed]


def _length_rows() -> list[Row]:
    longest = [
        Row(f"{limit} emoji", place, literal(GRIN * limit), Kept(GRIN * limit))
        for place, limit in LENGTHS.items()
    ]
    longer = [
        Row(f"{limit + 1} letters", place, literal("x" * (limit + 1)), INVALID)
        for place, limit in LENGTHS.items()
    ]
    return longest + longer


def _number_rows() -> list[Row]:
    kept = [Row(case, Place.MEMBER, sent, Kept(value)) for case, (sent, value) in cases.KEPT_NUMBERS.items()]
    return kept + [Row(case, Place.MEMBER, sent, INVALID) for case, sent in cases.REFUSED_NUMBERS.items()]


def _content_rows() -> list[Row]:
    kept = {**cases.KEPT_CONTENTS, **cases.BOUNDARY_CONTENTS}
    kept |= {f"32 levels of {kind}": cases.nested(32, *brackets) for kind, brackets in cases.DEPTHS.items()}
    refused = dict(cases.REFUSED_CONTENTS)
    refused |= {
        f"{depth:,} levels of {kind}": cases.nested(depth, *brackets)
        for depth in (33, 180, 900, 5_000, 100_000)
        for kind, brackets in cases.DEPTHS.items()
    }
    repeated = Row(
        "a repeated key", Place.CONTENT, b'{"a":1,"b":{"c":1,"c":2},"a":[3]}', Kept({"a": [3], "b": {"c": 2}})
    )
    return [
        repeated,
        *(Row(case, Place.CONTENT, sent, Kept(json.loads(sent))) for case, sent in kept.items()),
        *(Row(case, Place.CONTENT, sent, INVALID) for case, sent in refused.items()),
    ]


def _other_rows() -> list[Row]:
    return [
        *(Row(case, Place.EMAIL, literal(email), Kept(email)) for case, email in cases.KEPT_EMAILS.items()),
        *(Row(case, Place.EMAIL, literal(email), INVALID) for case, email in cases.REFUSED_EMAILS.items()),
        *(Row(case, Place.TAGS, sent, Kept(tags)) for case, (sent, tags) in cases.TAG_LISTS.items()),
        *(Row(case, Place.TAGS, sent, INVALID) for case, sent in cases.REFUSED_TAG_LISTS.items()),
        *(Row(case, Place.MEMBER, sent, MALFORMED) for case, sent in cases.MALFORMED_VALUES.items()),
        *(Row(case, Place.BODY, sent, MALFORMED) for case, sent in cases.MALFORMED_BODIES.items()),
        Row("a title of a million letters", Place.TITLE, b'"' + b"x" * 1_000_000 + b'"', INVALID),
    ]


ROWS = (*_text_rows(), *_length_rows(), *_number_rows(), *_content_rows(), *_other_rows())

QUERIES = (
    *(Query(case, query, INVALID) for case, query in cases.REFUSED_QUERIES.items()),
    *(Query(case, query, Kept(value)) for case, (query, value) in cases.WORKING_QUERIES.items()),
)
