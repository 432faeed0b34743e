"""One settings object for all services, read from the environment, equal for all layers."""

import re
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_POSTGRESQL = re.compile(r"^(?:postgres|postgresql|asyncpg)(?:\+[a-z0-9]+)?://")

Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Every variable, once. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: str = Field("postgresql://localhost/assay", description="Where PostgreSQL is; any spelling")
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
    dashboard_ttl: Annotated[float, Field(ge=0)] = Field(5.0, description="How long a dashboard is kept")
    server_timing: bool = Field(default=False, description="Whether answers carry Server-Timing")
    cursor_secret: SecretStr | None = Field(None, description="Seals page cursors; else a stored one does")

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


def database_of(url: str) -> str:
    """The name of the database in a URL.

    >>> database_of("mongodb://localhost/assay_motor?replicaSet=rs0")
    'assay_motor'
    """
    return unquote(urlsplit(url).path.lstrip("/"))
