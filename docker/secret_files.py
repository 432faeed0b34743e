"""The secrets of a deployment: one file for each, made once; tokens may be renewed."""

import base64
import secrets
from collections.abc import Callable
from pathlib import Path

from shared.http.access import make_token

POSTGRESQL = ("sqlalchemy", "asyncpg", "tortoise")
OF_DATABASES = (
    "postgresql_password",
    "mongodb_password",
    "mongodb_key",
    *(f"{name}_url" for name in (*POSTGRESQL, "motor")),
)
"""What the databases' volumes hold as well, from their first start on."""
YEAR = 365 * 24 * 3600


TOKENS = ("metrics_token", "load_token")


def make(folder: Path, *, renew: bool = False) -> list[str]:
    """Makes those that are missing, with `renew` all tokens, and says which. The folder is its owner's alone;
    the files can be read by whatever user a container runs as, once they are mounted there."""
    folder.mkdir(parents=True, exist_ok=True)
    # also where somebody made it for secrets of their own
    folder.chmod(0o700)
    made = []
    for name, content in _contents(folder).items():
        file = folder / name
        if not file.exists() or (renew and name in TOKENS):
            # in its place: containers have this very file mounted
            file.write_text(content(), encoding="utf-8")
            file.chmod(0o644)
            made.append(name)
    return made


def token(folder: Path, subject: str, scope: str, seconds: int) -> str:
    """An access token of the deployment's services. Raises FileNotFoundError before there are secrets."""
    return make_token((folder / "auth_secret").read_text(encoding="utf-8").strip(), subject, scope, seconds)


def _contents(folder: Path) -> dict[str, Callable[[], str]]:
    """By name; later ones may be made of earlier ones."""
    urls = {f"{name}_url": _url(f"postgresql://{name}:{{}}@postgresql/{name}") for name in POSTGRESQL}
    return {
        "auth_secret": _password,
        "postgresql_password": _password,
        "mongodb_password": _password,
        # a key file is base64
        "mongodb_key": lambda: base64.b64encode(secrets.token_bytes(512)).decode("ascii"),
        **urls,
        "motor_url": _url("mongodb://motor:{}@mongodb/motor?replicaSet=rs0&authSource=motor"),
        # fill it in, and mails are sent
        "smtp_url": str,
        "console_password": _password,
        "grafana_password": _password,
        "metrics_token": lambda: token(folder, "prometheus", "read", YEAR),
        "load_token": lambda: token(folder, "locust", "read write", YEAR),
    }


def _password() -> str:
    return secrets.token_hex(24)


def _url(template: str) -> Callable[[], str]:
    return lambda: template.format(_password())
