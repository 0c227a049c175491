"""Base classes and field types of all request and response schemas."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Final, Self, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from journey_service.domain.customers import attributes
from journey_service.domain.customers.attributes import MAX_NAME_LENGTH, MAX_TEXT_LENGTH, NAME_PATTERN
from journey_service.domain.customers.references import MAX_REF_LENGTH, REF_PREFIX, parse_written_ref
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import EARLIEST, LATEST, MAX_ID
from journey_service.domain.events.values import find_json_error, parse_instant
from journey_service.domain.json_values import JsonValue, UncheckedJson
from journey_service.domain.row_counts import MAX_COUNTED

STAGE_KEY_PATTERN: Final = "^[a-z][a-z0-9_]*$"
CUSTOMER_PATTERN: Final = rf"^({REF_PREFIX}|0$|-?[1-9]\d{{0,15}}$)"
KEY_ID_PATTERN: Final = "^[A-Za-z0-9-]+$"
SINGLE_LINE_PATTERN: Final = r"^[^\x00-\x1f\x7f]*$"

MAX_INVALID_ITEMS: Final = 100
"""Invalid items of a list after which a request is read no further."""
_MAX_WRITTEN_REF: Final = len(REF_PREFIX) + 12 * MAX_REF_LENGTH
"""A character is at most four bytes, each written with three characters."""
_DECIMAL_ID: Final = re.compile(r"0|-?[1-9]\d{0,15}", re.ASCII)
_NUMBERS: Final = frozenset({int, float, Decimal})
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

PATTERN_SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        STAGE_KEY_PATTERN: "must start with a lower-case letter and contain only a-z, 0-9 and _",
        KEY_ID_PATTERN: "must contain only letters, digits and -",
        SINGLE_LINE_PATTERN: "must be a single line without control characters",
        r"^[\x20-\x7e]*$": "must contain only printable ASCII characters",
        r"^[\x21-\x7e]+$": "must contain only printable ASCII characters without spaces",
        CUSTOMER_PATTERN: "must be a customer id in decimal digits, or ref: and a customer_ref",
        "^[A-Z]{3}$": "must be a currency code of three upper-case letters, such as EUR",
        "^[A-Za-z0-9-]{1,100}$": "must be the name of a header: letters, digits and -",
        r"^(\d{1,19}$|ref:.)": "must be a customer id in decimal digits, or ref: and a customer_ref",
        r"^\d{4}-\d{2}$": "must be a month such as 2026-03",
    }
)
"""What callers read instead of a regular expression that their value does not match."""


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL")
    return value


def _json_object(value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
    error = None if value is None else find_json_error(value)
    if error is not None:
        raise ValueError(error)
    return value


def _rfc3339(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be a time such as 2026-03-01T09:30:00Z")  # noqa: TRY004  # pydantic wants it
    try:
        return parse_instant(value, "")
    except InvalidInputError as error:
        raise ValueError(error.errors[0].message) from error


def _parse_day(value: object) -> date:
    if not isinstance(value, str) or _DAY.fullmatch(value) is None:
        raise ValueError("must be a day such as 2026-03-01")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a day of the calendar") from None
    if not EARLIEST.date() <= day < LATEST.date():
        raise ValueError(f"must lie between {EARLIEST.year} and {LATEST.year}")
    return day


def customer_schema(least: int) -> dict[str, Any]:
    """Returns the schema of a customer's id from `least`, in place of which a ref may be written."""
    return {
        "anyOf": [
            {"type": "integer", "minimum": least, "maximum": MAX_ID},
            {"type": "string", "pattern": CUSTOMER_PATTERN, "maxLength": _MAX_WRITTEN_REF},
        ],
        "examples": [4711],
    }


def parse_named_customer(value: object, *, least: int = 0) -> int | str:
    """Returns a customer's id, also from decimal text, or a ref as it is written in place of one.

    Leading zeros could be those of another id. Raises ValueError.
    """
    if isinstance(value, str) and _DECIMAL_ID.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_ID:
        return value
    try:
        if isinstance(value, str) and parse_written_ref(value, "") is not None:
            return value
    except InvalidInputError as error:
        raise ValueError(error.errors[0].message) from error
    raise ValueError(f"must be a whole number from {least} to {MAX_ID}, or ref: and a customer_ref")


def _up_to_invalid(values: object) -> object:
    """Returns a list up to its MAX_INVALID_ITEMS-th invalid customer; further errors would cost time only."""
    if not isinstance(values, list):
        return values
    invalid = 0
    for index, value in enumerate(values):
        try:
            parse_named_customer(value)
        except ValueError:
            invalid += 1
            if invalid == MAX_INVALID_ITEMS:
                return values[: index + 1]
    return values


def _attribute_value(value: UncheckedJson) -> attributes.AttributeValue:
    error = attributes.find_value_error(value)
    if error is not None:
        raise ValueError(error)
    return attributes.to_attribute_value(value)


def _attribute_change(value: UncheckedJson) -> attributes.AttributeValue | None:
    return None if value is None else _attribute_value(value)


Text = Annotated[str, AfterValidator(_no_nul)]
"""Text that the database can store."""
MAX_NOTE_LENGTH: Final = 2_000
"""Characters of a note; longer notes are refused."""
Note = Annotated[str, AfterValidator(_no_nul), Field(min_length=1, max_length=MAX_NOTE_LENGTH)]
SingleLineText = Annotated[str, Field(min_length=1, max_length=255, pattern=SINGLE_LINE_PATTERN)]
Instant = Annotated[
    AwareDatetime, BeforeValidator(_rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A time of a request: RFC 3339 with any offset, between 1900 and 2200."""
Day = Annotated[date, BeforeValidator(_parse_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A local day of a request, between 1900 and 2200."""
JsonObject = Annotated[dict[str, Any] | None, AfterValidator(_json_object)]
"""Any JSON object of at most 8 KiB and 20 levels, or null."""

AttributeName = Annotated[str, Field(max_length=MAX_NAME_LENGTH, pattern=NAME_PATTERN)]
_ATTRIBUTE_TYPES: Final = (
    {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_LENGTH},
    {"type": "number"},
    {"type": "boolean"},
)
AttributeValue = Annotated[
    Any, AfterValidator(_attribute_value), WithJsonSchema({"anyOf": [*_ATTRIBUTE_TYPES]})
]
"""A value of an attribute. A date is a text."""
AttributeChange = Annotated[
    Any,
    AfterValidator(_attribute_change),
    WithJsonSchema({"anyOf": [*_ATTRIBUTE_TYPES, {"type": "null"}]}),
]
"""A value of an attribute in a request; null removes the attribute."""

Id = Annotated[int, Field(ge=1, le=MAX_ID, examples=[12])]
"""An id that the service assigns. Every id fits into a number of JavaScript."""
CustomerId = Annotated[int, Field(strict=True, ge=0, le=MAX_ID, examples=[4711])]
"""An id of a customer in a request body."""
NamedCustomer = Annotated[
    int | str,
    BeforeValidator(parse_named_customer),
    WithJsonSchema(customer_schema(0)),
]
"""A customer in a request body: an id, or a ref as it is written in place of one."""
NamedCustomers = Annotated[list[NamedCustomer], BeforeValidator(_up_to_invalid)]
"""Customers in a request body. After 100 invalid ones, the others are not looked at."""
AnyCustomerId = Annotated[int, Field(ge=-MAX_ID, le=MAX_ID, examples=[4711])]
"""An id of a customer in a response: negative once the customer has been erased."""
StageKey = Annotated[str, Field(max_length=50, pattern=STAGE_KEY_PATTERN, examples=["regular"])]
Timestamp = Annotated[datetime, Field(examples=["2026-03-01T09:30:00Z"])]
"""A time of a response: RFC 3339 in UTC with `Z`."""
CustomerName = Annotated[
    str | None,
    Field(
        description="Full name of the customer; null if it is unknown, if the customer was erased, and without the"
        " scope `customers:read`",
        examples=["Ada Lovelace"],
    ),
]
CustomerRef = Annotated[
    str | None,
    Field(
        description="Id of the customer as text, as the caller has it; null for a customer without one, if the customer"
        " was erased, and without the scope `customers:read`",
        examples=[None],
    ),
]
GivenRef = Annotated[
    Text | None,
    Field(
        min_length=1,
        max_length=MAX_REF_LENGTH,
        description="Id of the customer as text, in place of `customer_id`; a whole number is taken as its digits;"
        " null or omitted: none",
        examples=[None],
    ),
]
"""An id of a customer as text in a request body."""
NextCursor = Annotated[
    str | None,
    Field(
        description="Opaque: pass it as `cursor` to read the next page; null on the last page",
        examples=["b3BhcXVlLWN1cnNvcg"],
    ),
]

Currency = Annotated[str, Field(description="Currency of all amounts, as in ISO 4217", examples=["EUR"])]
SEARCHED_WORDS: Final = (
    "Words, of which each is part of the name, email address, phone number or id. Case, accents and"
    " punctuation are ignored: `muller` and `mueller` find Müller. A word of one or two characters finds"
    " words that begin with it"
)
"""Description of a searched text."""
Total = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_COUNTED,
        description=f"Number of items on all pages, up to {MAX_COUNTED:,}; null for a longer list, and without"
        " `count=true`",
        examples=[42],
    ),
]
TotalEstimate = Annotated[
    int | None,
    Field(
        gt=MAX_COUNTED,
        description=f"Estimated number of items of a list of more than {MAX_COUNTED:,}, by a sample or the"
        " statistics of the database; null for a shorter list, and without `count=true`",
        examples=[None],
    ),
]


class RequestModel(BaseModel):
    """A request body. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_confused_booleans(cls, value: object, info: ValidationInfo) -> object:
        """Refuses `true` in place of a number, and 1 and "yes" in place of a boolean: pydantic takes them."""
        if info.field_name is None or not isinstance(value, bool | int | float | str):
            return value
        types = set(_types_in(cls.model_fields[info.field_name].annotation))
        if isinstance(value, bool):
            if types & _NUMBERS and not types & {bool, Any, object}:
                raise PydanticKnownError("int_type" if int in types else "float_type")
        elif bool in types and not types & {*_NUMBERS, str, Any, object}:
            raise PydanticKnownError("bool_type")
        return value


def _types_in(annotation: object) -> Iterator[object]:
    """Yields the types that an annotation consists of."""
    yield annotation
    for inner in get_args(annotation):
        yield from _types_in(inner)


def omittable() -> Any:  # noqa: ANN401  # pydantic's field
    """Default of a field that may be omitted but must not be null. The contract shows no default."""
    return Field(default_factory=_nothing)


def _nothing() -> None:
    """Default factory: unlike a default, its result does not appear in the contract."""


class PatchModel(RequestModel):
    """A partial update: omitted fields keep their values."""

    @model_validator(mode="after")
    def _has_a_field(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must contain at least one field to change")
        return self


class ResponseModel(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


def described_by(schema: object) -> BeforeValidator:
    """Annotation of a value that the domain parses: the contract describes it by `schema`.

    The domain reports the pointer of every error; validation by the schema would stop earlier.
    """
    return BeforeValidator(_unchanged, json_schema_input_type=schema)


def _unchanged(value: object) -> object:
    return value
