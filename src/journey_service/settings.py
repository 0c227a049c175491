"""What the environment decides: read once by a composition root, frozen, passed down as values."""

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

_GUESSES: Final = 19.0
"""How many guesses, as a power of ten, a secret must withstand: some twenty characters of chance."""
_GUESSES_OF_A_PASSWORD: Final = 8.0
"""The same for the password of a store, which has to be asked for each guess."""
_JUDGED: Final = 72
"""How much of a secret is looked at: estimating takes the longer the more there is."""
_WORDS: Final = re.compile(r"change.?(me|this)|placeholder|example|insecure|default|password", re.IGNORECASE)
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+", re.ASCII)
_ASYMMETRIC: Final = re.compile(r"(RS|PS|ES)(256|384|512)|EdDSA")


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

    vault_key: SecretStr = Field(min_length=16, validation_alias="JOURNEY_VAULT_KEY")
    """By which companies' secrets are sealed in the database, and links to unsubscribe are signed. Changing it loses
    the secrets, and ends the links."""

    bootstrap_key: SecretStr | None = Field(default=None, validation_alias="JOURNEY_BOOTSTRAP_KEY")
    """An operator's key of one's own choosing, `jrn_<id>_<32 or more characters>`, made known at the start."""

    public_url: str | None = Field(default=None, validation_alias="JOURNEY_PUBLIC_URL")
    """Where browsers find the service: `https://journey.company.com`. Signing in by OIDC needs it."""

    links_url: str | None = Field(default=None, validate_default=True, validation_alias="JOURNEY_LINKS_URL")
    """Where links in mails lead: `public_url`, if nothing else is said."""

    mail_from: str | None = Field(default=None, validation_alias="JOURNEY_MAIL_FROM")
    """Who mails are from: `Salon <hello@salon.com>`, or the address alone."""

    mail_url: SecretStr | None = Field(default=None, validation_alias="SMTP_URL")
    """Where mails are handed over: `smtp://user:password@mail.company.com:587`, or `smtps://`."""

    mail_folder: Path | None = Field(default=None, validation_alias="JOURNEY_MAIL_FOLDER")
    """Where mails are written to as files, instead of being sent: in development only."""

    cors_origins: Origins = Field(default=(), validation_alias="JOURNEY_CORS_ORIGINS")
    """Origins whose scripts may call the API with a bearer token, with commas between; nobody's by default."""

    trusted_proxies: Origins = Field(default=(), validation_alias="JOURNEY_TRUSTED_PROXIES")
    """Addresses of proxies whose word on who is calling is taken, with commas between; nobody's by default."""

    trusted_origins: Origins = Field(default=(), validation_alias="JOURNEY_TRUSTED_ORIGINS")
    """Origins that may be called though they are not public, with commas between."""

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
    """Seconds a request waits for a connection before it is answered 503."""

    lease_seconds: float = Field(default=15.0, ge=1, le=300, validation_alias="JOURNEY_LEASE_SECONDS")
    """For how long a worker that fell silent is waited for before another goes on with its job."""

    metrics_token: SecretStr | None = Field(
        default=None, min_length=16, validation_alias="JOURNEY_METRICS_TOKEN"
    )
    """What Prometheus shows to be told figures. Without it they are told on a developer's machine only."""

    metrics_companies: int = Field(default=100, ge=0, le=10_000, validation_alias="JOURNEY_METRICS_COMPANIES")
    """Of how many companies, the first by id, Prometheus is told figures; each has some twenty series."""

    log_format: Literal["json", "text"] | None = Field(default=None, validation_alias="JOURNEY_LOG_FORMAT")
    """Lines of JSON, or of text; if nothing is said, JSON in production."""

    traces_url: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Where traces are sent to (OTLP over HTTP); the other variables of OpenTelemetry are respected too."""

    @property
    def logs_json(self) -> bool:
        """Whether logs are lines of JSON."""
        return self.is_production if self.log_format is None else self.log_format == "json"

    delivery_lease_seconds: float = Field(
        default=60.0, ge=5, le=600, validation_alias="JOURNEY_DELIVERY_LEASE_SECONDS"
    )
    """The same for what it was about to send. A call may last a third of that, and 20 seconds at most."""

    @property
    def is_production(self) -> bool:
        """Whether strangers can reach this."""
        return self.environment == "production"

    @property
    def sender(self) -> str:
        """Who mails are from; where they are only written to a folder, nobody has to say it."""
        return self.mail_from or "journey@localhost"

    @field_validator("cors_origins", "trusted_proxies", "trusted_origins", "oidc_algorithms", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:  # noqa: ANN401  # whatever the environment holds
        """A text with commas is a list."""
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
            raise ValueError("must be an address without a path, such as https://journey.company.com")
        if origin.startswith("http:") and _is_in_production(info):
            raise ValueError("must begin with https:// in production")
        # As browsers write it: without the port that goes without saying.
        return re.sub(r"^(https:.*):443$|^(http:.*):80$", lambda found: found[1] or found[2], origin)

    @field_validator("links_url")
    @classmethod
    def _public_otherwise(cls, given: str | None, info: ValidationInfo) -> str | None:
        return info.data.get("public_url") if given is None else given

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if any(origin != "*" and not _ORIGIN.fullmatch(origin) for origin in given):
            raise ValueError("must be origins such as https://app.company.com, with commas between")
        if "*" in given and _is_in_production(info):
            raise ValueError("must name origins in production, not *")
        return given

    @field_validator("metrics_token", "key_pepper", "erasure_key", "vault_key", "bootstrap_key")
    @classmethod
    def _hard_to_guess(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if given is None or not _is_in_production(info):
            return given
        secret = given.get_secret_value()
        if info.field_name == "bootstrap_key":
            secret = secret.split("_", 2)[-1]  # the id before it is no secret
        if is_guessable(secret):
            raise ValueError("can be guessed: take the output of `openssl rand -base64 32`")
        return given

    @field_validator("erasure_key", "vault_key", "bootstrap_key", "oidc_client_secret")
    @classmethod
    def _another_one(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        others = {
            "key_pepper": "JOURNEY_KEY_PEPPER",
            "erasure_key": "JOURNEY_ERASURE_KEY",
            "vault_key": "JOURNEY_VAULT_KEY",
        }
        for name, variable in others.items():
            other = info.data.get(name)
            if given is not None and other is not None and name != info.field_name and _is_same(given, other):
                raise ValueError(f"must be another secret than {variable}")
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
    def _not_well_known(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if given is not None and _is_in_production(info) and _knows_everybody(given.get_secret_value()):
            raise ValueError("has a password that everybody knows")
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
            raise ValueError("needs JOURNEY_MAIL_FROM, which says who mails are from")
        # Some servers take one long token as both: then it is the name that is a secret too.
        user = server.user or ""
        known = (user,) if _guesses(user) < _GUESSES else ()
        is_known = server.password is not None and _guesses(server.password, known) < _GUESSES_OF_A_PASSWORD
        if is_known and _is_in_production(info):
            raise ValueError("has a password that everybody knows")
        return given

    @field_validator("mail_folder")
    @classmethod
    def _is_for_development(cls, given: Path | None, info: ValidationInfo) -> Path | None:
        if given is not None and _is_in_production(info):
            raise ValueError("is for development: in production mails go to SMTP_URL")
        if given is not None and info.data.get("mail_url") is not None:
            raise ValueError("means nothing beside SMTP_URL")
        return given

    @field_validator("mail_url", "mail_folder")
    @classmethod
    def _lets_unsubscribe(cls, given: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  # a secret, or a path
        is_nowhere = "public_url" in info.data and info.data.get("links_url", "") is None
        if given is not None and is_nowhere:
            raise ValueError(
                "needs JOURNEY_PUBLIC_URL: every mail holds a link to unsubscribe, which leads there"
            )
        return given

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _over_tls(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is not None and not given.startswith("https:") and _is_in_production(info):
            raise ValueError("must begin with https:// in production")
        return given

    @field_validator("oidc_audience", "oidc_operator_audience", "oidc_jwks_url", "oidc_client_id")
    @classmethod
    def _beside_an_issuer(cls, given: str | None, info: ValidationInfo) -> str | None:
        issuer = info.data.get("oidc_issuer")
        if given is None and issuer is not None and info.field_name == "oidc_audience":
            raise ValueError("must be set beside OIDC_ISSUER")
        if given is not None and issuer is None:
            raise ValueError("means nothing without OIDC_ISSUER")
        return given

    @field_validator("oidc_client_id")
    @classmethod
    def _no_audience(cls, given: str | None, info: ValidationInfo) -> str | None:
        # A token that tells the browser who signed in would otherwise open the API.
        if given is not None and given in (
            info.data.get("oidc_audience"),
            info.data.get("oidc_operator_audience"),
        ):
            raise ValueError("must be another one than OIDC_AUDIENCE and OIDC_OPERATOR_AUDIENCE")
        return given

    @field_validator("oidc_operator_audience")
    @classmethod
    def _another_audience(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is not None and given == info.data.get("oidc_audience"):
            raise ValueError("must be another one than OIDC_AUDIENCE")
        return given

    @field_validator("oidc_algorithms")
    @classmethod
    def _are_asymmetric(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        # With a symmetric one, whoever knows the public key could sign.
        if not given or any(_ASYMMETRIC.fullmatch(algorithm) is None for algorithm in given):
            raise ValueError("must be asymmetric ones, such as RS256, with commas between")
        return given

    @field_validator("oidc_client_id")
    @classmethod
    def _leads_back(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is not None and info.data.get("public_url", "") is None:
            raise ValueError("needs JOURNEY_PUBLIC_URL, to which people come back")
        return given

    @field_validator("oidc_client_secret")
    @classmethod
    def _of_a_client(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if given is not None and info.data.get("oidc_client_id", "") is None:
            raise ValueError("means nothing without OIDC_CLIENT_ID")
        return given


class MigrationSettings(BaseSettings):
    """What migrating needs: a login that may create tables and roles."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    environment: Literal["production", "development"] = Field(
        default="production", validation_alias="JOURNEY_ENVIRONMENT"
    )
    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    migration_database_url: SecretStr | None = Field(default=None, validation_alias="MIGRATION_DATABASE_URL")

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _not_well_known(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if given is not None and _is_in_production(info) and _knows_everybody(given.get_secret_value()):
            raise ValueError("has a password that everybody knows")
        return given

    @property
    def url(self) -> str:
        """The database to migrate."""
        return (self.migration_database_url or self.database_url).get_secret_value()


def is_guessable(secret: str) -> bool:
    """Whether a secret is one that somebody put there to be replaced, or hardly one at all."""
    return _WORDS.search(secret) is not None or _guesses(secret) < _GUESSES


def _is_same(one: SecretStr, other: SecretStr) -> bool:
    """Whether two secrets are one, or one is the other and something that everybody knows around it."""
    first, second = one.get_secret_value().strip(), other.get_secret_value().strip()
    return first.endswith(second) or second.endswith(first)


def _guesses(secret: str, known: tuple[str, ...] = ()) -> float:
    """How many guesses a secret withstands, as a power of ten; none if it is what is `known` of it."""
    told = secret[:_JUDGED]
    return float(zxcvbn(told, user_inputs=[*known])["guesses_log10"]) if told and told not in known else 0.0


def _knows_everybody(url: str) -> bool:
    """Whether the address of a store tells a password that is soon guessed."""
    try:
        parts = urlsplit(url)
        told = [
            *([] if parts.password is None else [unquote(parts.password)]),
            *parse_qs(parts.query, keep_blank_values=True).get("password", []),
        ]
    except ValueError:
        return False
    known = (unquote(parts.username or ""), parts.path.strip("/"))
    return any(_guesses(password, known) < _GUESSES_OF_A_PASSWORD for password in told)


def _is_in_production(info: ValidationInfo) -> bool:
    return info.data.get("environment") == "production"


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
            "JOURNEY_VAULT_KEY": "a vault of nothing",
        }
    )


def read_migration_settings() -> MigrationSettings:
    """The environment's settings for migrating."""
    return MigrationSettings()  # type: ignore[call-arg]  # the environment gives them
