"""Links in mails: a page that asks whether somebody wants no more of them, and what believes them."""

import html
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from journey_service.api.authentication import actor_of
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.html_pages import fault, page
from journey_service.api.problems import problems
from journey_service.domain.actions.errors import LinkNotValidError
from journey_service.services.actions import unsubscribe as unsubscribing
from journey_service.services.actions.unsubscribe import Unsubscription

router = APIRouter(prefix="/api/v1/unsubscribe", tags=["unsubscribing"])

Token = Annotated[str, Path(max_length=100, description="what the link ends with: it says for whom it is")]

_TITLE: Final = "Unsubscribe"
_NOT_FOUND: Final = 404
# To the very address of the page: a form without one posts there.
_FORM: Final = """<form method="post"><button autofocus>Unsubscribe</button></form>"""


def _responses() -> dict[int | str, dict[str, Any]]:
    """Whoever asks for a page is shown one also where there is nothing; everybody is let in who has the link."""
    told = problems(LinkNotValidError, of_company=False)
    told[_NOT_FOUND]["content"] |= {"text/html": {}}
    return {status: answer for status, answer in told.items() if status not in (401, 403)}


@router.get(
    "/{token}",
    summary="Ask whether somebody wants no more mails",
    response_class=HTMLResponse,
    responses=_responses(),
)
async def get_unsubscription(token: Token, request: Request, app_state: AppStateDep) -> Response:
    """A page with a button. Nothing is changed: programs open links too."""
    return await _answered(request, app_state, token)


@router.post(
    "/{token}",
    summary="Send somebody no more mails",
    response_class=HTMLResponse,
    responses=_responses(),
)
async def post_unsubscription(token: Token, request: Request, app_state: AppStateDep) -> Response:
    """Withdraw the consent that the link is about, as the page's button does, or a mail program's (RFC 8058).

    Whatever the body says: the link is all it takes, from wherever. Once more changes nothing.
    """
    return await _answered(request, app_state, token)


async def _answered(request: Request, app_state: AppState, token: str) -> Response:
    try:
        if request.method == "POST":
            by = actor_of(request, unsubscribing.SOURCE)
            found = await unsubscribing.withdraw(app_state.database, token, address=by.address)
        else:
            found = await unsubscribing.look_at(app_state.database, token)
    except LinkNotValidError as error:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        return page(_TITLE, _TITLE, fault(str(error)), status=_NOT_FOUND)
    return page(_TITLE, found.company_name, _told(found))


def _told(found: Unsubscription) -> str:
    name = html.escape(found.company_name)
    if found.is_done:
        return f"<p>You are unsubscribed: {name} sends you no more emails like this.</p>"
    return f"<p>Do you want no more emails like this from {name}?</p>{_FORM}"
