"""A mail as SMTP carries it: envelope and message of a notification."""

from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

import idna

from shared.schemas.notifications import Mail

# what is put in raw stays as it is: the standard library reads headers before it writes them, decodes what
# looks encoded in them, and lets line ends through that were hidden there
_ASCII = SMTP.clone(refold_source="none")
_UTF8 = SMTPUTF8.clone(refold_source="none")


@dataclass(frozen=True, slots=True)
class Letter:
    """`needs_utf8`: only servers with SMTPUTF8 (RFC 6531) can take it."""

    sender: str
    recipient: str
    message: bytes
    needs_utf8: bool


def letter(mail: Mail, sender: str, moment: datetime) -> Letter:
    """The same `Message-ID` at every try, so that who gets a mail twice can tell."""
    local, _, domain = mail.email.partition("@")
    recipient = f"{local}@{_domain(domain, ascii_wanted=local.isascii())}"
    needs_utf8 = not recipient.isascii()
    message = EmailMessage(_UTF8 if needs_utf8 else _ASCII)
    # encoded in any case: no server then counts the length of lines, or minds the dots they start with
    message.set_content(mail.body, cte="quoted-printable" if mail.body.isascii() else "base64")
    message.set_raw("From", sender)
    message.set_raw("To", recipient)
    message.set_raw("Subject", _encoded(mail.subject))
    message.set_raw("Date", format_datetime(moment))
    message.set_raw("Message-ID", f"<{mail.id}@{sender.rpartition('@')[2]}>")
    message.set_raw("Auto-Submitted", "auto-generated")
    return Letter(sender, recipient, message.as_bytes(), needs_utf8)


def _encoded(subject: str) -> str:
    """Words of RFC 2047. The separators of lines and paragraphs are no controls, but no header may hold
    them."""
    return Header(" ".join(subject.splitlines()), "utf-8", header_name="Subject").encode()


def _domain(domain: str, *, ascii_wanted: bool) -> str:
    """As the DNS has it, where the rest of the address is ASCII too: then any server can take it."""
    if domain.isascii() or not ascii_wanted:
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain
