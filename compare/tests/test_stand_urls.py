"""One spelling for every URL."""

import pytest

from assay.stand import StandError
from assay.stand.urls import mongodb_url, postgresql_url, with_database


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgres+asyncpg", "asyncpg"]
)
def test_every_spelling_of_postgresql_is_understood(scheme: str) -> None:
    rest = "://app:p%40ss@db.example:6432/main?sslmode=require"
    assert postgresql_url(scheme + rest) == "postgresql" + rest


@pytest.mark.parametrize("given", ["mysql://db", "db.example:5432", "postgresql:/db", ""])
def test_other_servers_are_refused_as_postgresql(given: str) -> None:
    with pytest.raises(StandError, match="DATABASE_URL"):
        postgresql_url(given)


def test_other_servers_are_refused_as_mongodb() -> None:
    assert mongodb_url("mongodb+srv://cluster.example") == "mongodb+srv://cluster.example"
    with pytest.raises(StandError, match="MONGODB_URL"):
        mongodb_url("postgresql://db")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://app@127.0.0.1:20001/postgres", "postgresql://app@127.0.0.1:20001/assay_x"),
        ("postgresql://db", "postgresql://db/assay_x"),
        ("postgresql:///main?host=/run/postgresql", "postgresql:///assay_x?host=/run/postgresql"),
        ("mongodb://a:1,b:2/?replicaSet=rs0", "mongodb://a:1,b:2/assay_x?replicaSet=rs0"),
        ("mongodb://me:pw@a", "mongodb://me:pw@a/assay_x?authSource=admin"),
        ("mongodb://me:pw@a/mine?w=1", "mongodb://me:pw@a/assay_x?w=1&authSource=mine"),
        ("mongodb://me:pw@a/mine?authSource=b", "mongodb://me:pw@a/assay_x?authSource=b"),
    ],
)
def test_only_the_database_changes(url: str, expected: str) -> None:
    assert with_database(url, "assay_x") == expected
