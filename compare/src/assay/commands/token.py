"""`assay token`: an access token for trying a service that runs with AUTH_SECRET."""

import os

from assay.stand import StandError
from shared.http.access import make_token
from shared.settings import AUTH_SECRET_MIN_BYTES

_SCOPES = {"read", "write"}


def token(subject: str, scope: str, seconds: int) -> int:
    unknown = set(scope.split()) - _SCOPES
    if unknown or not scope.split():
        raise StandError("--scope: write 'read', 'write' or 'read write'.")
    if not subject or not subject.isprintable():
        raise StandError("--sub: name somebody, in letters that can be printed.")
    secret = os.environ.get("AUTH_SECRET", "")
    if len(secret.encode()) < AUTH_SECRET_MIN_BYTES:
        raise StandError(
            f"set AUTH_SECRET to the secret of the services, of {AUTH_SECRET_MIN_BYTES} bytes or more."
        )
    print(make_token(secret, subject, scope, seconds))  # noqa: T201 - the token alone, so that $(…) takes it
    return 0
