"""The handshake by which senders of CloudEvents ask for permission to send."""

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_PATHS: Final = re.compile(r"/api/v1/(?:events(?:/batch)?|sources/[0-9a-f-]{1,40}/events)", re.ASCII)
_ORIGIN: Final = re.compile(r"[A-Za-z0-9.:_/-]{1,255}", re.ASCII)


class WebhookHandshake:
    """Middleware that answers the validation request of CloudEvents webhooks (`OPTIONS`, `WebHook-Request-Origin`).

    Every origin may send, at any rate: each delivery is authenticated on its own. The answer shows nothing of a
    company.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a validation request for a path that takes events; passes on all other requests."""
        is_asked = (
            scope["type"] == "http" and scope["method"] == "OPTIONS" and _PATHS.fullmatch(scope["path"])
        )
        origin = Headers(scope=scope).get("webhook-request-origin", "") if is_asked else ""
        if _ORIGIN.fullmatch(origin) is None:
            await self._app(scope, receive, send)
            return
        headers = {"Allow": "POST", "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
        await Response(headers=headers)(scope, receive, send)
