"""Routes of `/openapi.json` and `/docs`: each is built once, and answered from memory."""

import asyncio
import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

from journey_service.api.middleware.compression import accepted_encodings
from journey_service.api.middleware.response_headers import page_policy

_CONTRACT_PATH = "/openapi.json"


@dataclass(frozen=True, slots=True)
class _Content:
    """A document in both encodings. Its tag is weak, as it is that of both."""

    plain: bytes
    compressed: bytes
    etag: str


class PublishedDocument:
    """A document that everyone may read. It is built at the first request, in a thread, as it takes seconds."""

    def __init__(
        self, build: Callable[[], bytes], media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._build = build
        self._media_type = media_type
        self._headers = headers or {}
        self._content: _Content | None = None
        self._lock = asyncio.Lock()

    async def respond(self, request: Request) -> Response:
        """Returns the document, or 304 if the client has it."""
        content = self._content or await self._load()
        # May be stored, and is asked for again with its tag before it is used.
        headers = {
            **self._headers,
            "Cache-Control": "no-cache",
            "ETag": content.etag,
            "Vary": "Accept-Encoding",
        }
        if _names(request.headers.get("if-none-match", ""), content.etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if "gzip" not in accepted_encodings(request.scope):
            return Response(content.plain, media_type=self._media_type, headers=headers)
        headers["Content-Encoding"] = "gzip"
        return Response(content.compressed, media_type=self._media_type, headers=headers)

    async def _load(self) -> _Content:
        async with self._lock:
            if self._content is None:
                self._content = await asyncio.to_thread(self._produce)
            return self._content

    def _produce(self) -> _Content:
        plain = self._build()
        tag = hashlib.sha256(plain).hexdigest()[:32]
        return _Content(plain, gzip.compress(plain, mtime=0), f'W/"{tag}"')


def _names(if_none_match: str, etag: str) -> bool:
    """Whether the value of an If-None-Match header names a tag, by weak comparison."""
    named = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return "*" in named or etag.removeprefix("W/") in named


def serve(app: FastAPI) -> None:
    """Adds the routes of the contract and of its pages to the application."""
    contract = PublishedDocument(
        lambda: orjson.dumps(app.openapi(), option=orjson.OPT_APPEND_NEWLINE), "application/json"
    )

    @app.get(_CONTRACT_PATH, include_in_schema=False)
    async def openapi(request: Request) -> Response:
        return await contract.respond(request)

    # The scripts of the documentation are part of a package; browsers load nothing from other hosts.
    assets = files("fastapi_offline") / "static"
    app.mount("/docs/assets", StaticFiles(directory=str(assets)), name="docs-assets")
    shown = get_swagger_ui_html(
        openapi_url=_CONTRACT_PATH,
        title=app.title,
        swagger_js_url="/docs/assets/swagger-ui-bundle.js",
        swagger_css_url="/docs/assets/swagger-ui.css",
        swagger_favicon_url="/docs/assets/favicon.png",
    )
    html = bytes(shown.body)
    page = PublishedDocument(
        lambda: html, "text/html; charset=utf-8", {"Content-Security-Policy": page_policy(html.decode())}
    )

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return await page.respond(request)
