"""What the machine knows of the rows that it made, and of what the services must have told of them."""

import itertools
import secrets
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from builders import FORM, file_part, form
from expectations import same_json
from hypothesis.stateful import Bundle, RuleBasedStateMachine
from stateful import values
from stateful.feed import Change
from stateful.siblings import Request, Siblings

NOBODY: Final = "0197f000-0000-7000-8000-000000000000"
RUN: Final = secrets.token_hex(4)
SEQUENCE_NUMBERS: Final = itertools.count(1)


class Machine(RuleBasedStateMachine):
    """Each step's answers are equal on all services, what is read is what the last successful write answered,
    and in the end the change feed has told of each change once."""

    siblings: ClassVar[Siblings]
    users = Bundle("users")
    documents = Bundle("documents")

    def __init__(self) -> None:
        super().__init__()
        self._caught = sys.exception()
        self.siblings.begin()
        self.word = f"s{next(SEQUENCE_NUMBERS)}x{RUN}"
        self.written: dict[str, Any] = {}
        self.gone: set[str] = set()
        self.changes: list[list[Change]] = []
        self.named = 0

    def teardown(self) -> None:
        """Tells nothing of the feed where a step has failed."""
        if sys.exception() is not self._caught:
            return
        mark = {"email": f"{self.word}end@example.org", "name": "the end"}
        self.siblings.ask(Request("POST", "/users", body=mark), ("mark",))
        self.siblings.check_changes("mark", self.changes)

    def name(self, kind: str) -> str:
        """A fresh name for a row."""
        self.named += 1
        return f"{kind}{len(values.START_DOCUMENTS) + self.named}"

    def user(self, number: int, name: str) -> dict[str, Any]:
        """A user's body; few numbers, so that emails meet."""
        return {"email": f"{self.word}n{number}@example.org", "name": name}

    def ask(self, method: str, path: str, created: Sequence[str] = (), **parts: Any) -> Any:
        """One request to all; keeps what a creation answered."""
        return self.send(Request(method, path, **parts), created)

    def send(self, request: Request, created: Sequence[str] = ()) -> Any:
        """Like `ask`."""
        answer = self.siblings.ask(request, created)
        if answer["status"] == 201:
            body = answer["body"]
            rows = dict(zip(created, body.get("items", [body]), strict=True))
            self.written |= rows
            self._changed("created", rows)
        return answer

    def keep(self, rows: dict[str, Any]) -> None:
        """The rows as they are after one write."""
        changed = {name: row for name, row in rows.items() if row["version"] != self.written[name]["version"]}
        self.written |= rows
        self._changed("updated", changed)

    def lose(self, name: str) -> None:
        """A row is deleted, and what hangs on it too."""
        lost = self.under(name)
        self.gone |= lost
        deleted = {one: self.written[one] for one in lost}
        self._changed(
            "deleted", {one: {**row, "version": row.get("version", 0) + 1} for one, row in deleted.items()}
        )

    def see_moved(self, moved: Sequence[str]) -> None:
        """The documents as they are after a transfer."""
        self.keep({name: self.ask("GET", f"/documents/{{{name}}}")["body"] for name in moved})

    def change(self, method: str, name: str, collection: str, etag: str, body: Any) -> None:
        """A conditional write of one row."""
        answer = self.ask(method, f"{collection}/{{{name}}}", body=body, headers=self.match(name, etag))
        if answer["status"] == 200:
            self.keep({name: answer["body"]})

    def delete(self, name: str, collection: str, headers: dict[str, str]) -> None:
        """A delete of one row."""
        if self.ask("DELETE", f"{collection}/{{{name}}}", headers=headers)["status"] == 204:
            self.lose(name)

    def read(self, name: str, collection: str) -> None:
        """What is there is what was written last."""
        answer = self.ask("GET", f"{collection}/{{{name}}}")
        assert answer["status"] == (404 if name in self.gone else 200), f"{name}: {answer}"
        if answer["status"] == 200:
            assert same_json(answer["body"], self.written[name]), f"{name}: {answer} {self.written[name]}"

    def match(self, name: str, etag: str) -> dict[str, str]:
        """The `If-Match` that is fresh or stale for the row as it was last seen."""
        version = self.written[name]["version"]
        known = {"fresh": f'"{version}"', "stale": f'"{version + 1}"', "any": "*"}
        return {"If-Match": known[etag]} if etag in known else {}

    def upload(self, document: str, file: values.File, **headers: str) -> Request:
        """A request that attaches the file."""
        lines = () if file.media_type is None else (f"Content-Type: {file.media_type}",)
        content = form(file_part(file.filename, file.content, *lines))
        path = f"/documents/{{{document}}}/attachments"
        return Request("POST", path, headers={**FORM, **headers}, form=content)

    def under(self, name: str) -> set[str]:
        """The row and, those that hang on it."""
        found, owner = {name}, f"<{name}>"
        for other, row in self.written.items():
            if other not in self.gone and owner in (row.get("owner_id"), row.get("document_id")):
                found |= self.under(other)
        return found

    def _changed(self, what: str, rows: dict[str, Any]) -> None:
        """One write made an event for each row of those that make events."""
        told = []
        for name, row in rows.items():
            if "email" in row:
                told.append(Change(f"user.{what}", f"<{name}>", f"<{name}>", row["version"]))
            elif "owner_id" in row:
                told.append(Change(f"document.{what}", f"<{name}>", row["owner_id"], row["version"]))
        self.changes.append(told)
