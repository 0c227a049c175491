"""Settings of the database, the secrets and the URLs of the service, which every other group may depend on."""

import re
from typing import Final, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from journey_service.services.access.credentials import check_token
from journey_service.setting_groups.checks import (
    check_distinct_secret,
    check_password,
    check_strength,
    input_errors,
    is_in_production,
)

ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+", re.ASCII)
"""An origin: a URL without a path."""


class CoreSettings(BaseSettings):
    """Environment, database, secrets and URLs. Checks of other settings depend on them, so they are read first."""

    environment: Literal["production", "development"] = Field(
        default="production", validation_alias="JOURNEY_ENVIRONMENT"
    )
    """Environment: `production` or `development`. Default: `production`, which refuses insecure settings."""

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    """URL of PostgreSQL 15 or newer; the login must be a member of journey_app and journey_dispatcher. Required."""

    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    """URL of Redis or Valkey, which wakes workers early. Default: none; workers then only poll."""

    key_pepper: SecretStr = Field(min_length=16, validation_alias="JOURNEY_KEY_PEPPER")
    """Pepper of the hashes of API keys, at least 16 characters. Required; a change invalidates every API key."""

    erasure_key: SecretStr = Field(min_length=16, validation_alias="JOURNEY_ERASURE_KEY")
    """Key of the HMACs that identify erased customers, at least 16 characters. Required; it must never change."""

    vault_key: SecretStr = Field(min_length=16, validation_alias="JOURNEY_VAULT_KEY")
    """Key that encrypts companies' secrets and signs unsubscribe links, at least 16 characters. Required.

    A change makes the stored secrets unreadable and invalidates the links.
    """

    bootstrap_key: SecretStr | None = Field(default=None, validation_alias="JOURNEY_BOOTSTRAP_KEY")
    """API key of an operator, `jrn_<id>_<32 or more characters>`, created at startup. Default: none."""

    public_url: str | None = Field(default=None, validation_alias="JOURNEY_PUBLIC_URL")
    """URL of the service for browsers, such as `https://journey.company.com`. Default: none.

    OIDC sign-in and emails require it.
    """

    links_url: str | None = Field(default=None, validate_default=True, validation_alias="JOURNEY_LINKS_URL")
    """Base URL of links in emails. Default: the value of JOURNEY_PUBLIC_URL."""

    @property
    def is_production(self) -> bool:
        """Whether the environment is `production`."""
        return self.environment == "production"

    @field_validator("public_url", "links_url")
    @classmethod
    def _as_origin(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        origin = value.rstrip("/").lower()
        if not ORIGIN.fullmatch(origin):
            raise ValueError("must be a URL without a path, such as https://journey.company.com")
        if origin.startswith("http:") and is_in_production(info):
            raise ValueError("must start with https:// in production")
        # Without the default port, as browsers send it.
        return re.sub(r"^(https:.*):443$|^(http:.*):80$", lambda found: found[1] or found[2], origin)

    @field_validator("links_url")
    @classmethod
    def _default_to_public_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        return info.data.get("public_url") if value is None else value

    @field_validator("key_pepper", "erasure_key", "vault_key", "bootstrap_key")
    @classmethod
    def _check_strength(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return check_strength(value, info)

    @field_validator("erasure_key", "vault_key", "bootstrap_key")
    @classmethod
    def _check_distinct_secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return check_distinct_secret(value, info)

    @field_validator("bootstrap_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        with input_errors():
            if value is not None:
                check_token(value.get_secret_value(), "")
        return value

    @field_validator("database_url", "redis_url")
    @classmethod
    def _check_password(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return check_password(value, info)
