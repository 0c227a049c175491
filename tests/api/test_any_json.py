"""Any JSON sent to any route gets a sensible answer, and never a server error."""

import json

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.calls import JSON, PROBLEM, ingest
from api.published import application
from journey_service.domain.events.values import parse_instant
from profiles import examples

TELLING = [
    *(
        "",
        "\x00",
        "vip",
        "lead",
        "appointment_completed",
        "granted",
        "email",
        "call",
        "*",
        "EUR",
        "UTC",
        "1.0",
    ),
    *(">=3", "=>3", "2026-03-01T09:00:00Z", "2026-03-01T09:00:00", "2099-01-01T00:00:00+14:00", "4711"),
]
TEXTS = st.sampled_from(TELLING) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = (
    st.sampled_from([0, 1, -1, 2**31, 2**63 - 1, 2**63, 10**30, 49.9, 0.001])
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)


def _operations(app: FastAPI):
    document = app.openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            media = operation.get("requestBody", {}).get("content", {}).get(JSON)
            if media is not None:
                yield operation["operationId"], method, path, sorted(_names(document, media["schema"]))


def _names(document, schema):
    """The names of members that can stand anywhere in a schema."""
    found, waiting, seen = set(), [schema], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            found |= set(part.get("properties", ()))
            reference = part.get("$ref")
            if reference is not None and reference not in seen:
                seen.add(reference)
                waiting.append(document["components"]["schemas"][reference.rpartition("/")[2]])
            waiting += [inner for inner in part.values() if isinstance(inner, dict | list)]
    return found


def _values(names):
    keys = st.sampled_from([*names, "key", "order", "auto_rules", "trigger", "conditions", "any"]) | TEXTS
    return st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXTS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
        max_leaves=20,
    )


def _bodies(names):
    """Any JSON value, and objects that have the right names for their members at least."""
    values = _values(names)
    objects = st.fixed_dictionaries({}, optional=dict.fromkeys(names, values))
    return values | objects | st.lists(objects, max_size=3)


OPERATIONS = {id_: rest for id_, *rest in _operations(application())}


@pytest.fixture(scope="module")
async def studio(http, create_test_company, generated_ids):
    """A company that receives all of it."""
    tenant = await create_test_company(test_clock=parse_instant("2026-03-01T12:00:00Z", ""))
    await ingest(http, tenant, "e-1")
    return tenant


def test_every_kind_of_route_takes_part():
    assert {
        "ingest_event",
        "ingest_events",
        "upsert_customer",
        "move_customer",
        "pin_customer",
    } <= OPERATIONS.keys()
    assert {"update_journey", "create_company", "create_company_api_key"} <= OPERATIONS.keys()


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
async def test_any_json_is_applied_or_refused_as_a_problem(http, studio, operator, operation, data):
    method, path, names = OPERATIONS[operation]
    body = data.draw(_bodies(names), label="body")
    if operation == "create_company" and isinstance(body, dict):
        body.pop("id", None)  # ids of companies are for tests to give
    version = data.draw(st.sampled_from([2, 2, 3, 1]), label="version")

    answer = await http.request(
        method,
        path.format(
            customer_id=1,
            company_id=studio.id,
            key="vip",
            key_id="no-such-key",
            source_id=f"{studio.id}-0123456789abcdef",
            **dict.fromkeys(("task_id", "endpoint_id", "template_id"), 1),
        ),
        headers={
            **(operator if "/companies" in path else studio.headers),
            "content-type": JSON,
            "If-Match": f'"{version}"',
        },
        content=json.dumps(body).encode(),
    )

    assert answer.status_code < 500
    assert answer.headers["content-type"] == (PROBLEM if answer.status_code >= 400 else JSON)
