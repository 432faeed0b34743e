"""Who may do what: access tokens (SEC-1), and loopback without them (SEC-2)."""

import time
from functools import lru_cache
from ipaddress import ip_address

import jwt
from starlette.types import Scope

from shared.http.problems import ProblemError

ALGORITHM = "HS256"
OPEN_PATHS = frozenset({"/livez", "/readyz", "/info", "/openapi.json"})

_SCHEME = "bearer "
_LENGTH_MAX = 8_192
# what the parsers beneath raise for numbers without end and JSON without bottom
_ODD = (ValueError, OverflowError, RecursionError)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Access:
    """Reads tokens that were signed with the secret. Their `sub` and `exp` are required, `scope` lists words
    with spaces between them."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def holder(self, authorization: str | None) -> tuple[str, frozenset[str]]:
        """The subject and the scopes of an `Authorization` header. Raises ProblemError (401)."""
        if authorization is None or not authorization.lower().startswith(_SCHEME):
            raise unauthorized("Send Authorization: Bearer and an access token.", b"Bearer")
        return self.read(authorization[len(_SCHEME) :].strip(" "))

    def read(self, token: str) -> tuple[str, frozenset[str]]:
        """The subject and the scopes of a token. Raises ProblemError (401)."""
        if len(token) > _LENGTH_MAX:
            raise _invalid_token()
        try:
            claims = jwt.decode(
                token, self._secret, algorithms=[ALGORITHM], options={"require": ["exp", "sub"]}
            )
        except (jwt.InvalidTokenError, *_ODD) as error:
            raise _invalid_token() from error
        subject, scope = claims["sub"], claims.get("scope", "")
        if not _is_text(subject):
            raise _invalid_token()
        return subject, frozenset(scope.split(" ")) if isinstance(scope, str) else frozenset()


def _is_text(subject: str) -> bool:
    """Whether every database can hold it: JSON may name U+0000 and halves of surrogate pairs."""
    return "\0" not in subject and not any("\ud800" <= letter <= "\udfff" for letter in subject)


def make_token(secret: str, subject: str, scope: str, seconds: int) -> str:
    """What `Access` takes, for as many seconds from now."""
    claims = {"sub": subject, "scope": scope, "exp": int(time.time()) + seconds}
    return jwt.encode(claims, secret, ALGORITHM)


def _invalid_token() -> ProblemError:
    return unauthorized(
        "The access token is expired, malformed or not signed by this service's secret.",
        b'Bearer error="invalid_token"',
    )


def unauthorized(detail: str, challenge: bytes) -> ProblemError:
    return ProblemError("unauthorized", detail, headers=[(b"www-authenticate", challenge)])


def check_address(scope: Scope) -> None:
    """For a service without a secret, whatever server it runs under: raises ProblemError (401) where another
    machine may have sent the request (SEC-2)."""
    host, port = scope.get("server") or ("", None)
    # of a socket in the file system there is no port
    if port is not None and _is_reachable(host):
        raise unauthorized("Without AUTH_SECRET this service answers on loopback only.", b"Bearer")


@lru_cache(maxsize=64)
def _is_reachable(host: str) -> bool:
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        # a server tells the address of the connection; a name is that of a client within the process
        return False


def check_scope(scopes: frozenset[str] | None, method: str) -> None:
    """Raises ProblemError (403) where what the method does is not among the scopes."""
    if scopes is None:
        return
    needed = "read" if method in _READING else "write"
    if needed not in scopes:
        raise ProblemError("forbidden", f"The access token lacks the scope {needed!r}.")
