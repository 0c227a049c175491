"""What is measured of every request, and where it belongs in a trace that others have begun."""

import logging
import time
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from journey_service.logs import bound_to

REQUESTS: Final = Counter("journey_http_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS: Final = Histogram(
    "journey_http_request_seconds",
    "Seconds from the request to the end of its answer",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_TRACER: Final = trace.get_tracer("journey_service")
_LOGGER: Final = logging.getLogger(__name__)
_SERVER_ERROR: Final = 500
_BASE: Final = "/api/v1"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Telemetry:
    """Counts and times every request by its route, and makes a span of it if traces are told anywhere.

    Routes are named by their pattern: a customer's id is nobody's label.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; what is measured is written down when the answer has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status = _SERVER_ERROR
        began = time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with _TRACER.start_as_current_span(
            method, context=propagate.extract(headers), kind=SpanKind.SERVER
        ) as span:
            traced = span.get_span_context()
            trace_id = f"{traced.trace_id:032x}" if traced.is_valid else None
            try:
                with bound_to(request_id=scope.get("request_id"), trace_id=trace_id):
                    try:
                        await self._app(scope, receive, send_and_note)
                    except Exception:
                        # Whoever logs it further out does not know any more which request it was.
                        _LOGGER.exception("%s %s failed", method, _route(scope))
                        raise
            finally:
                route = _route(scope)
                REQUESTS.labels(method, route, str(status)).inc()
                SECONDS.labels(method, route).observe(time.perf_counter() - began)
                span.update_name(f"{method} {route}")
                span.set_attribute("http.request.method", method)
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= _SERVER_ERROR:
                    span.set_status(StatusCode.ERROR)


def _route(scope: Scope) -> str:
    """The pattern of the route that was asked for; one name for all that are none."""
    pattern = getattr(scope.get("route"), "path", None)
    if pattern is None:
        return "none"
    # A route that was included does not know what it was included under.
    is_under_base = scope["path"].startswith(f"{_BASE}/") and not pattern.startswith(_BASE)
    return f"{_BASE}{pattern}" if is_under_base else str(pattern)


def send_traces() -> None:
    """Have spans sent to where the variables of OpenTelemetry say."""
    provider = TracerProvider(resource=Resource.create({"service.name": "journey-service"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
