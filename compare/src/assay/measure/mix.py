"""The requests of a workload: operations mixed by weight, on keys of which some are hot.

Kinds and ranks follow from the seed alone, so that every arm gets the same sequence. Which row a write gets
may differ: a row whose write is not answered yet is passed over, as its next ETag is not known.
"""

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from assay.measure import dataset
from assay.measure.connection import Asked
from assay.measure.dataset import ContentBytes
from assay.measure.scenarios import Target, asked_patch, etag

UPDATES = frozenset({"documents.patch", "read-modify-write"})
WRITES = UPDATES | {"users.create", "documents.create"}

_Row = TypeVar("_Row")

_BLOCK = 1_024
_PAYLOADS = 100


@dataclass(frozen=True)
class Mix:
    """`weights` by kind; the share of the row of rank r is in proportion to 1/r**theta, 0 makes all alike.
    `latest`: the newest row has rank 1, else ranks lie scattered over the rows."""

    weights: Mapping[str, float]
    theta: float
    latest: bool
    connections: int
    content_bytes: ContentBytes | None

    def requests(self, target: Target, chance: random.Random) -> Iterator[bytes | Asked]:
        return _Requests(self, target, chance).sequence()


def ranks(count: int, theta: float, chance: random.Random) -> Iterator[int]:
    """Ranks from 0, without end, by a Zipf distribution.

    Source: J. Gray et al., Quickly generating billion-record synthetic databases, SIGMOD 1994, whose theta
    this is; drawn exactly, from the cumulated weights.
    """
    cumulated = list(itertools.accumulate(1 / rank**theta for rank in range(1, count + 1)))
    while True:
        yield from chance.choices(range(count), cum_weights=cumulated, k=_BLOCK)


def shape(value: Any) -> Any:
    """Names and JSON types without values: what is the same at whatever moment a row was read.

    >>> shape({"id": "x", "version": 3, "tags": ["a", "b"], "next_cursor": None})
    {'id': 'string', 'version': 'number', 'tags': ['string']}
    """
    if isinstance(value, Mapping):
        return {name: shape(member) for name, member in value.items() if name != "next_cursor"}
    if isinstance(value, list):
        members = {repr(found): found for found in map(shape, value)}
        return [members[key] for key in sorted(members)]
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return "string" if isinstance(value, str) else "number"


def _scattered(rows: Sequence[_Row]) -> Sequence[_Row]:
    """In an order that is the same for every arm and every source."""
    return random.Random(len(rows)).sample(rows, len(rows))


class _Requests:
    """One arm's sequence, with what its answers have told so far."""

    def __init__(self, mix: Mix, target: Target, chance: random.Random) -> None:
        self._mix = mix
        self._target = target
        self._chance = chance
        self._run = target.run(chance)
        rows = target.rows
        self._documents = list(rows.lane(target.lane) if UPDATES & mix.weights.keys() else rows.documents)
        self._places = _scattered(range(len(self._documents)))
        self._document_ranks = ranks(len(self._places), mix.theta, chance)
        self._users = _scattered(rows.users)
        self._user_ranks = ranks(len(self._users), mix.theta, chance)
        self._owners = _scattered(rows.busy_owners)
        self._owner_ranks = ranks(len(self._owners), mix.theta, chance)
        self._numbers = itertools.count()
        self._out: dict[str, None] = {}
        self._read: deque[tuple[str, int]] = deque()
        self._payloads: list[dict[str, Any]] = []
        if "documents.create" in mix.weights:
            self._payloads = [
                dataset.document(number, content_bytes=mix.content_bytes) for number in range(_PAYLOADS)
            ]

    def sequence(self) -> Iterator[bytes | Asked]:
        makers: dict[str, Callable[[], bytes | Asked]] = {
            "users.get": self._get_user,
            "documents.get": self._get_document,
            "documents.list": self._list,
            "documents.list-filtered": self._list_filtered,
            "documents.scan": self._scan,
            "documents.patch": self._patch,
            "read-modify-write": self._read_first,
            "users.create": self._create_user,
            "documents.create": self._create_document,
        }
        # by then the read is answered, whichever connection it was sent on
        later = 2 * self._mix.connections
        writes_due: deque[int] = deque()
        for place, kind in enumerate(self._kinds()):
            if writes_due and writes_due[0] <= place:
                writes_due.popleft()
                yield self._write_back()
            else:
                yield makers[kind]()
                if kind == "read-modify-write":
                    writes_due.append(place + later)

    def _kinds(self) -> Iterator[str]:
        kinds, weights = list(self._mix.weights), list(self._mix.weights.values())
        while True:
            yield from self._chance.choices(kinds, weights, k=_BLOCK)

    def _document(self, rank: int) -> str:
        if self._mix.latest:
            return self._documents[-1 - rank]
        return self._documents[self._places[rank]]

    def _free_document(self, first: int) -> str:
        """From that rank on, but none with a write under way; where all have one, that whose answer must be
        lost."""
        for step in range(len(self._places)):
            document_id = self._document((first + step) % len(self._places))
            if document_id not in self._out:
                return document_id
        lost = next(iter(self._out))
        del self._out[lost]
        return lost

    def _get_user(self) -> bytes:
        return self._target.get(f"/users/{self._users[next(self._user_ranks)]}")

    def _get_document(self) -> bytes:
        return self._target.get(f"/documents/{self._document(next(self._document_ranks))}")

    def _list(self) -> bytes:
        owner = self._owners[next(self._owner_ranks)]
        return self._target.get(f"/documents?owner_id={owner}&sort=-created_at&limit=50")

    def _list_filtered(self) -> bytes:
        tag, size = self._chance.choice(dataset.TAGS), self._chance.randrange(500)
        return self._target.get(f"/documents?tag={tag}&where=size:ge:{size}&where=state:eq:open")

    def _scan(self) -> bytes:
        owner, limit = self._owners[next(self._owner_ranks)], self._chance.randint(1, 100)
        return self._target.get(f"/documents?owner_id={owner}&limit={limit}")

    def _patch(self) -> Asked:
        return self._patch_title(self._free_document(next(self._document_ranks)))

    def _patch_title(self, document_id: str) -> Asked:
        number = next(self._numbers)
        # names the version as well: a patch that changes nothing would be no write
        after = self._target.past.tags.get(document_id, '"1"').strip('"')
        return self._write(document_id, {"title": f"Title {number} after {after}"})

    def _write(self, document_id: str, body: object) -> Asked:
        self._out[document_id] = None

        def answered(status: int) -> None:
            # its ETag is another than we know: the row stays out
            if status != 412:
                self._out.pop(document_id, None)

        return asked_patch(self._target, document_id, body, answered)

    def _read_first(self) -> Asked:
        document_id = self._free_document(next(self._document_ranks))
        self._out[document_id] = None

        def learn(status: int, head: bytes, body: bytes) -> None:
            if status == 200:
                self._target.past.tags[document_id] = etag(head)
                self._read.append((document_id, orjson.loads(body)["content"]["size"]))
            else:
                self._out.pop(document_id, None)

        return Asked(self._target.get(f"/documents/{document_id}"), learn)

    def _write_back(self) -> Asked:
        """What was read first and not written yet; a row unread where no read is answered."""
        if not self._read:
            # no rank is drawn: the sequence would depend on when answers come
            return self._patch_title(self._free_document(0))
        document_id, size = self._read.popleft()
        return self._write(document_id, {"content": {"size": size + 1}})

    def _create_user(self) -> bytes:
        number = next(self._numbers)
        email = f"new{number}.{self._run}@{self._target.label}.example"
        return self._target.send("POST", "/users", {"email": email, "name": f"New user {number}"})

    def _create_document(self) -> bytes | Asked:
        payload = self._payloads[next(self._numbers) % _PAYLOADS]
        body = {**payload, "owner_id": self._chance.choice(self._target.rows.users)}
        wire = self._target.send("POST", "/documents", body)
        if not self._mix.latest:
            return wire

        def learn(status: int, _head: bytes, body: bytes) -> None:
            if status == 201:
                self._documents.append(orjson.loads(body)["id"])

        return Asked(wire, learn)
