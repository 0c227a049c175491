"""Values of events: times, texts and JSON, and why they cannot be stored."""

import json
import re
from datetime import UTC, datetime
from math import isfinite
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.cell_formats import (
    INVALID_TIME,
    TIME_ERROR,
    CellFormat,
    WrittenTime,
    parse_local_time,
)
from journey_service.domain.events.event import EARLIEST, LATEST
from journey_service.domain.json_values import JsonValue
from journey_service.domain.texts import find_text_error

MAX_METADATA_BYTES: Final = 8 * 1024
"""Maximum size of an event's metadata as UTF-8 JSON; a larger object is an error."""
MAX_METADATA_DEPTH: Final = 20
"""Maximum nesting depth of an event's metadata; a deeper object is an error."""

_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(Z|z|[+-]\d{2}:\d{2})?", re.ASCII
)
_OFFSET_MINUTES: Final = slice(-2, None)


def parse_instant(value: object, pointer: str) -> datetime:
    """Parses an RFC 3339 timestamp and converts it to UTC. Raises InvalidInputError."""
    found = parse_time(value, None, None)
    if isinstance(found, str):
        raise InvalidInputError.at(pointer, found)
    return found.instant


def parse_time(value: object, zone: ZoneInfo | None, cells: CellFormat | None) -> WrittenTime | str:
    """Parses a timestamp; returns the time, or an error message. With a zone, it may lack the offset."""
    if not isinstance(value, str):
        return TIME_ERROR
    if zone is None:
        instant = _parse_rfc3339(value)
        found = instant if isinstance(instant, str) else WrittenTime(instant, value)
    else:
        found = parse_local_time(value, zone, None if cells is None else cells.date_format)
    if isinstance(found, WrittenTime) and not EARLIEST <= found.instant < LATEST:
        return f"must be from {EARLIEST.year} to {LATEST.year}"
    return found


def _parse_rfc3339(value: str) -> datetime | str:
    match = _RFC3339.fullmatch(value)
    if match is None:
        return TIME_ERROR
    if match[1] is None:
        return "needs a time zone, such as Z or +02:00"
    if value[-6:-5] in ("+", "-") and value[_OFFSET_MINUTES] > "59":
        return INVALID_TIME
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return INVALID_TIME


def find_json_error(value: JsonValue, *, depth: int = MAX_METADATA_DEPTH) -> str | None:
    """Returns why a JSON value cannot be stored, or None.

    Checks the nesting depth, the size, NUL and lone surrogates in strings, and numbers that are not finite or are
    integers beyond 64 bits.
    """
    level: list[JsonValue] = [value]
    too_long = f"must not be longer than {MAX_METADATA_BYTES} bytes"
    count = 0
    for _ in range(depth + 1):
        count += len(level)
        if count > MAX_METADATA_BYTES:  # a value has at least one byte
            return too_long
        below: list[JsonValue] = []
        for each in level:
            if isinstance(each, str) and len(each) > MAX_METADATA_BYTES:
                return too_long
            if (problem := _value_error(each)) is not None:
                return problem
            if isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list):
                below += each
        level = below
    if level:
        return f"must not be nested deeper than {depth} levels"
    is_long = len(json.dumps(value, ensure_ascii=False).encode()) > MAX_METADATA_BYTES
    return too_long if is_long else None


def _value_error(value: JsonValue) -> str | None:
    if isinstance(value, str):
        return find_text_error(value)
    if isinstance(value, float) and not isfinite(value):
        return "must contain finite numbers only"
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "must not contain integers beyond 64 bits"
    return None
