"""OpenID Connect: verifies tokens of the identity provider, and signs users in with the authorization code flow.

A token cannot influence its own verification: algorithms and issuer are configured, keys come from the issuer only,
and key URLs in a token are ignored.
"""

import asyncio
import base64
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote_plus, urlencode

import jwt
import orjson

from journey_service.domain.errors import (
    InvalidInputError,
    JourneyServiceError,
    UnauthenticatedError,
    UnavailableError,
)
from journey_service.gateways.http_client import HttpClient

T = TypeVar("T")

# The key type and curve of each algorithm. Other algorithms cannot be configured.
_KEY_TYPES: Final[Mapping[str, tuple[str, str | None]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
_LEEWAY_SECONDS: Final = 30
_MAX_OPERATOR_TOKEN_AGE_SECONDS: Final = 3600
_REFRESH_SECONDS: Final = 600.0
_COOL_DOWN_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 5.0
_MAX_TOKEN_LENGTH: Final = 16 * 1024
_MAX_SUBJECT_LENGTH: Final = 255
_MAX_NESTING: Final = 20
_OK: Final = 200
_AUDIENCE: Final = "aud"

_Keys = Mapping[tuple[str, str], jwt.PyJWK]


@dataclass(frozen=True, slots=True)
class Provider:
    """Configuration of the identity provider: issuer, audiences, algorithms, and client."""

    issuer: str
    audience: str
    operator_audience: str | None = None
    audience_claim: str = "aud"
    """Claim of access tokens that must contain an audience."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    jwks_url: str | None = None
    """URL of the key set; None: taken from the provider's discovery document."""
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises InvalidInputError for symmetric algorithms, and if two audiences are equal."""
        if not self.algorithms or not set(self.algorithms) <= _KEY_TYPES.keys():
            raise InvalidInputError.at("OIDC_ALGORITHMS", f"must be one or more of {', '.join(_KEY_TYPES)}")
        if not (self.issuer and self.audience):
            raise InvalidInputError.at("OIDC_ISSUER", "must be set, together with an audience")
        if self.operator_audience in ("", self.audience):
            raise InvalidInputError.at("OIDC_OPERATOR_AUDIENCE", "must differ from the other audience")


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The identity of a user, taken from a verified token."""

    subject: str
    claims: Mapping[str, Any]
    is_for_operators: bool


class _CachedDocument(Generic[T]):
    """A cached document of the provider: fetched on demand, refreshed by age, and kept while a refresh fails.

    It is fetched at most once per cool-down, whether the fetch succeeds or not. Concurrent callers share one fetch.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._value: T | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._fetch_lock = asyncio.Lock()

    async def get(self, is_sufficient: Callable[[T], bool] = lambda _: True) -> T:
        """Returns the document, refreshed if it is old or insufficient. Raises UnavailableError if there is none."""
        if self._is_insufficient(is_sufficient) or self._is_due():
            async with self._fetch_lock:
                # Another caller may have fetched it while this one waited.
                if self._is_due() or (self._is_insufficient(is_sufficient) and self._may_retry()):
                    await self._refresh()
        if self._value is None:
            raise UnavailableError("The identity provider cannot be reached.")
        return self._value

    def _is_insufficient(self, is_sufficient: Callable[[T], bool]) -> bool:
        return self._value is None or not is_sufficient(self._value)

    def _may_retry(self) -> bool:
        return self._clock() - self._tried_at >= _COOL_DOWN_SECONDS

    def _is_due(self) -> bool:
        return self._may_retry() and self._clock() - self._fetched_at >= _REFRESH_SECONDS

    async def _refresh(self) -> None:
        before, self._tried_at = self._tried_at, self._clock()
        try:
            self._value = await self._fetch()
            self._fetched_at = self._clock()
        except (JourneyServiceError, ValueError):
            return  # the cached document stays in use
        except asyncio.CancelledError:
            self._tried_at = before  # the caller was cancelled; the provider did not fail
            raise


class IdentityProvider:
    """Client of the identity provider: verifies tokens and runs the authorization code flow."""

    def __init__(
        self, provider: Provider, http_client: HttpClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._http_client = http_client
        self._keys = _CachedDocument(self._fetch_keys, clock)
        self._description = _CachedDocument(self._fetch_description, clock)

    async def verify(self, token: str) -> VerifiedToken:
        """Verifies a token and returns the identity in it.

        Raises UnauthenticatedError, with the same text for every reason. Raises UnavailableError if no key set was
        fetched yet.
        """
        ordinary, operators = self._provider.audience, self._provider.operator_audience
        claims = await self._verified_claims(
            token, [ordinary, operators] if operators else [ordinary], self._provider.audience_claim
        )
        is_for_operators = not any(
            ordinary in _values(claims, name) for name in (_AUDIENCE, self._provider.audience_claim)
        )
        if (
            is_for_operators
            and time.time() - claims["iat"] > _MAX_OPERATOR_TOKEN_AGE_SECONDS + _LEEWAY_SECONDS
        ):
            raise _not_valid()
        return VerifiedToken(claims["sub"], claims, is_for_operators)

    async def authorization_url(
        self, *, redirect_uri: str, state: str, nonce: str, code_challenge: str
    ) -> str:
        """Returns the URL at which a browser signs in. Raises UnavailableError, UnauthenticatedError."""
        endpoint = await self._endpoint_url("authorization_endpoint")
        query = {"response_type": "code", "scope": "openid profile", "client_id": self._client_id}
        query |= {"redirect_uri": redirect_uri, "state": state, "nonce": nonce}
        query |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def redeem(self, *, code: str, redirect_uri: str, code_verifier: str, nonce: str) -> VerifiedToken:
        """Exchanges an authorization code for an identity. Raises UnauthenticatedError, UnavailableError."""
        endpoint = await self._endpoint_url("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        try:
            token_response = await self._request_json(endpoint, form)
        except (JourneyServiceError, ValueError):
            raise _not_valid() from None
        claims = await self._verified_claims(token_response.get("id_token"), [self._client_id])
        # A token for several audiences may have been issued to another client.
        client_id = self._client_id
        is_for_client = (
            claims["aud"] in (client_id, [client_id]) and claims.get("azp", client_id) == client_id
        )
        if not (is_for_client and nonce and _equals(claims.get("nonce"), nonce)):
            raise _not_valid()
        return VerifiedToken(claims["sub"], claims, is_for_operators=False)

    @property
    def _client_id(self) -> str:
        if self._provider.client_id is None:
            raise _not_valid()
        return self._provider.client_id

    async def _verified_claims(
        self, token: object, audiences: Sequence[str], audience_claim: str = _AUDIENCE
    ) -> dict[str, Any]:
        """Returns the claims of a token that is authentic, not expired, and for one of the audiences.

        A token that has the claim `aud` besides another `audience_claim` must name an audience in both.
        """
        if not isinstance(token, str) or len(token) > _MAX_TOKEN_LENGTH:
            raise _not_valid()
        try:
            key = await self._find_key(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=self._provider.algorithms,
                audience=audiences,
                issuer=self._provider.issuer,
                leeway=_LEEWAY_SECONDS,
                options={
                    "require": ["iss", audience_claim, "exp", "iat", "sub"],
                    "verify_aud": audience_claim == _AUDIENCE,
                    "enforce_minimum_key_length": True,
                },
            )
        except (jwt.PyJWTError, ValueError):
            raise _not_valid() from None
        named = [_values(claims, name) for name in {_AUDIENCE, audience_claim} & claims.keys()]
        if not (_are_valid(claims) and all(set(audiences) & {*names} for names in named)):
            raise _not_valid()
        return claims

    async def _find_key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        kid, algorithm = header.get("kid"), header.get("alg")
        # Checked before any key is fetched. No extension is supported, so a token with critical extensions is invalid.
        if not isinstance(kid, str) or algorithm not in self._provider.algorithms or "crit" in header:
            raise _not_valid()
        key_id = (kid, algorithm)
        keys = await self._keys.get(lambda known: key_id in known)
        if key_id not in keys:
            raise _not_valid()
        return keys[key_id]

    async def _endpoint_url(self, name: str) -> str:
        url = (await self._description.get()).get(name)
        if not isinstance(url, str):
            raise _not_valid()
        return url

    async def _fetch_description(self) -> Mapping[str, Any]:
        described = await self._request_json(
            self._provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
        )
        if described.get("issuer") != self._provider.issuer:
            raise ValueError
        return described

    async def _fetch_keys(self) -> _Keys:
        published = (
            await self._request_json(self._provider.jwks_url or await self._endpoint_url("jwks_uri"))
        ).get("keys")
        if not isinstance(published, list):
            raise ValueError  # noqa: TRY004  # the provider's response is invalid, not an argument
        key_sets = [self._verification_keys(entry) for entry in published if isinstance(entry, dict)]
        return {name: key for keys in key_sets for name, key in keys.items()}

    def _verification_keys(self, entry: dict[str, Any]) -> _Keys:
        """Returns the key under each algorithm that it may verify; none for private, symmetric and encryption keys."""
        kid, operations = entry.get("kid"), entry.get("key_ops", ["verify"])
        is_for_this = isinstance(operations, list) and "verify" in operations
        if entry.get("use", "sig") != "sig" or not is_for_this or "d" in entry or not isinstance(kid, str):
            return {}
        keys = {}
        for algorithm in self._provider.algorithms:
            is_allowed = entry.get("alg", algorithm) == algorithm
            if is_allowed and (entry.get("kty"), entry.get("crv")) == _KEY_TYPES[algorithm]:
                with suppress(jwt.PyJWTError):  # an invalid key is skipped
                    keys[kid, algorithm] = jwt.PyJWK(entry, algorithm)
        return keys

    async def _request_json(self, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Requests a JSON object; a form is posted with the client's credentials.

        Raises ValueError for an invalid response.
        """
        method, headers, content = "GET", {"Accept": "application/json"}, b""
        if form is not None:
            method, headers["Content-Type"] = "POST", "application/x-www-form-urlencoded"
            secret = self._provider.client_secret
            if secret is None:
                form = {**form, "client_id": self._client_id}
            else:
                pair = f"{quote_plus(self._client_id)}:{quote_plus(secret)}".encode()
                headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
            content = urlencode(form).encode()
        response = await self._http_client.send(
            method, url, headers=headers, content=content, deadline_seconds=_FETCH_SECONDS
        )
        if response.status != _OK or response.is_truncated:
            raise ValueError
        document = orjson.loads(response.body)
        if not isinstance(document, dict):
            raise ValueError  # noqa: TRY004  # the provider's response is invalid, not an argument
        return document


def _not_valid() -> UnauthenticatedError:
    return UnauthenticatedError("The credential is not valid.")


def _are_valid(claims: Mapping[str, Any]) -> bool:
    """Whether claims have the required types. The library also accepts strings and booleans as numbers."""
    are_instants = all(type(claims[name]) in (int, float) for name in ("exp", "iat", "nbf") if name in claims)
    subject = claims["sub"]
    is_subject = 0 < len(subject) <= _MAX_SUBJECT_LENGTH and subject.isprintable()
    return are_instants and is_subject and not _is_nested_deeper_than(claims, _MAX_NESTING)


def _values(claims: Mapping[str, Any], name: str) -> Sequence[str]:
    """Returns the texts of a claim that is a text or a list."""
    value = claims.get(name)
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def _equals(value: object, expected: str) -> bool:
    # Compared as bytes: non-ASCII strings cannot be compared in constant time.
    return isinstance(value, str) and hmac.compare_digest(value.encode("utf-8", "replace"), expected.encode())


def _is_nested_deeper_than(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_nested_deeper_than(each, levels - 1) for each in inner)
