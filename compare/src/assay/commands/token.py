"""`assay token`: an access token for trying a service that runs with AUTH_SECRET."""

import os

from assay.stand import StandError
from shared.http.access import make_token
from shared.settings import AUTH_SECRET_MIN_BYTES


def token(subject: str, scope: str, seconds: int) -> int:
    secret = os.environ.get("AUTH_SECRET", "")
    if len(secret.encode()) < AUTH_SECRET_MIN_BYTES:
        raise StandError(
            f"set AUTH_SECRET to the secret of the services, of {AUTH_SECRET_MIN_BYTES} bytes or more."
        )
    print(make_token(secret, subject, scope, seconds))  # noqa: T201 - the token alone, so that $(…) takes it
    return 0
