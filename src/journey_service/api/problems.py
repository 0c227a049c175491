"""Errors as RFC 9457 problem details: the only file that knows which error is which status."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from journey_service.api.authentication import note_refused
from journey_service.api.headers import added_headers
from journey_service.api.request_bodies import UnsupportedMediaTypeError, media_type, read_json
from journey_service.domain import errors
from journey_service.domain.actions.errors import StaleActionsError
from journey_service.domain.companies.errors import CompanyNotFoundError, StalePolicyError
from journey_service.domain.journeys.errors import StaleVersionError
from journey_service.domain.stages.errors import StaleMapError

CONTENT_TYPE = "application/problem+json"


class TooLargeAsProblem:
    """Gives the server's plain 413 the form of every other error."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, but for the answer to a body over the limit."""
        replaced = False

        async def send_problem(message: Message) -> None:
            nonlocal replaced
            is_start = message["type"] == "http.response.start"
            if is_start and message["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                replaced = True
                problem = _answer(_TOO_LARGE)
                await send({**message, "headers": problem.raw_headers})
                await send({"type": "http.response.body", "body": problem.body})
            elif not replaced:
                await send(message)

        await self._app(scope, receive, send_problem)


class FieldError(BaseModel):
    """One thing wrong with the input."""

    pointer: str = Field(
        description="JSON pointer into the body, or a line or parameter", examples=["/data/total_amount"]
    )
    detail: str


class Problem(BaseModel):
    """What went wrong, in the form of RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/customer-not-found"])
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = Field(default=None, description="with 422: every fault and its place")


_TOO_LARGE: Mapping[str, Any] = {
    "type": "/problems/content-too-large",
    "title": "The body is too large",
    "status": int(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    "detail": "The body is longer than this route takes; nothing was changed.",
}
_STATUS: Mapping[type[errors.JourneyServiceError], HTTPStatus] = {
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.ConflictError: HTTPStatus.CONFLICT,
    errors.ForbiddenError: HTTPStatus.FORBIDDEN,
    errors.UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    errors.InvalidInputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.MalformedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    StaleVersionError: HTTPStatus.PRECONDITION_FAILED,
    StaleMapError: HTTPStatus.PRECONDITION_FAILED,
    StalePolicyError: HTTPStatus.PRECONDITION_FAILED,
    StaleActionsError: HTTPStatus.PRECONDITION_FAILED,
    errors.PreconditionMissingError: HTTPStatus.PRECONDITION_REQUIRED,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}
JSON_BODY: Sequence[type[errors.JourneyServiceError]] = (errors.MalformedError, UnsupportedMediaTypeError)
"""What can be wrong with a JSON body as a whole."""
_EVERYWHERE: Sequence[type[errors.JourneyServiceError]] = (
    errors.UnauthenticatedError,
    errors.ForbiddenError,
    errors.InvalidInputError,
    errors.UnavailableError,
)


def status_of(error: type[errors.JourneyServiceError]) -> HTTPStatus:
    """The status an error is answered with: its own, or that of the nearest kind it is of."""
    return next(_STATUS[kind] for kind in error.__mro__ if kind in _STATUS)


def problem_of(error: errors.JourneyServiceError) -> dict[str, Any]:
    """The problem details of an expected error."""
    problem: dict[str, Any] = {
        "type": f"/problems/{error.code}",
        "title": error.title,
        "status": int(status_of(type(error))),
        "detail": str(error),
        **error.context(),
    }
    if isinstance(error, errors.InvalidInputError):
        problem["errors"] = [{"pointer": fault.pointer, "detail": fault.message} for fault in error.errors]
    return problem


def problems(
    *kinds: type[errors.JourneyServiceError], of_company: bool = True
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with these errors, and with those every route can.

    `of_company` says that the route works within one company, which an operator may name wrongly.
    """
    by_status: dict[int, list[str]] = {}
    if errors.MalformedError in kinds:  # the routes with a body
        by_status[int(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)] = [_TOO_LARGE["title"]]
    for kind in (*kinds, *((CompanyNotFoundError,) if of_company else ()), *_EVERYWHERE):
        by_status.setdefault(int(status_of(kind)), []).append(kind.title)
    return {
        status: {
            "description": "; ".join(dict.fromkeys(titles)),
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, titles in sorted(by_status.items())
    }


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""
    app.add_exception_handler(errors.JourneyServiceError, _on_expected)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unexpected)
    app.add_middleware(TooLargeAsProblem)


async def _on_expected(request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.JourneyServiceError):
        raise error
    await note_refused(request)
    headers = {}
    if isinstance(error, errors.UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.UnavailableError):
        headers["Retry-After"] = "1"
    return _answer(problem_of(error), headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    await note_refused(request)
    return _answer(problem_of(_invalid(request, error.errors())))


def _invalid(request: Request, found: Sequence[Any]) -> errors.JourneyServiceError:
    """What FastAPI has found wrong, in the words of every other error."""
    for fault in found:
        if fault["loc"] == ("body",) and isinstance(fault["input"], bytes):  # it could not be read
            try:
                read_json(fault["input"], media_type(request))
            except (UnsupportedMediaTypeError, errors.MalformedError) as error:
                return error
    return errors.InvalidInputError(
        [
            errors.FieldError(_pointer(fault["loc"]), fault["msg"].removeprefix("Value error, "))
            for fault in found
        ]
    )


async def _on_http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "-")
    problem = {
        "type": f"/problems/{code}",
        "title": phrase,
        "status": error.status_code,
        "detail": str(error.detail),
    }
    return _answer(problem, error.headers)


async def _on_unexpected(request: Request, _: Exception) -> Response:
    # The server logs the traceback; the caller learns nothing of the inside.
    return _answer(
        {
            "type": "/problems/internal-error",
            "title": "Something went wrong on our side",
            "status": 500,
            "detail": "The error has been noted. Nothing was changed.",
        },
        added_headers(request.scope),
    )


def _answer(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(problem),
        status_code=problem["status"],
        headers=None if headers is None else dict(headers),
        media_type=CONTENT_TYPE,
    )


def _pointer(place: Sequence[int | str]) -> str:
    where, *path = [step for step in place if step != "[key]"]  # the key itself is at fault
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
    return pointer if where == "body" else f"{where}{pointer}"
