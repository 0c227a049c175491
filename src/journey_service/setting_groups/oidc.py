"""Settings of the identity provider (OIDC)."""

import re
from typing import Annotated, Final

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from journey_service.domain.access.actors import Role
from journey_service.domain.access.claims import ClaimMapping, parse_role_map
from journey_service.setting_groups.checks import (
    CommaSeparated,
    check_distinct_secret,
    input_errors,
    is_in_production,
)
from journey_service.setting_groups.core import CoreSettings

RoleMap = Annotated[dict[str, Role], NoDecode]

_ASYMMETRIC: Final = re.compile(r"(RS|PS|ES)(256|384|512)|EdDSA")


class OidcSettings(CoreSettings):
    """The identity provider, its tokens, and the sign-in of browsers."""

    oidc_issuer: str | None = Field(default=None, validation_alias="OIDC_ISSUER")
    """URL of the identity provider whose access tokens are accepted. Default: none; OIDC is disabled."""

    oidc_audience: str | None = Field(default=None, validate_default=True, validation_alias="OIDC_AUDIENCE")
    """Audience of access tokens of companies' users. Default: none; required with OIDC_ISSUER."""

    oidc_operator_audience: str | None = Field(default=None, validation_alias="OIDC_OPERATOR_AUDIENCE")
    """Audience of operators' access tokens; must differ from OIDC_AUDIENCE. Default: none; operators use API keys."""

    oidc_algorithms: CommaSeparated = Field(default=("RS256", "ES256"), validation_alias="OIDC_ALGORITHMS")
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

    @property
    def oidc_claims(self) -> ClaimMapping:
        """Where tokens contain the company and the roles."""
        return ClaimMapping(self.oidc_company_claim, self.oidc_role_claim, self.oidc_role_map)

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _require_https(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not value.startswith("https:") and is_in_production(info):
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
    def _parse_role_map(cls, value: object) -> object:
        with input_errors():
            return parse_role_map(value) if isinstance(value, str) else value

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
    def _check_distinct_client_secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return check_distinct_secret(value, info)

    @field_validator("oidc_client_secret")
    @classmethod
    def _require_client_id(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("oidc_client_id", "") is None:
            raise ValueError("is refused without OIDC_CLIENT_ID")
        return value
