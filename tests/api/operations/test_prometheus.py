"""Metrics for Prometheus, access to them, and traces continued from callers."""

import logging

import httpx
import pytest
from opentelemetry import trace
from prometheus_client.parser import text_string_to_metric_families

from api.calls import fetch, ingest
from journey_service.api.middleware.telemetry import Telemetry
from journey_service.api.operations import prometheus
from journey_service.domain.events.values import parse_instant
from journey_service.logs import DuplicateErrorFilter, JsonFormatter, bound_to
from journey_service.main import create_app
from journey_service.services.operations.monitoring import CompanyMetricsCache, compute_company_metrics

TOKEN = "tQ8vZr3nK6wX1mB5yLcE9hSd"


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scraped(http, **headers) -> dict:
    answer = await http.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return samples(answer.text)


async def test_requests_are_counted_and_timed_by_the_pattern_of_their_route(http, salon):
    path = "/api/v1/customers/{customer_id}/journey"
    labels = (("method", "GET"), ("route", path), ("status", "404"))
    before = (await scraped(http)).get(("journey_http_requests_total", labels), 0)

    for customer in (1, 2, 3):
        await http.get(f"/api/v1/customers/{customer}/journey", headers=salon.headers)

    after = await scraped(http)
    assert after["journey_http_requests_total", labels] == before + 3
    timed = after["journey_http_request_duration_seconds_count", (("method", "GET"), ("route", path))]
    assert timed >= before + 3
    assert not [name for name in after if "customers/1/" in str(name)], "an id became a label"


async def test_an_unknown_path_is_no_label(http):
    await http.get("/api/v1/nowhere/4711")

    assert not [name for name in await scraped(http) if "nowhere" in str(name)]


async def test_queues_their_ages_and_the_pool_are_exported(http):
    metrics = await scraped(http)

    assert metrics["journey_database_up", ()] == 1
    assert metrics["journey_database_pool_connections", (("state", "idle"),)] >= 0
    for name in ("due_customers", "nightly_runs", "jobs", "imports", "actions"):
        assert metrics[f"journey_{name}_lag_seconds", ()] >= 0
    for name in ("jobs", "imports", "jobs_failed_24h", "actions_dead_24h", "actions"):
        assert metrics[f"journey_{name}", ()] >= 0


async def test_the_figures_of_a_company_are_those_of_its_analytics(http, salon, database_owner, database):
    for customer in (1, 2, 3):
        await ingest(http, salon, f"e-{customer}", customer_id=customer)
    await database_owner.set_clock(salon.id, "2026-06-01T12:00:00+00:00")
    await http.post("/api/v1/customers/1/evaluate", headers=salon.headers)
    await database_owner.connection.execute(
        "UPDATE journey_actions SET state = CASE relationship_id % 3 WHEN 0 THEN 'dead' ELSE 'done' END,"
        " ready_at = NULL, planned_at = $2::timestamptz, finished_at = $2::timestamptz WHERE company_id = $1",
        salon.id,
        parse_instant("2026-05-20T12:00:00Z", ""),
    )

    found = await database.run(salon.id, compute_company_metrics)

    text = {one.key: one for one in found.stages}
    for item in (await fetch(http, salon, "/analytics/distribution"))["items"]:
        assert text[item["stage_key"]].customers == item["customers"]
    for item in (await fetch(http, salon, "/analytics/time-in-stage"))["items"]:
        days = text[item["stage_key"]].mean_days
        assert (None if days is None else float(days)) == item["avg_days"]
    for item in (await fetch(http, salon, "/analytics/conversion-rates"))["items"]:
        ratio = text[item["stage_key"]].conversion
        assert (None if ratio is None else round(ratio * 100, 1)) == item["conversion_rate"]
    risks = (await fetch(http, salon, "/analytics/risk-distribution"))["items"]
    assert dict(found.bands) == {item["band"]: item["customers"] for item in risks}
    success = (await fetch(http, salon, "/analytics/automation"))["success_rate"]
    assert round(found.succeeded * 100, 1) == success


async def test_metrics_of_as_many_companies_as_configured_are_exported(settings, salon):
    text = samples((await _asked(settings, metrics_companies=1)).text)

    companies = {labels for name, labels in text if name == "journey_risk_band_customers"}
    assert {dict(labels)["band"] for labels in companies} == {"low", "medium", "high", "critical"}
    assert len({dict(labels)["company_id"] for labels in companies}) == 1
    stages = [name for name, _ in text if name == "journey_stage_customers"]
    assert len(stages) >= 1
    none = samples((await _asked(settings, metrics_companies=0)).text)
    assert not [
        name for name, _ in none if name in ("journey_risk_band_customers", "journey_stage_customers")
    ]


async def test_company_metrics_are_not_recomputed_with_every_scrape(database, salon, http):
    company_metrics = CompanyMetricsCache(database, most=1)
    first = await company_metrics.get_metrics()

    assert await company_metrics.get_metrics() is first
    assert [one.company_id for one in first] == [min(one.company_id for one in first)]


async def _asked(settings, headers=None, **values) -> httpx.Response:
    app = create_app(settings.model_copy(update=values))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://journey.test") as client,
    ):
        return await client.get("/metrics", headers=headers or {})


@pytest.fixture(scope="module")
async def guarded(settings):
    """A client of an application whose metrics need a token."""
    app = create_app(settings.model_copy(update={"metrics_token": type(settings.key_pepper)(TOKEN)}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://journey.test") as client,
    ):
        yield client


@pytest.mark.parametrize("values", [None, "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}"])
async def test_where_a_token_is_set_nothing_else_is_let_in(guarded, values):
    headers = {} if values is None else {"Authorization": values}

    assert (await guarded.get("/metrics", headers=headers)).status_code == 401
    let_in = await guarded.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert let_in.status_code == 200


async def test_in_production_metrics_require_a_token(settings):
    assert (await _asked(settings, environment="production")).status_code == 401


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("192.0.2.7", {}, 401),
        ("2001:db8::7", {}, 401),
        ("testclient", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, 401),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.7"}, 401),
    ],
)
async def test_in_development_metrics_without_a_token_are_for_this_machine_only(
    api, address, headers, status
):
    transport = httpx.ASGITransport(app=api, client=(address, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
        assert (await client.get("/metrics", headers=headers)).status_code == status


async def test_a_check_that_takes_every_client_for_a_local_one_is_detected(api, monkeypatch):
    monkeypatch.setattr(prometheus, "_is_local", lambda _: True)
    transport = httpx.ASGITransport(app=api, client=("192.0.2.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
        assert (await client.get("/metrics")).status_code == 200
    print("guard removed: detected")


async def test_an_unreachable_database_is_exported_and_the_rest_is_answered(settings):
    away = type(settings.database_url)("postgresql://nobody:secret-of-nobody@127.0.0.1:1/nowhere")
    app = create_app(settings.model_copy(update={"database_url": away, "bootstrap_key": None}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://journey.test") as client,
    ):
        response = samples((await client.get("/metrics")).text)

    assert response["journey_database_up", ()] == 0
    assert ("journey_jobs", ()) not in response


async def test_a_request_is_part_of_the_trace_that_its_caller_has_begun():
    seen = []

    async def app(scope, receive, send):
        seen.append(trace.get_current_span().get_span_context())
        seen.append(JsonFormatter().format(_record("inside")))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(_):
        return None

    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = [(b"traceparent", f"00-{trace_id}-00f067aa0ba902b7-01".encode())]
    scope = {"type": "http", "method": "GET", "headers": headers, "request_id": "r-1"}
    await Telemetry(app)(scope, None, send)

    assert f"{seen[0].trace_id:032x}" == trace_id
    assert f'"trace_id": "{trace_id}"' in seen[1]
    assert '"request_id": "r-1"' in seen[1]
    assert "r-1" not in JsonFormatter().format(_record("outside"))


async def test_a_failed_request_is_logged_with_its_id():
    lines = []

    class Told(logging.Handler):
        def emit(self, record):
            lines.append(JsonFormatter().format(record))

    async def app(scope, receive, send):
        raise RuntimeError("out of order")

    handler = Told()
    logging.getLogger("journey_service.api.middleware.telemetry").addHandler(handler)
    try:
        with pytest.raises(RuntimeError):
            await Telemetry(app)(
                {"type": "http", "method": "GET", "headers": [], "request_id": "r-9", "path": "/x"},
                None,
                None,
            )
    finally:
        logging.getLogger("journey_service.api.middleware.telemetry").removeHandler(handler)

    [line] = lines
    assert '"request_id": "r-9"' in line
    assert "out of order" in line
    twice = _record("Exception in ASGI application\n")
    assert not DuplicateErrorFilter().filter(twice)
    assert DuplicateErrorFilter().filter(_record("started"))


def test_a_json_line_names_its_request_and_reveals_nothing():
    with bound_to(request_id="r-2", trace_id=None):
        line = JsonFormatter().format(_record("mail to ada@example.org failed", company_id=7))

    assert '"request_id": "r-2"' in line
    assert '"company_id": 7' in line
    assert "ada@example.org" not in line
    assert "trace_id" not in line
    assert "\n" not in line


def _record(message: str, **beside: object):
    record = logging.LogRecord("tests", logging.WARNING, __file__, 1, message, (), None)
    for name, value in beside.items():
        setattr(record, name, value)
    return record
