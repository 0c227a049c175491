"""OpenID Connect: verifies the identity provider's tokens, and signs people in with the authorization code flow.

A token decides nothing about its own verification: algorithms and issuer are configured, keys come from the issuer
only, and URLs of keys in a token are ignored.
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

# The key type (and curve) of each algorithm. Other algorithms cannot be configured.
_KEY_KINDS: Final[Mapping[str, tuple[str, str | None]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
_LEEWAY_SECONDS: Final = 30
_OPERATOR_SECONDS: Final = 3600
_REFRESH_SECONDS: Final = 600.0
_COOL_DOWN_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 5.0
_LONGEST_TOKEN: Final = 16 * 1024
_LONGEST_SUBJECT: Final = 255
_MAX_NESTING: Final = 20
_OK: Final = 200

_Keys = Mapping[tuple[str, str], jwt.PyJWK]


@dataclass(frozen=True, slots=True)
class Provider:
    """The configured identity provider: issuer, audiences, algorithms, and names of claims."""

    issuer: str
    audience: str
    operator_audience: str | None = None
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    jwks_url: str | None = None
    """URL of the key set; None: taken from the provider's discovery document."""
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises InvalidInputError for symmetric algorithms, and if two audiences are equal."""
        if not self.algorithms or not set(self.algorithms) <= _KEY_KINDS.keys():
            raise InvalidInputError.at("OIDC_ALGORITHMS", f"must be one or more of {', '.join(_KEY_KINDS)}")
        if not (self.issuer and self.audience):
            raise InvalidInputError.at("OIDC_ISSUER", "must be set, together with an audience")
        if self.operator_audience in ("", self.audience):
            raise InvalidInputError.at("OIDC_OPERATOR_AUDIENCE", "must differ from the other audience")


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A person's identity as the provider's token states it."""

    subject: str
    claims: Mapping[str, Any]
    is_for_operators: bool


class _CachedDocument(Generic[T]):
    """A cached document of the provider: fetched on demand, refreshed by age, and kept while a refresh fails.

    It is requested at most once per cool-down, successful or not, and by one caller on behalf of all that wait.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._value: T | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._asking = asyncio.Lock()

    async def get(self, is_sufficient: Callable[[T], bool] = lambda _: True) -> T:
        """Returns the document, refreshed if it is old or insufficient. Raises UnavailableError if there is none."""
        if self._is_insufficient(is_sufficient) or self._is_due():
            async with self._asking:
                # Another caller may have fetched it while this one waited.
                if self._is_due() or (self._is_insufficient(is_sufficient) and self._may_retry()):
                    await self._renew()
        if self._value is None:
            raise UnavailableError("The identity provider cannot be reached.")
        return self._value

    def _is_insufficient(self, is_sufficient: Callable[[T], bool]) -> bool:
        return self._value is None or not is_sufficient(self._value)

    def _may_retry(self) -> bool:
        return self._clock() - self._tried_at >= _COOL_DOWN_SECONDS

    def _is_due(self) -> bool:
        return self._may_retry() and self._clock() - self._fetched_at >= _REFRESH_SECONDS

    async def _renew(self) -> None:
        before, self._tried_at = self._tried_at, self._clock()
        try:
            self._value = await self._fetch()
            self._fetched_at = self._clock()
        except (JourneyServiceError, ValueError):
            return  # the kept document stays in use
        except asyncio.CancelledError:
            self._tried_at = before  # the caller disconnected, which is no failure of the provider
            raise


class IdentityProvider:
    """The identity provider: its key set and its endpoints."""

    def __init__(
        self, provider: Provider, outgoing: HttpClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._outgoing = outgoing
        self._keys = _CachedDocument(self._fetch_keys, clock)
        self._description = _CachedDocument(self._fetch_description, clock)

    async def verify(self, token: str) -> VerifiedToken:
        """Verifies a token and returns the identity in it.

        Raises UnauthenticatedError, the same for every reason, and UnavailableError while no key set was ever fetched.
        """
        ordinary, operators = self._provider.audience, self._provider.operator_audience
        claims = await self._checked(token, [ordinary, operators] if operators else [ordinary])
        told = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        is_for_operators = ordinary not in told
        if is_for_operators and time.time() - claims["iat"] > _OPERATOR_SECONDS + _LEEWAY_SECONDS:
            raise _not_valid()
        return VerifiedToken(claims["sub"], claims, is_for_operators)

    async def authorization_url(
        self, *, redirect_uri: str, state: str, nonce: str, code_challenge: str
    ) -> str:
        """Returns the URL at which a browser signs in. Raises UnavailableError, UnauthenticatedError."""
        endpoint = await self._place("authorization_endpoint")
        query = {"response_type": "code", "scope": "openid profile", "client_id": self._client_id}
        query |= {"redirect_uri": redirect_uri, "state": state, "nonce": nonce}
        query |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def redeem(self, *, code: str, redirect_uri: str, code_verifier: str, nonce: str) -> VerifiedToken:
        """Exchanges an authorization code for an identity. Raises UnauthenticatedError, UnavailableError."""
        endpoint = await self._place("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        try:
            told = await self._ask(endpoint, form)
        except (JourneyServiceError, ValueError):
            raise _not_valid() from None
        claims = await self._checked(told.get("id_token"), [self._client_id])
        # A token for several audiences may have been issued to another of them.
        us = self._client_id
        is_for_us = claims["aud"] in (us, [us]) and claims.get("azp", us) == us
        if not (is_for_us and nonce and _is_same(claims.get("nonce"), nonce)):
            raise _not_valid()
        return VerifiedToken(claims["sub"], claims, is_for_operators=False)

    @property
    def _client_id(self) -> str:
        if self._provider.client_id is None:
            raise _not_valid()
        return self._provider.client_id

    async def _checked(self, token: object, audiences: Sequence[str]) -> dict[str, Any]:
        """Returns the claims of a token that is authentic, not expired, and for one of the audiences."""
        if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
            raise _not_valid()
        try:
            key = await self._key(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=self._provider.algorithms,
                audience=audiences,
                issuer=self._provider.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["iss", "aud", "exp", "iat", "sub"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError):
            raise _not_valid() from None
        if not _is_sound(claims):
            raise _not_valid()
        return claims

    async def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        kid, algorithm = header.get("kid"), header.get("alg")
        # No keys are fetched for an invalid token. No extension is supported, so none may be critical.
        if not isinstance(kid, str) or algorithm not in self._provider.algorithms or "crit" in header:
            raise _not_valid()
        wanted = (kid, algorithm)
        keys = await self._keys.get(lambda known: wanted in known)
        if wanted not in keys:
            raise _not_valid()
        return keys[wanted]

    async def _place(self, name: str) -> str:
        place = (await self._description.get()).get(name)
        if not isinstance(place, str):
            raise _not_valid()
        return place

    async def _fetch_description(self) -> Mapping[str, Any]:
        described = await self._ask(self._provider.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if described.get("issuer") != self._provider.issuer:
            raise ValueError
        return described

    async def _fetch_keys(self) -> _Keys:
        listed = (await self._ask(self._provider.jwks_url or await self._place("jwks_uri"))).get("keys")
        if not isinstance(listed, list):
            raise ValueError  # noqa: TRY004  # nothing was called wrongly: the answer is of no use
        usable = [self._usable(entry) for entry in listed if isinstance(entry, dict)]
        return {name: key for keys in usable for name, key in keys.items()}

    def _usable(self, entry: dict[str, Any]) -> _Keys:
        """Returns the algorithms that a published key may verify: none if it is symmetric or not for signing."""
        kid, operations = entry.get("kid"), entry.get("key_ops", ["verify"])
        is_for_this = isinstance(operations, list) and "verify" in operations
        if entry.get("use", "sig") != "sig" or not is_for_this or "d" in entry or not isinstance(kid, str):
            return {}
        keys = {}
        for algorithm in self._provider.algorithms:
            is_fit = entry.get("alg", algorithm) == algorithm
            if is_fit and (entry.get("kty"), entry.get("crv")) == _KEY_KINDS[algorithm]:
                with suppress(jwt.PyJWTError):  # one invalid key does not affect the others
                    keys[kid, algorithm] = jwt.PyJWK(entry, algorithm)
        return keys

    async def _ask(self, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Requests a JSON document, with the client's credential for a form. Raises ValueError if it is invalid."""
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
        answer = await self._outgoing.send(
            method, url, headers=headers, content=content, deadline_seconds=_FETCH_SECONDS
        )
        if answer.status != _OK or answer.is_cut:
            raise ValueError
        told = orjson.loads(answer.body)
        if not isinstance(told, dict):
            raise ValueError  # noqa: TRY004  # nothing was called wrongly: an answer is of no use
        return told


def _not_valid() -> UnauthenticatedError:
    return UnauthenticatedError("The credential is not valid.")


def _is_sound(claims: Mapping[str, Any]) -> bool:
    """Whether claims have the required types; the library accepts strings and booleans as numbers."""
    are_instants = all(type(claims[name]) in (int, float) for name in ("exp", "iat", "nbf") if name in claims)
    subject = claims["sub"]
    is_subject = 0 < len(subject) <= _LONGEST_SUBJECT and subject.isprintable()
    return are_instants and is_subject and not _is_deep(claims, _MAX_NESTING)


def _is_same(told: object, expected: str) -> bool:
    # Compared as bytes: non-ASCII strings cannot be compared in constant time.
    return isinstance(told, str) and hmac.compare_digest(told.encode("utf-8", "replace"), expected.encode())


def _is_deep(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deep(each, levels - 1) for each in inner)
