"""What any client may send again under a key."""

from typing import Any, Final

from expectations import same_json
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, multiple, rule
from stateful import values
from stateful.background import Background
from stateful.machine import Machine
from stateful.siblings import Ref, Request

KINDS: Final = ("user", "users", "document", "documents", "transfer", "upload", "notification")
KEPT: Final = frozenset({200, 201, 202, 404, 409, 422})
"""Of requests that nothing but the rows can refuse."""


class Repeats(Background):
    """The first answer is answered again whatever has become of the rows, and another body is refused."""

    keyed = Bundle("keyed")

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, tuple[Request, Request, Any]] = {}

    @rule(
        target=keyed,
        what=st.sampled_from(KINDS),
        user=Machine.users,
        document=Machine.documents,
        number=st.integers(0, 5),
    )
    def send_under_a_key(
        self, what: str, user: str, document: str, number: int
    ) -> str | MultipleResults[str]:
        made = self.name("k")
        key = {"Idempotency-Key": f"{self.word} {made}"}
        request = self._request(what, user, document, number, key)
        answer = self.send_and_mail(user, request, made)
        if answer["status"] == 200:
            self.see_moved([document])
        if answer["status"] not in KEPT:
            return multiple()
        self.kept[made] = request, self._request(what, user, document, number + 6, key), answer
        self.send_again(made)
        return made

    @rule(keyed=keyed)
    def send_again(self, keyed: str) -> None:
        request, other, first = self.kept[keyed]
        replayed = {**first, "headers": {**first["headers"], "idempotency-replayed": "true"}}
        again = self.siblings.ask(request)
        assert same_json(again, replayed), f"{request}: {again} instead of {replayed}"

        refused = self.siblings.ask(other)
        assert refused["status"] == 409, f"{other}: {refused}"
        assert refused["body"]["type"] == "/problems/conflict", f"{other}: {refused}"

    def _request(self, what: str, user: str, document: str, number: int, key: dict[str, str]) -> Request:
        """Another body for another number."""
        if what == "upload":
            return self.upload(document, values.File("notes.txt", "text/plain", 10 + number), **key)
        new_user = self.user(number, "Ada")
        new_document = {"owner_id": Ref(user), "title": f"{number}"}
        giver = self.written[document]["owner_id"].strip("<>")
        moved = {
            "document_ids": [Ref(document)],
            "from_owner_id": Ref(giver),
            "to_owner_id": Ref(user if number < 6 else document),
        }
        requests: dict[str, tuple[str, Any]] = {
            "user": ("/users", new_user),
            "users": ("/users/batch", [new_user]),
            "document": ("/documents", new_document),
            "documents": ("/documents/batch", [new_document]),
            "transfer": ("/documents/transfer", moved),
            "notification": (f"/users/{{{user}}}/notifications", {"subject": f"{number}", "body": "Hello."}),
        }
        path, body = requests[what]
        return Request("POST", path, headers=key, body=body)
