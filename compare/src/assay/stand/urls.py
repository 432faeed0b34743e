"""The URLs of database servers: one spelling for each, and one database behind it."""

from assay.stand.errors import StandError
from shared import settings


def postgresql_url(given: str) -> str:
    """Any spelling of the scheme as `postgresql://`."""
    try:
        return settings.postgresql_url(given)
    except ValueError as error:
        raise StandError(f"{error}.") from None


def mongodb_url(given: str) -> str:
    if not given.startswith(("mongodb://", "mongodb+srv://")):
        raise StandError("MONGODB_URL must start with mongodb:// or mongodb+srv://.")
    return given


def with_database(url: str, database: str) -> str:
    """The same server, login and parameters, another database.

    A MongoDB login is checked against the database in the path unless `authSource` says otherwise, so the
    original one is written down there before the path changes.
    """
    scheme, _, rest = url.partition("://")
    address, _, query = rest.partition("?")
    authority, _, original = address.partition("/")
    if scheme.startswith("mongodb") and "@" in authority and "authsource=" not in query.lower():
        query = "&".join(part for part in (query, f"authSource={original or 'admin'}") if part)
    return f"{scheme}://{authority}/{database}" + (f"?{query}" if query else "")
