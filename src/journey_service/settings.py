"""What the environment decides: read once by a composition root, frozen, passed down as values."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The service's environment. Secrets have no default; a start without them is refused."""

    # An empty variable is one that is not set.
    # What was given is not repeated in errors: it may be a secret.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    """PostgreSQL 15 or newer, as a login that may take the role journey_app."""

    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    """Redis or Valkey: a doorbell only, nothing is lost without it."""

    key_pepper: SecretStr = Field(min_length=16, validation_alias="JOURNEY_KEY_PEPPER")
    """Mixed into the hashes of API keys. Changing it ends every key."""

    bootstrap_key: SecretStr | None = Field(default=None, validation_alias="JOURNEY_BOOTSTRAP_KEY")
    """An operator's key of one's own choosing, `jrn_<id>_<32 or more characters>`, made known at the start."""

    pool_size: int = Field(default=10, ge=1, le=100, validation_alias="JOURNEY_POOL_SIZE")
    """Database connections of one process."""

    pool_timeout: float = Field(default=0.5, gt=0, le=30, validation_alias="JOURNEY_POOL_TIMEOUT")
    """Seconds a request waits for a connection before it is answered 503."""

    lease_seconds: float = Field(default=15.0, ge=1, le=300, validation_alias="JOURNEY_LEASE_SECONDS")
    """For how long a worker that fell silent is waited for before another goes on with its job."""


class MigrationSettings(BaseSettings):
    """What migrating needs: a login that may create tables and roles."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    migration_database_url: SecretStr | None = Field(default=None, validation_alias="MIGRATION_DATABASE_URL")

    @property
    def url(self) -> str:
        """The database to migrate."""
        return (self.migration_database_url or self.database_url).get_secret_value()


def read_settings() -> Settings:
    """The environment's settings. Raises pydantic's ValidationError, naming every variable at fault."""
    return Settings()  # type: ignore[call-arg]  # the environment gives them


def read_migration_settings() -> MigrationSettings:
    """The environment's settings for migrating."""
    return MigrationSettings()  # type: ignore[call-arg]  # the environment gives them
