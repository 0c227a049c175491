"""Pages behind the unsubscribe links of emails."""

import html
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from journey_service.api.authentication import actor_of, sign_in_attempt
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.html_pages import error_paragraph, page
from journey_service.api.problems import problems
from journey_service.domain.actions.errors import InvalidLinkError
from journey_service.domain.customers.consents import BY_LINK
from journey_service.services.actions import unsubscribe as unsubscribing
from journey_service.services.actions.unsubscribe import Unsubscription

router = APIRouter(prefix="/api/v1/unsubscribe", tags=["unsubscribe"])

TokenPath = Annotated[
    str,
    Path(
        max_length=100,
        description="Signed token of the link",
        examples=["42.4711.email.k3JwbWvT0Zq1x8sYc2hLdA"],
    ),
]

_TITLE: Final = "Unsubscribe"
_OK: Final = 200
_NOT_FOUND: Final = 404
# A form without an address posts to the address of its page.
_FORM: Final = """<form method="post"><button autofocus>Unsubscribe</button></form>"""


def _responses(example: str) -> dict[int | str, dict[str, Any]]:
    """Returns the responses of a route: no credential is needed, and browsers get a page for an invalid link.

    `example` is the text of the page.
    """
    responses = problems(InvalidLinkError, of_company=False)
    examples = {"example": {"summary": "The page, shortened", "value": f"<h1>Salon Lumière</h1>{example}"}}
    content = {"text/html": {"schema": {"type": "string", "description": "A page"}, "examples": examples}}
    responses[_OK] = {"description": "A page", "content": content}
    responses[_NOT_FOUND]["content"] |= {"text/html": {}}
    return {status: response for status, response in responses.items() if status not in (401, 403)}


@router.get(
    "/{token}",
    summary="Show the unsubscribe page",
    response_class=HTMLResponse,
    responses=_responses("<p>Stop receiving these emails from Salon Lumière?</p>"),
)
async def show_unsubscribe_page(token: TokenPath, request: Request, app_state: AppStateDep) -> Response:
    """Returns a page with a button. Nothing is changed, because mail programs open links without the reader."""
    return await _respond(request, app_state, token)


@router.post(
    "/{token}",
    summary="Unsubscribe from emails",
    response_class=HTMLResponse,
    responses=_responses("<p>You are unsubscribed.</p>"),
)
async def unsubscribe(token: TokenPath, request: Request, app_state: AppStateDep) -> Response:
    """Withdraws the consent that the link names. The body is ignored, as RFC 8058 requires.

    Repeating the request changes nothing.
    """
    return await _respond(request, app_state, token)


async def _respond(request: Request, app_state: AppState, token: str) -> Response:
    try:
        if request.method == "POST":
            by = actor_of(request, BY_LINK)
            attempt = unsubscribing.withdraw(app_state.database, token, address=by.address)
        else:
            attempt = unsubscribing.look_at(app_state.database, token)
        unsubscription = await sign_in_attempt(request, app_state, attempt, "unsubscribe")
    except InvalidLinkError as error:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        return page(_TITLE, _TITLE, error_paragraph(str(error)), status=_NOT_FOUND)
    return page(_TITLE, unsubscription.company_name, _text(unsubscription))


def _text(unsubscription: Unsubscription) -> str:
    name = html.escape(unsubscription.company_name)
    if unsubscription.is_done:
        return f"<p>You are unsubscribed. {name} will not send you these emails any more.</p>"
    return f"<p>Stop receiving these emails from {name}?</p>{_FORM}"
