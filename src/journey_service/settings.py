"""Settings from environment variables: read once at startup by a composition root, immutable, passed as arguments."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from zxcvbn import zxcvbn

from journey_service.domain.access.actors import Role
from journey_service.domain.access.claims import ClaimMapping, parse_role_map
from journey_service.domain.errors import InvalidInputError
from journey_service.gateways.smtp import read_sender, read_server
from journey_service.services.access.credentials import check_token

Origins = Annotated[tuple[str, ...], NoDecode]
RoleMap = Annotated[dict[str, Role], NoDecode]

_MIN_SECRET_GUESSES_LOG10: Final = 19.0
"""Number of guesses that a secret must withstand, as a power of ten: about twenty random characters."""
_MIN_PASSWORD_GUESSES_LOG10: Final = 8.0
"""Number of guesses that a password of PostgreSQL, Redis or the mail server must withstand, as a power of ten.

It is lower than for secrets because such passwords can only be guessed online.
"""
_MAX_ESTIMATED_LENGTH: Final = 72
"""Number of characters of a secret whose strength is estimated; the time of the estimate grows with the length."""
_PLACEHOLDER_WORDS: Final = re.compile(
    r"change.?(me|this)|placeholder|example|insecure|default|password", re.IGNORECASE
)
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+", re.ASCII)
_ASYMMETRIC: Final = re.compile(r"(RS|PS|ES)(256|384|512)|EdDSA")


class Settings(BaseSettings):
    """Settings of the API and the worker. Secrets have no default; the service does not start without them.

    In production, which is the default, the service also does not start with guessable secrets, a public URL without
    TLS, or CORS for every origin.
    """

    # An empty variable counts as not set.
    # Errors do not repeat values: they may be secrets.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

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

    mail_from: str | None = Field(default=None, validation_alias="JOURNEY_MAIL_FROM")
    """Sender of emails, `Salon <hello@salon.com>` or an address. Default: none; SMTP_URL requires it."""

    mail_url: SecretStr | None = Field(default=None, validation_alias="SMTP_URL")
    """URL of the mail server, `smtp://user:password@mail.company.com:587` or `smtps://`. Default: none; no emails."""

    mail_folder: Path | None = Field(default=None, validation_alias="JOURNEY_MAIL_FOLDER")
    """Folder to which emails are written instead of being sent; development only. Default: none."""

    cors_origins: Origins = Field(default=(), validation_alias="JOURNEY_CORS_ORIGINS")
    """Comma-separated origins whose scripts may call the API with a bearer token. Default: none."""

    trusted_proxies: Origins = Field(default=(), validation_alias="JOURNEY_TRUSTED_PROXIES")
    """Comma-separated addresses of proxies whose X-Forwarded-For header is trusted. Default: none."""

    trusted_origins: Origins = Field(default=(), validation_alias="JOURNEY_TRUSTED_ORIGINS")
    """Comma-separated origins that the service may call although their address is not public. Default: none."""

    oidc_issuer: str | None = Field(default=None, validation_alias="OIDC_ISSUER")
    """URL of the identity provider whose access tokens are accepted. Default: none; OIDC is disabled."""

    oidc_audience: str | None = Field(default=None, validate_default=True, validation_alias="OIDC_AUDIENCE")
    """Audience of access tokens of companies' users. Default: none; required with OIDC_ISSUER."""

    oidc_operator_audience: str | None = Field(default=None, validation_alias="OIDC_OPERATOR_AUDIENCE")
    """Audience of operators' access tokens; must differ from OIDC_AUDIENCE. Default: none; operators use API keys."""

    oidc_algorithms: Origins = Field(default=("RS256", "ES256"), validation_alias="OIDC_ALGORITHMS")
    """Comma-separated signature algorithms that are accepted, asymmetric only. Default: RS256 and ES256."""

    oidc_jwks_url: str | None = Field(default=None, validation_alias="OIDC_JWKS_URL")
    """URL of the issuer's key set (JWKS). Default: the `jwks_uri` of the issuer's discovery document."""

    oidc_client_id: str | None = Field(default=None, validation_alias="OIDC_CLIENT_ID")
    """Client id for browser sign-in; must differ from both audiences. Default: none; browser sign-in is disabled."""

    oidc_client_secret: SecretStr | None = Field(default=None, validation_alias="OIDC_CLIENT_SECRET")
    """Secret of OIDC_CLIENT_ID. Default: none; the client is then public and uses PKCE alone."""

    oidc_company_claim: str = Field(default="company_id", validation_alias="OIDC_COMPANY_CLAIM")
    """Name or dotted path of the token claim that contains the company id. Default: `company_id`."""

    oidc_role_claim: str = Field(default="roles", validation_alias="OIDC_ROLE_CLAIM")
    """Name or dotted path of the token claim that contains one or more roles. Default: `roles`."""

    oidc_role_map: RoleMap | None = Field(default=None, validation_alias="OIDC_ROLE_MAP")
    """Roles of the provider's names, `desk=agent,heads=manager`, or a JSON object. Default: each role has its own name.

    If it is set, names that it does not contain are no roles.
    """

    oidc_audience_claim: str = Field(default="aud", validation_alias="OIDC_AUDIENCE_CLAIM")
    """Name of the token claim that must contain the audience, such as `client_id`. Default: `aud`.

    A token that has an `aud` as well must name the audience there too.
    """

    pool_size: int = Field(default=10, ge=1, le=100, validation_alias="JOURNEY_POOL_SIZE")
    """Maximum number of database connections of one process, 1 to 100. Default: 10."""

    pool_timeout: float = Field(default=0.5, gt=0, le=30, validation_alias="JOURNEY_POOL_TIMEOUT")
    """Seconds that a request waits for a connection before it gets a 503, above 0 and at most 30. Default: 0.5."""

    lease_seconds: float = Field(default=15.0, ge=1, le=300, validation_alias="JOURNEY_LEASE_SECONDS")
    """Seconds after which another worker takes over the job of an unresponsive worker, 1 to 300. Default: 15."""

    delivery_lease_seconds: float = Field(
        default=60.0, ge=5, le=600, validation_alias="JOURNEY_DELIVERY_LEASE_SECONDS"
    )
    """Seconds after which another worker takes over the claimed actions of an unresponsive worker, 5 to 600.

    Default: 60. One call may take a third of it, and at most 20 seconds.
    """

    metrics_token: SecretStr | None = Field(
        default=None, min_length=16, validation_alias="JOURNEY_METRICS_TOKEN"
    )
    """Bearer token of `/metrics`, at least 16 characters. Default: none; `/metrics` then works in development only."""

    metrics_companies: int = Field(default=100, ge=0, le=10_000, validation_alias="JOURNEY_METRICS_COMPANIES")
    """Number of companies, lowest ids first, with metrics of their own, 0 to 10,000. Default: 100.

    Each company adds about twenty time series.
    """

    log_format: Literal["json", "text"] | None = Field(default=None, validation_alias="JOURNEY_LOG_FORMAT")
    """Format of log lines: `json` or `text`. Default: `json` in production, `text` in development."""

    access_log: bool = Field(default=True, validation_alias="JOURNEY_ACCESS_LOG")
    """Whether each request is logged in one line without personal data: `on` or `off`. Default: `on`."""

    traces_url: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """URL of the trace collector (OTLP over HTTP). Default: none; no traces.

    Other environment variables of OpenTelemetry apply too.
    """

    @property
    def logs_json(self) -> bool:
        """Whether log lines are JSON."""
        return self.is_production if self.log_format is None else self.log_format == "json"

    @property
    def is_production(self) -> bool:
        """Whether the environment is `production`."""
        return self.environment == "production"

    @property
    def oidc_claims(self) -> ClaimMapping:
        """Where tokens contain the company and the roles."""
        return ClaimMapping(self.oidc_company_claim, self.oidc_role_claim, self.oidc_role_map)

    @property
    def has_mailer(self) -> bool:
        """Whether emails are sent, or written to a folder."""
        return self.mail_url is not None or self.mail_folder is not None

    @property
    def sender(self) -> str:
        """Sender of emails; `journey@localhost` if JOURNEY_MAIL_FROM is not set and emails are written to a folder."""
        return self.mail_from or "journey@localhost"

    @field_validator("cors_origins", "trusted_proxies", "trusted_origins", "oidc_algorithms", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:  # noqa: ANN401  # any value of the environment
        """Splits comma-separated text into a tuple."""
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("public_url", "links_url")
    @classmethod
    def _as_origin(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        origin = value.rstrip("/").lower()
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("must be a URL without a path, such as https://journey.company.com")
        if origin.startswith("http:") and _is_in_production(info):
            raise ValueError("must start with https:// in production")
        # Without the default port, as browsers send it.
        return re.sub(r"^(https:.*):443$|^(http:.*):80$", lambda found: found[1] or found[2], origin)

    @field_validator("links_url")
    @classmethod
    def _default_to_public_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        return info.data.get("public_url") if value is None else value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if any(origin != "*" and not _ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("must be origins such as https://app.company.com, separated by commas")
        if "*" in value and _is_in_production(info):
            raise ValueError("must list origins in production, not *")
        return value

    @field_validator("metrics_token", "key_pepper", "erasure_key", "vault_key", "bootstrap_key")
    @classmethod
    def _check_strength(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None or not _is_in_production(info):
            return value
        secret = value.get_secret_value()
        if info.field_name == "bootstrap_key":
            secret = secret.split("_", 2)[-1]  # the id before it is public
        if is_guessable(secret):
            raise ValueError("is too weak: use the output of `openssl rand -base64 32`")
        return value

    @field_validator("erasure_key", "vault_key", "bootstrap_key", "oidc_client_secret")
    @classmethod
    def _check_distinct_secrets(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        others = {
            "key_pepper": "JOURNEY_KEY_PEPPER",
            "erasure_key": "JOURNEY_ERASURE_KEY",
            "vault_key": "JOURNEY_VAULT_KEY",
        }
        for name, variable in others.items():
            other = info.data.get(name)
            if value is not None and other is not None and name != info.field_name and _is_same(value, other):
                raise ValueError(f"must differ from {variable}")
        return value

    @field_validator("bootstrap_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            if value is not None:
                check_token(value.get_secret_value(), "")
        except InvalidInputError as error:
            raise ValueError(error.errors[0].message) from None
        return value

    @field_validator("database_url", "redis_url")
    @classmethod
    def _check_password(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and _is_in_production(info) and _has_weak_password(value.get_secret_value()):
            raise ValueError("has a well-known password")
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_a_sender(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                read_sender(value)
        except InvalidInputError as error:
            raise ValueError(error.errors[0].message) from None
        return value

    @field_validator("mail_url")
    @classmethod
    def _is_a_server(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None:
            return None
        try:
            server = read_server(value.get_secret_value())
        except InvalidInputError as error:
            raise ValueError(error.errors[0].message) from None
        if info.data.get("mail_from", "") is None:
            raise ValueError("requires JOURNEY_MAIL_FROM, the sender of emails")
        # Some mail servers use one long token as user and password; then the user is a secret too.
        user = server.user or ""
        known = (user,) if _guesses(user) < _MIN_SECRET_GUESSES_LOG10 else ()
        is_known = (
            server.password is not None and _guesses(server.password, known) < _MIN_PASSWORD_GUESSES_LOG10
        )
        if is_known and _is_in_production(info):
            raise ValueError("has a well-known password")
        return value

    @field_validator("mail_folder")
    @classmethod
    def _is_for_development(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and _is_in_production(info):
            raise ValueError("is refused in production: set SMTP_URL instead")
        if value is not None and info.data.get("mail_url") is not None:
            raise ValueError("is refused together with SMTP_URL: set only one of the two")
        return value

    @field_validator("mail_url", "mail_folder")
    @classmethod
    def _check_unsubscribe_url(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  # a secret, or a path
        lacks_url = "public_url" in info.data and info.data.get("links_url", "") is None
        if value is not None and lacks_url:
            raise ValueError("requires JOURNEY_PUBLIC_URL: every email contains an unsubscribe link to it")
        return value

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _require_https(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not value.startswith("https:") and _is_in_production(info):
            raise ValueError("must start with https:// in production")
        return value

    @field_validator("oidc_audience", "oidc_operator_audience", "oidc_jwks_url", "oidc_client_id")
    @classmethod
    def _require_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        issuer = info.data.get("oidc_issuer")
        if value is None and issuer is not None and info.field_name == "oidc_audience":
            raise ValueError("must be set together with OIDC_ISSUER")
        if value is not None and issuer is None:
            raise ValueError("is refused without OIDC_ISSUER")
        return value

    @field_validator("oidc_client_id")
    @classmethod
    def _check_client_id(cls, value: str | None, info: ValidationInfo) -> str | None:
        # Otherwise the API would accept id tokens, which are issued for the client.
        if value is not None and value in (
            info.data.get("oidc_audience"),
            info.data.get("oidc_operator_audience"),
        ):
            raise ValueError("must differ from OIDC_AUDIENCE and OIDC_OPERATOR_AUDIENCE")
        return value

    @field_validator("oidc_operator_audience")
    @classmethod
    def _check_distinct_audiences(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and value == info.data.get("oidc_audience"):
            raise ValueError("must differ from OIDC_AUDIENCE")
        return value

    @field_validator("oidc_role_map", mode="before")
    @classmethod
    def _parse_role_map(cls, value: Any) -> Any:  # noqa: ANN401  # any value of the environment
        try:
            return parse_role_map(value) if isinstance(value, str) else value
        except InvalidInputError as error:
            raise ValueError(error.errors[0].message) from None

    @field_validator("oidc_algorithms")
    @classmethod
    def _are_asymmetric(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # With a symmetric algorithm, anyone could sign tokens with the public key.
        if not value or any(_ASYMMETRIC.fullmatch(algorithm) is None for algorithm in value):
            raise ValueError("must be asymmetric algorithms such as RS256, separated by commas")
        return value

    @field_validator("oidc_client_id")
    @classmethod
    def _require_public_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("public_url", "") is None:
            raise ValueError("requires JOURNEY_PUBLIC_URL: browsers return to it after the sign-in")
        return value

    @field_validator("oidc_client_secret")
    @classmethod
    def _require_client_id(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("oidc_client_id", "") is None:
            raise ValueError("is refused without OIDC_CLIENT_ID")
        return value


class MigrationSettings(BaseSettings):
    """Settings of `journey migrate` and `journey optimize-queries`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    environment: Literal["production", "development"] = Field(
        default="production", validation_alias="JOURNEY_ENVIRONMENT"
    )
    """Environment: `production` or `development`. Default: `production`, which refuses well-known passwords."""

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    """URL of PostgreSQL 15 or newer. Required."""

    migration_database_url: SecretStr | None = Field(default=None, validation_alias="MIGRATION_DATABASE_URL")
    """URL of the same database with a login that may create tables and roles. Default: DATABASE_URL."""

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _check_password(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and _is_in_production(info) and _has_weak_password(value.get_secret_value()):
            raise ValueError("has a well-known password")
        return value

    @property
    def url(self) -> str:
        """URL of the database with the login that owns its tables."""
        return (self.migration_database_url or self.database_url).get_secret_value()


def is_guessable(secret: str) -> bool:
    """Whether a secret is a placeholder or can be guessed."""
    return _PLACEHOLDER_WORDS.search(secret) is not None or _guesses(secret) < _MIN_SECRET_GUESSES_LOG10


def _is_same(one: SecretStr, other: SecretStr) -> bool:
    """Whether two secrets are equal, or one ends with the other."""
    first, second = one.get_secret_value().strip(), other.get_secret_value().strip()
    return first.endswith(second) or second.endswith(first)


def _guesses(secret: str, known: tuple[str, ...] = ()) -> float:
    """Returns the number of guesses that a secret withstands, as a power of ten; 0 for a `known` secret."""
    estimated = secret[:_MAX_ESTIMATED_LENGTH]
    if not estimated or estimated in known:
        return 0.0
    return float(zxcvbn(estimated, user_inputs=[*known])["guesses_log10"])


def _has_weak_password(url: str) -> bool:
    """Whether the URL of a database or Redis contains a weak password."""
    try:
        parts = urlsplit(url)
        passwords = [
            *([] if parts.password is None else [unquote(parts.password)]),
            *parse_qs(parts.query, keep_blank_values=True).get("password", []),
        ]
    except ValueError:
        return False
    known = (unquote(parts.username or ""), parts.path.strip("/"))
    return any(_guesses(password, known) < _MIN_PASSWORD_GUESSES_LOG10 for password in passwords)


def _is_in_production(info: ValidationInfo) -> bool:
    return info.data.get("environment") == "production"


def read_settings() -> Settings:
    """Reads the settings from the environment. Raises pydantic's ValidationError with all invalid variables."""
    return Settings()  # type: ignore[call-arg]  # the environment provides them


def placeholder_settings() -> Settings:
    """Returns settings for generating the OpenAPI document, which does not depend on them. They connect to nothing."""
    return Settings.model_validate(
        {
            "JOURNEY_ENVIRONMENT": "development",
            "DATABASE_URL": "postgresql://placeholder",
            "JOURNEY_KEY_PEPPER": "placeholder-key-pepper",
            "JOURNEY_ERASURE_KEY": "placeholder-erasure-key",
            "JOURNEY_VAULT_KEY": "placeholder-vault-key",
        }
    )


def read_migration_settings() -> MigrationSettings:
    """Reads the migration settings from the environment. Raises pydantic's ValidationError."""
    return MigrationSettings()  # type: ignore[call-arg]  # the environment provides them
