"""Metrics, a trace span and an access log line for every request."""

import logging
import re
import time
from contextlib import nullcontext
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from journey_service.logs import bound_to, redact, safe_fields

REQUEST_COUNT: Final = Counter(
    "journey_http_requests_total",
    "Number of HTTP requests by method, route template and status code",
    ["method", "route", "status"],
)
REQUEST_DURATION: Final = Histogram(
    "journey_http_request_duration_seconds",
    "Seconds from the start of an HTTP request to the end of its response, by method and route template",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_TRACER: Final = trace.get_tracer("journey_service")
_LOGGER: Final = logging.getLogger(__name__)
_GENERATED_ID: Final = re.compile("[0-9a-f]{32}")
_ACCESS_LOGGER: Final = logging.getLogger("journey_service.access")
_ACCESS_LINE: Final = "%s %s %d %.1f ms company_id=%s request_id=%s"
_SERVER_ERROR: Final = 500
_BASE: Final = "/api/v1"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Telemetry:
    """Middleware that records metrics, a trace span and an access log line for every request.

    Routes are recorded as templates, so that no customer id becomes a label or part of a log line.
    """

    def __init__(self, app: ASGIApp, *, logs_access: bool = True) -> None:
        self._app = app
        self._logs_access = logs_access
        fields = propagate.get_global_textmap().fields
        self._carriers = frozenset(name.lower().encode() for name in fields)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles the request and records it when its response has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status = _SERVER_ERROR
        started = time.perf_counter()

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        span = _TRACER.start_span(method, context=self._context_of(scope), kind=SpanKind.SERVER)
        traced = span.get_span_context()
        trace_id = f"{traced.trace_id:032x}" if traced.is_valid else None
        # Without a caller's trace, and without traces of its own, there is no span to be the current one.
        with trace.use_span(span, end_on_exit=True) if traced.is_valid else nullcontext():
            try:
                with bound_to(request_id=scope.get("request_id"), trace_id=trace_id):
                    try:
                        await self._app(scope, receive, send_and_record)
                    except Exception:
                        # Logged here because outer handlers know neither the route nor the request id.
                        _LOGGER.exception("%s %s failed", method, _route(scope))
                        raise
            finally:
                route, seconds = _route(scope), time.perf_counter() - started
                REQUEST_COUNT.labels(method, route, str(status)).inc()
                REQUEST_DURATION.labels(method, route).observe(seconds)
                if self._logs_access:
                    _log_access(scope, method, route, status, seconds)
                if span.is_recording():
                    _describe(span, method, route, status)

    def _context_of(self, scope: Scope) -> Context:
        """Returns the context that the headers of a request carry; most requests have no such header."""
        if self._carriers.isdisjoint(name for name, _ in scope["headers"]):
            return Context()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return propagate.extract(headers)


def _describe(span: trace.Span, method: str, route: str, status: int) -> None:
    span.update_name(f"{method} {route}")
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= _SERVER_ERROR:
        span.set_status(StatusCode.ERROR)


def _log_access(scope: Scope, method: str, route: str, status: int, seconds: float) -> None:
    if not _ACCESS_LOGGER.isEnabledFor(logging.INFO):
        return
    duration_ms = round(seconds * 1_000, 1)
    company_id, request_id = scope.get("company_id"), scope.get("request_id", "-")
    if _GENERATED_ID.fullmatch(request_id) is None:  # chosen by the caller
        request_id = redact(request_id)
    shown = (method, route, status, duration_ms, "-" if company_id is None else company_id, request_id)
    # Made here, because `Logger.info` looks for its caller, which takes longer than all the rest.
    record = logging.LogRecord(_ACCESS_LOGGER.name, logging.INFO, __file__, 0, _ACCESS_LINE, shown, None)
    record.__dict__ |= safe_fields(
        method=method,
        route=route,
        status=status,
        duration_ms=duration_ms,
        company_id=company_id,
        request_id=request_id,
    )
    _ACCESS_LOGGER.handle(record)


def _route(scope: Scope) -> str:
    """Returns the path template of the matched route; `none` if no route matched."""
    pattern = getattr(scope.get("route"), "path", None)
    if pattern is None:
        return "none"
    # The path of an included route lacks the prefix under which it was included.
    is_under_base = scope["path"].startswith(f"{_BASE}/") and not pattern.startswith(_BASE)
    return f"{_BASE}{pattern}" if is_under_base else str(pattern)
