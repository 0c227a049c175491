"""What every answer carries: headers that keep browsers from doing harm, and the id of the request."""

import base64
import hashlib
import re
import secrets
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
    # Answers are about people: no cache on the way keeps them.
    (b"cache-control", b"no-store"),
)
_OVER_TLS: Final = ((b"strict-transport-security", b"max-age=63072000; includeSubDomains"),)


class ResponseHeaders:
    """Gives every answer its headers, where the route has not set them itself, and every request an id."""

    def __init__(self, app: ASGIApp, *, is_over_tls: bool) -> None:
        self._app = app
        self._headers = _ALWAYS + (_OVER_TLS if is_over_tls else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; only the start of the answer is added to."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = told if _ID.fullmatch(told) else secrets.token_hex(16).encode()
        scope["request_id"] = request_id.decode()
        scope["headers_of_every_answer"] = (*self._headers, (b"x-request-id", request_id))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower(), value) for name, value in message.get("headers", ())]
                names = {name for name, _ in own}
                added = [pair for pair in scope["headers_of_every_answer"] if pair[0] not in names]
                message = {**message, "headers": [*own, *added]}
            await send(message)

        await self._app(scope, receive, send_with_headers)


def added_headers(scope: Scope) -> dict[str, str]:
    """What an answer has to carry that is made outside of `Headers`: to an error that nobody expected."""
    return {name.decode(): value.decode() for name, value in scope.get("headers_of_every_answer", ())}


def page_policy(page: str) -> str:
    """The content security policy of a page of our own: its inline scripts by their hashes, files from here only."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE.findall(page)
    ]
    return (
        f"default-src 'none'; script-src 'self' {' '.join(hashes)}; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
