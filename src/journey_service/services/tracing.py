"""Trace spans of background work.

Work of a worker is the root of a trace, because rows do not contain the trace of the request that wrote them. A job
that runs in a request is part of the trace of the request.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

_TRACER: Final = trace.get_tracer("journey_service")


@contextmanager
def background_span(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int
) -> Iterator[Span]:
    """Runs the block in a span. Attributes and names contain no personal data.

    An exception sets the status of the span to error with the name of its class, and is raised: its text may contain
    values of rows.
    """
    with _TRACER.start_as_current_span(
        name,
        kind=kind,
        attributes={f"journey.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except Exception as error:
            set_failed(span, type(error).__name__)
            raise


def set_failed(span: Span, error_type: str) -> None:
    """Marks a span as failed."""
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", error_type)
