"""A newline at the end of every JSON response, so that a terminal's prompt starts on a line of its own."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_JSON_TYPES: Final = (b"application/json", b"application/problem+json")


class TrailingNewline:
    """Middleware that appends a newline to JSON responses and corrects their Content-Length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Appends a newline to a JSON body that is sent in one piece and does not end with one."""
        start: Message | None = None

        async def send_with_newline(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_json(message):
                start = message  # held back: the Content-Length depends on the body
                return
            if start is not None:
                body = message.get("body", b"")
                if body and not body.endswith(b"\n") and not message.get("more_body", False):
                    message = {**message, "body": body + b"\n"}
                    start = {**start, "headers": _with_length(start, len(body) + 1)}
                await send(start)
                start = None
            await send(message)

        await self._app(scope, receive, send_with_newline if scope["type"] == "http" else send)


def _is_json(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(_JSON_TYPES)
        for name, value in message["headers"]
    )


def _with_length(start: Message, length: int) -> list[tuple[bytes, bytes]]:
    return [
        (name, str(length).encode() if name.lower() == b"content-length" else value)
        for name, value in start["headers"]
    ]
