"""Where mails are handed in, as one URL."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_FORM = "must be smtp://[user:password@]host[:port] or smtps://…"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """`starts_with_tls`: no word is said in clear. Otherwise TLS is used where the server offers it."""

    host: str
    port: int | None
    starts_with_tls: bool
    user: str | None
    password: str | None


def smtp_server(url: str) -> SmtpServer:
    """Raises ValueError.

    >>> smtp_server("smtp://localhost:2525")
    SmtpServer(host='localhost', port=2525, starts_with_tls=False, user=None, password=None)
    >>> smtp_server("smtps://ada:a%40b@mail.example").password
    'a@b'
    >>> smtp_server("mail.example:25")
    Traceback (most recent call last):
    ValueError: must be smtp://[user:password@]host[:port] or smtps://…
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(_FORM) from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(_FORM)
    user, password = (None if given is None else unquote(given) for given in (parts.username, parts.password))
    return SmtpServer(parts.hostname, port, parts.scheme == "smtps", user, password)
