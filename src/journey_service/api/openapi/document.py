"""The OpenAPI 3.1 document: every operation with its examples and problems, and the outgoing messages."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from journey_service.api.actions.stream_messages import STREAM_MESSAGES
from journey_service.api.actions.webhook_messages import MESSAGES, MessageKind
from journey_service.api.dependencies import REQUIRED
from journey_service.api.events.events import EVENT_SCHEMAS
from journey_service.api.openapi.enum_values import describe_enums
from journey_service.api.openapi.example_overrides import REQUESTS, RESPONSES, merge
from journey_service.api.openapi.examples import ExampleComposer
from journey_service.api.openapi.limit_headers import HEADERS, add_limit_headers
from journey_service.api.operations.problem_kinds import all_kinds, problem_schema
from journey_service.api.problems import CONTENT_TYPE, FieldError, Problem, schema_name

DESCRIPTION: Final = """
Other services report what happens to a customer. This service keeps each customer in the right stage, moves
customers by rules and with the passing of time, and records the reasons.

**Stages.** A stage is a progress stage or a risk stage. The first and the last risk stage of a stage map are the active
risk stages with the lowest and the highest `order`; likewise for progress stages. The current stage map is the version
that was activated last.

**Authentication.** Every operation needs a credential that holds the scope of the operation:
`Authorization: Bearer` with an API key (`jrn_...`) or an OIDC access token, or the session cookie of a browser.

**Company.** The credential determines the company. An operator chooses a company with the header `X-Company-Id` and may
give the reason in `X-Reason` (at most 255 printable ASCII characters), which is stored in the company's audit log.
An operator's browser session chooses a company with `PUT /session/company`.
Resources of another company are answered with 404, like resources that do not exist.

**Values.** Times in responses are RFC 3339 in UTC, written with `Z`; requests may use any offset. Most times are those
of the company, which a test clock can hold; a field in real time says so. Amounts of money are
in the company's currency and have at most its decimals. Scores and rates have at most two and four decimals.

**Ids.** The caller chooses the ids of customers: in requests they are whole numbers from 0 to 2^52 - 1. The id of an
erased customer is negative. All other numeric ids are whole numbers from 1 to 2^53 - 1.

**Errors.** Errors are problem details (RFC 9457). Each `type` is the path of a page of this service that explains the
problem. A 422 lists every error of the input with its pointer. Unknown fields and unknown query parameters are errors.

**Lists.** Lists are paged: pass `next_cursor` as `cursor` to read the next page. A filter with a set of allowed values
may be repeated, such as `stage=a&stage=b`.
"""
TAGS: Final[Mapping[str, str]] = {
    "events": "Ingest events of customers: one, or a batch.",
    "imports": "Import files of past events and follow their progress.",
    "sources": "Connect other systems: their webhooks become events.",
    "customers": "Profiles and consents of customers, and the list of customers.",
    "privacy": "Export and anonymize a customer's data.",
    "journeys": "A customer's stage, transitions, scores and their explanation; manual moves and pins.",
    "stages": "The stage map: its stages and rules, its actions, versions, previews and back-tests.",
    "templates": "Texts of emails, text messages and offers.",
    "tasks": "Tasks for the company's staff: calls and other work that actions create.",
    "campaigns": "Series of actions for one customer.",
    "actions": "The delivery log of actions, and manual actions.",
    "webhooks": "Endpoints that receive signed messages, and the messages that the service sends to them.",
    "stream": "Outbound events as server-sent events.",
    "unsubscribe": "Pages behind the unsubscribe links of emails.",
    "analytics": "Reports over stages, transitions, revenue and risk, and the customers behind each number.",
    "portal": "Responses in the format of the guide's own dashboard components.",
    "settings": "The company's settings: scoring, consent, quiet hours, retention.",
    "sessions": "Browser sessions.",
    "API keys": "API keys of the caller's company.",
    "audit": "The audit log of privileged operations.",
    "operations": "Jobs, schedule, health, data quality and test clocks.",
    "operators": "Companies and their API keys, for operators of the service.",
    "health": "Liveness and readiness of the process.",
}
"""Tags in the order of the documentation, with their descriptions."""
_JSON: Final = "application/json"


def install(app: FastAPI) -> None:
    """Lets the application publish the document of `describe`."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI wants it


def describe(app: FastAPI) -> dict[str, Any]:
    """Returns the OpenAPI document of the application."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        separate_input_output_schemas=app.separate_input_output_schemas,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _add_models(schemas)
    _add_problems(components)
    document["webhooks"] = {message.event_type: {"post": _webhook(message)} for message in MESSAGES}
    describe_enums(schemas)
    for schema in schemas.values():
        _simplify_fields(schema)
    _use_whole_limits(document)
    composer = ExampleComposer(schemas)
    for operation in _operations(document):
        _describe_tags(operation)
        _complete_parameters(operation)
        _add_examples(operation, composer)
    components["headers"] = dict(HEADERS)
    for operation in _operations(document):
        add_limit_headers(operation)
    return document


def _add_models(schemas: dict[str, Any]) -> None:
    """Adds the schemas of models that are not the type of a parameter or a response."""
    models: tuple[type[BaseModel], ...] = (
        *EVENT_SCHEMAS,
        Problem,
        FieldError,
        *(message.payload for message in MESSAGES),
        *STREAM_MESSAGES.values(),
    )
    _, extra = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas.update(extra["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


def _add_problems(components: dict[str, Any]) -> None:
    """Adds a schema and an example for each kind of problem."""
    schemas = components["schemas"]
    base = schemas["Problem"]
    examples = components.setdefault("examples", {})
    for code, example in all_kinds().items():
        schemas[schema_name(code)] = problem_schema(code, example, base)
        examples[schema_name(code)] = {"summary": example["title"], "value": example}


def _webhook(message: MessageKind) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{message.payload.__name__}"}
    return {
        "tags": ["webhooks"],
        "operationId": f"receive_{message.event_type.replace('.', '_')}",
        "summary": message.summary,
        "description": message.description,
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in _WEBHOOK_HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {_JSON: {"schema": reference}}},
        "responses": {
            "2XX": {"description": "The message was received"},
            "default": {"description": "The message was not received; it is sent again later"},
        },
    }


_WEBHOOK_HEADERS: Final = {
    "webhook-id": "Id of the message, the same for every attempt",
    "webhook-timestamp": "Time of the attempt in seconds since 1970",
    "webhook-signature": "Signatures of id, timestamp and body, as in Standard Webhooks 1.0",
}


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for paths in (document["paths"], document["webhooks"]):
        for methods in paths.values():
            yield from methods.values()


def _simplify_fields(schema: dict[str, Any]) -> None:
    """Removes titles that pydantic derives from the names of fields, and defaults that are null."""
    for inner in schema.get("properties", {}).values():
        inner.pop("title", None)
        if inner.get("default", "") is None:
            del inner["default"]
        for variant in (inner, *inner.get("anyOf", ()), inner.get("items", {})):
            _simplify_fields(variant)


def _use_whole_limits(part: object) -> None:
    """Writes whole limits without a fraction: FastAPI turns 1 into 1.0."""
    if isinstance(part, dict):
        for name in ("minimum", "maximum"):
            limit = part.get(name)
            if isinstance(limit, float) and limit.is_integer():
                part[name] = int(limit)
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _use_whole_limits(inner)


def _describe_tags(operation: dict[str, Any]) -> None:
    """Adds If-None-Match and ETag to an operation that answers 304."""
    responses = operation["responses"]
    if "304" not in responses:
        return
    tag = {
        "description": "Identifies what the response contains",
        "schema": {"type": "string"},
        "example": 'W/"9f86d081884c7d65"',
    }
    for status in ("200", "304"):
        responses[status]["headers"] = {**responses[status].get("headers", {}), "ETag": tag}
    operation.setdefault("parameters", []).append(
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "`ETag` of an earlier response: if the resource is still the same, the response is 304"
            " without a body",
            "schema": {"type": "string"},
            "examples": {"etag": {"summary": "An ETag", "value": 'W/"9f86d081884c7d65"'}},
        }
    )


def _complete_parameters(operation: dict[str, Any]) -> None:
    """Removes null, which a parameter cannot be; marks the headers that the route requires in its code."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        variants = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
        if len(variants) == 1:
            schema = {**{key: value for key, value in schema.items() if key != "anyOf"}, **variants[0]}
        if REQUIRED in schema:
            parameter["required"] = True
        parameter["schema"] = {
            key: value for key, value in schema.items() if key not in ("title", "description", REQUIRED)
        }


def _add_examples(operation: dict[str, Any], composer: ExampleComposer) -> None:
    id_ = operation["operationId"]
    body = operation.get("requestBody")
    if body is not None:
        for media, content in body["content"].items():
            _add_example(media, content, composer, operation["summary"], REQUESTS.get(id_))
    for status, response in operation["responses"].items():
        if response["description"] == "Successful Response":
            response["description"] = HTTPStatus(int(status)).phrase
        for media, content in response.get("content", {}).items():
            if media != CONTENT_TYPE:
                override = RESPONSES.get((id_, int(status)))
                _add_example(media, content, composer, response["description"], override)


def _add_example(
    media: str,
    content: dict[str, Any],
    composer: ExampleComposer,
    summary: str,
    override: Mapping[str, Any] | None,
) -> None:
    row = content.pop("x-row-schema", None)
    if "examples" in content or "example" in content:
        return
    if row is not None:
        value: Any = composer.table(row)
    elif media.endswith("json") and "schema" in content:
        content["schema"].pop("title", None)
        value = composer.compose(content["schema"])
        if override is not None:
            value = merge(value, override)
    else:
        return
    content["examples"] = {"example": {"summary": summary, "value": value}}
