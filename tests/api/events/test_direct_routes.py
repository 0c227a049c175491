"""The direct routes of events answer every request as the ordinary routes do, which describe them in the contract."""

import gzip
import json
import logging
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

from api.calls import API, JSON, NOON, event, fetch
from journey_service.api.authentication import requires_scope, requires_scope_audited
from journey_service.api.dependencies import AppStateDep
from journey_service.api.events import direct_routes, events
from journey_service.api.events.direct_routes import DirectRoute, NotDirectError
from journey_service.api.events.schemas.events import BatchResult, EventResult
from journey_service.api.middleware import telemetry
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.request_bodies import (
    MAX_BATCH_BODY_BYTES,
    MAX_BATCH_EVENTS,
    MAX_BODY_BYTES,
    NOT_MODIFIED,
    StrictRoute,
)
from journey_service.domain.access.actors import Actor
from journey_service.domain.events.values import parse_instant
from journey_service.main import create_app
from journey_service.services.access import credentials
from journey_service.services.access.credentials import KeyRequest

PEPPER = "Zr7nQ2vK9xW4mB8tYcL3eHs6"
ONE, BATCH = f"{API}/events", f"{API}/events/batch"
CLOUD, CLOUDS = "application/cloudevents+json", "application/cloudevents-batch+json"
NDJSON = "application/x-ndjson"
MESSAGE = {
    "specversion": "1.0",
    "id": "c-1",
    "source": "/booking",
    "type": "com.example.appointment_completed",
    "subject": "3",
    "time": "2026-03-01T11:00:00Z",
    "data": {"total_amount": 49.9},
}
BINARY = {f"ce-{name}": value for name, value in MESSAGE.items() if name != "data"}
GOOD = event("good", total_amount=12.5)
COMPANY, OPERATOR = "{company}", "{operator}"
LIMITS = {
    "key_event_limit": 2,
    "company_event_limit": 100,
    "failure_limit": 2,
    "sign_in_failure_limit": 9,
    "key_request_limit": 9,
    "company_request_limit": 9,
}
LIMIT_HEADERS = ("ratelimit", "ratelimit-policy", "retry-after", "www-authenticate")


@dataclass(frozen=True)
class Side:
    """The application with direct routes, or without them, and a company of its own with three keys."""

    app: FastAPI
    http: httpx.AsyncClient
    company_id: int
    keys: dict[str, str] = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the key that has all scopes."""
        return {"Authorization": f"Bearer {self.keys['all']}"}

    async def send(self, case: "Case") -> httpx.Response:
        """Sends the request of a case."""
        headers = {"Content-Type": JSON, **case.headers}
        if case.key is not None:
            headers["Authorization"] = f"Bearer {self.keys.get(case.key, case.key)}"
        named = {name: value.replace(COMPANY, str(self.company_id)) for name, value in headers.items()}
        return await self.http.request(
            case.method,
            case.path,
            headers={name: value for name, value in named.items() if value},
            content=_pieces(case.content) if case.is_chunked else case.content,
        )


@dataclass(frozen=True)
class Case:
    """A request, and the status that it is answered with."""

    name: str
    status: int
    content: Any = b""
    path: str = ONE
    headers: dict[str, str] = field(default_factory=dict)
    key: str | None = "all"
    method: str = "POST"
    is_chunked: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.content, bytes):
            object.__setattr__(self, "content", json.dumps(self.content).encode())


async def _pieces(content):
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


def one(name, **changes):
    """An event of a case of its own."""
    return {**event(name, total_amount=20), **changes}


CASES = [
    Case("an event", 200, one("an-event")),
    Case("a known event", 200, GOOD),
    Case("the same id with other content", 409, {**GOOD, "customer_id": 2}),
    Case("an event that moves the customer", 200, one("first", customer_id=77)),
    Case(
        "compressed",
        200,
        gzip.compress(json.dumps(one("gzip")).encode()),
        headers={"Content-Encoding": "gzip"},
    ),
    Case("in pieces", 200, one("pieces"), is_chunked=True),
    Case("no media type", 200, one("no-type"), headers={"Content-Type": ""}),
    Case("a charset", 200, one("charset"), headers={"Content-Type": "Application/JSON; charset=utf-8"}),
    Case("utf-16", 200, json.dumps(one("utf-16")).encode("utf-16")),
    Case("a CloudEvent as JSON", 200, MESSAGE),
    Case("a structured message", 200, {**MESSAGE, "id": "c-2"}, headers={"Content-Type": CLOUD}),
    Case("a binary message", 200, {"total_amount": 5}, headers={**BINARY, "ce-id": "c-3"}),
    Case("a binary message without data", 200, headers={**BINARY, "ce-id": "c-4"}),
    Case("a key that the operation does not know", 200, one("keyed"), headers={"Idempotency-Key": "k 1"}),
    Case("its own company", 200, one("own"), headers={"X-Company-Id": COMPANY, "X-Reason": "test"}),
    Case(
        "an operator", 200, one("op"), key=OPERATOR, headers={"X-Company-Id": COMPANY, "X-Reason": "a visit"}
    ),
    Case("gzip accepted", 200, one("accepts"), headers={"Accept-Encoding": "gzip"}),
    Case("a traced request", 200, one("traced"), headers={"traceparent": f"00-{'4b' * 16}-{'0f' * 8}-01"}),
    Case("only the scope it needs", 200, one("writer"), key="writer"),
    Case("no JSON", 422, b"{"),
    Case("nothing", 422),
    Case("a list", 422, [GOOD]),
    Case("no fields", 422, {}),
    Case("wrong fields", 422, {**GOOD, "customer_id": -1, "type": "unheard_of", "more": 1}),
    Case("a time to come", 422, one("late", occurred_at="2027-01-01T00:00:00Z")),
    Case("too many decimals", 422, one("cents", data={"total_amount": 1.001})),
    Case("too many values", 422, b"[" * 20_000),
    Case("text", 415, b"hello", headers={"Content-Type": "text/plain"}),
    Case("a batch of messages", 415, [MESSAGE], headers={"Content-Type": CLOUDS}),
    Case("another compression", 415, GOOD, headers={"Content-Encoding": "br"}),
    Case("no gzip", 422, GOOD, headers={"Content-Encoding": "gzip"}),
    Case("too long", 413, b" " * (MAX_BODY_BYTES + 1)),
    Case("too long, in pieces", 413, b" " * (MAX_BODY_BYTES + 1), is_chunked=True),
    Case(
        "too long, unpacked",
        413,
        gzip.compress(b" " * (MAX_BODY_BYTES + 1)),
        headers={"Content-Encoding": "gzip"},
    ),
    Case("no credential", 401, GOOD, key=None),
    Case("no bearer", 401, GOOD, key=None, headers={"Authorization": "Basic YTpi"}),
    Case("an unknown key", 401, GOOD, key=f"jrn_unknown_{'x' * 43}"),
    Case("an unknown session", 401, GOOD, key=None, headers={"Cookie": f"journey_session=1.{'a' * 43}"}),
    Case("no credential and too long", 413, b" " * (MAX_BODY_BYTES + 1), key=None),
    Case("no credential and no JSON", 401, b"{", key=None),
    Case("no credential and a query", 401, GOOD, f"{ONE}?dry_run=true", key=None),
    Case("a key without the scope", 403, GOOD, key="reader"),
    Case("a key without the scope, with a query", 403, GOOD, f"{ONE}?dry_run=true", key="reader"),
    Case("another company", 403, GOOD, headers={"X-Company-Id": "999999"}),
    Case("an operator without a company", 403, GOOD, key=OPERATOR),
    Case("an operator at no company", 404, GOOD, key=OPERATOR, headers={"X-Company-Id": "999999999"}),
    Case("an operator without JSON", 422, b"{", key=OPERATOR, headers={"X-Company-Id": COMPANY}),
    Case("no number of a company", 422, GOOD, headers={"X-Company-Id": "one"}),
    Case("a long reason and a query", 422, GOOD, f"{ONE}?a=1&b=2", headers={"X-Reason": "x" * 300}),
    Case("an unknown parameter", 422, GOOD, f"{ONE}?dry_run=true"),
    Case("an unknown parameter and no JSON", 422, b"{", f"{ONE}?dry_run=true&dry_run=false"),
    Case("GET", 405, method="GET"),
    Case("HEAD", 405, method="HEAD"),
    Case("a handshake", 200, method="OPTIONS", headers={"WebHook-Request-Origin": "events.example"}),
    Case("a path below", 404, GOOD, f"{ONE}/more"),
    Case("a batch", 200, [one("b-1"), one("b-2", customer_id=8)], BATCH),
    Case("an empty batch", 200, [], BATCH),
    Case("good, bad and known", 200, [one("b-3"), {}, GOOD, {**GOOD, "customer_id": 2}, 7], BATCH),
    Case(
        "lines",
        200,
        b"\n".join(json.dumps(one(f"l-{n}")).encode() for n in (1, 2)) + b"\n{",
        BATCH,
        {"Content-Type": NDJSON},
    ),
    Case("messages", 200, [{**MESSAGE, "id": "c-5"}, MESSAGE], BATCH, {"Content-Type": CLOUDS}),
    Case("one message", 200, {**MESSAGE, "id": "c-6"}, BATCH, {"Content-Type": CLOUD}),
    Case("a long response", 200, [one(f"m-{n}") for n in range(9)], BATCH, {"Accept-Encoding": "gzip"}),
    Case("no list", 422, GOOD, BATCH),
    Case("too many", 422, [1] * (MAX_BATCH_EVENTS + 1), BATCH),
    Case("a batch as text", 415, b"", BATCH, {"Content-Type": "text/csv"}),
    Case("a batch that is too long", 413, b" " * (MAX_BATCH_BODY_BYTES + 1), BATCH),
    Case("a batch without the scope", 403, [GOOD], BATCH, key="reader"),
    Case("a batch of an operator", 200, [one("b-9")], BATCH, {"X-Company-Id": COMPANY}, key=OPERATOR),
    Case("a batch with a query", 422, [GOOD], f"{BATCH}?limit=1"),
]


def without_direct_routes(app):
    """Lets the framework serve the events of an application."""
    app.router.routes[:] = [route for route in app.router.routes if not isinstance(route, DirectRoute)]
    return app


def comparable(answer):
    """Status, headers and text of a response, without what differs between any two requests."""
    text = re.sub(r'("(?:updated_at|recorded_at)":)"[^"]+"', r"\1TIME", answer.text)
    text = re.sub(r'("transition":\{"id":)\d+', r"\1ID", text)
    own = ("x-request-id", "content-length", "ratelimit")
    headers = sorted(pair for pair in answer.headers.multi_items() if pair[0] not in own)
    assert len(answer.headers["x-request-id"]) == 32
    assert "content-length" in answer.headers
    return answer.status_code, headers, text


@asynccontextmanager
async def opened(app, create_test_company, database, operator):
    """A side of the comparison."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""))
    keys = {"all": tenant.token, OPERATOR: operator["Authorization"].removeprefix("Bearer ")}
    for name, scopes in (("writer", ["events:write"]), ("reader", ["customers:read"])):
        request = KeyRequest(name, scopes)
        made = await credentials.create_key(database, tenant.id, request, pepper=PEPPER, by=Actor("tests"))
        keys[name] = made.token
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
        yield Side(app, client, tenant.id, keys)


@pytest.fixture(scope="module")
async def sides(settings, create_test_company, database, operator):
    """The direct and the ordinary side, which both know the event GOOD."""
    async with AsyncExitStack() as stack:
        found = []
        for app in (create_app(settings), without_direct_routes(create_app(settings))):
            await stack.enter_async_context(app.router.lifespan_context(app))
            side = opened(app, create_test_company, database, operator)
            found.append(await stack.enter_async_context(side))
            assert (await found[-1].send(Case("", 200, GOOD))).status_code == 200
        yield found


async def compared(sides, case):
    """What both sides answer to a case."""
    return [comparable(await side.send(case)) for side in sides]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
async def test_both_routes_answer_alike(sides, case):
    direct, ordinary = await compared(sides, case)

    assert direct == ordinary
    assert direct[0] == case.status, direct


def test_only_one_side_has_direct_routes(sides):
    direct, ordinary = ([type(route) for route in side.app.routes] for side in sides)

    assert direct[:2] == [DirectRoute, DirectRoute]
    assert DirectRoute not in ordinary
    assert len(direct) == len(ordinary) + 2


async def test_a_direct_route_that_forgets_a_check_answers_otherwise(sides, monkeypatch):
    async def without_scopes(request, app_state, _scopes, query_errors):
        return await authorize(request, app_state, direct_routes.SecurityScopes([]), query_errors)

    authorize = direct_routes.authorize
    monkeypatch.setattr(direct_routes, "authorize", without_scopes)

    direct, ordinary = await compared(sides, Case("", 403, one("forgotten"), key="reader"))

    assert (direct[0], ordinary[0]) == (200, 403)
    print("guard removed: detected")


async def test_a_repeated_event_is_stored_once(sides):
    for side in sides:
        answers = [await side.send(Case("", 200, one("twice", customer_id=55))) for _ in range(2)]

        assert [answer.json()["status"] for answer in answers] == ["applied", "duplicate"]
        listed = await fetch(side.http, side, "/customers/55/events")
        assert [each["id"] for each in listed["items"]] == ["twice"]


async def test_the_limits_are_charged_alike(settings, create_test_company, database, operator):
    values = {"bootstrap_key": None, "redis_url": None, **LIMITS}
    seen = []
    for strip in (lambda app: app, without_direct_routes):
        app = strip(create_app(settings.model_copy(update=values)))
        async with app.router.lifespan_context(app):
            app.state.app_state.rate_limiter._clock = lambda: 0.0
            async with opened(app, create_test_company, database, operator) as side:
                cases = [Case("", 200, one(f"r-{n}")) for n in range(2)]
                cases += [Case("", 200, [one(f"s-{n}") for n in range(5)], BATCH), *cases]
                cases += [Case("", 401, GOOD, key=f"jrn_unknown_{n}{'x' * 43}") for n in range(4)]
                answers = [await side.send(case) for case in cases]
                seen.append(
                    [
                        (each.status_code, *(each.headers.get(name) for name in LIMIT_HEADERS))
                        for each in answers
                    ]
                )

    assert seen[0] == seen[1]
    assert [status for status, *_ in seen[0]] == [200, 200, 200, 429, 429, 401, 401, 401, 429]


async def test_the_audit_log_has_the_access_of_operators_from_both(sides):
    seen = []
    for side in sides:
        for content in (one("audited"), b"{"):
            await side.send(Case("", 200, content, key=OPERATOR, headers={"X-Company-Id": COMPANY}))
        entries = (await fetch(side.http, side, "/admin/audit"))["items"]
        seen.append([(each["action"], each["actor"], each["reason"]) for each in entries])

    assert seen[0] == seen[1]
    assert len(seen[0]) > 2


@pytest.mark.parametrize(("path", "content"), [(ONE, one("measured")), (BATCH, [one("measured-too")])])
async def test_both_are_measured_and_logged_under_the_template(sides, caplog, path, content):
    labels = {"method": "POST", "route": path, "status": "200"}
    for side in sides:
        before = REGISTRY.get_sample_value("journey_http_requests_total", labels) or 0
        with caplog.at_level(logging.INFO, "journey_service.access"):
            caplog.clear()
            await side.send(Case("", 200, content, path))

        assert REGISTRY.get_sample_value("journey_http_requests_total", labels) == before + 1
        (line,) = [record for record in caplog.records if record.name == "journey_service.access"]
        assert (line.method, line.route, line.status, line.company_id) == ("POST", path, 200, side.company_id)


async def test_both_have_the_same_span_and_the_framework_has_none(sides, monkeypatch):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_TRACER", provider.get_tracer("tests"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    case = Case("", 200, GOOD, headers={"traceparent": f"00-{'4b' * 16}-{'0f' * 8}-01"})
    for side in sides:
        await side.send(case)

    first, second = exporter.get_finished_spans()
    assert (first.name, dict(first.attributes)) == (second.name, dict(second.attributes))
    assert first.name == f"POST {ONE}"
    assert f"{first.context.trace_id:032x}" == "4b" * 16

    exporter.clear()
    monkeypatch.setattr(sides[0].app, "_native_telemetry", FastAPI()._native_telemetry)
    await sides[0].send(case)

    assert len(exporter.get_finished_spans()) > 1
    print("guard removed: detected")


async def test_plain_values_are_written_as_the_models_write_them(sides):
    direct, _ = sides
    texts = [(await direct.send(Case("", 200, one(f"p-{n}", customer_id=91)))).text for n in range(3)]
    batch = (
        await direct.send(Case("", 200, [one("p-4", customer_id=92), {}, one("p-0", customer_id=91)], BATCH))
    ).text

    assert '"transition":{"id":' in texts[0]
    assert '"conditions":[{' in "".join(texts)
    for text in texts:
        assert EventResult.model_validate_json(text).model_dump_json() == text.removesuffix("\n")
    assert BatchResult.model_validate_json(batch).model_dump_json() == batch.removesuffix("\n")


async def takes_a_parameter(
    request: str, caller: requires_scope_audited("events:write"), app_state: AppStateDep
) -> None:
    """Its `request` is a query parameter."""


async def is_not_audited(caller: requires_scope("events:write"), app_state: AppStateDep) -> None:
    """Its access would have to be recorded by its service."""


async def has_no_caller(app_state: AppStateDep) -> None:
    """Requires nothing."""


@pytest.mark.parametrize(
    ("path", "endpoint", "options"),
    [
        ("/a", takes_a_parameter, {}),
        ("/b", is_not_audited, {}),
        ("/c", has_no_caller, {}),
        ("/{d}", events.ingest_event, {}),
        ("/e", events.ingest_event, {"dependencies": [ONCE_PER_KEY]}),
        ("/f", events.ingest_event, {"responses": NOT_MODIFIED}),
    ],
)
def test_an_operation_that_needs_more_gets_no_direct_route(path, endpoint, options):
    router = APIRouter(route_class=StrictRoute)
    router.post(path, **options)(endpoint)

    with pytest.raises(NotDirectError):
        direct_routes.serve(FastAPI(), "", router)


def test_a_direct_route_has_the_scope_that_its_operation_declares():
    app = FastAPI()
    direct_routes.serve(app, API, events.router)

    assert [(route.path, route._scopes.scopes) for route in app.routes[:2]] == [
        (ONE, ["events:write"]),
        (BATCH, ["events:write"]),
    ]
