"""A local identity provider: rotating keys, tokens, and automatic sign-in."""

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

Signer = Callable[[bytes], bytes]


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """Returns an RSA key of 2048 bits, generated once per name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Returns an ES256 key, generated once per name."""
    return ec.generate_private_key(ec.SECP256R1())


def base64url(data: bytes) -> str:
    """Encodes bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assembled(header: object, claims: object, signer: Signer) -> str:
    """Returns a token with any header and claims; bytes are used unchanged."""
    parts = [
        base64url(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims)
    ]
    signed = ".".join(parts)
    return f"{signed}.{base64url(signer(signed.encode()))}"


def signer_of(alg: str, key: object) -> Signer:
    """Returns the signature function of an algorithm and a key."""
    return lambda signed: jwt.get_algorithm_by_name(alg).sign(signed, key)


def jwk(kid: str, key: object, **properties: object) -> dict[str, Any]:
    """Returns a public key as JWK; keywords replace members."""
    kind = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    public = jwt.get_algorithm_by_name(kind).to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": kid, "use": "sig", **properties}


class FakeProvider:
    """The provider. `client_id` and `client_secret` are those of its client; `person` is the user who signs in."""

    def __init__(
        self,
        *,
        audience: str = "journey",
        client_id: str = "portal",
        client_secret: str | None = "a secret: with % and +",
    ) -> None:
        self.audience = audience
        self.client_id = client_id
        self.client_secret = client_secret
        self.person: dict[str, Any] = {"sub": "somebody"}
        self.status = 200
        """Status of every response; 200 is normal operation."""
        self.fetches: Counter[str] = Counter()
        """Number of requests by path."""
        self.answers: dict[str, object] = {}
        """Replaced responses by path; bytes are sent unchanged."""
        self.is_answering = asyncio.Event()
        """While this event is cleared, requests wait."""
        self.is_answering.set()
        self.rotate("first")
        self._codes: dict[str, dict[str, str]] = {}
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The issuer URL."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Starts the server, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops the server: connections are refused."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def rotate(self, name: str) -> None:
        """Replaces the signing keys and the published keys."""
        self.name = name
        self.keys = {f"rsa-{name}": rsa_key(name), f"ec-{name}": ec_key(name)}
        self.listed = [jwk(kid, key) for kid, key in self.keys.items()]

    def claims(self, **replaced: object) -> dict[str, Any]:
        """Returns the claims of a valid access token; keywords replace claims, None omits one."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": self.audience, "iat": now, "exp": now + 300, **self.person}
        return {name: value for name, value in {**usual, **replaced}.items() if value is not None}

    def token(self, **replaced: object) -> str:
        """Returns an access token; keywords replace claims, None omits one."""
        return self.sign(self.claims(**replaced))

    def sign(
        self,
        claims: object,
        *,
        alg: str = "RS256",
        kid: str | None = None,
        key: object = None,
        header: Mapping[str, object] | None = None,
    ) -> str:
        """Returns a token with these claims, signed with the provider's key by default; None omits a header."""
        own = f"{'ec' if alg.startswith('ES') else 'rsa'}-{self.name}"
        parameters = {"typ": "JWT", "alg": alg, "kid": kid or own, **(header or {})}
        parameters = {name: value for name, value in parameters.items() if value is not None}
        return assembled(parameters, claims, signer_of(alg, self.keys[own] if key is None else key))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            method, target, _ = lines[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.fetches[urlsplit(target).path] += 1
            await self.is_answering.wait()
            status, extra, answer = self._answer(method, target, headers, body.decode())
            parameters = f"HTTP/1.1 {status} Reply\r\n{extra}Content-Length: {len(answer)}\r\n\r\n"
            writer.write(parameters.encode() + answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller disconnected
        finally:
            writer.close()

    def _answer(
        self, method: str, target: str, headers: Mapping[str, str], body: str
    ) -> tuple[int, str, bytes]:
        path = urlsplit(target).path
        if path in self.answers:
            answer = self.answers[path]
            return self.status, "", answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        asked = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if path == "/authorize":
            return 302, f"Location: {self._authorize(asked)}\r\n", b""
        parameters: object = {"error": "invalid_request"}
        if path == "/.well-known/openid-configuration":
            parameters = self._description()
        elif path == "/jwks":
            parameters = {"keys": self.listed}
        elif path == "/token" and method == "POST":
            parameters = self._redeem(headers, form)
        return (400 if "error" in parameters else self.status), "", json.dumps(parameters).encode()

    def _description(self) -> dict[str, str]:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
        }

    def _authorize(self, asked: dict[str, str]) -> str:
        """Returns the redirect URL; with a code if the authorization request is valid."""
        usual = {"response_type": "code", "client_id": self.client_id, "code_challenge_method": "S256"}
        is_proper = usual.items() <= asked.items() and "openid" in asked.get("scope", "").split()
        parameters = {"error": "invalid_request"}
        if is_proper:
            parameters = {"code": secrets.token_urlsafe(8)}
            self._codes[parameters["code"]] = asked
        return f"{asked['redirect_uri']}?{urlencode({**parameters, 'state': asked.get('state', '')})}"

    def _redeem(self, headers: Mapping[str, str], form: dict[str, str]) -> dict[str, str]:
        asked = self._codes.pop(form.get("code", ""), None)  # a code can be used once
        if asked is None or form.get("grant_type") != "authorization_code":
            return {"error": "invalid_grant"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64url(digest) != asked["code_challenge"] or form.get("redirect_uri") != asked["redirect_uri"]:
            return {"error": "invalid_grant"}
        if self.client_secret is None:
            is_client = form.get("client_id") == self.client_id and "authorization" not in headers
        else:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}".encode()
            is_client = headers.get("authorization") == f"Basic {base64.b64encode(pair).decode()}"
        if not is_client:
            return {"error": "invalid_client"}
        return {"token_type": "Bearer", "id_token": self.token(aud=self.client_id, nonce=asked.get("nonce"))}
