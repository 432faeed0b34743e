"""Random sequences of operations, sent to all chosen services in step: nobody can tell them apart (GEN-14).

`pytest contract_tests/stateful --sequences N` sends more of them; `--hypothesis-seed` replays a run.
"""

import itertools
import secrets
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import pytest
from awkward_values import Row
from expectations import same_json
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)
from stateful import values
from stateful.siblings import Ref, Request, Siblings

SEQUENCES: Final = 100
"""How many, where no command line can say it: the option is known in a run of this folder alone."""

STEPS: Final = 12
START_USERS: Final = ("u1", "u2", "u3")
START_DOCUMENTS: Final = tuple(f"d{number}" for number, _ in enumerate(values.START_DOCUMENTS, 1))
NOBODY: Final = "0197f000-0000-7000-8000-000000000000"
RUN: Final = secrets.token_hex(4)
SEQUENCE_NUMBERS: Final = itertools.count(1)


class ServicesInStep(RuleBasedStateMachine):
    """Users and documents as any client may use them. Each step's answers are equal on all services, and
    what is read is what the last successful write answered."""

    siblings: ClassVar[Siblings]
    users = Bundle("users")
    documents = Bundle("documents")

    def __init__(self) -> None:
        super().__init__()
        self.siblings.forget()
        self.word = f"s{next(SEQUENCE_NUMBERS)}x{RUN}"
        self.versions: dict[str, int] = {}
        self.written: dict[str, Any] = {}
        self.named = 0

    def name(self, kind: str) -> str:
        """A fresh name for a row."""
        self.named += 1
        return f"{kind}{len(START_DOCUMENTS) + self.named}"

    def ask(self, method: str, path: str, created: tuple[str, ...] = (), **parts: Any) -> Any:
        """One request to all; keeps what a write answered."""
        answer = self.siblings.ask(Request(method, path, **parts), created)
        if answer["status"] == 201:
            body = answer["body"]
            for name, row in zip(created, body.get("items", [body]), strict=True):
                self.keep(name, row)
        return answer

    def keep(self, name: str, row: Any) -> None:
        """The row as it now is."""
        self.versions[name], self.written[name] = row["version"], row

    def change(self, method: str, name: str, collection: str, etag: str, body: Any) -> None:
        """A conditional write of one row."""
        answer = self.ask(method, f"{collection}/{{{name}}}", body=body, headers=self.match(name, etag))
        if answer["status"] == 200:
            self.keep(name, answer["body"])

    def match(self, name: str, etag: str) -> dict[str, str]:
        """The `If-Match` that is fresh or stale for the row as it was last seen."""
        version = self.versions[name]
        known = {"fresh": f'"{version}"', "stale": f'"{version + 1}"', "any": "*"}
        return {"If-Match": known[etag]} if etag in known else {}

    def user(self, number: int, name: str) -> dict[str, Any]:
        """A user's body; few numbers, so that emails meet."""
        return {"email": f"{self.word}n{number}@example.org", "name": name}

    @initialize()
    def start(self) -> None:
        """Rows enough that lists, filters and pages have something to disagree about from the first step."""
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
        self.ask("DELETE", f"/users/{{{user}}}", headers=self.match(user, etag))

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
        self.ask("DELETE", f"/documents/{{{document}}}", headers=self.match(document, etag))

    @rule(document=documents, known=st.booleans())
    def read_document(self, document: str, known: bool) -> None:
        self.read(document, "/documents")
        self.ask("GET", f"/documents/{{{document}}}", params=[("include", "owner")])
        self.ask("GET", f"/documents/{{{document}}}/stats")
        headers = {"If-None-Match": f'"{self.versions[document]}"'} if known else {}
        self.ask("GET", f"/documents/{{{document}}}", headers=headers)

    @rule(moved=st.lists(documents, min_size=1, max_size=4), giver=users, taker=users)
    def transfer(self, moved: list[str], giver: str, taker: str) -> None:
        body = {
            "document_ids": [Ref(name) for name in moved],
            "from_owner_id": Ref(giver),
            "to_owner_id": Ref(taker),
        }
        if self.ask("POST", "/documents/transfer", body=body)["status"] == 200:
            for name in moved:
                self.keep(name, self.ask("GET", f"/documents/{{{name}}}")["body"])

    @rule(
        owner=users,
        wheres=st.lists(values.wheres, max_size=2),
        tags=st.lists(st.sampled_from(values.TAGS), max_size=2),
        q=st.sampled_from(["", "", "red", "SKY red", "a", "ss"]),
        sort=values.document_sorts,
        limit=st.integers(1, 4),
        include=st.booleans(),
    )
    def list_documents(
        self, owner: str, wheres: list[str], tags: list[str], q: str, sort: str, limit: int, include: bool
    ) -> None:
        params: list[tuple[str, str | Ref]] = [
            ("owner_id", Ref(owner)),
            ("sort", sort),
            ("limit", str(limit)),
        ]
        params += [("where", where) for where in wheres] + [("tag", tag) for tag in tags]
        params += [("q", q)] if q else []
        params += [("include", "owner")] if include else []
        self.siblings.walk(Request("GET", "/documents", params))

    @rule(owner=users, row=values.awkward_rows)
    def send_an_awkward_value(self, owner: str, row: Row) -> None:
        made = self.name("x")
        raw = row.body("<owner>", f"{self.word}{made}")
        self.ask("POST", row.place.path, (made,), raw=raw, owner=owner)

    def read(self, name: str, collection: str) -> None:
        """What is there is what was written last."""
        answer = self.ask("GET", f"{collection}/{{{name}}}")
        if answer["status"] == 200:
            assert same_json(answer["body"], self.written[name]), f"{name}: {answer} {self.written[name]}"


@pytest.mark.clause(
    "GEN-14", "GEN-6", "GEN-9", "GEN-10", "USR-2", "USR-4", "DOC-3", "DOC-5", "DOC-6", "DOC-8"
)
def test_random_sequences_are_answered_alike_by_all_services(
    urls: Mapping[str, str], pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    given = pytestconfig.getoption("--hypothesis-seed")
    chosen = int(given) if given is not None else secrets.randbits(32)
    record_property("seed", chosen)
    with Siblings(urls) as siblings:
        machine = type("Machine", (ServicesInStep,), {"siblings": siblings})
        bounds = settings(
            max_examples=pytestconfig.getoption("--sequences", SEQUENCES),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        try:
            run_state_machine_as_test(seed(chosen)(machine), settings=bounds)
        except BaseException as error:
            error.add_note(f"replay with --hypothesis-seed={chosen}")
            raise
