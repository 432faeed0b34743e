"""What any client may leave to the services to do."""

from typing import Any

from expectations import same_json
from hypothesis import strategies as st
from hypothesis.stateful import rule
from stateful import values
from stateful.machine import Machine
from stateful.siblings import Request


class Background(Machine):
    """Actions are shown, and notifications mailed where somebody takes mail."""

    @rule(user=Machine.users, action=values.actions, detail=st.none() | values.contents)
    def act(self, user: str, action: str, detail: dict[str, Any] | None) -> None:
        made, path = self.name("a"), f"/users/{{{user}}}/activity"
        body = {"action": action, **({} if detail is None else {"detail": detail})}
        answer = self.ask("POST", f"/users/{{{user}}}/actions", (made,), body=body)
        if answer["status"] == 202:
            shown = self.siblings.settle(Request("GET", path), lambda shown: f"<{made}>" in _by_id(shown))
            assert same_json(_by_id(shown)[f"<{made}>"]["detail"], detail or {}), (detail, shown)
        self.siblings.walk(Request("GET", path, [("limit", "2")]))

    @rule(user=Machine.users, subject=values.subjects, text=values.letters)
    def notify(self, user: str, subject: str, text: str) -> None:
        path = f"/users/{{{user}}}/notifications"
        request = Request("POST", path, body={"subject": subject, "body": text})
        self.send_and_mail(user, request, self.name("n"))
        self.siblings.walk(Request("GET", path, [("limit", "2")]))

    def send_and_mail(self, user: str, request: Request, made: str) -> Any:
        """Like `send`; a notification is mailed before anything else is asked."""
        answer = self.send(request, (made,))
        if answer["status"] == 202:
            listing = Request("GET", f"/users/{{{user}}}/notifications")
            shown = self.siblings.settle(
                listing, lambda shown: _by_id(shown)[f"<{made}>"]["status"] != "queued"
            )
            assert _by_id(shown)[f"<{made}>"]["status"] == "sent", shown
        return answer


def _by_id(page: Any) -> dict[str, Any]:
    return {row["id"]: row for row in page["body"]["items"]}
