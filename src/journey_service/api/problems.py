"""Errors as RFC 9457 problem details: the only module that maps an error to a status."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from journey_service.api.authentication import record_refused
from journey_service.api.input_errors import ErrorCode, code_of_sentence, describe_error, json_pointer
from journey_service.api.middleware.response_headers import added_headers
from journey_service.api.request_bodies import (
    UnsupportedContentEncodingError,
    UnsupportedMediaTypeError,
    check_media_type,
    media_type,
)
from journey_service.domain import errors
from journey_service.domain.access.rate_limits import RateLimitedError
from journey_service.domain.actions.errors import StaleActionsError, StaleTaskError
from journey_service.domain.companies.errors import CompanyNotFoundError, StaleSettingsError
from journey_service.domain.journeys.errors import StaleVersionError
from journey_service.domain.stages.errors import StaleMapError
from journey_service.logs import safe_fields

CONTENT_TYPE = "application/problem+json"
MAX_ERRORS: Final = 100
"""Errors of the input that a response reports; the first ones."""
RETRY_AFTER_SECONDS: Final = (1, 2, 3)
"""Seconds after which a client may repeat a request that was answered with 503, one of them at random.

Otherwise clients that were refused together would all return together.
"""
_UNAVAILABLE_COUNT: Final = Counter(
    "journey_unavailable_total",
    "Number of requests that were answered with 503 because a resource was short, by the resource",
    ["resource"],
)
RATE_LIMITED_COUNT: Final = Counter(
    "journey_rate_limited_total",
    "Number of requests that were answered with 429, by the rate limit",
    ["limit"],
)
_LOGGER: Final = logging.getLogger(__name__)
RETRY_AFTER_REPAIR_SECONDS: Final = 10
"""The same if the database is full or read-only, which takes an operator longer to repair."""
_NEED_REPAIR: Final = (errors.DatabaseFullError, errors.DatabaseReadOnlyError)


class BodyLimitMiddleware:
    """Middleware that turns the server's plain 413 into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replaces the response to a body over the limit; passes on all others."""
        replaced = False

        async def send_problem(message: Message) -> None:
            nonlocal replaced
            is_start = message["type"] == "http.response.start"
            if is_start and message["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                replaced = True
                problem = _respond(problem_of_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
                await send({**message, "headers": problem.raw_headers})
                await send({"type": "http.response.body", "body": problem.body})
            elif not replaced:
                await send(message)

        await self._app(scope, receive, send_problem)


class FieldError(BaseModel):
    """One error of the input."""

    pointer: str = Field(
        description="JSON pointer (RFC 6901) into the body, empty for the body as a whole; `query/<name>`,"
        " `path/<name>` or `header/<name>` for a parameter",
        examples=["/due_days"],
    )
    detail: str = Field(description="What is wrong, in one sentence", examples=["must be at least 0"])
    code: ErrorCode = Field(
        description="Kind of error, for programs; it never changes. `invalid`: breaks a rule that only `detail`"
        " states. `missing`: is required. `not_allowed`: is not one of the allowed values. `pattern`: does not have"
        " the required format. `repeated`: is given more than once. `too_large`, `too_small`: is a number outside of"
        " its range. `too_long`, `too_short`: is a text or list outside of its length. `type`: has another JSON type."
        " `unknown`: is not a known name or value",
        examples=["too_small"],
    )
    params: dict[str, Any] = Field(
        description="Values of the broken rule, by name. `too_small`: `min` or `min_exclusive`. `too_large`: `max` or"
        " `max_exclusive`; empty for too many digits. `too_short`: `min_length` or `min_items`. `too_long`:"
        " `max_length` or `max_items`. `not_allowed`: `allowed`, a list. `unknown`: `known`, a list, for a query"
        " parameter. Empty for all other codes, and for rules that depend on several values or on stored data",
        examples=[{"min": 0}],
    )


class Problem(BaseModel):
    """Problem details (RFC 9457). Each `type` has a schema of its own and a page that explains it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Kind of problem: the path of a page of this service that explains it")
    title: str = Field(description="The kind of problem in words, the same for every problem of this `type`")
    status: int = Field(description="Status code of the response")
    detail: str = Field(description="What is wrong with this request, in one sentence")
    errors: list[FieldError] | None = Field(
        default=None,
        description="Every error of the input; null or missing unless `type` is `/problems/invalid-input`",
    )


FRAMEWORK_PROBLEMS: Final[Mapping[HTTPStatus, tuple[str, str, str]]] = {
    HTTPStatus.BAD_REQUEST: ("bad-request", "The request is malformed", "The request could not be read."),
    HTTPStatus.NOT_FOUND: ("not-found", "Not found", "There is no resource at this path; see /docs."),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "method-not-allowed",
        "Method not allowed",
        "This path does not support the method; see the Allow header.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "content-too-large",
        "The body is too large",
        "The body is longer than this operation accepts; nothing was changed.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "internal-error",
        "Internal error",
        "The error has been logged; quote the X-Request-Id header when you report it.",
    ),
}
"""Code, title and detail of the problems that do not come from an error of the domain."""

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
    StaleSettingsError: HTTPStatus.PRECONDITION_FAILED,
    StaleActionsError: HTTPStatus.PRECONDITION_FAILED,
    StaleTaskError: HTTPStatus.PRECONDITION_FAILED,
    errors.PreconditionMissingError: HTTPStatus.PRECONDITION_REQUIRED,
    RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    UnsupportedContentEncodingError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}
JSON_BODY: Sequence[type[errors.JourneyServiceError]] = (
    errors.MalformedError,
    UnsupportedContentEncodingError,
    UnsupportedMediaTypeError,
)
"""Errors of a JSON body as a whole."""
KEY_ERRORS: Sequence[type[errors.JourneyServiceError]] = (
    errors.IdempotencyKeyInUseError,
    errors.IdempotencyKeyReusedError,
)
"""Errors of a route that is carried out once for each Idempotency-Key."""
_EVERYWHERE: Sequence[type[errors.JourneyServiceError]] = (
    errors.UnauthenticatedError,
    errors.ForbiddenError,
    errors.InvalidInputError,
    RateLimitedError,
    errors.UnavailableError,
    *_NEED_REPAIR,
)


def status_of(error: type[errors.JourneyServiceError]) -> HTTPStatus:
    """Returns the status of an error: its own, or that of its nearest base class."""
    return next(_STATUS[kind] for kind in error.__mro__ if kind in _STATUS)


def has_status(error: type[errors.JourneyServiceError]) -> bool:
    """Returns whether responses report an error: it, or one of its base classes, has a status."""
    return any(kind in _STATUS for kind in error.__mro__)


def problem_of(error: errors.JourneyServiceError) -> dict[str, Any]:
    """Returns the problem details of an expected error."""
    problem: dict[str, Any] = {
        "type": f"/problems/{error.code}",
        "title": error.title,
        "status": int(status_of(type(error))),
        "detail": str(error),
        **error.context(),
    }
    if isinstance(error, InputError):
        problem["errors"] = error.details
    elif isinstance(error, errors.InvalidInputError):
        problem["errors"] = [
            {
                "pointer": each.pointer,
                "detail": each.message,
                "code": code_of_sentence(each.message),
                "params": {},
            }
            for each in error.errors[:MAX_ERRORS]
        ]
    return problem


class InputError(errors.InvalidInputError):
    """Errors of the input with their codes."""

    def __init__(self, details: Sequence[Mapping[str, Any]]) -> None:
        super().__init__([errors.FieldError(each["pointer"], each["detail"]) for each in details])
        self.details = details


def problems(
    *kinds: type[errors.JourneyServiceError], of_company: bool = True
) -> dict[int | str, dict[str, Any]]:
    """Returns the `responses` of a route that can fail with these errors and with those every route can.

    `of_company` is true for routes within one company, which an operator may name wrongly.
    """
    schemas: dict[int, dict[str, str]] = {}
    if errors.MalformedError in kinds:  # the routes with a body
        code, title, _ = FRAMEWORK_PROBLEMS[HTTPStatus.REQUEST_ENTITY_TOO_LARGE]
        schemas[int(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)] = {code: title}
    for kind in (*kinds, *((CompanyNotFoundError,) if of_company else ()), *_EVERYWHERE):
        schemas.setdefault(int(status_of(kind)), {})[kind.code] = kind.title
    return {
        status: {
            "description": "; ".join(dict.fromkeys(titles.values())),
            "content": {CONTENT_TYPE: _content(list(titles))},
        }
        for status, titles in sorted(schemas.items())
    }


def _content(codes: Sequence[str]) -> dict[str, Any]:
    schemas = {f"/problems/{code}": f"#/components/schemas/{schema_name(code)}" for code in codes}
    references = [{"$ref": reference} for reference in schemas.values()]
    return {
        "schema": references[0]
        if len(references) == 1
        else {"oneOf": references, "discriminator": {"propertyName": "type", "mapping": schemas}},
        "examples": {code: {"$ref": f"#/components/examples/{schema_name(code)}"} for code in codes},
    }


def schema_name(code: str) -> str:
    """Returns the name of the schema of a kind of problem."""
    return f"{''.join(map(str.capitalize, code.split('-')))}Problem"


def install(app: FastAPI) -> None:
    """Registers the handlers that answer every error of the application as a problem."""
    app.add_exception_handler(errors.JourneyServiceError, _on_expected)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unexpected)
    app.add_middleware(BodyLimitMiddleware)


async def _on_expected(request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.JourneyServiceError):
        raise error
    await record_refused(request)
    headers = {}
    if isinstance(error, errors.UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.UnavailableError):
        is_slow = isinstance(error, _NEED_REPAIR)
        delay = RETRY_AFTER_REPAIR_SECONDS if is_slow else secrets.choice(RETRY_AFTER_SECONDS)
        headers["Retry-After"] = str(delay)
        _record_shortage(request, error)
    if isinstance(error, RateLimitedError):
        headers["Retry-After"] = str(error.retry_after)
        RATE_LIMITED_COUNT.labels(error.limit).inc()
    if isinstance(error, UnsupportedContentEncodingError):
        headers["Accept-Encoding"] = "gzip"
    return _respond(problem_of(error), headers)


def _record_shortage(request: Request, error: errors.UnavailableError) -> None:
    """Counts and logs which resource was short; other reasons, such as a missing setting, have their own texts."""
    resource = "other" if error.resource is None else error.resource.value
    _UNAVAILABLE_COUNT.labels(resource).inc()
    company_id = request.scope.get("company_id")
    company = "-" if company_id is None else company_id
    _LOGGER.warning(
        "Unavailable: resource=%s company_id=%s",
        *(resource, company),
        extra=safe_fields(resource=resource, company_id=company_id),
    )


async def _on_invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    await record_refused(request)
    return _respond(problem_of(_input_error(request, error.errors())))


def _input_error(request: Request, found: Sequence[Any]) -> errors.JourneyServiceError:
    """Returns the error for what FastAPI found wrong with a request."""
    for each in found:
        if each["loc"] == ("body",) and isinstance(each["input"], bytes):  # not declared as JSON
            try:
                check_media_type(media_type(request))
            except UnsupportedMediaTypeError as error:
                return error
    details = {}
    for each in found[:MAX_ERRORS]:
        pointer, (code, detail, params) = json_pointer(each["loc"]), describe_error(each)
        details[pointer, detail] = {"pointer": pointer, "detail": detail, "code": code, "params": params}
    return InputError(list(details.values()))


async def _on_http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _respond(problem_of_status(HTTPStatus(error.status_code)), error.headers)


async def _on_unexpected(request: Request, _: Exception) -> Response:
    # The traceback is logged; the caller learns nothing of it. The server closes the connection after an error that
    # reaches it: without the header, a client would send its next request on it, and lose it.
    headers = {**added_headers(request.scope), "connection": "close"}
    return _respond(problem_of_status(HTTPStatus.INTERNAL_SERVER_ERROR), headers)


def respond_status(status: HTTPStatus, headers: Mapping[str, str]) -> Response:
    """Returns the problem of a status that no error of the domain has, as a response."""
    return _respond(problem_of_status(status), headers)


def problem_of_status(status: HTTPStatus) -> dict[str, Any]:
    """Returns the problem details of a status that no error of the domain has."""
    fallback = FRAMEWORK_PROBLEMS[HTTPStatus.BAD_REQUEST]
    code, title, detail = FRAMEWORK_PROBLEMS.get(status, fallback)
    return {"type": f"/problems/{code}", "title": title, "status": int(status), "detail": detail}


def _respond(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(problem),
        status_code=problem["status"],
        headers=None if headers is None else dict(headers),
        media_type=CONTENT_TYPE,
    )
