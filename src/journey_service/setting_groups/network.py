"""Settings of the network: origins and proxies that the service trusts."""

from ipaddress import ip_network

from pydantic import Field, ValidationInfo, field_validator

from journey_service.setting_groups.checks import CommaSeparated, is_in_production
from journey_service.setting_groups.core import ORIGIN, CoreSettings


class NetworkSettings(CoreSettings):
    """Origins and proxies that are trusted."""

    cors_origins: CommaSeparated = Field(default=(), validation_alias="JOURNEY_CORS_ORIGINS")
    """Comma-separated origins whose scripts may call the API with a bearer token. Default: none."""

    trusted_proxies: CommaSeparated = Field(default=(), validation_alias="JOURNEY_TRUSTED_PROXIES")
    """Comma-separated addresses or networks of proxies whose X-Forwarded-For header is trusted. Default: none.

    Limits for client addresses do not apply to them.
    """

    trusted_origins: CommaSeparated = Field(default=(), validation_alias="JOURNEY_TRUSTED_ORIGINS")
    """Comma-separated origins that the service may call although their address is not public. Default: none."""

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for network in value:
                ip_network(network)
        except ValueError:
            raise ValueError(
                "must be addresses or networks such as 10.0.0.0/8, separated by commas"
            ) from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if any(origin != "*" and not ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("must be origins such as https://app.company.com, separated by commas")
        if "*" in value and is_in_production(info):
            raise ValueError("must list origins in production, not *")
        return value
