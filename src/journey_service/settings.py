"""Settings from environment variables: read once at startup by a composition root, immutable, passed as arguments."""

from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from journey_service.setting_groups.checks import check_password, check_strength
from journey_service.setting_groups.mail import MailSettings
from journey_service.setting_groups.network import NetworkSettings
from journey_service.setting_groups.oidc import OidcSettings
from journey_service.setting_groups.rate_limits import RateLimitSettings
from journey_service.setting_groups.server import ServerSettings


class Settings(RateLimitSettings, OidcSettings, NetworkSettings, MailSettings, ServerSettings):
    """Settings of the API and the worker. Secrets have no default; the service does not start without them.

    In production, which is the default, the service also does not start with guessable secrets, a public URL without
    TLS, or CORS for every origin.
    """

    # An empty variable counts as not set.
    # Errors do not repeat values: they may be secrets.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    pool_size: int = Field(default=10, ge=1, le=100, validation_alias="JOURNEY_POOL_SIZE")
    """Maximum number of database connections of one process, 1 to 100. Default: 10."""

    pool_timeout: float = Field(default=0.5, gt=0, le=30, validation_alias="JOURNEY_POOL_TIMEOUT")
    """Seconds that a request waits for a connection before it gets a 503, above 0 and at most 30. Default: 0.5."""

    company_share: float = Field(default=0.5, gt=0, le=1, validation_alias="JOURNEY_COMPANY_SHARE")
    """Part of the connections of an API process that one company may use at a time, above 0 and at most 1.

    Default: 0.5.
    """

    statement_timeout: float = Field(default=5.0, ge=0.1, le=60, validation_alias="JOURNEY_STATEMENT_TIMEOUT")
    """Seconds after which a statement of a request is cancelled, 0.1 to 60. Default: 5.

    A transaction is given up after twice this time, and the request gets a 503. Reports have limits of their own.
    """

    readiness_timeout: float = Field(default=0.5, ge=0.1, le=30, validation_alias="JOURNEY_READINESS_TIMEOUT")
    """Seconds in which the database must answer `/readyz`, 0.1 to 30. Default: 0.5."""

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
    """Bearer token of `/metrics`, at least 16 characters. Default: none.

    Without it, `/metrics` works in development only, for clients on the same machine.
    """

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

    @field_validator("metrics_token")
    @classmethod
    def _check_metrics_token(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return check_strength(value, info)


class MigrationSettings(BaseSettings):
    """Settings of `migrate`, `optimize-queries`, `backup` and `restore`."""

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
        return check_password(value, info)

    @property
    def url(self) -> str:
        """URL of the database with the login that owns its tables."""
        return (self.migration_database_url or self.database_url).get_secret_value()


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
