"""Logs that name nobody and give nothing away: whatever is written passes through here.

Nothing of the service writes personal data or secrets into a log on purpose. This is the wall behind that: what the
register of personal columns calls private is masked by its name, credentials and addresses by their form.
"""

import logging
import re
from typing import Any, Final

from journey_service.domain.personal import PRIVATE_NAMES

MASK: Final = "[redacted]"

_NAMES: Final = "|".join(sorted(map(re.escape, PRIVATE_NAMES), key=len, reverse=True))
_QUOTED: Final = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_FORMS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), shown)
    for pattern, shown in (
        # A member of JSON, or of a printed mapping: its value, whatever it is, up to the end of the innermost one.
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
    """A text without what is private in it."""
    for form, shown in _FORMS:
        text = form.sub(shown, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Formats a record, its traceback included, and takes out what is private."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines, that are written."""
        return redact(super().format(record))


CONFIG: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "redacting": {
            "()": "journey_service.logs.RedactingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "redacting"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # arq tells of every ring; the doorbell says itself when it is out of order.
    "loggers": {"arq": {"level": "ERROR"}},
}
"""How every process of the service writes its log."""
