"""HEAD of every path that has GET."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

IS_HEAD = "is_head"
"""Key of the scope of a request that was made with HEAD."""


class HeadRequests:
    """Middleware that answers HEAD as GET, with the same status and headers and without a body.

    The request is handled as GET. A response in pieces is not produced: see StrictRoute.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles HEAD as GET, and drops the body of the response."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_sent = False

        async def send_without_body(message: Message) -> None:
            nonlocal is_sent
            if message["type"] == "http.response.start":
                # Headers that were added while the request was handled are those of the response.
                scope.update({**inner, "method": "HEAD"})
                await send(message)
            elif not is_sent:
                is_sent = True
                await send({"type": "http.response.body", "body": b""})

        inner = {**scope, "method": "GET", IS_HEAD: True}
        try:
            await self._app(inner, receive, send_without_body)
        finally:
            # What was found out about the request, for the log: its route and its company.
            scope.update({**inner, "method": "HEAD"})
