"""Parses lines of import files of customers: an id, and the fields of the profile that the line names."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from journey_service.domain.customers.attributes import (
    COLUMN_PREFIX,
    MAX_ATTRIBUTES,
    AttributeValue,
    find_value_error,
    is_attribute_name,
    to_attribute_value,
)
from journey_service.domain.customers.references import CustomerName
from journey_service.domain.customers.updates import PROFILE_LENGTHS, ProfileUpdate
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token
from journey_service.domain.events.cell_formats import CellFormat, parse_cell_value
from journey_service.domain.events.event import NO_CUSTOMER_ID
from journey_service.domain.events.parsing import parse_customer
from journey_service.domain.events.profile_fields import (
    CONSENT_CHANNELS,
    parse_consents,
    parse_profile_fields,
)

_CONSENT_PREFIX: Final = "consent_"
_CONSENT_COLUMNS: Final = tuple(f"{_CONSENT_PREFIX}{channel}" for channel in CONSENT_CHANNELS)

CUSTOMER_COLUMNS: Final = frozenset(
    (
        *("customer_id", "customer_ref", *PROFILE_LENGTHS, "language", "attributes", "consents"),
        *_CONSENT_COLUMNS,
    )
)
"""Names of fields in import files of customers; columns of attributes are further ones."""


class CustomerLine(NamedTuple):
    """A parsed line of customers: the fields of the profile that it names, attributes, and consents by channel.

    `customer_id` is NO_CUSTOMER_ID while a ref alone names the customer.
    """

    number: int
    customer_id: int
    fields: Mapping[str, str]
    consents: Mapping[str, str]
    attributes: Mapping[str, AttributeValue]
    cells: Sequence[str] | None = None
    customer_ref: str | None = None

    @property
    def update(self) -> ProfileUpdate:
        """What the line says of the customer."""
        return ProfileUpdate(self.fields, self.consents, self.attributes)

    @property
    def customer(self) -> CustomerName:
        """How the line names the customer."""
        return CustomerName(
            None if self.customer_id == NO_CUSTOMER_ID else self.customer_id, self.customer_ref
        )


def parse_customer_line(
    raw: Mapping[str, object], number: int, *, cells: CellFormat | None = None
) -> CustomerLine:
    """Parses one line; empty cells and nulls name nothing. Raises InvalidInputError with every error."""
    errors: list[FieldError] = []
    customer = CustomerName(None, None)
    try:
        customer = parse_customer(raw, cells)
    except InvalidInputError as error:
        errors += error.errors
    errors += [
        FieldError(f"/{pointer_token(name)}", "is not a known field")
        for name in raw
        if name not in CUSTOMER_COLUMNS and not name.startswith(COLUMN_PREFIX)
    ]
    fields = parse_profile_fields(raw, "", errors)
    consents = _consents(raw, errors)
    attributes = _attributes(raw, cells, errors)
    if errors:
        raise InvalidInputError(errors)
    customer_id = NO_CUSTOMER_ID if customer.customer_id is None else customer.customer_id
    return CustomerLine(number, customer_id, fields, consents, attributes, customer_ref=customer.customer_ref)


def is_attribute_column(name: str) -> bool:
    """Whether a column of this name holds an attribute, such as `attributes.plan`."""
    return name.startswith(COLUMN_PREFIX) and is_attribute_name(name.removeprefix(COLUMN_PREFIX))


def _attributes(
    raw: Mapping[str, object], cells: CellFormat | None, errors: list[FieldError]
) -> dict[str, AttributeValue]:
    """Returns the attributes of the field `attributes` and of the columns of attributes; empty cells name none."""
    named = _json_object(raw.get("attributes"))
    if named is None:
        errors.append(FieldError("/attributes", 'must be an object such as {"plan": "gold"}'))
        named = {}
    # The names of an object come from the line, and may be personal data.
    values = [("/attributes", name, value) for name, value in named.items() if value is not None]
    for column, value in raw.items():
        if not column.startswith(COLUMN_PREFIX) or value in (None, ""):
            continue
        read = parse_cell_value(value, cells) if isinstance(value, str) and cells is not None else value
        pointer = f"/{column}" if is_attribute_column(column) else "/attributes"
        values.append((pointer, column.removeprefix(COLUMN_PREFIX), read))
    attributes: dict[str, AttributeValue] = {}
    for pointer, name, value in values:
        error = find_value_error(value) if is_attribute_name(name) else "contains a name that is not allowed"
        if error is not None:
            errors.append(FieldError(pointer, error))
        else:
            attributes[name] = to_attribute_value(value)  # type: ignore[arg-type]  # it was just checked
    if len(attributes) > MAX_ATTRIBUTES:
        errors.append(FieldError("/attributes", f"must be at most {MAX_ATTRIBUTES}"))
    return attributes


def _json_object(value: object) -> Mapping[str, object] | None:
    """Returns an object, also one that is written as text; none for other values."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if value in (None, ""):
        return {}
    return value if isinstance(value, Mapping) else None


def _consents(raw: Mapping[str, object], errors: list[FieldError]) -> dict[str, str]:
    named = _json_object(raw.get("consents"))
    if named is None:
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
    return parse_consents(values, "/consents", errors)
