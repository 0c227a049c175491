"""Refs of customers in paths, which may contain any character, also a slash."""

from typing import Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from journey_service.domain.customers.references import REF_PREFIX

_SEGMENT: Final = f"/customers/{REF_PREFIX}"
_ENCODED: Final = _SEGMENT.replace(":", "%3A")


class EncodedRefs:
    """Middleware that leaves a ref in a path percent-encoded, so that a slash in it does not end the segment."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Restores the encoding of a ref in the path."""
        if scope["type"] == "http" and _SEGMENT in scope["path"] and scope.get("raw_path"):
            raw = (
                scope["raw_path"]
                .decode("latin-1")
                .replace(_ENCODED.lower(), _SEGMENT)
                .replace(_ENCODED, _SEGMENT)
            )
            before, found, after = raw.partition(_SEGMENT)
            if found:
                ref, slash, rest = after.partition("/")
                scope = {**scope, "path": f"{unquote(before)}{_SEGMENT}{ref}{slash}{unquote(rest)}"}
        await self._app(scope, receive, send)
