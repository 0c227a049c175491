"""What the environment decides: read once by a composition root, frozen, passed down as values."""

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Origins = Annotated[tuple[str, ...], NoDecode]

_FEWEST_LETTERS: Final = 10
_WORDS: Final = re.compile(r"change[-_ ]?me|placeholder|example|insecure|default|password", re.IGNORECASE)
_WELL_KNOWN: Final = frozenset(
    (
        "",
        "postgres",
        "postgresql",
        "password",
        "admin",
        "root",
        "secret",
        "changeme",
        "journey",
        "test",
        "123456",
    )
)
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+", re.ASCII)


class Settings(BaseSettings):
    """The service's environment. Secrets have no default; a start without them is refused.

    In production, which is what is meant where nothing else is said, so are secrets that somebody can guess, an address
    of the service without TLS, and sharing with every origin.
    """

    # An empty variable is one that is not set.
    # What was given is not repeated in errors: it may be a secret.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    environment: Literal["production", "development"] = Field(
        default="production", validation_alias="JOURNEY_ENVIRONMENT"
    )

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    """PostgreSQL 15 or newer, as a login that may take the role journey_app."""

    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    """Redis or Valkey: a doorbell only, nothing is lost without it."""

    key_pepper: SecretStr = Field(min_length=16, validation_alias="JOURNEY_KEY_PEPPER")
    """Mixed into the hashes of API keys. Changing it ends every key."""

    erasure_key: SecretStr = Field(min_length=16, validation_alias="JOURNEY_ERASURE_KEY")
    """By which customers who were erased are recognised when they are told of again. It is never changed."""

    bootstrap_key: SecretStr | None = Field(default=None, validation_alias="JOURNEY_BOOTSTRAP_KEY")
    """An operator's key of one's own choosing, `jrn_<id>_<32 or more characters>`, made known at the start."""

    public_url: str | None = Field(default=None, validation_alias="JOURNEY_PUBLIC_URL")
    """Where browsers find the service: `https://journey.company.com`. Signing in by OIDC needs it."""

    cors_origins: Origins = Field(default=(), validation_alias="JOURNEY_CORS_ORIGINS")
    """Origins whose scripts may call the API with a bearer token, with commas between; nobody's by default."""

    trusted_origins: Origins = Field(default=(), validation_alias="JOURNEY_TRUSTED_ORIGINS")
    """Origins that may be called though they are not public, with commas between."""

    oidc_issuer: str | None = Field(default=None, validation_alias="OIDC_ISSUER")
    oidc_audience: str | None = Field(default=None, validation_alias="OIDC_AUDIENCE")
    oidc_operator_audience: str | None = Field(default=None, validation_alias="OIDC_OPERATOR_AUDIENCE")
    oidc_algorithms: Origins = Field(default=("RS256", "ES256"), validation_alias="OIDC_ALGORITHMS")
    oidc_jwks_url: str | None = Field(default=None, validation_alias="OIDC_JWKS_URL")
    oidc_client_id: str | None = Field(default=None, validation_alias="OIDC_CLIENT_ID")
    oidc_client_secret: SecretStr | None = Field(default=None, validation_alias="OIDC_CLIENT_SECRET")
    oidc_company_claim: str = Field(default="company_id", validation_alias="OIDC_COMPANY_CLAIM")
    oidc_role_claim: str = Field(default="roles", validation_alias="OIDC_ROLE_CLAIM")

    pool_size: int = Field(default=10, ge=1, le=100, validation_alias="JOURNEY_POOL_SIZE")
    """Database connections of one process."""

    pool_timeout: float = Field(default=0.5, gt=0, le=30, validation_alias="JOURNEY_POOL_TIMEOUT")
    """Seconds a request waits for a connection before it is answered 503."""

    lease_seconds: float = Field(default=15.0, ge=1, le=300, validation_alias="JOURNEY_LEASE_SECONDS")
    """For how long a worker that fell silent is waited for before another goes on with its job."""

    @property
    def is_production(self) -> bool:
        """Whether strangers can reach this."""
        return self.environment == "production"

    @field_validator("cors_origins", "trusted_origins", "oidc_algorithms", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:  # noqa: ANN401  # whatever the environment holds
        """A text with commas is a list."""
        return (
            tuple(part.strip() for part in given.split(",") if part.strip())
            if isinstance(given, str)
            else given
        )

    @field_validator("public_url")
    @classmethod
    def _as_origin(cls, given: str | None) -> str | None:
        if given is not None and not _ORIGIN.fullmatch(given.rstrip("/")):
            raise ValueError("must be an address without a path, such as https://journey.company.com")
        return None if given is None else given.rstrip("/")

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if any(origin != "*" and not _ORIGIN.fullmatch(origin) for origin in given):
            raise ValueError("must be origins such as https://app.company.com, with commas between")
        return given

    @field_validator("key_pepper", "erasure_key", "bootstrap_key")
    @classmethod
    def _hard_to_guess(cls, given: SecretStr | None, info: Any) -> SecretStr | None:  # noqa: ANN401
        if info.data.get("environment") != "production" or given is None:
            return given
        if is_guessable(given.get_secret_value()):
            raise ValueError("can be guessed: take the output of `openssl rand -base64 32`")
        return given

    @field_validator("database_url")
    @classmethod
    def _not_well_known(cls, given: SecretStr, info: Any) -> SecretStr:  # noqa: ANN401
        password = _password(given.get_secret_value())
        if info.data.get("environment") == "production" and password is not None and password in _WELL_KNOWN:
            raise ValueError("has a password that everybody knows")
        return given

    @model_validator(mode="after")
    def _whole(self) -> "Settings":
        if self.key_pepper.get_secret_value() == self.erasure_key.get_secret_value():
            raise ValueError("JOURNEY_ERASURE_KEY must be another secret than JOURNEY_KEY_PEPPER")
        if self.oidc_issuer is not None and self.oidc_audience is None:
            raise ValueError("OIDC_AUDIENCE must be set beside OIDC_ISSUER")
        if self.oidc_client_id is not None and (self.oidc_issuer is None or self.public_url is None):
            raise ValueError("OIDC_ISSUER and JOURNEY_PUBLIC_URL must be set beside OIDC_CLIENT_ID")
        if self.oidc_operator_audience is not None and self.oidc_operator_audience == self.oidc_audience:
            raise ValueError("OIDC_OPERATOR_AUDIENCE must be another one than OIDC_AUDIENCE")
        if self.is_production and "*" in self.cors_origins:
            raise ValueError("JOURNEY_CORS_ORIGINS must name origins in production, not *")
        if self.is_production and (self.public_url or "https:").startswith("http:"):
            raise ValueError("JOURNEY_PUBLIC_URL must begin with https:// in production")
        return self


class MigrationSettings(BaseSettings):
    """What migrating needs: a login that may create tables and roles."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    migration_database_url: SecretStr | None = Field(default=None, validation_alias="MIGRATION_DATABASE_URL")

    @property
    def url(self) -> str:
        """The database to migrate."""
        return (self.migration_database_url or self.database_url).get_secret_value()


def is_guessable(secret: str) -> bool:
    """Whether a secret is one that somebody put there to be replaced, or hardly one at all."""
    return len(set(secret)) < _FEWEST_LETTERS or _WORDS.search(secret) is not None


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


def read_settings() -> Settings:
    """The environment's settings. Raises pydantic's ValidationError, naming every variable at fault."""
    return Settings()  # type: ignore[call-arg]  # the environment gives them


def nowhere() -> Settings:
    """Settings of a service that runs nowhere: for its contract, which does not depend on them."""
    return Settings.model_validate(
        {
            "JOURNEY_ENVIRONMENT": "development",
            "DATABASE_URL": "postgresql://nowhere",
            "JOURNEY_KEY_PEPPER": "no pepper at all",
            "JOURNEY_ERASURE_KEY": "no key to anything",
        }
    )


def read_migration_settings() -> MigrationSettings:
    """The environment's settings for migrating."""
    return MigrationSettings()  # type: ignore[call-arg]  # the environment gives them
