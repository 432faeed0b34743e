"""Each backend's own example rows, which stand for placeholders such as `{user_id}`."""

import re
import secrets
from typing import Any, Final

import orjson

from assay.console.answers import Shown, Wanted, answer_of
from assay.console.backends import Backend, Fleet

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
ROWS: Final = ("user_id", "other_user_id", "document_id", "attachment_id")
_CREATED: Final = {"/users": "user_id", "/documents": "document_id"}


class NoRows(Exception):
    """A backend refused or missed what its example rows are made of."""


class Rows:
    """Ids by placeholder for each backend. What the page creates becomes the row that its name stands for."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._ids: dict[str, dict[str, str]] = {}
        self._made: dict[str, int] = {}
        self._seed = secrets.token_hex(4)

    def begin_anew(self) -> None:
        """The next request makes new ones, with addresses that are equal on all backends."""
        self._ids, self._made, self._seed = {}, {}, secrets.token_hex(4)

    async def filled(self, backend: Backend, wanted: Wanted, unique: str) -> Wanted:
        """The request with this backend's rows in it; makes those that are missing. Raises NoRows."""
        parts = (wanted.path, wanted.query, wanted.body or "", *wanted.headers.values())
        asked = {name for part in parts for name in _PLACEHOLDER.findall(part)} & set(ROWS)
        if asked - self._ids.get(backend.name, {}).keys():
            self._ids[backend.name] = await self._make(backend, wanted.timeout)
        values = {**self._ids.get(backend.name, {}), "unique": unique}
        return wanted.model_copy(
            update={
                "path": _put(wanted.path, values),
                "query": _put(wanted.query, values),
                "headers": {name: _put(value, values) for name, value in wanted.headers.items()},
                "body": None if wanted.body is None else _put(wanted.body, values),
            }
        )

    def learn(self, backend: Backend, sent: Wanted, shown: Shown) -> None:
        """From an answer: which row was made, or that rows are gone."""
        ids = self._ids.get(backend.name, {})
        if sent.method == "POST" and shown.status == 201 and isinstance(shown.body, dict):
            name = _CREATED.get(sent.path) or ("attachment_id" if sent.upload else None)
            if name is not None and ids:
                ids[name] = shown.body["id"]
        elif sent.method == "DELETE" and shown.status == 204:
            # one that is gone takes others along: all of them are made anew when they are asked for
            self._ids.pop(backend.name, None)

    async def _make(self, backend: Backend, seconds: float) -> dict[str, str]:
        number = self._made[backend.name] = self._made.get(backend.name, 0) + 1
        ids: dict[str, str] = {}
        for name, who in (("user_id", "Ada Lovelace"), ("other_user_id", "Charles Babbage")):
            email = f"{who.split()[0].lower()}-{self._seed}-{number}@example.org"
            ids[name] = await self._created(backend, "/users", _json(email=email, name=who), seconds)
        document = _json(
            owner_id=ids["user_id"],
            title="Notes",
            content={"state": "open", "size": 3},
            tags=["notes", "example"],
        )
        ids["document_id"] = await self._created(backend, "/documents", document, seconds)
        place = f"/documents/{ids['document_id']}/attachments"
        ids["attachment_id"] = await self._created(backend, place, "One small file.\n", seconds, upload=True)
        return ids

    async def _created(
        self, backend: Backend, path: str, body: str, seconds: float, *, upload: bool = False
    ) -> str:
        wanted = Wanted(method="POST", path=path, body=body, upload=upload, timeout=seconds)
        shown = await answer_of(self._fleet, backend, wanted)
        made = shown.body.get("id") if shown.status == 201 and isinstance(shown.body, dict) else None
        if not isinstance(made, str):
            raise NoRows(f"no example rows: POST /{path.split('/')[1]} gave {shown.failure or shown.status}")
        return made


def _put(text: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def _json(**members: Any) -> str:
    return orjson.dumps(members).decode()
