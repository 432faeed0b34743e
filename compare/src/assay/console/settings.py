"""What the console reads from the environment or from secret files."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import AUTH_SECRET_MIN_BYTES, SECRETS_FOLDER


class ConsoleSettings(BaseSettings):
    """The environment comes before files."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        secrets_dir=SECRETS_FOLDER if SECRETS_FOLDER.is_dir() else None,
    )

    auth_secret: SecretStr | None = Field(None, description="The services' own; signs the console's tokens")
    console_password: SecretStr | None = Field(
        None, description="What the page asks for; without it only loopback is served"
    )

    @field_validator("auth_secret")
    @classmethod
    def _is_long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < AUTH_SECRET_MIN_BYTES:
            raise ValueError(f"must have {AUTH_SECRET_MIN_BYTES} bytes or more")
        return secret

    @field_validator("console_password")
    @classmethod
    def _is_one(cls, password: SecretStr | None) -> SecretStr | None:
        """A file that is empty would open the console to everybody."""
        if password is not None and not password.get_secret_value():
            raise ValueError("must not be empty")
        return password


def revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
