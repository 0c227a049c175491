"""Parses events, CloudEvents and lines of import files; errors carry their position."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from journey_service.domain.companies.currencies import MAX_DECIMALS, Currency
from journey_service.domain.customers.references import CustomerName, parse_written_ref
from journey_service.domain.customers.updates import PROFILE_LENGTHS, ProfileUpdate
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token, quote_value
from journey_service.domain.events.cell_formats import CellFormat
from journey_service.domain.events.content_keys import content_key
from journey_service.domain.events.event import (
    EARLIEST,
    EVENT_TYPES,
    FUTURE_TOLERANCE,
    MAX_AMOUNT_CENTS,
    MAX_CALL_SECONDS,
    NO_CUSTOMER_ID,
    Event,
    EventType,
)
from journey_service.domain.events.object_reader import ObjectReader, raise_errors
from journey_service.domain.events.profile_fields import parse_profile, parse_profile_fields
from journey_service.domain.events.values import find_json_error
from journey_service.domain.json_values import JsonValue

IMPORT_SOURCE: Final = "import"
"""Source of imported events that have none."""

_DIGITS: Final = re.compile(r"-?\d{1,20}", re.ASCII)
SUBJECT_ERROR: Final = "must be the customer's id as a string of digits, or ref: and the customer_ref"
"""Error of a CloudEvents subject that names no customer."""
_EVENT_FIELDS: Final = ("id", "source", "type", "customer_id", "customer_ref", "occurred_at")
_DATA_FIELDS: Final = (
    *("call_duration", "total_amount", "reported_at", "booking_id", "scheduled_for", "retracts", "metadata"),
)
FIELD_ALIASES: Final = {"event_type": "type", "amount": "total_amount", "event_id": "id"}
"""Alternative names of fields in import files."""


_PROFILE_PREFIX: Final = "customer_"
PROFILE_COLUMNS: Final = tuple(f"{_PROFILE_PREFIX}{name}" for name in (*PROFILE_LENGTHS, "language"))
"""Names of columns of the customer's profile in import files of events."""
KNOWN_COLUMNS: Final = frozenset(
    (*_EVENT_FIELDS, *_DATA_FIELDS, *FIELD_ALIASES, *PROFILE_COLUMNS, "customer")
)
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


def parse_event(raw: object, pointer: str = "") -> Event:
    """Parses one event in the JSON form `{id, source, type, customer_id, occurred_at, data}`.

    Raises InvalidInputError with every error.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInputError.at(pointer, "must be an object")
    reader = ObjectReader(raw, pointer)
    reader.reject_unknown((*_EVENT_FIELDS, "customer", "data"))
    data = _data_reader(raw.get("data"), f"{pointer}/data", reader.errors)
    event = _event(reader, data)
    profile = parse_profile(raw.get("customer"), f"{pointer}/customer", reader.errors)
    raise_errors(reader, data)
    return event._replace(profile=profile)


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
    customer_id, ref = _subject(raw.get("subject"), f"{pointer}/subject", errors)
    content_type = raw.get("datacontenttype", "application/json")
    if not isinstance(content_type, str) or "json" not in content_type:
        errors.append(FieldError(f"{pointer}/datacontenttype", "must be application/json"))
    values = {
        "id": raw.get("id"),
        "source": raw.get("source"),
        "type": raw.get("type"),
        "customer_id": customer_id,
        "customer_ref": ref,
        "occurred_at": raw.get("time"),
    }
    reader = ObjectReader({name: value for name, value in values.items() if value is not None}, pointer)
    details = raw.get("data")
    customer = None
    if isinstance(details, Mapping):
        customer = details.get("customer")
        details = {name: value for name, value in details.items() if name != "customer"}
    data = _data_reader(details, f"{pointer}/data", reader.errors)
    event = _event(reader, data)._replace(
        profile=parse_profile(customer, f"{pointer}/data/customer", reader.errors)
    )
    names = {f"{pointer}/customer_id": f"{pointer}/subject", f"{pointer}/occurred_at": f"{pointer}/time"}
    errors += [
        FieldError(names.get(error.pointer, error.pointer), error.message)
        for error in reader.errors + data.errors
    ]
    if errors:
        raise InvalidInputError(errors)
    return event


def _subject(subject: object, pointer: str, errors: list[FieldError]) -> tuple[str | None, str | None]:
    """Returns the digits of a customer's id, or a ref; one of them is None."""
    try:
        ref = parse_written_ref(subject, pointer) if isinstance(subject, str) else None
        if ref is not None:
            return None, ref
        if not isinstance(subject, str) or not _DIGITS.fullmatch(subject):
            raise InvalidInputError.at(pointer, SUBJECT_ERROR)
    except InvalidInputError as error:
        errors += error.errors
        return "0", None
    return subject, None


def _flatten(
    raw: Mapping[str, object], errors: list[FieldError], *, is_text: bool
) -> tuple[dict[str, object], dict[str, str]]:
    """Returns the fields of a line, those in `data` included, and the pointer of each."""
    inner = raw.get("data", {})
    if not is_text and not isinstance(inner, Mapping):
        errors.append(FieldError("/data", "must be an object"))
    if is_text or not isinstance(inner, Mapping):
        inner = {}
    entries = [
        (name, value, f"/{pointer_token(name)}") for name, value in raw.items() if name != "data" or is_text
    ]
    entries += [(str(name), value, f"/data/{pointer_token(name)}") for name, value in inner.items()]
    flat: dict[str, object] = {}
    pointers: dict[str, str] = {}
    for alias, value, pointer in entries:
        name = FIELD_ALIASES.get(alias, alias)
        if name in flat:
            errors.append(FieldError(pointer, f"is a duplicate of {pointers[name]}"))
            continue
        flat[name], pointers[name] = value, pointer
    return flat, pointers


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
    errors: list[FieldError] = []
    flat, pointers = _flatten(raw, errors, is_text=is_text)
    reader = ObjectReader(flat, "", cells=cells, pointers=pointers)
    reader.errors += errors
    reader.reject_unknown((*_EVENT_FIELDS, *_DATA_FIELDS, *PROFILE_COLUMNS, "customer"))
    has_id = reader.get("id") is not None
    event = _event(reader, reader, zone=zone, is_line=True)._replace(profile=_line_profile(reader))
    converted = in_currency(event, currency)
    if isinstance(converted, InvalidInputError):
        reader.add_error("total_amount", converted.errors[0].message)
    raise_errors(reader)
    if not isinstance(converted, InvalidInputError):
        event = converted
    if not has_id:
        event = event._replace(event_id=content_key(event, reader.written["occurred_at"]))
    return ImportLine(number, event, has_id)


def parse_customer(raw: Mapping[str, object], cells: CellFormat | None) -> CustomerName:
    """Parses the fields `customer_id` and `customer_ref` of a line. Raises InvalidInputError."""
    reader = ObjectReader(raw, "", cells=cells)
    customer = _customer(reader)
    raise_errors(reader)
    return customer


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


def _event(
    reader: ObjectReader, data: ObjectReader, *, zone: ZoneInfo | None = None, is_line: bool = False
) -> Event:
    event_id = reader.text("id", required=not is_line)
    source = reader.text("source", required=not is_line)
    type_ = _event_type(reader, is_line=is_line)
    customer = _customer(reader)
    occurred_at = reader.instant("occurred_at", required=True, zone=zone)
    return Event(
        source=source or IMPORT_SOURCE,
        event_id=event_id or "",
        customer_id=NO_CUSTOMER_ID if customer.customer_id is None else customer.customer_id,
        type=type_,
        occurred_at=occurred_at or EARLIEST,
        amount_cents=data.thousandths("total_amount"),
        call_duration=data.integer("call_duration", MAX_CALL_SECONDS, required=False),
        booking_id=data.text("booking_id", required=False),
        scheduled_for=data.instant("scheduled_for", required=False, zone=zone),
        metadata=_metadata(data),
        reported_at=data.instant("reported_at", required=False, zone=zone),
        retracts=_retracts(data, is_required=type_ == EventType.EVENT_RETRACTED),
        customer_ref=customer.customer_ref,
        is_in_thousandths=True,
    )


def _event_type(reader: ObjectReader, *, is_line: bool) -> str:
    """Returns the type of an event; adds an error unless it is a known one."""
    type_ = reader.get("type")
    if type_ not in EVENT_TYPES:
        # Errors of import lines are stored: they must not repeat a value, which may be personal data.
        got = "" if is_line else f"; got {quote_value(type_)}"
        reader.add_error(
            "type", "is required" if type_ is None else f"must be one of {', '.join(EVENT_TYPES)}{got}"
        )
    return type_ if isinstance(type_, str) else ""


def _customer(reader: ObjectReader) -> CustomerName:
    """Returns how the customer is named: by an id, by a ref, or by both."""
    ref = reader.ref("customer_ref")
    customer_id = reader.customer_id("customer_id", required=reader.get("customer_ref") is None)
    return CustomerName(customer_id, ref)


def _data_reader(raw: object, pointer: str, errors: list[FieldError]) -> ObjectReader:
    if raw is not None and not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object"))
        raw = None
    reader = ObjectReader(raw or {}, pointer)
    reader.reject_unknown(_DATA_FIELDS)
    return reader


def _retracts(reader: ObjectReader, *, is_required: bool) -> tuple[str, str] | None:
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
    inner = ObjectReader(value, reader.pointers.get("retracts") or f"{reader.pointer}/retracts")
    inner.reject_unknown(("source", "id"))
    source, event_id = inner.text("source", required=True), inner.text("id", required=True)
    reader.errors += inner.errors
    return None if source is None or event_id is None else (source, event_id)


def _line_profile(reader: ObjectReader) -> ProfileUpdate | None:
    """Returns the profile of a line: the object `customer`, and the fields of the profile that are columns."""
    profile = None
    if reader.get("customer") is not None:
        value = _object(reader, "customer")
        profile = parse_profile(value, reader.pointers.get("customer") or "/customer", reader.errors)
    errors: list[FieldError] = []
    named = {name.removeprefix(_PROFILE_PREFIX): reader.get(name) for name in PROFILE_COLUMNS}
    fields = parse_profile_fields(named, "", errors)
    if profile is not None:
        errors += [FieldError(f"/{name}", "is in customer too") for name in fields if name in profile.fields]
    for error in errors:
        reader.add_error(f"{_PROFILE_PREFIX}{error.pointer[1:]}", error.message)
    if not fields:
        return profile
    profile = profile or ProfileUpdate({}, {}, {})
    return profile._replace(fields={**profile.fields, **fields})


def _object(reader: ObjectReader, name: str) -> dict[str, JsonValue] | None:
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


def _metadata(reader: ObjectReader) -> dict[str, JsonValue] | None:
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


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)
