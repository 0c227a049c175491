"""Settings from the environment: read once by a composition root, frozen, and passed down as values."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from zxcvbn import zxcvbn

from journey_service.domain.errors import InvalidInputError
from journey_service.gateways.smtp import read_sender, read_server
from journey_service.services.access.credentials import check_token

Origins = Annotated[tuple[str, ...], NoDecode]

_MIN_SECRET_GUESSES_LOG10: Final = 19.0
"""Guesses that a secret must withstand, as a power of ten: about twenty random characters."""
_MIN_PASSWORD_GUESSES_LOG10: Final = 8.0
"""The same for the password of a store, which can only be guessed online."""
_MAX_CHECKED_LENGTH: Final = 72
"""Characters of a secret that are estimated: the time grows with the length."""
_WORDS: Final = re.compile(r"change.?(me|this)|placeholder|example|insecure|default|password", re.IGNORECASE)
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+", re.ASCII)
_ASYMMETRIC: Final = re.compile(r"(RS|PS|ES)(256|384|512)|EdDSA")


class Settings(BaseSettings):
    """The service's settings. Secrets have no default; a start without them is refused.

    In production (the default), so are weak secrets, a public URL without TLS, and CORS for every origin.
    """

    # An empty variable counts as not set.
    # Errors do not repeat values: they may be secrets.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    environment: Literal["production", "development"] = Field(
        default="production", validation_alias="JOURNEY_ENVIRONMENT"
    )

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    """PostgreSQL 15 or newer, as a login that may take the role journey_app."""

    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    """Redis or Valkey, optional: wakes workers sooner; nothing is lost without it."""

    key_pepper: SecretStr = Field(min_length=16, validation_alias="JOURNEY_KEY_PEPPER")
    """Pepper of the hashes of API keys. Changing it invalidates every key."""

    erasure_key: SecretStr = Field(min_length=16, validation_alias="JOURNEY_ERASURE_KEY")
    """Key of the hashes by which erased customers are recognized in later events. It must never change."""

    vault_key: SecretStr = Field(min_length=16, validation_alias="JOURNEY_VAULT_KEY")
    """Encrypts companies' secrets in the database and signs unsubscribe links. Changing it loses the secrets and
    invalidates the links."""

    bootstrap_key: SecretStr | None = Field(default=None, validation_alias="JOURNEY_BOOTSTRAP_KEY")
    """API key of an operator, `jrn_<id>_<32 or more characters>`, registered at start."""

    public_url: str | None = Field(default=None, validation_alias="JOURNEY_PUBLIC_URL")
    """URL of the service for browsers: `https://journey.company.com`. Required for sign-in with OIDC."""

    links_url: str | None = Field(default=None, validate_default=True, validation_alias="JOURNEY_LINKS_URL")
    """Base URL of links in emails. Default: `public_url`."""

    mail_from: str | None = Field(default=None, validation_alias="JOURNEY_MAIL_FROM")
    """Sender of emails: `Salon <hello@salon.com>`, or the address alone."""

    mail_url: SecretStr | None = Field(default=None, validation_alias="SMTP_URL")
    """Mail server: `smtp://user:password@mail.company.com:587`, or `smtps://`."""

    mail_folder: Path | None = Field(default=None, validation_alias="JOURNEY_MAIL_FOLDER")
    """Folder that emails are written to instead of being sent; in development only."""

    cors_origins: Origins = Field(default=(), validation_alias="JOURNEY_CORS_ORIGINS")
    """Origins whose scripts may call the API with a bearer token, separated by commas; none by default."""

    trusted_proxies: Origins = Field(default=(), validation_alias="JOURNEY_TRUSTED_PROXIES")
    """Addresses of proxies whose X-Forwarded-For is trusted, separated by commas; none by default."""

    trusted_origins: Origins = Field(default=(), validation_alias="JOURNEY_TRUSTED_ORIGINS")
    """Origins that may be called though they are not public, separated by commas."""

    oidc_issuer: str | None = Field(default=None, validation_alias="OIDC_ISSUER")
    oidc_audience: str | None = Field(default=None, validate_default=True, validation_alias="OIDC_AUDIENCE")
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
    """Seconds that a request waits for a connection before it is answered 503."""

    lease_seconds: float = Field(default=15.0, ge=1, le=300, validation_alias="JOURNEY_LEASE_SECONDS")
    """Seconds before another worker takes over the job of an unresponsive one."""

    metrics_token: SecretStr | None = Field(
        default=None, min_length=16, validation_alias="JOURNEY_METRICS_TOKEN"
    )
    """Bearer token that Prometheus sends to /metrics. Without it /metrics answers in development only."""

    metrics_companies: int = Field(default=100, ge=0, le=10_000, validation_alias="JOURNEY_METRICS_COMPANIES")
    """Number of companies, first by id, with metrics of their own, about twenty series each. 0: none."""

    log_format: Literal["json", "text"] | None = Field(default=None, validation_alias="JOURNEY_LOG_FORMAT")
    """Log format, `json` or `text`. Default: JSON in production."""

    access_log: bool = Field(default=True, validation_alias="JOURNEY_ACCESS_LOG")
    """Whether each request is logged in one line, without personal data; `off` disables it."""

    traces_url: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Collector of traces (OTLP over HTTP); the other OpenTelemetry variables apply too."""

    @property
    def logs_json(self) -> bool:
        """Whether logs are JSON lines."""
        return self.is_production if self.log_format is None else self.log_format == "json"

    delivery_lease_seconds: float = Field(
        default=60.0, ge=5, le=600, validation_alias="JOURNEY_DELIVERY_LEASE_SECONDS"
    )
    """The same for deliveries. A call may take a third of it, at most 20 seconds."""

    @property
    def is_production(self) -> bool:
        """Whether this is a production environment."""
        return self.environment == "production"

    @property
    def sender(self) -> str:
        """Sender of emails; it has a default where emails are only written to a folder."""
        return self.mail_from or "journey@localhost"

    @field_validator("cors_origins", "trusted_proxies", "trusted_origins", "oidc_algorithms", mode="before")
    @classmethod
    def _split_commas(cls, given: Any) -> Any:  # noqa: ANN401  # any value of the environment
        """Splits text at commas."""
        return (
            tuple(part.strip() for part in given.split(",") if part.strip())
            if isinstance(given, str)
            else given
        )

    @field_validator("public_url", "links_url")
    @classmethod
    def _as_origin(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is None:
            return None
        origin = given.rstrip("/").lower()
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("must be a URL without a path, such as https://journey.company.com")
        if origin.startswith("http:") and _is_in_production(info):
            raise ValueError("must begin with https:// in production")
        # As browsers write it: without the default port.
        return re.sub(r"^(https:.*):443$|^(http:.*):80$", lambda found: found[1] or found[2], origin)

    @field_validator("links_url")
    @classmethod
    def _default_to_public_url(cls, given: str | None, info: ValidationInfo) -> str | None:
        return info.data.get("public_url") if given is None else given

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if any(origin != "*" and not _ORIGIN.fullmatch(origin) for origin in given):
            raise ValueError("must be origins such as https://app.company.com, separated by commas")
        if "*" in given and _is_in_production(info):
            raise ValueError("must list origins in production, not *")
        return given

    @field_validator("metrics_token", "key_pepper", "erasure_key", "vault_key", "bootstrap_key")
    @classmethod
    def _check_strength(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if given is None or not _is_in_production(info):
            return given
        secret = given.get_secret_value()
        if info.field_name == "bootstrap_key":
            secret = secret.split("_", 2)[-1]  # the id in front of it is public
        if is_guessable(secret):
            raise ValueError("is too weak: use the output of `openssl rand -base64 32`")
        return given

    @field_validator("erasure_key", "vault_key", "bootstrap_key", "oidc_client_secret")
    @classmethod
    def _check_distinct_secrets(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        others = {
            "key_pepper": "JOURNEY_KEY_PEPPER",
            "erasure_key": "JOURNEY_ERASURE_KEY",
            "vault_key": "JOURNEY_VAULT_KEY",
        }
        for name, variable in others.items():
            other = info.data.get(name)
            if given is not None and other is not None and name != info.field_name and _is_same(given, other):
                raise ValueError(f"must differ from {variable}")
        return given

    @field_validator("bootstrap_key")
    @classmethod
    def _is_a_key(cls, given: SecretStr | None) -> SecretStr | None:
        try:
            if given is not None:
                check_token(given.get_secret_value(), "")
        except InvalidInputError as error:
            raise ValueError(error.errors[0].message) from None
        return given

    @field_validator("database_url", "redis_url")
    @classmethod
    def _check_password(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if given is not None and _is_in_production(info) and _has_weak_password(given.get_secret_value()):
            raise ValueError("has a well-known password")
        return given

    @field_validator("mail_from")
    @classmethod
    def _is_a_sender(cls, given: str | None) -> str | None:
        try:
            if given is not None:
                read_sender(given)
        except InvalidInputError as error:
            raise ValueError(error.errors[0].message) from None
        return given

    @field_validator("mail_url")
    @classmethod
    def _is_a_server(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if given is None:
            return None
        try:
            server = read_server(given.get_secret_value())
        except InvalidInputError as error:
            raise ValueError(error.errors[0].message) from None
        if info.data.get("mail_from", "") is None:
            raise ValueError("needs JOURNEY_MAIL_FROM, the sender of emails")
        # Some servers take one long token as user and password: then the user is a secret too.
        user = server.user or ""
        known = (user,) if _guesses(user) < _MIN_SECRET_GUESSES_LOG10 else ()
        is_known = (
            server.password is not None and _guesses(server.password, known) < _MIN_PASSWORD_GUESSES_LOG10
        )
        if is_known and _is_in_production(info):
            raise ValueError("has a well-known password")
        return given

    @field_validator("mail_folder")
    @classmethod
    def _is_for_development(cls, given: Path | None, info: ValidationInfo) -> Path | None:
        if given is not None and _is_in_production(info):
            raise ValueError("is for development only; in production set SMTP_URL")
        if given is not None and info.data.get("mail_url") is not None:
            raise ValueError("has no effect together with SMTP_URL")
        return given

    @field_validator("mail_url", "mail_folder")
    @classmethod
    def _check_unsubscribe_url(cls, given: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  # a secret, or a path
        is_nowhere = "public_url" in info.data and info.data.get("links_url", "") is None
        if given is not None and is_nowhere:
            raise ValueError("needs JOURNEY_PUBLIC_URL: every email contains an unsubscribe link to it")
        return given

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _require_https(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is not None and not given.startswith("https:") and _is_in_production(info):
            raise ValueError("must begin with https:// in production")
        return given

    @field_validator("oidc_audience", "oidc_operator_audience", "oidc_jwks_url", "oidc_client_id")
    @classmethod
    def _require_issuer(cls, given: str | None, info: ValidationInfo) -> str | None:
        issuer = info.data.get("oidc_issuer")
        if given is None and issuer is not None and info.field_name == "oidc_audience":
            raise ValueError("must be set together with OIDC_ISSUER")
        if given is not None and issuer is None:
            raise ValueError("has no effect without OIDC_ISSUER")
        return given

    @field_validator("oidc_client_id")
    @classmethod
    def _check_client_id(cls, given: str | None, info: ValidationInfo) -> str | None:
        # An id token of the browser would otherwise be accepted by the API.
        if given is not None and given in (
            info.data.get("oidc_audience"),
            info.data.get("oidc_operator_audience"),
        ):
            raise ValueError("must differ from OIDC_AUDIENCE and OIDC_OPERATOR_AUDIENCE")
        return given

    @field_validator("oidc_operator_audience")
    @classmethod
    def _check_distinct_audiences(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is not None and given == info.data.get("oidc_audience"):
            raise ValueError("must differ from OIDC_AUDIENCE")
        return given

    @field_validator("oidc_algorithms")
    @classmethod
    def _are_asymmetric(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        # With a symmetric algorithm the public key could sign.
        if not given or any(_ASYMMETRIC.fullmatch(algorithm) is None for algorithm in given):
            raise ValueError("must be asymmetric algorithms such as RS256, separated by commas")
        return given

    @field_validator("oidc_client_id")
    @classmethod
    def _require_public_url(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is not None and info.data.get("public_url", "") is None:
            raise ValueError("needs JOURNEY_PUBLIC_URL, to which browsers return")
        return given

    @field_validator("oidc_client_secret")
    @classmethod
    def _require_client_id(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if given is not None and info.data.get("oidc_client_id", "") is None:
            raise ValueError("has no effect without OIDC_CLIENT_ID")
        return given


class MigrationSettings(BaseSettings):
    """Settings of `journey migrate`: a login that may create tables and roles."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    environment: Literal["production", "development"] = Field(
        default="production", validation_alias="JOURNEY_ENVIRONMENT"
    )
    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    migration_database_url: SecretStr | None = Field(default=None, validation_alias="MIGRATION_DATABASE_URL")

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _check_password(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if given is not None and _is_in_production(info) and _has_weak_password(given.get_secret_value()):
            raise ValueError("has a well-known password")
        return given

    @property
    def url(self) -> str:
        """URL of the database to migrate."""
        return (self.migration_database_url or self.database_url).get_secret_value()


def is_guessable(secret: str) -> bool:
    """Whether a secret is a placeholder or can be guessed."""
    return _WORDS.search(secret) is not None or _guesses(secret) < _MIN_SECRET_GUESSES_LOG10


def _is_same(one: SecretStr, other: SecretStr) -> bool:
    """Whether two secrets are the same, or one is the other with a predictable addition."""
    first, second = one.get_secret_value().strip(), other.get_secret_value().strip()
    return first.endswith(second) or second.endswith(first)


def _guesses(secret: str, known: tuple[str, ...] = ()) -> float:
    """Returns the guesses that a secret withstands, as a power of ten; 0 for a `known` one."""
    told = secret[:_MAX_CHECKED_LENGTH]
    return float(zxcvbn(told, user_inputs=[*known])["guesses_log10"]) if told and told not in known else 0.0


def _has_weak_password(url: str) -> bool:
    """Whether the URL of a store has a weak password."""
    try:
        parts = urlsplit(url)
        told = [
            *([] if parts.password is None else [unquote(parts.password)]),
            *parse_qs(parts.query, keep_blank_values=True).get("password", []),
        ]
    except ValueError:
        return False
    known = (unquote(parts.username or ""), parts.path.strip("/"))
    return any(_guesses(password, known) < _MIN_PASSWORD_GUESSES_LOG10 for password in told)


def _is_in_production(info: ValidationInfo) -> bool:
    return info.data.get("environment") == "production"


def read_settings() -> Settings:
    """Reads the settings of the environment. Raises pydantic's ValidationError with every invalid variable."""
    return Settings()  # type: ignore[call-arg]  # the environment provides them


def nowhere() -> Settings:
    """Returns settings of a service that never runs: for its OpenAPI document, which does not depend on them."""
    return Settings.model_validate(
        {
            "JOURNEY_ENVIRONMENT": "development",
            "DATABASE_URL": "postgresql://nowhere",
            "JOURNEY_KEY_PEPPER": "no pepper at all",
            "JOURNEY_ERASURE_KEY": "no key to anything",
            "JOURNEY_VAULT_KEY": "a vault of nothing",
        }
    )


def read_migration_settings() -> MigrationSettings:
    """Reads the settings of `journey migrate` from the environment."""
    return MigrationSettings()  # type: ignore[call-arg]  # the environment provides them
