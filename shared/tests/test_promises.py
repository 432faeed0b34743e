"""What a process promises before it is stored: places, letters, and why it does not start."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Any, cast
from uuid import UUID

import pytest

from shared.errors import Unavailable
from shared.ports.backend import Backend
from shared.registry import Service
from shared.rules import ids
from shared.rules.json_content import ContentRefused, content
from shared.schemas.activity import NewAction, activity_record
from shared.schemas.notifications import Mail
from shared.starting import why_not_migrated, why_not_started
from shared.work.activity import CAPACITY, ActivityBuffer
from shared.work.letters import Letter, letter

NOW = datetime(2026, 11, 22, 6, 33, tzinfo=UTC)
NO_BACKEND = cast(Backend, None)
"""Nothing here asks it."""


async def test_a_full_buffer_promises_nothing_more_until_it_is_written() -> None:
    buffer = ActivityBuffer(NO_BACKEND)
    for _ in range(CAPACITY):
        buffer.reserve()
    with pytest.raises(Unavailable):
        buffer.reserve()
    await buffer.keep(activity_record(ids.new_id(), NewAction(action="a"), NOW))
    assert len(buffer) == CAPACITY
    with pytest.raises(Unavailable):
        buffer.reserve()


def _letter(email: str, subject: str = "s", body: str = "b") -> tuple[Letter, EmailMessage]:
    written = letter(Mail(UUID(int=7), email, subject, body, 0), "assay@localhost", NOW)
    return written, cast(EmailMessage, message_from_bytes(written.message, policy=cast(Any, SMTPUTF8)))


@pytest.mark.parametrize(
    ("email", "recipient", "needs_utf8"),
    [
        ("o'brien@mail.example", "o'brien@mail.example", False),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", False),
        ("ada@faß.example", "ada@xn--fa-hia.example", False),
        ("jörg@bücher.example", "jörg@bücher.example", True),
        ("ada@-日.example", "ada@-日.example", True),
    ],
)
def test_a_letter_goes_where_the_address_says(email: str, recipient: str, needs_utf8: bool) -> None:
    written, _ = _letter(email)
    assert (written.recipient, written.needs_utf8) == (recipient, needs_utf8)
    assert needs_utf8 or written.message.isascii()


@pytest.mark.parametrize(
    "email", ["ada@mail.example", "jörg@mail.example", "=?utf-8?q?x=0D=0ABcc=3A_eve=40x?=@mail.example"]
)
def test_a_letter_holds_nothing_but_its_own_headers(email: str) -> None:
    subject = "x\u2028Bcc: eve@mail.example =?utf-8?q?=0D=0ABcc:_eve@mail.example?= " + "日 " * 40
    written, message = _letter(email, subject, "Bcc: eve@mail.example\r\n.\r\nQUIT")
    headers = (
        "From To Subject Date Message-ID Auto-Submitted Content-Type Content-Transfer-Encoding MIME-Version"
    )
    assert set(message.keys()) == set(headers.split())
    assert b"\nBcc" not in written.message.partition(b"\r\n\r\n")[0]
    assert message["Message-ID"] == f"<{UUID(int=7)}@localhost>"
    assert message.get_content() == "Bcc: eve@mail.example\r\n.\r\nQUIT\r\n"


@pytest.mark.parametrize("email", ["ada@mail.example", "jörg@mail.example"])
def test_no_line_of_a_letter_is_longer_than_mail_allows(email: str) -> None:
    written, message = _letter(email, "\U0001f600" * 200, "\U0001f600" * 20_000)
    assert max(map(len, written.message.split(b"\r\n"))) <= 998
    assert message["Subject"] == "\U0001f600" * 200


async def _never(_: object) -> None:
    raise NotImplementedError


SERVICE = Service("one", "Assay on one", "one", "postgresql", cast(Any, _never), _never)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionRefusedError("refused\nsecond line"), "ConnectionRefusedError: refused)"),
        (Unavailable(), "no answer"),
        (ValueError("FILES_URL must be a URL"), "FILES_URL must be a URL"),
    ],
)
def test_what_the_outside_refuses_is_one_line(error: Exception, told: str) -> None:
    line = why_not_started(SERVICE, error)
    assert line is not None
    assert told in line
    assert "\n" not in line


def test_who_cannot_migrate_is_not_told_to_migrate() -> None:
    line = why_not_migrated(SERVICE, ConnectionRefusedError("refused"))
    assert line is not None
    assert "migrate" not in line
    taken = why_not_migrated(SERVICE, OSError('relation "users" already exists'))
    assert taken is not None
    assert "one of its own" in taken


@pytest.mark.parametrize("error", [TypeError("x"), KeyError("x"), RuntimeError("x")])
def test_a_defect_keeps_its_trace(error: Exception) -> None:
    assert why_not_started(SERVICE, error) is None


def test_a_content_with_more_members_than_it_has_room_for_is_refused_unlooked_at() -> None:
    unlike_anything = object()
    with pytest.raises(ContentRefused, match="is larger than"):
        content({"a": [unlike_anything] * 600_000})
    with pytest.raises(ContentRefused, match="is larger than"):
        content({"a": [[1] * 1_000 for _ in range(600)]})
    assert len(content({"a": [1] * 500_000}).value["a"]) == 500_000
