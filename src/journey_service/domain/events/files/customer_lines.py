"""Parses lines of import files of customers: an id, and the fields of the profile that the line names."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from journey_service.domain.customers.profiles import normalize_language
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token
from journey_service.domain.events.cell_formats import CellFormat
from journey_service.domain.events.parsing import parse_customer_id
from journey_service.domain.events.values import find_text_error

CONSENT_CHANNELS: Final = ("email", "sms", "call", "offer")
CONSENT_STATUSES: Final = ("granted", "withdrawn", "unknown")
_MAX_LENGTHS: Final = {"name": 255, "first_name": 100, "email": 320, "phone": 64}
_CONSENT_PREFIX: Final = "consent_"
_CONSENT_COLUMNS: Final = tuple(f"{_CONSENT_PREFIX}{channel}" for channel in CONSENT_CHANNELS)

CUSTOMER_COLUMNS: Final = frozenset(("customer_id", *_MAX_LENGTHS, "language", "consents", *_CONSENT_COLUMNS))
"""Names of fields in import files of customers."""


class CustomerLine(NamedTuple):
    """A parsed line of customers: the fields of the profile that it names, and consents by channel."""

    number: int
    customer_id: int
    fields: Mapping[str, str]
    consents: Mapping[str, str]
    cells: Sequence[str] | None = None


def parse_customer_line(
    raw: Mapping[str, object], number: int, *, cells: CellFormat | None = None
) -> CustomerLine:
    """Parses one line; empty cells and nulls name nothing. Raises InvalidInputError with every error."""
    errors: list[FieldError] = []
    customer_id = 0
    try:
        customer_id = parse_customer_id(raw, cells)
    except InvalidInputError as error:
        errors += error.errors
    errors += [
        FieldError(f"/{pointer_token(name)}", "is not a known field")
        for name in raw
        if name not in CUSTOMER_COLUMNS
    ]
    fields = {
        name: text
        for name, maximum in _MAX_LENGTHS.items()
        if (text := _text(raw.get(name), name, maximum, errors)) is not None
    }
    language = _text(raw.get("language"), "language", 64, errors)
    if language is not None:
        tag = normalize_language(language)
        if tag is None:
            errors.append(FieldError("/language", "must be a language tag such as de or pt-BR"))
        else:
            fields["language"] = tag
    consents = _consents(raw, errors)
    if errors:
        raise InvalidInputError(errors)
    return CustomerLine(number, customer_id, fields, consents)


def _text(value: object, name: str, maximum: int, errors: list[FieldError]) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > maximum:
        errors.append(FieldError(f"/{name}", f"must be text of at most {maximum} characters"))
    elif (problem := find_text_error(value)) is not None:
        errors.append(FieldError(f"/{name}", problem))
    else:
        return value
    return None


def _consents(raw: Mapping[str, object], errors: list[FieldError]) -> dict[str, str]:
    named = raw.get("consents")
    if isinstance(named, str) and named:
        try:
            named = json.loads(named)
        except (ValueError, RecursionError):
            named = ()
    if named in (None, ""):
        named = {}
    if not isinstance(named, Mapping):
        errors.append(FieldError("/consents", 'must be an object such as {"email": "granted"}'))
        named = {}
    values = {
        f"/consents/{pointer_token(str(channel))}": (channel, value) for channel, value in named.items()
    }
    values |= {
        f"/{name}": (name.removeprefix(_CONSENT_PREFIX), raw[name])
        for name in _CONSENT_COLUMNS
        if raw.get(name) not in (None, "")
    }
    consents: dict[str, str] = {}
    for pointer, (channel, value) in values.items():
        status = value.strip().lower() if isinstance(value, str) else value
        if channel not in CONSENT_CHANNELS:
            # The name comes from the line, and may be personal data.
            errors.append(FieldError("/consents", f"must be by channel: {', '.join(CONSENT_CHANNELS)}"))
        elif status not in CONSENT_STATUSES:
            errors.append(FieldError(pointer, f"must be one of {', '.join(CONSENT_STATUSES)}"))
        elif consents.setdefault(channel, status) != status:
            errors.append(FieldError(pointer, f"differs from another consent to {channel} in the line"))
    return consents
