"""Where settings come from, and what they refuse."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.settings import Settings

SECRET = "a secret of the tests, long enough to sign with"


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as container engines mount it, with the secrets that the tests know."""
    for variable in ("AUTH_SECRET", "DATABASE_URL", "MONGODB_URL", "MONGO_URL"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "auth_secret").write_text(f"{SECRET}\n")
    (tmp_path / "database_url").write_text("postgresql://app:p%40ss@db/assay\n")
    (tmp_path / "mongodb_url").write_text("mongodb://db/assay?replicaSet=rs0\n")
    return tmp_path


def test_a_setting_is_read_from_the_file_of_its_name(secrets: Path) -> None:
    settings = Settings(_secrets_dir=secrets)
    assert settings.auth_secret is not None
    assert settings.auth_secret.get_secret_value() == SECRET
    assert settings.database_url == "postgresql://app:p%40ss@db/assay"
    assert settings.mongodb_url == "mongodb://db/assay?replicaSet=rs0"


def test_the_environment_comes_before_files(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/assay")
    assert Settings(_secrets_dir=secrets).database_url == "postgresql://elsewhere/assay"


def test_a_secret_in_a_file_is_checked_as_any_other(secrets: Path) -> None:
    (secrets / "auth_secret").write_text("too short")
    with pytest.raises(ValidationError, match="32 bytes or more"):
        Settings(_secrets_dir=secrets)


@pytest.mark.parametrize("path", ["", "/asyncpg", "/v1/data-layers/asyncpg", "/a.b~c_d"])
def test_a_prefix_is_segments_with_a_slash_before_each(path: str) -> None:
    assert Settings(root_path=path).root_path == path


@pytest.mark.parametrize(
    "path", ["/", "asyncpg", "/asyncpg/", "//asyncpg", "/a b", "/é", "/a/..", "/./a", "/a\n"]
)
def test_what_is_no_prefix_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="segments with a slash before each"):
        Settings(root_path=path)


@pytest.mark.parametrize(
    "url",
    ["nonsense", "files", "ftp://host/folder", "s3://", "file://relative/folder", "file:"],
)
def test_a_place_of_files_that_is_none_is_refused_with_what_to_set(url: str) -> None:
    with pytest.raises(ValidationError, match="must be file:///folder or s3://bucket/prefix"):
        Settings(files_url=url)


@pytest.mark.parametrize(
    "url", ["file:///files", "file://localhost/files", "s3://bucket", "s3://bucket/prefix"]
)
def test_files_are_in_a_folder_or_a_bucket(url: str) -> None:
    assert Settings(files_url=url).files_url == url


@pytest.mark.parametrize("seconds", ["inf", "nan", "0", "-1", "1e300"])
@pytest.mark.parametrize("name", ["DB_TIMEOUT", "SHUTDOWN_GRACE", "MAIL_PAUSE"])
def test_a_time_is_one_that_can_be_waited_for(
    monkeypatch: pytest.MonkeyPatch, name: str, seconds: str
) -> None:
    monkeypatch.setenv(name, seconds)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()
