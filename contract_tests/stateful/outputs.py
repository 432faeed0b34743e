"""What any client may take away: exports, and the report."""

import re
from typing import Any, Final

from expectations import same_json
from hypothesis import strategies as st
from hypothesis.stateful import rule
from stateful import values
from stateful.machine import Machine
from stateful.siblings import Ref, Request

SECTIONS: Final = ["Totals", "Newest users", "Busiest owners", "Tags"]
NEWEST: Final = 10
FORMULA_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r")

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z")


class Outputs(Machine):
    """An export is what the list of the same filters shows, and the report tells of the newest users."""

    @rule(form=values.formats, end=st.sampled_from(["", "n1", "N", "%"]))
    def export_users(self, form: str, end: str) -> None:
        self._export("/users", form, [("q", self.word + end)])
        self._read_the_report()

    @rule(form=values.formats, owner=Machine.users, filters=values.filters)
    def export_documents(self, form: str, owner: str, filters: list[tuple[str, str]]) -> None:
        self._export("/documents", form, [("owner_id", Ref(owner)), *filters])

    def _read_the_report(self) -> None:
        """Its newest users are ours, as long as nobody else makes some."""
        texts = self.siblings.texts(Request("GET", "/reports/overview"))
        newest = Request("GET", "/users", [("q", self.word), ("sort", "-created_at"), ("limit", str(NEWEST))])
        emails = [user["email"] for user in self.siblings.ask(newest)["body"]["items"]]
        shown = [self._shown(text) for text in texts]
        longest = max(shown, key=len)
        assert len(longest) <= len(emails), (longest, emails)
        assert all(email in line for email, line in zip(emails, longest, strict=False)), (longest, emails)
        assert all(lines == longest[: len(lines)] for lines in shown), shown
        assert all(re.findall("<h2>(.*)</h2>", text) == SECTIONS for text in texts), texts

    def _shown(self, text: str) -> list[str]:
        return [_TIME.sub("<time>", line) for line in text.split("\n") if self.word in line.lower()]

    def _export(self, collection: str, form: str, params: list[tuple[str, str | Ref]]) -> None:
        exported = self.ask("GET", f"{collection}/export", params=[("format", form), *params])
        pages = self.siblings.walk(Request("GET", collection, [*params, ("limit", "200")]))
        assert exported["status"] == pages[0]["status"], (exported, pages)
        if exported["status"] != 200:
            return
        rows = [row for page in pages for row in page["body"]["items"]]
        listed = [_cells(row) for row in rows] if form == "csv" else rows
        assert same_json(exported["body"], listed), (exported, listed)


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_SIGNS) else cell
        for name, cell in row.items()
    }
