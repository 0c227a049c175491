"""Parses events, CloudEvents and lines of import files; errors carry their position."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite, isnan
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from journey_service.domain.companies.currencies import MAX_DECIMALS, Currency
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token, quote_value
from journey_service.domain.events.cell_formats import (
    INVALID_TIME,
    TIME_ERROR,
    CellFormat,
    WrittenTime,
    parse_amount,
    parse_local_time,
    parse_whole_number,
)
from journey_service.domain.events.content_keys import content_key
from journey_service.domain.events.event import (
    EARLIEST,
    EVENT_TYPES,
    FUTURE_TOLERANCE,
    LATEST,
    MAX_AMOUNT_CENTS,
    MAX_CALL_SECONDS,
    MAX_CUSTOMER_ID,
    Event,
    EventType,
    JsonValue,
)

MAX_TEXT_LENGTH: Final = 255
"""Maximum number of characters of ids and sources; a longer text is an error."""
MAX_METADATA_BYTES: Final = 8 * 1024
"""Maximum size of an event's metadata as UTF-8 JSON; a larger object is an error."""
MAX_METADATA_DEPTH: Final = 20
"""Maximum nesting depth of an event's metadata; a deeper object is an error."""
IMPORT_SOURCE: Final = "import"
"""Source of imported events that have none."""

_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(Z|z|[+-]\d{2}:\d{2})?", re.ASCII
)
_OFFSET_MINUTES: Final = slice(-2, None)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_DIGITS: Final = re.compile(r"-?\d{1,20}", re.ASCII)
_AMOUNT: Final = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_MAX_AMOUNT: Final = Decimal("999999999.99")
"""Largest amount of an event in any currency; a larger one is refused."""
_THOUSANDTHS: Final = 10**MAX_DECIMALS
_EVENT_FIELDS: Final = ("id", "source", "type", "customer_id", "occurred_at")
_DATA_FIELDS: Final = (
    *("call_duration", "total_amount", "reported_at", "booking_id", "scheduled_for", "retracts", "metadata"),
)
FIELD_ALIASES: Final = {"event_type": "type", "amount": "total_amount", "event_id": "id"}
"""Alternative names of fields in import files."""


KNOWN_COLUMNS: Final = frozenset((*_EVENT_FIELDS, *_DATA_FIELDS, *FIELD_ALIASES))
"""Names of fields in import files."""


class ImportLine(NamedTuple):
    """A parsed line of an import file.

    Without an id (`has_id`), the id of the event is its content key, which gets an ordinal when the line is applied.
    `cells` are those of the file.
    """

    number: int
    event: Event
    has_id: bool
    cells: Sequence[str] | None = None


class _ObjectReader:
    """Reads the fields of one object and collects their errors."""

    def __init__(
        self,
        raw: Mapping[str, object],
        pointer: str,
        *,
        cells: CellFormat | None = None,
        pointers: Mapping[str, str] | None = None,
    ) -> None:
        self.raw = raw
        self.pointer = pointer
        self.cells = cells  # of CSV: every value is a string, and an empty one means null
        self.pointers = pointers or {}  # of fields that the input names differently
        self.errors: list[FieldError] = []
        self.written: dict[str, str] = {}  # times as the file has them

    def get(self, name: str) -> object:
        value = self.raw.get(name)
        return None if self.cells is not None and value == "" else value

    def add_error(self, name: str, message: str) -> None:
        pointer = self.pointers.get(name) or f"{self.pointer}/{pointer_token(name)}"
        self.errors.append(FieldError(pointer, message))

    def text(self, name: str, *, required: bool) -> str | None:
        value = self.get(name)
        if value is None:
            if required:
                self.add_error(name, "is required")
            return None
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT_LENGTH:
            self.add_error(name, f"must be text of 1 to {MAX_TEXT_LENGTH} characters")
            return None
        if (problem := find_text_error(value)) is not None:
            self.add_error(name, problem)
            return None
        return value

    def integer(self, name: str, maximum: int, *, required: bool) -> int | None:
        value = self.get(name)
        if value is None:
            if required:
                self.add_error(name, "is required")
            return None
        if isinstance(value, str):
            value = self._whole_number(value)
        if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
            self.add_error(name, f"must be a whole number from 0 to {maximum}")
            return None
        return value

    def _whole_number(self, text: str) -> int | None:
        """Returns the number that text stands for; leading zeros could be those of another id."""
        if len(text) > 1 and text.startswith("0") and text.isdigit():
            return None
        if self.cells is not None:
            return parse_whole_number(text)
        return int(text) if _DIGITS.fullmatch(text) else None

    def _amount(self, value: object) -> Decimal | str:
        """Returns an amount, or an error message."""
        if isinstance(value, str) and self.cells is not None:
            return parse_amount(value, self.cells)
        if isinstance(value, str) and _AMOUNT.fullmatch(value):
            return Decimal(value)
        is_nan = isinstance(value, float) and isnan(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or is_nan:
            return "must be a number"
        return Decimal(repr(value))

    def thousandths(self, name: str) -> int:
        value = self.get(name)
        if value is None:
            return 0
        amount = self._amount(value)
        if isinstance(amount, str):
            self.add_error(name, amount)
            return 0
        if not 0 <= amount <= _MAX_AMOUNT:
            self.add_error(name, f"must be from 0 to {_MAX_AMOUNT}")
            return 0
        thousandths = amount * _THOUSANDTHS
        if thousandths != thousandths.to_integral_value():
            self.add_error(name, f"must have at most {MAX_DECIMALS} decimals")
            return 0
        return int(thousandths)

    def instant(self, name: str, *, required: bool, zone: ZoneInfo | None = None) -> datetime | None:
        value = self.get(name)
        if value is None:
            if required:
                self.add_error(name, "is required")
            return None
        found = _written_time(value, zone, self.cells)
        if isinstance(found, str):
            self.add_error(name, found)
            return None
        self.written[name] = found.as_written
        return found.instant

    def reject_unknown(self, known: tuple[str, ...]) -> None:
        for name in self.raw:
            if name not in known:
                self.add_error(name, "is not a known field")


def parse_event(raw: object, pointer: str = "") -> Event:
    """Parses one event in the JSON form `{id, source, type, customer_id, occurred_at, data}`.

    Raises InvalidInputError with every error.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInputError.at(pointer, "must be an object")
    reader = _ObjectReader(raw, pointer)
    reader.reject_unknown((*_EVENT_FIELDS, "data"))
    data = _data_reader(raw.get("data"), f"{pointer}/data", reader.errors)
    event = _event(reader, data)
    _raise_errors(reader, data)
    return event


def parse_cloud_event(raw: object, pointer: str = "") -> Event:
    """Parses a CloudEvents 1.0 message in structured mode.

    `subject` is the customer, `time` is `occurred_at`. Extension attributes are ignored. Raises InvalidInputError with
    every error.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInputError.at(pointer, "must be an object")
    errors: list[FieldError] = []
    if raw.get("specversion") != "1.0":
        errors.append(FieldError(f"{pointer}/specversion", "must be '1.0'"))
    subject = raw.get("subject")
    if not isinstance(subject, str) or not _DIGITS.fullmatch(subject):
        errors.append(FieldError(f"{pointer}/subject", "must be the customer's id as a string of digits"))
        subject = "0"
    content_type = raw.get("datacontenttype", "application/json")
    if not isinstance(content_type, str) or "json" not in content_type:
        errors.append(FieldError(f"{pointer}/datacontenttype", "must be application/json"))
    values = {
        "id": raw.get("id"),
        "source": raw.get("source"),
        "type": raw.get("type"),
        "customer_id": int(subject),
        "occurred_at": raw.get("time"),
    }
    reader = _ObjectReader({name: value for name, value in values.items() if value is not None}, pointer)
    data = _data_reader(raw.get("data"), f"{pointer}/data", reader.errors)
    event = _event(reader, data)
    names = {f"{pointer}/customer_id": f"{pointer}/subject", f"{pointer}/occurred_at": f"{pointer}/time"}
    errors += [
        FieldError(names.get(error.pointer, error.pointer), error.message)
        for error in reader.errors + data.errors
    ]
    if errors:
        raise InvalidInputError(errors)
    return event


def parse_line(
    raw: Mapping[str, object],
    number: int,
    zone: ZoneInfo,
    *,
    currency: Currency,
    cells: CellFormat | None = None,
) -> ImportLine:
    """Parses one line of an import file, flat or in the form of an event; a time without an offset is one of `zone`.

    `cells`: every value is a string, as in CSV, and written in this format. Amounts are in `currency`.

    Raises InvalidInputError with every error.
    """
    is_text = cells is not None
    inner = raw.get("data", {})
    if is_text or not isinstance(inner, Mapping):
        inner = {}
    entries = [
        (name, value, f"/{pointer_token(name)}") for name, value in raw.items() if name != "data" or is_text
    ]
    entries += [(str(name), value, f"/data/{pointer_token(name)}") for name, value in inner.items()]
    flat: dict[str, object] = {}
    pointers: dict[str, str] = {}
    errors = []
    if not is_text and not isinstance(raw.get("data", {}), Mapping):
        errors.append(FieldError("/data", "must be an object"))
    for alias, value, pointer in entries:
        name = FIELD_ALIASES.get(alias, alias)
        if name in flat:
            errors.append(FieldError(pointer, f"is a duplicate of {pointers[name]}"))
            continue
        flat[name], pointers[name] = value, pointer
    reader = _ObjectReader(flat, "", cells=cells, pointers=pointers)
    reader.errors += errors
    reader.reject_unknown((*_EVENT_FIELDS, *_DATA_FIELDS))
    has_id = reader.get("id") is not None
    event = _event(reader, reader, zone=zone, is_line=True)
    converted = in_currency(event, currency)
    if isinstance(converted, InvalidInputError):
        reader.add_error("total_amount", converted.errors[0].message)
    _raise_errors(reader)
    if not isinstance(converted, InvalidInputError):
        event = converted
    if not has_id:
        event = event._replace(event_id=content_key(event, reader.written["occurred_at"]))
    return ImportLine(number, event, has_id)


def parse_customer_id(raw: Mapping[str, object], cells: CellFormat | None) -> int:
    """Parses the field `customer_id` of a line. Raises InvalidInputError."""
    reader = _ObjectReader(raw, "", cells=cells)
    customer_id = reader.integer("customer_id", MAX_CUSTOMER_ID, required=True)
    _raise_errors(reader)
    return customer_id or 0


def in_currency(event: Event, currency: Currency) -> Event | InvalidInputError:
    """Returns the event with its amount in smallest units of the currency, or the error of the amount."""
    if not event.is_in_thousandths:
        return event
    amount = Decimal(event.amount_cents).scaleb(-MAX_DECIMALS)
    if not currency.fits(amount):
        return InvalidInputError.at("/data/total_amount", currency.decimals_error)
    units = int(amount * currency.units)
    if units > MAX_AMOUNT_CENTS:
        message = f"must be from 0 to {currency.format(MAX_AMOUNT_CENTS)}"
        return InvalidInputError.at("/data/total_amount", message)
    return event._replace(amount_cents=units, is_in_thousandths=False)


def future_error(event: Event, now: datetime, pointer: str = "/occurred_at") -> InvalidInputError | None:
    """Returns the error of an event that is more than FUTURE_TOLERANCE after `now`, or None."""
    if event.occurred_at <= now + FUTURE_TOLERANCE:
        return None
    return InvalidInputError.at(pointer, "must not be more than 5 minutes in the future")


def reported_error(
    event: Event, now: datetime, pointer: str = "/data/reported_at"
) -> InvalidInputError | None:
    """Returns the error of an event that was reported more than FUTURE_TOLERANCE after `now`, or None.

    Such an outcome of a booking would count until then, in spite of corrections.
    """
    if event.reported_at is None or event.reported_at <= now + FUTURE_TOLERANCE:
        return None
    return InvalidInputError.at(pointer, "must not be more than 5 minutes in the future")


def parse_instant(value: object, pointer: str) -> datetime:
    """Parses an RFC 3339 timestamp and converts it to UTC. Raises InvalidInputError."""
    found = _written_time(value, None, None)
    if isinstance(found, str):
        raise InvalidInputError.at(pointer, found)
    return found.instant


def find_json_error(value: JsonValue, *, depth: int = MAX_METADATA_DEPTH) -> str | None:
    """Returns why a JSON value cannot be stored, or None.

    Checks the nesting depth, the size, NUL and lone surrogates in strings, and numbers that are not finite or are
    integers beyond 64 bits.
    """
    level: list[JsonValue] = [value]
    for _ in range(depth + 1):
        below: list[JsonValue] = []
        for each in level:
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
    return f"must not be longer than {MAX_METADATA_BYTES} bytes" if is_long else None


def _value_error(value: JsonValue) -> str | None:
    if isinstance(value, str):
        return find_text_error(value)
    if isinstance(value, float) and not isfinite(value):
        return "must contain finite numbers only"
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "must not contain integers beyond 64 bits"
    return None


def find_text_error(text: str) -> str | None:
    """Returns why a text cannot be stored, or None."""
    if "\x00" in text:
        return "must not contain NUL"
    return "must be valid Unicode text" if _SURROGATE.search(text) else None


def _event(
    reader: _ObjectReader, data: _ObjectReader, *, zone: ZoneInfo | None = None, is_line: bool = False
) -> Event:
    event_id = reader.text("id", required=not is_line)
    source = reader.text("source", required=not is_line)
    type_ = reader.get("type")
    if type_ not in EVENT_TYPES:
        reader.add_error(
            "type",
            "is required"
            if type_ is None
            # Errors of import lines are stored: they must not repeat a value, which may be personal data.
            else f"must be one of {', '.join(EVENT_TYPES)}{'' if is_line else f'; got {quote_value(type_)}'}",
        )
    customer_id = reader.integer("customer_id", MAX_CUSTOMER_ID, required=True)
    occurred_at = reader.instant("occurred_at", required=True, zone=zone)
    return Event(
        source=source or IMPORT_SOURCE,
        event_id=event_id or "",
        customer_id=customer_id or 0,
        type=type_ if isinstance(type_, str) else "",
        occurred_at=occurred_at or EARLIEST,
        amount_cents=data.thousandths("total_amount"),
        call_duration=data.integer("call_duration", MAX_CALL_SECONDS, required=False),
        booking_id=data.text("booking_id", required=False),
        scheduled_for=data.instant("scheduled_for", required=False, zone=zone),
        metadata=_metadata(data),
        reported_at=data.instant("reported_at", required=False, zone=zone),
        retracts=_retracts(data, is_required=type_ == EventType.EVENT_RETRACTED),
        is_in_thousandths=True,
    )


def _data_reader(raw: object, pointer: str, errors: list[FieldError]) -> _ObjectReader:
    if raw is not None and not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object"))
        raw = None
    reader = _ObjectReader(raw or {}, pointer)
    reader.reject_unknown(_DATA_FIELDS)
    return reader


def _retracts(reader: _ObjectReader, *, is_required: bool) -> tuple[str, str] | None:
    """Returns the source and id of the event that is retracted."""
    raw = reader.get("retracts")
    if raw is None:
        if is_required:
            reader.add_error("retracts", f"is required with type {EventType.EVENT_RETRACTED}")
        return None
    if not is_required:
        reader.add_error("retracts", f"is only accepted with type {EventType.EVENT_RETRACTED}")
        return None
    value = _object(reader, "retracts")
    if value is None:
        return None
    inner = _ObjectReader(value, reader.pointers.get("retracts") or f"{reader.pointer}/retracts")
    inner.reject_unknown(("source", "id"))
    source, event_id = inner.text("source", required=True), inner.text("id", required=True)
    reader.errors += inner.errors
    return None if source is None or event_id is None else (source, event_id)


def _object(reader: _ObjectReader, name: str) -> dict[str, JsonValue] | None:
    """Returns a field that is an object, which cells of text hold as JSON."""
    value = reader.get(name)
    if reader.cells is not None and isinstance(value, str):
        try:
            # Spreadsheets write line breaks into cells as they are.
            value = json.loads(value, parse_constant=_refuse_constant, strict=False)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        reader.add_error(name, "must be an object")
        return None
    return value


def _metadata(reader: _ObjectReader) -> dict[str, JsonValue] | None:
    if reader.get("metadata") is None:
        return None
    value = _object(reader, "metadata")
    if value is None:
        return None
    problem = find_json_error(value)
    if problem is not None:
        reader.add_error("metadata", problem)
        return None
    return value


def _raise_errors(*readers: _ObjectReader) -> None:
    errors = [error for reader in readers for error in reader.errors]
    if errors:
        raise InvalidInputError(errors)


def _written_time(value: object, zone: ZoneInfo | None, cells: CellFormat | None) -> WrittenTime | str:
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


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)
