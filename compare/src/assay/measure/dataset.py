"""The rows that every arm holds before it is measured: the same for all, made from their numbers alone.

Documents repeat after `PERIOD`, so that two arms on one database can change different rows and still must
answer alike.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import httpx2
import orjson

USERS = 10_000
DOCUMENTS = 50_000
PERIOD = 5_000
BATCH = 1_000

BUSY_OWNERS = 500
"""The first users own `BUSY_DOCUMENTS` documents each, the others share the rest."""
BUSY_DOCUMENTS = 60

TAGS = tuple(f"tag-{number:03d}" for number in range(100))
_WORDS = (
    *("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf"),
    *("hotel", "india", "juliett", "kilo", "lima", "mike"),
)


@dataclass(frozen=True)
class Rows:
    """The ids under which one arm's database holds the rows, in the order of their numbers."""

    users: Sequence[str]
    documents: Sequence[str]

    def owner_of(self, number: int) -> str:
        return self.users[owner_number(number)]


def owner_number(document: int) -> int:
    busy = BUSY_OWNERS * BUSY_DOCUMENTS
    if document < busy:
        return document % BUSY_OWNERS
    return BUSY_OWNERS + (document - busy) % (USERS - BUSY_OWNERS)


def user(number: int) -> dict[str, Any]:
    """
    >>> user(7)
    {'email': 'user7@seed.example', 'name': 'User 7'}
    """
    return {"email": f"user{number}@seed.example", "name": f"User {number}"}


def document(number: int) -> dict[str, Any]:
    """A document without its owner; about 300 bytes of content."""
    chance = random.Random(number % PERIOD)
    return {
        "title": " ".join(chance.sample(_WORDS, 4)),
        "content": {
            "state": chance.choice(("open", "closed", "draft")),
            "size": chance.randrange(1_000),
            "score": round(chance.random(), 6),
            "author": {"name": chance.choice(_WORDS), "active": chance.random() < 0.5},
            "text": " ".join(chance.choices(_WORDS, k=30)),
        },
        "tags": chance.sample(TAGS, 3),
    }


async def seed(url: str, on_batch: Callable[[], None], *, documents: int = DOCUMENTS) -> Rows:
    """Stores the rows through the API; `on_batch` hears of each of `batches()` batches."""
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        users = await _store(client, "/users/batch", (user(number) for number in range(USERS)), on_batch)
        rows = Rows(users, [])
        owned = ({**document(number), "owner_id": rows.owner_of(number)} for number in range(documents))
        stored = await _store(client, "/documents/batch", owned, on_batch)
    return Rows(users, stored)


def batches(documents: int = DOCUMENTS) -> int:
    return (USERS + documents) // BATCH


async def _store(
    client: httpx2.AsyncClient, path: str, rows: Iterator[dict[str, Any]], on_batch: Callable[[], None]
) -> list[str]:
    ids: list[str] = []
    while batch := list(islice(rows, BATCH)):
        answer = await client.post(
            path, content=orjson.dumps(batch), headers={"content-type": "application/json"}
        )
        answer.raise_for_status()
        ids += [item["id"] for item in orjson.loads(answer.content)["items"]]
        on_batch()
        await asyncio.sleep(0)
    return ids
