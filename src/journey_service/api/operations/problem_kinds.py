"""Every kind of problem that the API answers, with an example and a schema."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from journey_service.api.problems import (
    FRAMEWORK_PROBLEMS,
    InputError,
    has_status,
    problem_of,
    problem_of_status,
    schema_name,
)
from journey_service.domain import errors
from journey_service.domain.access.rate_limits import RateLimitedError

_SAMPLE_ERRORS: Final[Mapping[type[errors.JourneyServiceError], errors.JourneyServiceError]] = {
    errors.UnauthenticatedError: errors.UnauthenticatedError("The credential is not valid."),
    errors.ForbiddenError: errors.ForbiddenError("The credential lacks the scope 'customers:write'."),
    errors.MalformedError: errors.MalformedError(
        "The body is not JSON: unexpected character at byte 17.", offset=17
    ),
    RateLimitedError: RateLimitedError("key"),
    errors.UnavailableError: errors.UnavailableError(
        "All database connections are in use. Try again in a few seconds.",
        resource=errors.Resource.POOL,
    ),
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
    "survivor_id": 4712,
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
    "merged_into": {"type": "integer", "description": "Id of the customer that it was merged into"},
    "offset": {"type": "integer", "description": "Byte of the body at which reading stopped"},
    "resource": {
        "type": "string",
        "description": "Resource that is lacking, if it is known. `database`: no connection to the database."
        " `connections`: no free connection. `disk`: its disk. `memory`: memory of its server. `writes`: it is"
        " read-only. `locks`: other transactions keep the data locked. `time`: a time limit has passed. `schema`: it is"
        " not migrated. Others may be added",
    },
}
"""Schemas of the fields that single kinds of problems add."""
_OPTIONAL_FIELDS: Final = ("offset", "resource")


def all_kinds() -> dict[str, dict[str, Any]]:
    """Returns an example of every kind of problem that the API can answer, by its code."""
    found: dict[str, type[errors.JourneyServiceError]] = {}
    for kind in _subclasses(errors.JourneyServiceError):
        if kind.code != errors.JourneyServiceError.code and has_status(kind):
            found.setdefault(kind.code, kind)
    examples = {code: problem_of(_sample(kind)) for code, kind in found.items()}
    examples |= {code: problem_of_status(status) for status, (code, *_) in FRAMEWORK_PROBLEMS.items()}
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
        "required": [name for name in properties if name not in _OPTIONAL_FIELDS],
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
