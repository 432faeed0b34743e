"""Who may use the console: its password, its own pages, its own host name."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.access import Access
from shared.http.problems import ProblemError
from shared.serve import is_loopback

PROBE = "/livez"
SHADOW = "/shadow/"
SHOWN = "assay.console.password_shown"
"""In the scope of a request that is passed on: whether its client showed the console's password, by which it
may use the console's own token."""

_SAFE = frozenset({"GET", "HEAD"})
_OWN_PAGES = frozenset({"same-origin", "none"})
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


_SANDBOX = {"content-security-policy": "sandbox"}


class Guard:
    """Around the application. Answers that are passed on from a backend keep their own headers, and are shut
    off from the console where a browser shows them as a page: its users' words may be in them."""

    def __init__(self, app: ASGIApp, password: str | None, secret: str | None) -> None:
        self._app = app
        self._password = password
        self._access = None if secret is None else Access(secret)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passed_on = scope["path"].startswith(SHADOW)
        send_on = _with_headers(send, _SANDBOX if passed_on else _HEADERS)
        if passed_on:
            shown = self._shows_password(Headers(scope=scope).get("authorization", ""))
            scope = {**scope, SHOWN: shown}
        refusal = None if scope["path"] == PROBE else self._refusal(scope, passed_on=passed_on)
        await (refusal or self._app)(scope, receive, send_on)

    def _refusal(self, scope: Scope, *, passed_on: bool) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if self._password is None and not _is_loopback_name(headers.get("host", "")):
            return PlainTextResponse("Ask for this console by its own address.\n", 421)
        if not self._is_known(headers.get("authorization", ""), passed_on=passed_on):
            challenge = {"www-authenticate": 'Basic realm="console", charset="UTF-8"'}
            return PlainTextResponse("Give the console's password, with any name.\n", 401, challenge)
        if scope["method"] not in _SAFE and not _is_of_own_page(headers):
            return PlainTextResponse("Only the console's own page may ask for this.\n", 403)
        return None

    def _is_known(self, authorization: str, *, passed_on: bool) -> bool:
        """A client of the shadow may show the token that it shows to the service."""
        if self._password is None:
            return True
        if passed_on and self._access is not None and authorization.lower().startswith("bearer "):
            try:
                self._access.holder(authorization)
            except ProblemError:
                return False
            return True
        return self._shows_password(authorization)

    def _shows_password(self, authorization: str) -> bool:
        """Nobody does where there is none."""
        if self._password is None:
            return False
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            _, _, given = base64.b64decode(credentials, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, self._password.encode())


def _is_loopback_name(host: str) -> bool:
    """So that no page elsewhere whose name is made to point here can use a console without a password."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _is_of_own_page(headers: Headers) -> bool:
    """What is no browser sends neither header."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in _OWN_PAGES
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in headers.items()]
            message = {**message, "headers": [*message["headers"], *own]}
        await send(message)

    return send_on
