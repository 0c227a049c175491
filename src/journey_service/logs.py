"""Logging configuration, with formatters that mask personal data and secrets in every line.

No code of the service logs personal data or secrets. As additional protection, values of personal columns are masked
by their name, and credentials and addresses by their pattern.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from opentelemetry import trace

from journey_service.domain.customers.personal_data import PRIVATE_NAMES

MASK: Final = "[redacted]"
_SAFE: Final = "is_safe"
"""Attribute of log records that need no masking."""

_NAMES: Final = "|".join(sorted(map(re.escape, PRIVATE_NAMES), key=len, reverse=True))
_QUOTED: Final = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_FORMS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), shown)
    for pattern, shown in (
        # A member of JSON or of a printed mapping: masks its value.
        (
            rf"(?P<name>[\"'](?:{_NAMES})[\"']\s*:\s*)(?:{_QUOTED}|\{{[^{{}}]*\}}|\[[^\[\]]*\]|[^\s,}}\]]+)",
            rf"\g<name>{MASK}",
        ),
        (rf"(?P<name>\b(?:{_NAMES})=)(?:{_QUOTED}|[^\s,;&)]+)", rf"\g<name>{MASK}"),
        (r"\b(?P<name>bearer|basic)\s+[A-Za-z0-9._~+/=-]+", rf"\g<name> {MASK}"),
        (r"\bjrn_[A-Za-z0-9-]{1,64}_[A-Za-z0-9_-]{8,}", MASK),
        (r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*", MASK),
        (r"\b\d{1,19}\.[A-Za-z0-9_-]{43}\b", MASK),
        (r"(?P<name>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", rf"\g<name>{MASK}"),
        (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", MASK),
        (r"\+\d[\d\s().-]{6,}\d", MASK),
    )
)


def redact(text: str) -> str:
    """Masks personal data and secrets in a text."""
    for form, shown in _FORMS:
        text = form.sub(shown, text)
    return text


def safe_fields(**fields: object) -> dict[str, object]:
    """Returns `extra` fields for a record without private data, which is then not masked.

    Masking would take most of the time of an access log line.
    """
    return {**fields, _SAFE: True}


def _is_safe(record: logging.LogRecord) -> bool:
    return getattr(record, _SAFE, False) and record.exc_info is None


class RedactingFormatter(logging.Formatter):
    """Formats a record with its traceback, and masks personal data and secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats the record."""
        text = super().format(record)
        return text if _is_safe(record) else redact(text)


_REQUEST: Final[ContextVar[Mapping[str, str]]] = ContextVar("request", default=MappingProxyType({}))
_STANDARD_FIELDS: Final = frozenset(
    (*vars(logging.makeLogRecord({})), "message", "asctime", "color_message", _SAFE)
)
"""Attributes of log records that are not extra fields, and uvicorn's colored copy of the message."""


@contextmanager
def bound_to(**ids: str | None) -> Iterator[None]:
    """Adds ids of the request and its trace to every record that is logged in the `with` block."""
    token = _REQUEST.set({name: value for name, value in ids.items() if value is not None})
    try:
        yield
    finally:
        _REQUEST.reset(token)


def _current_trace() -> Mapping[str, str]:
    context = trace.get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}"} if context.is_valid else {}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request id, and extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats the record as JSON."""
        mask = str if _is_safe(record) else redact
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, object] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": mask(record.getMessage()),
            **_current_trace(),
            **_REQUEST.get(),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
        fields |= {name: _plain(value, mask) for name, value in extra.items() if name not in fields}
        if record.exc_info:
            fields["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False)


def _plain(value: object, mask: Callable[[str], str]) -> object:
    """Returns a JSON value: numbers and None unchanged, other values as masked text."""
    return value if value is None or isinstance(value, int | float) else mask(str(value))


def config(*, is_json: bool) -> dict[str, Any]:
    """Returns the logging configuration of a process: JSON lines or text."""
    return {**CONFIG, "handlers": {"stderr": {**_HANDLER, "formatter": "json" if is_json else "redacting"}}}


class DuplicateErrorFilter(logging.Filter):
    """Drops uvicorn's record of a failed request, which the service has already logged with the request id."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns False for uvicorn's record of a failed request."""
        return not str(record.msg).startswith("Exception in ASGI application")


_HANDLER: Final = {"class": "logging.StreamHandler", "formatter": "redacting"}
CONFIG: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "redacting": {
            "()": "journey_service.logs.RedactingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
        "json": {"()": "journey_service.logs.JsonFormatter"},
    },
    "filters": {"once": {"()": "journey_service.logs.DuplicateErrorFilter"}},
    "handlers": {"stderr": _HANDLER},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # arq logs every wake-up at lower levels.
    "loggers": {"arq": {"level": "ERROR"}, "uvicorn.error": {"filters": ["once"]}},
}
"""Logging configuration of every process, with text lines."""
