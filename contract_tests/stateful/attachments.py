"""What any client may do with files."""

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, initialize, multiple, rule
from stateful import values
from stateful.answers import digest
from stateful.machine import Machine
from stateful.siblings import Request
from stateful.users_and_documents import UsersAndDocuments

START_ATTACHMENT: Final = "f1"


class Attachments(UsersAndDocuments):
    """Uploaded, listed, read whole and in part, deleted, and gone with their documents."""

    attachments = Bundle("attachments")

    def __init__(self) -> None:
        super().__init__()
        self.contents: dict[str, bytes] = {}
        self._attach(START_ATTACHMENT, "d1", values.File("notes.txt", "text/plain", 70_000))

    @initialize(target=attachments)
    def first_attachments(self) -> str:
        return START_ATTACHMENT

    @rule(target=attachments, document=Machine.documents, file=values.files, limit=st.integers(1, 3))
    def attach(self, document: str, file: values.File, limit: int) -> str | MultipleResults[str]:
        made = self.name("f")
        is_made = self._attach(made, document, file)
        self._list(document, limit)
        return made if is_made else multiple()

    @rule(attachment=attachments, part=values.ranges, part_of=values.etags, known=values.etags)
    def read_attachment(self, attachment: str, part: str, part_of: str, known: str) -> None:
        path = f"/attachments/{{{attachment}}}"
        answer = self.ask("GET", path)
        assert answer["status"] == (404 if attachment in self.gone else 200), answer
        if answer["status"] == 200:
            assert answer["body"] == digest(self.contents[attachment]), answer
        self.ask("HEAD", path)
        self.ask("GET", path, headers=self._tag("If-None-Match", attachment, known))
        headers = {"Range": part, **self._tag("If-Range", attachment, part_of)}
        self._read_part(attachment, self.ask("GET", path, headers=headers))

    @rule(attachment=attachments, etag=values.etags)
    def delete_attachment(self, attachment: str, etag: str) -> None:
        self.delete(attachment, "/attachments", self._tag("If-Match", attachment, etag))

    def _attach(self, made: str, document: str, file: values.File) -> bool:
        self.contents[made] = file.content
        return bool(self.send(self.upload(document, file), (made,))["status"] == 201)

    def _list(self, document: str, limit: int) -> None:
        path = f"/documents/{{{document}}}/attachments"
        pages = self.siblings.walk(Request("GET", path, [("limit", str(limit))]))
        if document in self.gone:
            assert pages[0]["status"] == 404, pages
            return
        listed = {row["id"]: row for page in pages for row in page["body"]["items"]}
        there = self.under(document) - {document}
        assert listed == {f"<{name}>": self.written[name] for name in there}, pages

    def _read_part(self, attachment: str, answer: Any) -> None:
        content = self.contents[attachment]
        if answer["status"] == 206:
            span, _, size = answer["headers"]["content-range"].removeprefix("bytes ").partition("/")
            first, _, last = span.partition("-")
            assert int(size) == len(content), answer
            content = content[int(first) : int(last) + 1]
        if answer["status"] in (200, 206):
            assert answer["body"] == digest(content), answer

    def _tag(self, header: str, attachment: str, etag: str) -> dict[str, str]:
        known = {"fresh": f'"{self.written[attachment]["sha256"]}"', "stale": '"other"', "any": "*"}
        return {header: known[etag]} if etag in known else {}
