"""What any client may do to users and documents."""

from typing import Any, Final

from awkward_values import Row
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, multiple, rule
from stateful import values
from stateful.machine import NOBODY, Machine
from stateful.siblings import Ref, Request

START_USERS: Final = ("u1", "u2", "u3")
START_DOCUMENTS: Final = tuple(f"d{number}" for number, _ in enumerate(values.START_DOCUMENTS, 1))


class UsersAndDocuments(Machine):
    """Created, changed, read, listed, moved and deleted."""

    users = Machine.users
    documents = Machine.documents

    def __init__(self) -> None:
        """Rows enough that lists, filters and pages have something to disagree about from the first step."""
        super().__init__()
        self.ask("POST", "/users/batch", START_USERS, body=[self.user(n, "Ada") for n in (0, 1, 2)])
        bodies = [{**body, "owner_id": Ref(owner)} for body, owner in values.START_DOCUMENTS]
        self.ask("POST", "/documents/batch", START_DOCUMENTS, body=bodies)

    @initialize(target=users)
    def first_users(self) -> MultipleResults[str]:
        return multiple(*START_USERS)

    @initialize(target=documents)
    def first_documents(self) -> MultipleResults[str]:
        return multiple(*START_DOCUMENTS)

    @rule(target=users, number=st.integers(0, 5), loud=st.booleans(), name=values.names)
    def create_user(self, number: int, loud: bool, name: str) -> str | MultipleResults[str]:
        made, body = self.name("u"), self.user(number, name)
        body["email"] = body["email"].upper() if loud else body["email"]
        answer = self.ask("POST", "/users", (made,), body=body)
        return made if answer["status"] == 201 else multiple()

    @rule(target=users, numbers=st.lists(st.integers(0, 12), max_size=3), name=values.names)
    def create_users(self, numbers: list[int], name: str) -> MultipleResults[str]:
        made = tuple(self.name("u") for _ in numbers)
        body = [self.user(number, name) for number in numbers]
        answer = self.ask("POST", "/users/batch", made, body=body)
        return multiple(*(made if answer["status"] == 201 else ()))

    @rule(user=users, number=st.none() | st.integers(0, 5), name=st.none() | values.names, etag=values.etags)
    def patch_user(self, user: str, number: int | None, name: str | None, etag: str) -> None:
        new = self.user(number or 0, name or "")
        body = {"email": new["email"]} if number is not None else {}
        self.change("PATCH", user, "/users", etag, {**body, **({"name": name} if name else {})})

    @rule(user=users, etag=values.etags)
    def delete_user(self, user: str, etag: str) -> None:
        self.delete(user, "/users", self.match(user, etag))

    @rule(user=users)
    def read_user(self, user: str) -> None:
        self.read(user, "/users")
        self.ask("GET", f"/users/{{{user}}}/summary")

    @rule(sort=values.user_sorts, limit=st.integers(1, 4), end=st.sampled_from(["", "n1", "N", "%"]))
    def list_users(self, sort: str, limit: int, end: str) -> None:
        params = [("q", self.word + end), ("sort", sort), ("limit", str(limit))]
        self.siblings.walk(Request("GET", "/users", params))

    @rule(target=documents, owner=users, title=values.titles, content=values.contents, tags=values.tags)
    def create_document(
        self, owner: str, title: str, content: dict[str, Any], tags: list[str]
    ) -> str | MultipleResults[str]:
        made = self.name("d")
        body = {"owner_id": Ref(owner), "title": title, "content": content, "tags": tags}
        answer = self.ask("POST", "/documents", (made,), body=body)
        return made if answer["status"] == 201 else multiple()

    @rule(
        target=documents,
        owners=st.lists(users, min_size=1, max_size=4),
        contents=st.lists(values.contents, min_size=4, max_size=4),
        unknown=st.booleans(),
    )
    def create_documents(
        self, owners: list[str], contents: list[dict[str, Any]], unknown: bool
    ) -> MultipleResults[str]:
        made = tuple(self.name("d") for _ in owners)
        bodies: list[Any] = [
            {"owner_id": Ref(owner), "title": "of a batch", "content": content}
            for owner, content in zip(owners, contents, strict=False)
        ]
        last = [{"owner_id": NOBODY, "title": "nobody's"}] if unknown else []
        answer = self.ask("POST", "/documents/batch", made, body=bodies + last)
        return multiple(*(made if answer["status"] == 201 else ()))

    @rule(document=documents, content=values.patches, title=st.none() | values.titles, etag=values.etags)
    def patch_document(self, document: str, content: Any, title: str | None, etag: str) -> None:
        body = {"content": content, **({"title": title} if title else {})}
        self.change("PATCH", document, "/documents", etag, body)

    @rule(
        document=documents, content=values.contents, title=values.titles, tags=values.tags, etag=values.etags
    )
    def put_document(self, document: str, content: Any, title: str, tags: list[str], etag: str) -> None:
        body = {"title": title, "content": content, "tags": tags}
        self.change("PUT", document, "/documents", etag, body)

    @rule(document=documents, etag=values.etags)
    def delete_document(self, document: str, etag: str) -> None:
        self.delete(document, "/documents", self.match(document, etag))

    @rule(document=documents, known=st.booleans())
    def read_document(self, document: str, known: bool) -> None:
        self.read(document, "/documents")
        self.ask("GET", f"/documents/{{{document}}}", params=[("include", "owner")])
        self.ask("GET", f"/documents/{{{document}}}/stats")
        headers = {"If-None-Match": f'"{self.written[document]["version"]}"'} if known else {}
        self.ask("GET", f"/documents/{{{document}}}", headers=headers)

    @rule(moved=st.lists(documents, min_size=1, max_size=4), giver=users, taker=users)
    def transfer(self, moved: list[str], giver: str, taker: str) -> None:
        body = {
            "document_ids": [Ref(name) for name in moved],
            "from_owner_id": Ref(giver),
            "to_owner_id": Ref(taker),
        }
        if self.ask("POST", "/documents/transfer", body=body)["status"] == 200:
            self.see_moved(moved)

    @rule(
        owner=users,
        filters=values.filters,
        sort=values.document_sorts,
        limit=st.integers(1, 4),
        include=st.booleans(),
    )
    def list_documents(
        self, owner: str, filters: list[tuple[str, str]], sort: str, limit: int, include: bool
    ) -> None:
        params: list[tuple[str, str | Ref]] = [("owner_id", Ref(owner)), ("sort", sort)]
        params += [("limit", str(limit)), *filters]
        params += [("include", "owner")] if include else []
        self.siblings.walk(Request("GET", "/documents", params))

    @rule(owner=users, row=values.awkward_rows)
    def send_an_awkward_value(self, owner: str, row: Row) -> None:
        made = self.name("x")
        raw = row.body("<owner>", f"{self.word}{made}")
        self.ask("POST", row.place.path, (made,), raw=raw, owner=owner)
