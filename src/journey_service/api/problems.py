"""Errors as RFC 9457 problem details: the only module that maps an error to a status."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
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
from journey_service.domain.actions.errors import StaleActionsError, StaleTaskError
from journey_service.domain.companies.errors import CompanyNotFoundError, StaleSettingsError
from journey_service.domain.journeys.errors import StaleVersionError
from journey_service.domain.stages.errors import StaleMapError

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 1
"""Seconds after which a client may repeat a request that was answered with 503."""


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
                problem = _respond(_problem_of_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
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
_EVERYWHERE: Sequence[type[errors.JourneyServiceError]] = (
    errors.UnauthenticatedError,
    errors.ForbiddenError,
    errors.InvalidInputError,
    errors.UnavailableError,
)
_SAMPLE_ERRORS: Final[Mapping[type[errors.JourneyServiceError], errors.JourneyServiceError]] = {
    errors.UnauthenticatedError: errors.UnauthenticatedError("The credential is not valid."),
    errors.ForbiddenError: errors.ForbiddenError("The credential lacks the scope 'customers:write'."),
    errors.MalformedError: errors.MalformedError(
        "The body is not JSON: unexpected character at byte 17.", offset=17
    ),
    errors.UnavailableError: errors.UnavailableError(),
}
_SAMPLE_INPUT_ERRORS: Final[Sequence[Mapping[str, Any]]] = (
    {"pointer": "/due_days", "detail": "must be at least 0", "code": "too_small", "params": {"min": 0}},
)
_SAMPLE_ARGUMENTS: Final[Mapping[str, Any]] = {
    "currency": "EUR",
    "action_id": "9b2d4c1e-6f0a-4f57-9d1c-3f6a2b8e7c55",
    "campaign_id": 12,
    "changed": {"assignee": "ben"},
    "company_id": 42,
    "current": 4,
    "customer_id": 4711,
    "customers": {"regular": 12},
    "encoding": "br",
    "endpoint_id": 3,
    "event_id": "appt-1001-completed",
    "events": ["action.sms"],
    "import_id": 12,
    "job_id": 12,
    "key": "regular",
    "key_id": "0123456789abcdef",
    "language": "de",
    "media": "text/plain",
    "reason": "completed",
    "source": "booking",
    "source_id": "42-0123456789abcdef",
    "stage": "regular",
    "stage_key": "regular",
    "stages": ["regular"],
    "state": "pending",
    "status": "done",
    "task_id": 12,
    "template_id": 5,
    "version": 3,
}
"""Arguments of errors in examples, by the name of the parameter."""
_CONTEXT_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "changed": {
        "type": "object",
        "additionalProperties": True,
        "description": "Current values of the fields that have changed since the version in If-Match, by name",
    },
    "current_version": {
        "type": "integer",
        "description": "Current version: read the resource again, then send this version as If-Match",
    },
    "customers": {
        "type": "object",
        "additionalProperties": {"type": "integer"},
        "description": "Number of customers in each stage to be archived, by the key of the stage",
    },
    "offset": {"type": "integer", "description": "Byte of the body at which reading stopped"},
}
"""Schemas of the fields that single kinds of problems add."""


def status_of(error: type[errors.JourneyServiceError]) -> HTTPStatus:
    """Returns the status of an error: its own, or that of its nearest base class."""
    return next(_STATUS[kind] for kind in error.__mro__ if kind in _STATUS)


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
            for each in error.errors
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


def all_kinds() -> dict[str, dict[str, Any]]:
    """Returns an example of every kind of problem that the API can answer, by its code."""
    found: dict[str, type[errors.JourneyServiceError]] = {}
    for kind in _subclasses(errors.JourneyServiceError):
        if kind.code != errors.JourneyServiceError.code and any(base in _STATUS for base in kind.__mro__):
            found.setdefault(kind.code, kind)
    examples = {code: problem_of(_sample(kind)) for code, kind in found.items()}
    examples |= {code: _problem_of_status(status) for status, (code, *_) in FRAMEWORK_PROBLEMS.items()}
    return dict(sorted(examples.items()))


def problem_schema(code: str, example: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the schema of a kind of problem: that of Problem with a constant `type` and `status`."""
    properties = {name: value for name, value in base["properties"].items() if name != "errors"}
    for name in ("type", "status"):
        properties[name] = {**properties[name], "const": example[name]}
    properties["title"] = {**properties["title"], "examples": [example["title"]]}
    if "errors" in example:
        reference = {"$ref": "#/components/schemas/FieldError"}
        properties["errors"] = {
            "type": "array",
            "items": reference,
            "description": "Every error of the input",
        }
    properties |= {name: dict(_CONTEXT_FIELDS[name]) for name in example if name in _CONTEXT_FIELDS}
    return {
        "type": "object",
        "title": schema_name(code),
        "description": f"{example['title']}. See `/problems/{code}`.",
        "properties": properties,
        "required": [name for name in properties if name != "offset"],
    }


def _subclasses(kind: type[errors.JourneyServiceError]) -> Iterable[type[errors.JourneyServiceError]]:
    for inner in kind.__subclasses__():
        yield inner
        yield from _subclasses(inner)


def _sample(kind: type[errors.JourneyServiceError]) -> errors.JourneyServiceError:
    if kind is errors.InvalidInputError:
        return InputError(list(_SAMPLE_INPUT_ERRORS))
    if kind in _SAMPLE_ERRORS:
        return _SAMPLE_ERRORS[kind]
    parameters = inspect.signature(kind).parameters.values()
    return kind(
        **{
            each.name: _SAMPLE_ARGUMENTS[each.name]
            for each in parameters
            if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        }
    )


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
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(error, UnsupportedContentEncodingError):
        headers["Accept-Encoding"] = "gzip"
    return _respond(problem_of(error), headers)


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
    for each in found:
        pointer, (code, detail, params) = json_pointer(each["loc"]), describe_error(each)
        details[pointer, detail] = {"pointer": pointer, "detail": detail, "code": code, "params": params}
    return InputError(list(details.values()))


async def _on_http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _respond(_problem_of_status(HTTPStatus(error.status_code)), error.headers)


async def _on_unexpected(request: Request, _: Exception) -> Response:
    # The traceback is logged; the caller learns nothing of it.
    return _respond(_problem_of_status(HTTPStatus.INTERNAL_SERVER_ERROR), added_headers(request.scope))


def _problem_of_status(status: HTTPStatus) -> dict[str, Any]:
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
