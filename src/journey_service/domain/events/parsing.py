"""Reading what others tell: events, CloudEvents and lines of history, with the place of every fault."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token
from journey_service.domain.events.event import (
    EARLIEST,
    EVENT_TYPES,
    FUTURE_TOLERANCE,
    LATEST,
    MAX_AMOUNT_CENTS,
    MAX_CALL_SECONDS,
    MAX_CUSTOMER_ID,
    Event,
    JsonValue,
)

MAX_TEXT_LENGTH: Final = 255
MAX_METADATA_BYTES: Final = 8 * 1024
MAX_METADATA_DEPTH: Final = 20
IMPORT_SOURCE: Final = "import"

_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(Z|z|[+-]\d{2}:\d{2})?", re.ASCII
)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_OFFSET_MINUTES: Final = slice(-2, None)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_DIGITS: Final = re.compile(r"-?\d{1,20}", re.ASCII)
_AMOUNT: Final = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_EVENT_FIELDS: Final = ("id", "source", "type", "customer_id", "occurred_at")
_DATA_FIELDS: Final = ("call_duration", "total_amount", "booking_id", "scheduled_for", "metadata")
FIELD_ALIASES: Final = {"event_type": "type", "amount": "total_amount", "event_id": "id"}


class ImportLine(NamedTuple):
    """One line of a history. Without an id of its own it gets one when its place in the history is known."""

    number: int
    event: Event
    has_id: bool


class _Reader:
    """Collects values and faults while one object is read."""

    def __init__(
        self,
        raw: Mapping[str, object],
        pointer: str,
        *,
        is_text: bool = False,
        places: Mapping[str, str] | None = None,
    ) -> None:
        self.raw = raw
        self.pointer = pointer
        self.is_text = is_text  # CSV knows texts only, and an empty one means nothing
        self.places = places or {}  # of values that were told under another name
        self.errors: list[FieldError] = []

    def get(self, name: str) -> object:
        value = self.raw.get(name)
        return None if self.is_text and value == "" else value

    def fault(self, name: str, message: str) -> None:
        place = self.places.get(name) or f"{self.pointer}/{pointer_token(name)}"
        self.errors.append(FieldError(place, message))

    def text(self, name: str, *, required: bool) -> str | None:
        value = self.get(name)
        if value is None:
            if required:
                self.fault(name, "is required")
            return None
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT_LENGTH:
            self.fault(name, f"must be a text of 1 to {MAX_TEXT_LENGTH} characters")
            return None
        if (unfit := _unfit(value)) is not None:
            self.fault(name, unfit)
            return None
        return value

    def integer(self, name: str, highest: int, *, required: bool) -> int | None:
        value = self.get(name)
        if value is None:
            if required:
                self.fault(name, "is required")
            return None
        if self.is_text and isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
            self.fault(name, f"must be a whole number from 0 to {highest}")
            return None
        return value

    def cents(self, name: str) -> int:
        value = self.get(name)
        if value is None:
            return 0
        if self.is_text and isinstance(value, str) and _AMOUNT.fullmatch(value):
            amount = Decimal(value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and value == value:  # noqa: PLR0124  # NaN alone does not
            amount = Decimal(repr(value))
        else:
            self.fault(name, "must be a number")
            return 0
        cents = amount * 100
        if not 0 <= cents <= MAX_AMOUNT_CENTS:
            self.fault(name, f"must be from 0 to {MAX_AMOUNT_CENTS / 100:.2f}")
            return 0
        if cents != cents.to_integral_value():
            self.fault(name, "must have at most two decimals")
            return 0
        return int(cents)

    def instant(self, name: str, *, required: bool, zone: ZoneInfo | None = None) -> datetime | None:
        value = self.get(name)
        if value is None:
            if required:
                self.fault(name, "is required")
            return None
        instant = _instant(value, zone)
        if isinstance(instant, str):
            self.fault(name, instant)
            return None
        return instant

    def unknown(self, known: tuple[str, ...]) -> None:
        for name in self.raw:
            if name not in known:
                self.fault(name, "is not known here")


def parse_event(raw: object, pointer: str = "") -> Event:
    """Read one event as services send it: `{id, source, type, customer_id, occurred_at, data}`.

    Raises InvalidInputError with the place of every fault.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInputError.at(pointer, "must be an object")
    reader = _Reader(raw, pointer)
    reader.unknown((*_EVENT_FIELDS, "data"))
    data = _data_reader(raw.get("data"), f"{pointer}/data", reader.errors)
    event = _event(reader, data)
    _raise(reader, data)
    return event


def parse_cloud_event(raw: object, pointer: str = "") -> Event:
    """Read a CloudEvents 1.0 message in structured mode: subject is the customer, time the instant.

    Extension attributes are allowed and not kept. Raises InvalidInputError.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInputError.at(pointer, "must be an object")
    errors: list[FieldError] = []
    if raw.get("specversion") != "1.0":
        errors.append(FieldError(f"{pointer}/specversion", "must be '1.0'"))
    subject = raw.get("subject")
    if not isinstance(subject, str) or not _DIGITS.fullmatch(subject):
        errors.append(FieldError(f"{pointer}/subject", "must be the customer's id, as a text of digits"))
        subject = "0"
    content_type = raw.get("datacontenttype", "application/json")
    if not isinstance(content_type, str) or "json" not in content_type:
        errors.append(FieldError(f"{pointer}/datacontenttype", "must be application/json"))
    if "data_base64" in raw:
        errors.append(
            FieldError(f"{pointer}/data_base64", "binary data is not understood; send data as JSON")
        )
    told = {
        "id": raw.get("id"),
        "source": raw.get("source"),
        "type": raw.get("type"),
        "customer_id": int(subject),
        "occurred_at": raw.get("time"),
    }
    reader = _Reader({name: value for name, value in told.items() if value is not None}, pointer)
    data = _data_reader(raw.get("data"), f"{pointer}/data", reader.errors)
    event = _event(reader, data)
    names = {f"{pointer}/customer_id": f"{pointer}/subject", f"{pointer}/occurred_at": f"{pointer}/time"}
    errors += [
        FieldError(names.get(fault.pointer, fault.pointer), fault.message)
        for fault in reader.errors + data.errors
    ]
    if errors:
        raise InvalidInputError(errors)
    return event


def parse_line(raw: Mapping[str, object], number: int, zone: ZoneInfo, *, is_text: bool) -> ImportLine:
    """Read one line of a history, flat or in the form of an event; a bare date is 00:00 in `zone`.

    `is_text` says that every value is a text, as in CSV. Raises InvalidInputError.
    """
    inner = raw.get("data", {})
    if is_text or not isinstance(inner, Mapping):
        inner = {}
    told = [
        (name, value, f"/{pointer_token(name)}") for name, value in raw.items() if name != "data" or is_text
    ]
    told += [(str(name), value, f"/data/{pointer_token(name)}") for name, value in inner.items()]
    flat: dict[str, object] = {}
    places: dict[str, str] = {}
    errors = []
    if not is_text and not isinstance(raw.get("data", {}), Mapping):
        errors.append(FieldError("/data", "must be an object"))
    for name, value, place in told:
        plain = FIELD_ALIASES.get(name, name)
        if plain in flat:
            errors.append(FieldError(place, f"is told twice: see {places[plain]}"))
            continue
        flat[plain], places[plain] = value, place
    reader = _Reader(flat, "", is_text=is_text, places=places)
    reader.errors += errors
    reader.unknown((*_EVENT_FIELDS, *_DATA_FIELDS))
    has_id = reader.get("id") is not None
    event = _event(reader, reader, zone=zone, is_line=True)
    _raise(reader)
    return ImportLine(number, event, has_id)


def line_id(event: Event, ordinal: int) -> str:
    """The id of a line that has none: `customer:type:occurred_at:n`, n counting equal ones from 1."""
    at = event.occurred_at.isoformat().replace("+00:00", "Z")
    return f"{event.customer_id}:{event.type}:{at}:{ordinal}"


def future_error(event: Event, now: datetime, pointer: str = "/occurred_at") -> InvalidInputError | None:
    """The fault of an event that claims to have happened more than five minutes after `now`."""
    if event.occurred_at <= now + FUTURE_TOLERANCE:
        return None
    return InvalidInputError.at(pointer, "lies more than 5 minutes in the future")


def parse_instant(value: object, pointer: str) -> datetime:
    """Read an RFC 3339 instant as UTC. Raises InvalidInputError."""
    instant = _instant(value, None)
    if isinstance(instant, str):
        raise InvalidInputError.at(pointer, instant)
    return instant


def find_json_error(value: JsonValue, *, depth: int = MAX_METADATA_DEPTH) -> str | None:
    """What makes free JSON unfit to be kept, or None.

    Too deep, too long, text with NUL or halves of surrogate pairs in it, numbers that are infinite, none at
    all, or whole and beyond 64 bits.
    """
    level: list[JsonValue] = [value]
    for _ in range(depth + 1):
        below: list[JsonValue] = []
        for each in level:
            if (unfit := _unfit_value(each)) is not None:
                return unfit
            if isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list):
                below += each
        level = below
    if level:
        return f"must not be nested deeper than {depth} levels"
    is_long = len(json.dumps(value, ensure_ascii=False).encode()) > MAX_METADATA_BYTES
    return f"must not be longer than {MAX_METADATA_BYTES} bytes" if is_long else None


def _unfit_value(value: JsonValue) -> str | None:
    if isinstance(value, str):
        return _unfit(value)
    if isinstance(value, float) and not isfinite(value):
        return "must hold finite numbers only"
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "must not hold whole numbers beyond 64 bits"
    return None


def _unfit(text: str) -> str | None:
    if "\x00" in text:
        return "must not contain NUL"
    return "must be Unicode text" if _SURROGATE.search(text) else None


def _event(reader: _Reader, data: _Reader, *, zone: ZoneInfo | None = None, is_line: bool = False) -> Event:
    event_id = reader.text("id", required=not is_line)
    source = reader.text("source", required=not is_line)
    type_ = reader.get("type")
    if type_ not in EVENT_TYPES:
        reader.fault(
            "type",
            "is required"
            if type_ is None
            # What a line says is not repeated: its faults are kept, and it may name somebody.
            else f"{'' if is_line else f'{quoted(type_)} '}is unknown; known: {', '.join(EVENT_TYPES)}",
        )
    customer_id = reader.integer("customer_id", MAX_CUSTOMER_ID, required=True)
    occurred_at = reader.instant("occurred_at", required=True, zone=zone)
    return Event(
        source=source or IMPORT_SOURCE,
        event_id=event_id or "",
        customer_id=customer_id or 0,
        type=type_ if isinstance(type_, str) else "",
        occurred_at=occurred_at or EARLIEST,
        amount_cents=data.cents("total_amount"),
        call_duration=data.integer("call_duration", MAX_CALL_SECONDS, required=False),
        booking_id=data.text("booking_id", required=False),
        scheduled_for=data.instant("scheduled_for", required=False, zone=zone),
        metadata=_metadata(data),
    )


def _data_reader(raw: object, pointer: str, errors: list[FieldError]) -> _Reader:
    if raw is not None and not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object"))
        raw = None
    reader = _Reader(raw or {}, pointer)
    reader.unknown(_DATA_FIELDS)
    return reader


def _metadata(reader: _Reader) -> dict[str, JsonValue] | None:
    value = reader.get("metadata")
    if value is None:
        return None
    if reader.is_text and isinstance(value, str):
        try:
            value = json.loads(value, parse_constant=_refuse)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        reader.fault("metadata", "must be an object")
        return None
    fault = find_json_error(value)
    if fault is not None:
        reader.fault("metadata", fault)
        return None
    return value


def _raise(*readers: _Reader) -> None:
    errors = [fault for reader in readers for fault in reader.errors]
    if errors:
        raise InvalidInputError(errors)


def _instant(value: object, zone: ZoneInfo | None) -> datetime | str:
    """The instant in UTC, or what is wrong with it."""
    if not isinstance(value, str):
        return "must be a time such as 2026-03-01T09:30:00Z"
    if zone is not None and _DATE.fullmatch(value):
        value, local = f"{value}T00:00:00", zone
    else:
        match = _RFC3339.fullmatch(value)
        if match is None:
            return "must be a time such as 2026-03-01T09:30:00Z"
        if match[1] is None:
            return "needs a time zone, such as Z or +02:00"
        local = None
    if value[-6:-5] in ("+", "-") and value[_OFFSET_MINUTES] > "59":
        return "is not a day and time of the calendar"
    try:
        instant = datetime.fromisoformat(value.upper())
        instant = (instant if local is None else instant.replace(tzinfo=local)).astimezone(UTC)
    except (ValueError, OverflowError):
        return "is not a day and time of the calendar"
    if not EARLIEST <= instant < LATEST:
        return f"must lie from {EARLIEST.year} to {LATEST.year}"
    return instant


def _refuse(constant: str) -> None:
    raise ValueError(constant)
