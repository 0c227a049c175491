"""The published contract: what it promises is what is served, and all of it."""

import asyncio
import json
import re
from pathlib import Path

import httpx
import orjson
import pytest
from fastapi import FastAPI, Request
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.calls import API, JSON, PROBLEM, event, problem
from api.contract import Contract
from api.published import published
from journey_service.api.events.schemas.events import Event
from journey_service.api.openapi.documentation import PublishedDocument
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import EVENT_TYPES, NO_CUSTOMER_ID
from journey_service.domain.events.parsing import parse_event
from journey_service.domain.events.values import find_json_error
from journey_service.main import create_app
from journey_service.settings import placeholder_settings
from profiles import examples

PUBLISHED = Path(__file__).parents[2] / "openapi" / "openapi.json"
UNREACHABLE = placeholder_settings()
DOCUMENT = published()
OPEN = {"get_liveness", "get_readiness", "show_unsubscribe_page", "unsubscribe", "ingest_source_event"}
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    operation["operationId"]: operation for path in DOCUMENT["paths"].values() for operation in path.values()
}


# ---- the document


def test_the_published_copy_is_the_contract():
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == DOCUMENT


async def test_the_contract_is_served(http):
    answer = await http.get("/openapi.json")

    assert answer.headers["content-type"] == JSON
    assert answer.json() == DOCUMENT


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_a_document_is_sent_compressed_and_only_if_the_client_lacks_it(http, path):
    plain = await http.get(path, headers={"Accept-Encoding": "identity"})
    packed = await http.get(path, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 1.5
    etag = plain.headers["etag"]
    assert packed.headers["etag"] == etag
    for known in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        again = await http.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        assert again.headers["vary"] == "Accept-Encoding"
        assert again.headers["cache-control"] == "no-cache"
    assert (await http.get(path, headers={"If-None-Match": '"other"'})).content == plain.content


async def test_a_document_is_built_once_however_many_ask_for_it_at_the_same_time():
    built = []
    document = PublishedDocument(lambda: built.append(1) or b"{}", "application/json")
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})

    answers = await asyncio.gather(*(document.respond(request) for _ in range(20)))

    assert {answer.body for answer in answers} == {b"{}"}
    assert built == [1]


def test_it_is_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"]
    assert DOCUMENT["info"]["description"].strip()


# A request that states all that it changes, or changes nothing, need not name the version that was read.
UNSEEN = {
    "update_company",
    *(
        "update_stage",
        "archive_stage",
        "lint_stage_map",
        "preview_stage_map",
        "start_backtest",
        "replace_settings",
    ),
    *("replace_stage_actions", "reset_stage_actions"),
}


def test_every_operation_has_a_unique_id_and_a_description():
    ids = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()]

    assert len(set(ids)) == len(ids) > 20
    for operation in OPERATIONS.values():
        assert re.fullmatch("[a-z_]+", operation["operationId"])
        assert operation["summary"]
        assert operation["tags"]
        assert operation["description"]


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - OPEN))
def test_every_operation_lists_the_problems_it_can_answer(operation):
    values = OPERATIONS[operation]
    problems = {status: answer for status, answer in values["responses"].items() if status >= "400"}

    assert {"401", "403", "422", "429", "503"} <= problems.keys()
    for status, answer in problems.items():
        (content,) = answer["content"].values()
        assert answer["content"].keys() == {PROBLEM}
        assert answer["description"]
        for schema in _problem_schemas(content["schema"]):
            assert schema["properties"]["status"]["const"] == int(status)
    assert ("requestBody" in values) == ("413" in problems)
    assert ("requestBody" in values) == ("415" in problems)
    assert ("If-Match" in _headers(values)) == ("412" in problems)
    assert ("428" in problems) == ("412" in problems and operation not in UNSEEN)
    (key, session) = values["security"]
    assert key.keys() == {"key"}
    assert session == {"session": key["key"]}
    assert len(key["key"]) == 1


def _problem_schemas(schema):
    """The schema of each type of problem that a response can have."""
    references = [variant["$ref"] for variant in schema.get("oneOf", [schema])]
    return [SCHEMAS[reference.rpartition("/")[2]] for reference in references]


def _headers(operation):
    return {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}


def test_only_probes_links_in_mails_and_signed_webhooks_need_no_credential():
    assert {id_ for id_, operation in OPERATIONS.items() if "security" not in operation} == OPEN


def test_every_type_of_problem_has_a_schema_and_none_is_the_framework_s():
    text = json.dumps(DOCUMENT)

    assert "HTTPValidationError" not in text
    assert '"ValidationError"' not in text
    problems = {name: schema for name, schema in SCHEMAS.items() if name.endswith("Problem")}
    assert problems.pop("Problem")["properties"].keys() == {"type", "title", "status", "detail", "errors"}
    assert len(problems) > 30
    for name, schema in problems.items():
        assert {"type", "title", "status", "detail"} <= set(schema["required"])
        assert schema["properties"]["type"]["const"].startswith("/problems/")
        assert ("errors" in schema["properties"]) == (name == "InvalidInputProblem")
        assert DOCUMENT["components"]["examples"][name]["value"].keys() == schema["properties"].keys()


def test_every_reference_leads_somewhere_and_every_schema_is_referred_to():
    text = json.dumps(DOCUMENT)
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', text))

    # Some problems can be the answer to any request: to a path that does not exist, for example.
    of_any_request = {
        "BadRequestProblem",
        "InternalErrorProblem",
        "MethodNotAllowedProblem",
        "NotFoundProblem",
    }
    assert referred | of_any_request == SCHEMAS.keys()


def test_the_headers_of_operators_are_described_once_and_idempotency_keys_where_they_are_accepted():
    assert "X-Company-Id" in DOCUMENT["info"]["description"]
    assert "X-Reason" in DOCUMENT["info"]["description"]
    assert all({"X-Company-Id", "X-Reason"}.isdisjoint(_headers(each)) for each in OPERATIONS.values())
    assert "Idempotency-Key" in _headers(OPERATIONS["move_customer"])


async def test_the_example_of_an_event_is_an_event(http, salon, database_owner):
    await database_owner.set_clock(salon.id, "2026-03-02T00:00:00+00:00")
    examples = OPERATIONS["ingest_event"]["requestBody"]["content"][JSON]["examples"]

    assert examples.keys() == {"event", "cloud_event"}
    for number, one in enumerate(examples.values()):
        value = {**one["value"], "id": f"e-{number}"}  # both are the same event
        answer = await http.post(f"{API}/events", headers=salon.headers, json=value)
        assert (answer.status_code, answer.json()["status"]) == (200, "applied")


# ---- what an event is, as published and as read

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.text(max_size=3) | st.sampled_from(["e-1", "", "\x00", "x" * 255, "x" * 256, "ü" * 255])
INSTANTS = (
    st.datetimes(timezones=st.timezones()).map(lambda at: at.replace(microsecond=0).isoformat())
    | st.datetimes().map(lambda at: at.isoformat() + "Z")
    | st.sampled_from(
        [
            *(
                "2026-03-01T09:30:00Z",
                "2026-03-01t09:30:00z",
                "2026-03-01 09:30+02:00",
                "2026-03-01T09:30:00",
            ),
            *(
                "2026-03-01",
                "2026-02-29T00:00:00Z",
                "2026-03-01T24:00:00Z",
                "2026-03-01T09:30:60Z",
                "1899-12-31",
            ),
            *("1900-01-01T00:00:00Z", "1899-12-31T23:59:59Z", "2199-12-31T23:59:59Z", "2200-01-01T00:00:00Z"),
            *("2026-03-01T09:30:00.123456789Z", "2026-W09-7T09:30:00Z", "20260301T093000Z", "1772362800"),
        ]
    )
)
NUMBERS = (
    st.integers(-2, 100)
    | st.sampled_from([2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**25, 1.0, 1.5, 1e15, 1e16, True])
    | st.integers(-(10**13), 10**13).map(lambda cents: cents / 100)
    | st.floats(allow_nan=False, allow_infinity=False)
)


def _deep(levels):
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value


METADATA = st.dictionaries(st.text(max_size=3), JSON_VALUES, max_size=3) | st.sampled_from(
    [{}, {"a": "x" * 8_180}, {"a": "x" * 8_192}, _deep(20), _deep(21), {"a": ["\x00"]}, {"\x00": 1}, []]
)


def _or_anything(strategy):
    return st.one_of([strategy] * 7 + [JSON_VALUES])


DATA = st.fixed_dictionaries(
    {},
    optional={
        "call_duration": _or_anything(NUMBERS),
        "total_amount": _or_anything(NUMBERS),
        "booking_id": _or_anything(TEXTS),
        "scheduled_for": _or_anything(INSTANTS),
        "reported_at": _or_anything(INSTANTS),
        "retracts": _or_anything(st.fixed_dictionaries({"source": TEXTS, "id": TEXTS})),
        "metadata": _or_anything(METADATA),
    },
)
REFS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=210
).map(str.strip)
PROFILES = st.fixed_dictionaries(
    {},
    optional={
        "name": _or_anything(TEXTS),
        "email": _or_anything(TEXTS),
        "language": st.sampled_from(["de", "pt_BR", None]),
        "consents": _or_anything(
            st.dictionaries(
                st.sampled_from(["email", "fax"]), st.sampled_from(["granted", "unknown", "maybe"])
            )
        ),
    },
)
PARTS = {
    "id": _or_anything(TEXTS),
    "source": _or_anything(TEXTS),
    "type": _or_anything(st.sampled_from([*EVENT_TYPES, "APPOINTMENT_COMPLETED", "appointment"])),
    "customer_id": _or_anything(NUMBERS),
    "customer_ref": _or_anything(REFS),
    "customer": _or_anything(PROFILES),
    "occurred_at": _or_anything(INSTANTS),
    "data": _or_anything(DATA),
}
VALID = event("e-1")


@st.composite
def nearly_events(draw):
    """An event with a part or two replaced, left out or added."""
    values = dict(VALID)
    for name in draw(st.sets(st.sampled_from(sorted(PARTS)), max_size=2)):
        values[name] = draw(PARTS[name])
    for name in draw(st.sets(st.sampled_from(sorted(values)), max_size=1)) if draw(st.booleans()) else ():
        del values[name]
    if draw(st.integers(0, 9)) == 0:
        values[draw(st.text(max_size=5))] = draw(JSON_VALUES)
    return values


def _as_read(text):
    try:
        return parse_event(orjson.loads(text)), []
    except InvalidInputError as error:
        return None, [each_error.message for each_error in error.errors]


def _as_published(text):
    try:
        return Event.model_validate_json(text, strict=True)
    except ValidationError:
        return None


def _with_whole_numbers(value):
    """Returns 1.0 as 1: both are integers in JSON Schema, only the second is one for pydantic in strict mode."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, dict):
        return {name: _with_whole_numbers(inner) for name, inner in value.items()}
    return value


def _with_text_ref(values):
    """Returns an event whose ref is text: a whole number is accepted in its place, as the description states."""
    ref = values.get("customer_ref")
    return {**values, "customer_ref": str(ref)} if type(ref) is int else values


SAID_IN_WORDS = {
    "must have at most two decimals",
    "is required with type event_retracted",
    "is only accepted with type event_retracted",
    "must not begin or end with blanks",
    "must be a language tag such as de or pt-BR",
}
"""Errors of the parser that the schema does not find: JSON Schema counts no decimals (multipleOf is one of binary
fractions), and `retracts` depends on the type, so the description states it."""


@given(values=nearly_events())
@example(values=VALID)
@example(values={**VALID, "customer_id": 1.0})
@example(values={**VALID, "customer_ref": 0})
@example(values={**VALID, "data": {"total_amount": 0.001}})
@example(values={**VALID, "data": None})
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_event_is_read_as_it_is_published(values):
    text = json.dumps(values)
    read, errors = _as_read(text)
    published = _as_published(json.dumps(_with_text_ref(_with_whole_numbers(orjson.loads(text)))))

    if read is None:
        assert published is None or set(errors) <= SAID_IN_WORDS, (errors, published)
    else:
        assert published is not None
        data = published.data
        assert (read.event_id, read.source, read.type) == (published.id, published.source, published.type)
        named = NO_CUSTOMER_ID if published.customer_id is None else published.customer_id
        assert (read.customer_id, read.customer_ref) == (named, published.customer_ref)
        assert read.occurred_at == published.occurred_at
        assert read.amount_cents == round(((data and data.total_amount) or 0) * 1000)
        assert read.scheduled_for == (data and data.scheduled_for)
        assert read.booking_id == (data and data.booking_id)
        assert read.reported_at == (data and data.reported_at)
        retracts = data and data.retracts
        assert read.retracts == (retracts and (retracts.source, retracts.id))


def test_nearly_valid_events_are_distinguished_from_valid_ones():
    """The comparison above has something to compare on either side."""
    outcomes = {True: 0, False: 0}

    @given(values=nearly_events())
    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    def count(values):
        outcomes[_as_read(json.dumps(values))[0] is not None] += 1

    count()
    assert min(outcomes.values()) > 20, outcomes
    assert _as_published(json.dumps(VALID)) is not None
    assert find_json_error(_deep(20)) is None
    assert find_json_error(_deep(21)) is not None


# ---- documentation, and what is not there


async def test_the_documentation_is_served_whole_and_calls_no_other_host(http):
    page = await http.get("/docs")

    assert page.headers["content-type"].startswith("text/html")
    assert re.findall(r"(?:https?:)?//[a-z0-9-]+[.:/]", page.text) == []
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) == 3
    for asset in assets:
        assert asset.startswith("/docs/assets/")
        answer = await http.get(asset)
        assert answer.status_code == 200
        assert len(answer.content) > 500
    assert "'/openapi.json'" in page.text


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v1/nowhere",
        "/api/v2/customers",
        "/api/v1/customers/1/nowhere",
        "/docs/assets/nowhere.js",
        "/docs/assets/../../main.py",
        "/docs/assets/%2e%2e/%2e%2e/main.py",
        "/portal/nowhere",
        "/%00",
        "/redoc",
    ],
)
async def test_a_path_that_is_not_there_is_a_problem(http, salon, path):
    for headers in ({}, salon.headers):
        problem(await http.get(path, headers=headers), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/customers", "GET"),
        ("GET", "/events", "POST"),
        ("PUT", "/events/batch", "POST"),
        ("POST", "/customers/1/scores", "GET"),
        ("TRACE", "/stages", "GET"),
        ("NONSENSE", "/stages", "GET"),
    ],
)
async def test_a_method_that_is_not_there_is_a_problem(http, salon, method, path, allowed):
    answer = await http.request(method, API + path, headers=salon.headers)

    problem(answer, 405, "method-not-allowed")
    assert allowed in answer.headers["allow"]


# ---- the guard that holds every answer against the contract


NO_CUSTOMERS = b'{"items": [], "next_cursor": null, "currency": "EUR", "total": null, "total_estimate": null}'


def _answer(status, *, path="/api/v1/customers", media=JSON, body=NO_CUSTOMERS):
    request = httpx.Request("GET", f"http://journey.test{path}")
    return httpx.Response(
        status, headers={"content-type": media}, content=body + b"\n" if body else body, request=request
    )


def _problem_body(status, **changes):
    values = {"type": "/problems/company-not-found", "title": "t", "status": status, "detail": "d", **changes}
    return orjson.dumps(values)


UNPROMISED = {
    "an internal error": _answer(500, media=PROBLEM, body=_problem_body(500)),
    "a status that is not listed": _answer(204, body=b""),
    "a problem that is not listed": _answer(409, media=PROBLEM, body=_problem_body(409)),
    "an error that is no problem": _answer(404),
    "a problem of another status": _answer(404, media=PROBLEM, body=_problem_body(403)),
    "a problem without a type of ours": _answer(
        404, media=PROBLEM, body=_problem_body(404, type="about:blank")
    ),
    "invalid input without its pointer": _answer(
        422, media=PROBLEM, body=_problem_body(422, type="/problems/invalid-input")
    ),
    "another media type": _answer(200, media="text/plain"),
}


@pytest.mark.parametrize("answer", UNPROMISED.values(), ids=UNPROMISED)
async def test_an_answer_that_was_not_promised_does_not_pass(answer):
    with pytest.raises(AssertionError):
        await Contract(DOCUMENT).check(answer)


async def test_an_answer_that_was_promised_passes():
    contract = Contract(DOCUMENT)

    await contract.check(_answer(200))
    await contract.check(_answer(404, media=PROBLEM, body=_problem_body(404)))
    await contract.check(_answer(404, path="/nowhere", media=PROBLEM, body=_problem_body(404)))


async def test_an_internal_error_reveals_nothing():
    app = create_app(UNREACHABLE)
    _add_fault(app)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
        answer = await client.get("/broken")

    problem(answer, 500, "internal-error")
    assert "secret" not in answer.text


def _add_fault(app: FastAPI) -> None:
    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret of the inside")
