"""Security headers and the request id of every response."""

import base64
import hashlib
import re
import secrets
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_INLINE: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    # Responses hold personal data: no cache may store them.
    (b"cache-control", b"no-store"),
)
_OVER_TLS: Final = ((b"strict-transport-security", b"max-age=63072000; includeSubDomains"),)


class ResponseHeaders:
    """Middleware that adds headers which the route has not set, and gives every request an id.

    A valid `X-Request-Id` of the request is kept. A 204, which has no body, loses the type of a body.
    """

    def __init__(self, app: ASGIApp, *, is_over_tls: bool) -> None:
        self._app = app
        self._headers = _ALWAYS + (_OVER_TLS if is_over_tls else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds the headers to the start of the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(16).encode()
        scope["request_id"] = request_id.decode()
        scope["added_headers"] = (*self._headers, (b"x-request-id", request_id))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower(), value) for name, value in message.get("headers", ())]
                if message["status"] == HTTPStatus.NO_CONTENT:
                    own = [pair for pair in own if pair[0] != b"content-type"]
                names = {name for name, _ in own}
                added = [pair for pair in scope["added_headers"] if pair[0] not in names]
                message = {**message, "headers": [*own, *added]}
            await send(message)

        await self._app(scope, receive, send_with_headers)


def added_headers(scope: Scope) -> dict[str, str]:
    """Returns the headers for a response that is made outside of ResponseHeaders: to an unexpected error."""
    return {name.decode(): value.decode() for name, value in scope.get("added_headers", ())}


def page_policy(page: str) -> str:
    """Returns the content security policy of a page: inline scripts by their hashes, files of this origin only."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE.findall(page)
    ]
    return (
        f"default-src 'none'; script-src 'self' {' '.join(hashes)}; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
