"""Trace spans of background work: sweeps, jobs and deliveries, in memory and in a process with a collector."""

import asyncio
import json
import logging
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Happened
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from chaos.system import NO_QUIET_HOURS
from conftest import PATIENT, VAULT_KEY
from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.delivery import DeliveryFailedError, DeliveryReceipt
from journey_service.domain.events.event import Event, EventType
from journey_service.logs import JsonFormatter
from journey_service.repositories.database import Database
from journey_service.services import tracing
from journey_service.services.actions.delivery.dispatcher import MessageSenders, OutboxDispatcher
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import run_job
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.journeys.sweep import Sweeper
from processes import Process


@pytest.fixture
def spans(monkeypatch) -> InMemorySpanExporter:
    """The spans that the test ends."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_TRACER", provider.get_tracer("tests"))
    return exporter


class Mailer:
    """Accepts every email, or fails as told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    async def send(self, _email) -> DeliveryReceipt:
        if self.failure is not None:
            raise self.failure
        return DeliveryReceipt(250, "ok")


def visit(customer: int, at: datetime) -> Event:
    return Event("tests", f"visit-{customer}", customer, EventType.APPOINTMENT_COMPLETED, at, 4_000)


async def create_due_customer(worker_database) -> int:
    """Creates a company with a customer whose evaluation is due; returns its id."""
    company = await worker_database.create_company()
    at = await worker_database.fetch_value("SELECT now() - interval '1 day'")
    await ingest(worker_database.database, company, [visit(1, at)])
    await worker_database.owner.execute("UPDATE customer_relationships SET next_evaluation_at = now()")
    return company


async def test_a_sweep_is_one_trace_per_company(worker_database, spans):
    company = await create_due_customer(worker_database)

    await Sweeper(worker_database.database).sweep()

    sweeps = [span for span in spans.get_finished_spans() if span.attributes["journey.evaluated"]]
    assert [(span.name, span.attributes["journey.company_id"], span.parent) for span in sweeps] == [
        ("sweep", company, None)
    ]


async def test_a_job_is_a_trace_named_after_its_kind(worker_database, spans):
    company = await worker_database.create_company()
    job = await queue_rescore(worker_database.database, company, actor=Actor("tests"))

    await run_job(worker_database.database, company, job, JOB_HANDLERS)

    [span] = [each for each in spans.get_finished_spans() if each.name.startswith("job ")]
    assert span.attributes["journey.job_id"] == job
    assert span.status.status_code is StatusCode.UNSET


async def test_a_failed_job_is_marked_with_the_class_of_its_error_only(worker_database, spans):
    company = await worker_database.create_company()
    job = await queue_rescore(worker_database.database, company, actor=Actor("tests"))

    async def fail(_run) -> None:
        raise ValueError("ada@example.org")

    with pytest.raises(ValueError, match="ada"):
        await run_job(worker_database.database, company, job, dict.fromkeys(JOB_HANDLERS, fail))

    [span] = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ValueError"
    assert "ada" not in span.to_json()


@pytest.mark.parametrize(
    ("failure", "status"),
    [(None, StatusCode.UNSET), (DeliveryFailedError("busy", status=421), StatusCode.ERROR)],
)
async def test_a_delivery_is_a_trace_with_the_key_of_the_action(worker_database, spans, failure, status):
    at = await worker_database.fetch_value("SELECT now() - interval '1 minute'")
    company = await worker_database.create_company(policy=NO_QUIET_HOURS)
    database = Database(worker_database.url, **PATIENT, vault_key=VAULT_KEY)
    try:
        profile, consents = {"email": "ada@example.org"}, {"email": "granted"}
        await put_customer(database, company, 1, profile, consents=consents, by=Actor("tests"))
        await ingest(database, company, [visit(1, at)])
        await OutboxDispatcher(database, MessageSenders(None, Mailer(failure))).drain()
    finally:
        await database.close()

    calls = [span for span in spans.get_finished_spans() if span.kind is SpanKind.CLIENT]
    assert {span.name.split()[0] for span in calls} == {"deliver"}
    assert {span.status.status_code for span in calls} == {status}
    keys = {row["id"] for row in await worker_database.owner.fetch("SELECT id::text FROM journey_actions")}
    assert {span.attributes["journey.action_id"] for span in calls} <= keys


class Collector(BaseHTTPRequestHandler):
    """Receives exported spans."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {pair.key: pair.value.string_value for pair in resource.resource.attributes}[
                "service.name"
            ]
            for scope in resource.scope_spans:
                self.server.seen += [(service, span.name) for span in scope.spans]
        if ("journey-worker", "sweep") in self.server.seen:
            self.server.happened.set()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


async def test_a_worker_process_sends_its_spans_to_the_collector(worker_database):
    await create_due_customer(worker_database)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.seen, server.happened = [], Happened()
    Thread(target=server.serve_forever, daemon=True).start()
    environment = worker_database.environment() | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "JOURNEY_ENVIRONMENT": "development",
    }
    process = Process("worker", environment=environment)
    try:
        assert await asyncio.to_thread(server.happened.wait, 300), server.seen
    finally:
        process.stop()
        server.shutdown()
        server.server_close()


def test_log_lines_of_background_work_name_its_trace(spans):
    record = logging.LogRecord("tests", logging.WARNING, __file__, 1, "late", (), None)
    with tracing.background_span("sweep", company_id=1) as span:
        line = json.loads(JsonFormatter().format(record))
    assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert "trace_id" not in JsonFormatter().format(record)
