"""The dashboard: its page for every path that is not of the API, and its files from memory."""

import mimetypes
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from journey_service.api.access.own_paths import HOME, own_path
from journey_service.api.authentication import has_session
from journey_service.api.dependencies import AppStateDep
from journey_service.api.html_pages import page
from journey_service.api.middleware.compression import accepted_encodings

RESERVED: Final = (
    *("/api", "/assets", "/docs", "/livez", "/metrics", "/openapi.json", "/portal", "/problems"),
    *("/readyz", "/sign-in"),
)
"""Paths, with everything below them, that never answer with the dashboard."""
_ENCODINGS: Final[Mapping[str, str]] = {"br": ".br", "gzip": ".gz"}
"""Content encodings, best first, and how the names of their files end."""
_NONCE: Final = "__CSP_NONCE__"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{}'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_NOT_BUILT: Final = """<p>The dashboard is not built: run <code>make dashboard</code> and start the service again.</p>
<a class="button" href="/docs">Documentation of the API</a>"""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the dashboard, in each encoding that it was built in; the empty encoding is the file itself."""

    media_type: str
    bodies: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The built dashboard: its page, with a place for the nonce, and its files by name."""

    page: str
    assets: Mapping[str, Asset]


class _PageRoute(APIRoute):
    """A route that takes part only in requests for a page, so that any other is answered as if it did not exist."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if _asks_for_page(scope) else (Match.NONE, {})


router = APIRouter(include_in_schema=False)
pages = APIRouter(include_in_schema=False, route_class=_PageRoute)
"""Included last: its path is every path."""


def read_dashboard(folder: Traversable) -> Dashboard | None:
    """Reads a built dashboard into memory; None if there is none."""
    index, folder = folder / "index.html", folder / "assets"
    if not index.is_file():
        return None
    stored = {file.name: file.read_bytes() for file in folder.iterdir()}
    endings = tuple(_ENCODINGS.values())
    assets = {
        name: Asset(
            mimetypes.guess_type(name)[0] or "application/octet-stream",
            {"": body}
            | {encoding: stored[name + end] for encoding, end in _ENCODINGS.items() if name + end in stored},
        )
        for name, body in stored.items()
        if not name.endswith(endings)
    }
    return Dashboard(index.read_text(encoding="utf-8"), assets)


@cache
def load_dashboard() -> Dashboard | None:
    """Returns the dashboard that was built into this package; None if there is none."""
    return read_dashboard(files("journey_service") / "dashboard")


@router.get("/assets/{name:path}")
async def get_asset(request: Request, name: str) -> Response:
    """Returns a file of the dashboard. Its name has the hash of its content, so it never changes."""
    dashboard = load_dashboard()
    asset = None if dashboard is None else dashboard.assets.get(name)
    if asset is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    accepted = accepted_encodings(request.scope)
    encoding = next((each for each in _ENCODINGS if each in accepted and each in asset.bodies), "")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if encoding:
        headers["Content-Encoding"] = encoding
    return Response(asset.bodies[encoding], media_type=asset.media_type, headers=headers)


@pages.get("/{path:path}")
async def get_page(request: Request, app_state: AppStateDep, path: str) -> Response:
    """Returns the page of the dashboard, or redirects a browser that has not signed in."""
    dashboard = load_dashboard()
    if dashboard is None:
        return page("Dashboard", "Customer journeys", _NOT_BUILT)
    if not await has_session(request, app_state):
        query = request.url.query
        following = own_path(f"/{quote(path)}?{query}" if query else f"/{quote(path)}")
        address = "/sign-in" if following == HOME else f"/sign-in?next={quote(following, safe='/')}"
        return RedirectResponse(address, status_code=HTTPStatus.SEE_OTHER)
    nonce = secrets.token_urlsafe(16)
    return HTMLResponse(
        dashboard.page.replace(_NONCE, nonce), headers={"Content-Security-Policy": _POLICY.format(nonce)}
    )


def _asks_for_page(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path: str = scope["path"]
    if path == HOME:
        return True
    if any(path == reserved or path.startswith(f"{reserved}/") for reserved in RESERVED):
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
