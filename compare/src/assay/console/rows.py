"""Each backend's own example rows, which stand for placeholders such as `{user_id}`."""

import asyncio
import re
import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from assay.console.answers import Shown, Wanted, answer_of
from assay.console.backends import Backend, Fleet

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_USERS: Final = {"user_id": "Ada Lovelace", "other_user_id": "Charles Babbage"}
ROWS: Final = (*_USERS, "document_id", "attachment_id")
_CREATED: Final = {"/users": "user_id", "/documents": "document_id"}


class NoRows(Exception):
    """A backend refused or missed what its example rows are made of."""


@dataclass(frozen=True)
class _Generation:
    """Ids by placeholder, by backend. All addresses have the seed in them, so that what differs between two
    backends are their ids alone, also where one of them came later."""

    seed: str = field(default_factory=lambda: secrets.token_hex(4))
    ids: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    making: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))


@dataclass(frozen=True, slots=True)
class Filled:
    """A request with one backend's rows in it."""

    wanted: Wanted
    generation: _Generation


class Rows:
    """What the page creates becomes the row that its name stands for."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._generation = _Generation()

    def begin_anew(self) -> None:
        """The next request makes new ones."""
        self._generation = _Generation()

    async def filled(self, backend: Backend, wanted: Wanted, unique: str) -> Filled:
        """Makes the rows that are asked for and missing. Raises NoRows."""
        generation = self._generation
        parts = (wanted.path, wanted.query, wanted.body or "", *wanted.headers.values())
        asked = {name for part in parts for name in _PLACEHOLDER.findall(part)} & set(ROWS)
        ids = generation.ids[backend.name]
        if asked - ids.keys():
            async with generation.making[backend.name]:
                await self._make(backend, generation, wanted.timeout)
        values = {**ids, "unique": unique}
        filled = wanted.model_copy(
            update={
                "path": _put(wanted.path, values),
                "query": _put(wanted.query, values),
                "headers": {name: _put(value, values) for name, value in wanted.headers.items()},
                "body": None if wanted.body is None else _put(wanted.body, values),
            }
        )
        return Filled(filled, generation)

    def learn(self, backend: Backend, filled: Filled, shown: Shown) -> None:
        """From an answer: which row was made, or that rows are gone."""
        sent, generation = filled.wanted, filled.generation
        if generation is not self._generation:
            return
        if sent.method == "DELETE" and shown.status == 204:
            # one that is gone takes others along: all are made anew, on all backends, so that they stay alike
            self.begin_anew()
        elif sent.method == "POST" and (made := _id_of(shown)) is not None:
            name = _CREATED.get(sent.path) or ("attachment_id" if sent.upload else None)
            if name is not None:
                generation.ids[backend.name][name] = made

    async def _make(self, backend: Backend, generation: _Generation, seconds: float) -> None:
        """Those that are not there yet; what was made before it failed stays."""
        ids = generation.ids[backend.name]

        async def make(name: str, path: str, body: str, *, upload: bool = False) -> None:
            if name not in ids:
                # a second try after an answer that was lost finds the row of the first
                key = {"Idempotency-Key": f"console-{generation.seed}-{name}"}
                wanted = Wanted(
                    method="POST", path=path, headers=key, body=body, upload=upload, timeout=seconds
                )
                ids[name] = await self._created(backend, wanted)

        for name, who in _USERS.items():
            email = f"{who.split()[0].lower()}-{generation.seed}@example.org"
            await make(name, "/users", _json(email=email, name=who))
        content = {"state": "open", "size": 3}
        document = _json(owner_id=ids["user_id"], title="Notes", content=content, tags=["notes", "example"])
        await make("document_id", "/documents", document)
        place = f"/documents/{ids['document_id']}/attachments"
        await make("attachment_id", place, "One small file.\n", upload=True)

    async def _created(self, backend: Backend, wanted: Wanted) -> str:
        shown = await answer_of(self._fleet, backend, wanted)
        made = _id_of(shown)
        if made is None:
            place = wanted.path.split("/")[1]
            raise NoRows(f"no example rows: POST /{place} gave {shown.failure or shown.status}")
        return made


def _id_of(shown: Shown) -> str | None:
    """Of the row that an answer says was made."""
    made = shown.body.get("id") if shown.status == 201 and isinstance(shown.body, dict) else None
    return made if isinstance(made, str) else None


def _put(text: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def _json(**members: Any) -> str:
    return orjson.dumps(members).decode()
