"""One settings object for all services, read from the environment, equal for all layers."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.rules.smtp_urls import smtp_server

_POSTGRESQL = re.compile(r"^(?:postgres|postgresql|asyncpg)(?:\+[a-z0-9]+)?://")

AUTH_SECRET_MIN_BYTES = 32

SECRETS_FOLDER = Path(os.environ.get("SECRETS_DIR") or "/run/secrets")
"""One file for each secret, named as its variable in lower case; else where container engines put them."""

_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*").fullmatch

# what drivers and sockets take as a time
_LONGEST = 1_000_000
Seconds = Annotated[float, Field(gt=0, le=_LONGEST)]

_BUCKETS = frozenset({"s3", "s3a", "gs", "az", "abfs", "abfss"})


class Settings(BaseSettings):
    """Every variable, once. Times are in seconds, sizes in bytes. The environment comes before files."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        secrets_dir=SECRETS_FOLDER if SECRETS_FOLDER.is_dir() else None,
    )

    database_url: str = Field("postgresql://localhost/assay", description="Where PostgreSQL is; any spelling")
    listen_url: str | None = Field(
        None,
        description="Where LISTEN goes, if DATABASE_URL is a pooler's that lends by the transaction",
    )
    mongodb_url: str = Field(
        "mongodb://localhost/assay",
        validation_alias=AliasChoices("MONGODB_URL", "MONGO_URL"),
        description="Where MongoDB is; a replica set, with the database's name in the path",
    )
    pool_size: int = Field(10, ge=2, description="Connections to the database for each process")
    pool_timeout: Seconds = Field(2.0, description="How long a request waits for a connection before 503")
    db_timeout: Seconds = Field(
        5.0, description="How long a request waits for the database before 503 or 504"
    )
    request_timeout: Seconds = Field(30.0, description="How long a request may take before 504")
    shutdown_grace: Seconds = Field(10.0, description="How long a shutdown may take")
    export_connections: int = Field(2, ge=1, description="Connections that only exports use")
    export_timeout: Seconds = Field(240.0, description="How long an export may take before it is broken off")
    stall_timeout: Seconds = Field(20.0, description="How long a reader may leave a stream's chunk unread")
    announce_seconds: Seconds = Field(
        0.05, description="How long commits are gathered before other processes are told of the next ones"
    )
    heartbeat_seconds: Seconds = Field(15.0, description="Silence on a stream of events before a comment")
    client_lease: Seconds = Field(
        45.0, description="How long a WebSocket client is known whose process is gone; longer than a restart"
    )
    files_url: str = Field(
        default_factory=lambda: (Path.cwd() / "assay-files").as_uri(),
        description="Where attachments' bytes are: file:///folder or s3://bucket/prefix",
    )
    max_upload_bytes: int = Field(64 * 1024 * 1024, ge=0, description="The largest file to upload")
    smtp_url: SecretStr | None = Field(
        None,
        description="Who takes mail: smtp://[user:password@]host[:port], smtps://… for TLS from the start",
    )
    mail_from: str = Field("assay@localhost", description="The sender of mails")
    mail_pause: Seconds = Field(
        5.0, description="The first pause after a failed try; each next is 4 times it"
    )
    mail_lease: Seconds = Field(
        60.0,
        description="How long a process has for one mail before another takes it; more than a send takes",
    )
    sweep_seconds: Seconds = Field(
        600.0, description="How often bytes without a row and what is older than a day are swept"
    )
    orphan_seconds: Seconds = Field(
        3_600.0, description="How long bytes may have no row: longer than an upload takes"
    )
    auth_secret: SecretStr | None = Field(
        None, description="Signs access tokens (HS256), 32 bytes or more; without it only loopback is served"
    )
    allowed_origins: frozenset[str] = Field(
        frozenset(), description="Origins of pages that may open a WebSocket, as a JSON array"
    )
    root_path: str = Field(
        "", description="The prefix that a gateway takes off before it passes requests on, such as /asyncpg"
    )
    dashboard_ttl: Annotated[float, Field(ge=0, le=_LONGEST)] = Field(
        5.0, description="How long a dashboard is kept"
    )
    server_timing: bool = Field(default=False, description="Whether answers carry Server-Timing")
    cursor_secret: SecretStr | None = Field(None, description="Seals page cursors; else a stored one does")

    @field_validator("auth_secret")
    @classmethod
    def _is_long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < AUTH_SECRET_MIN_BYTES:
            raise ValueError(f"must have {AUTH_SECRET_MIN_BYTES} bytes or more")
        return secret

    @field_validator("files_url")
    @classmethod
    def _names_a_place(cls, url: str) -> str:
        parts = urlsplit(url)
        is_folder = parts.scheme == "file" and parts.netloc in ("", "localhost") and bool(parts.path)
        if not is_folder and not (parts.scheme in _BUCKETS and parts.netloc):
            raise ValueError("must be file:///folder or s3://bucket/prefix")
        return url

    @field_validator("root_path")
    @classmethod
    def _is_a_prefix(cls, path: str) -> str:
        if _PREFIX(path) is None:
            raise ValueError("must be empty or segments with a slash before each, such as /asyncpg")
        return path

    @field_validator("smtp_url")
    @classmethod
    def _names_a_server(cls, url: SecretStr | None) -> SecretStr | None:
        """A file may be there before somebody writes into it."""
        if url is None or not url.get_secret_value():
            return None
        smtp_server(url.get_secret_value())
        return url

    @field_validator("mail_from")
    @classmethod
    def _is_a_sender(cls, sender: str) -> str:
        if re.fullmatch(r"[!-?A-~]+@[A-Za-z0-9.-]+", sender) is None:
            raise ValueError("must be a plain mail address in ASCII")
        return sender

    @property
    def wakeup_url(self) -> str:
        """Where the one connection is made that others wake this process by."""
        return self.listen_url or self.database_url

    @property
    def statement_timeout(self) -> float:
        """Seconds for one statement: a frozen PostgreSQL costs a request two of them, the statement and
        its cancellation, and both must fit into `db_timeout`."""
        return self.db_timeout * 0.48


def postgresql_url(url: str, scheme: str = "postgresql") -> str:
    """A PostgreSQL URL with the scheme that a layer wants, from any of the spellings in use.

    >>> postgresql_url("postgres://app@db/assay", "postgresql+asyncpg")
    'postgresql+asyncpg://app@db/assay'
    """
    if not _POSTGRESQL.match(url):
        raise ValueError("DATABASE_URL must start with postgresql://")
    return _POSTGRESQL.sub(f"{scheme}://", url, count=1)


def check_database_url(settings: Settings, database: Literal["postgresql", "mongodb"]) -> None:
    """Raises ValueError where a URL of a service's database is none."""
    if database == "postgresql":
        postgresql_url(settings.database_url)
        if settings.listen_url is not None and not _POSTGRESQL.match(settings.listen_url):
            raise ValueError("LISTEN_URL must start with postgresql://")
    elif not settings.mongodb_url.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("MONGODB_URL must start with mongodb://")


def database_of(url: str) -> str:
    """The name of the database in a URL.

    >>> database_of("mongodb://localhost/assay_motor?replicaSet=rs0")
    'assay_motor'
    """
    return unquote(urlsplit(url).path.lstrip("/"))
