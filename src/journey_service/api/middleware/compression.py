"""Compression of JSON and CSV responses."""

import asyncio
import gzip
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TYPES: Final = (b"application/json", b"application/problem+json", b"text/csv")
MIN_BYTES: Final = 1_000
"""Smaller bodies are sent as they are."""
_LEVEL: Final = 5
_LARGE_BYTES: Final = 64 * 1024
"""Bodies of more bytes are compressed in a thread."""


class Compression:
    """Middleware that sends JSON and CSV bodies of some size as gzip where the client accepts it.

    Bodies that are sent in pieces, such as the event stream, pass unchanged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compresses the body and corrects the headers."""
        start: Message | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_compressible(message):
                start = message  # held back: the headers depend on the body
                return
            if start is not None:
                body, headers = message.get("body", b""), _with_vary(start["headers"])
                if is_accepted and len(body) >= MIN_BYTES and not message.get("more_body", False):
                    body = await _compress(body)
                    headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
                    headers += [(b"content-encoding", b"gzip"), (b"content-length", str(len(body)).encode())]
                await send({**start, "headers": headers})
                message, start = {**message, "body": body}, None
            await send(message)

        is_http = scope["type"] == "http"
        is_accepted = is_http and "gzip" in accepted_encodings(scope)
        await self._app(scope, receive, send_compressed if is_http else send)


async def _compress(body: bytes) -> bytes:
    if len(body) < _LARGE_BYTES:
        return gzip.compress(body, _LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)


def accepted_encodings(scope: Scope) -> frozenset[str]:
    """Returns the content encodings that the client of a request accepts by name."""
    given = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
    accepted: set[str] = set()
    if not given:
        return frozenset()
    for part in given.decode("latin-1").lower().split(","):
        name, _, quality = part.replace(" ", "").partition(";q=")
        if quality.strip("0.") or not quality:
            accepted.add(name)
    return frozenset(accepted)


def _with_vary(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Returns the headers with the one that the body depends on, added to those that are named already."""
    given = [value for name, value in headers if name.lower() == b"vary"]
    others = [pair for pair in headers if pair[0].lower() != b"vary"]
    return [*others, (b"vary", b", ".join((*given, b"Accept-Encoding")))]


def _is_compressible(message: Message) -> bool:
    has_type = False
    for name, value in message["headers"]:
        if name == b"content-encoding":
            return False
        has_type = has_type or (name == b"content-type" and value.startswith(_TYPES))
    return has_type
