"""Base classes and field types of all request and response schemas."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import EARLIEST, LATEST, MAX_CUSTOMER_ID, MAX_ID, JsonValue
from journey_service.domain.events.values import find_json_error, parse_instant
from journey_service.domain.row_counts import MAX_COUNTED

STAGE_KEY_PATTERN: Final = "^[a-z][a-z0-9_]*$"
KEY_ID_PATTERN: Final = "^[A-Za-z0-9-]+$"
SINGLE_LINE_PATTERN: Final = r"^[^\x00-\x1f\x7f]*$"

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

PATTERN_SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        STAGE_KEY_PATTERN: "must start with a lower-case letter and contain only a-z, 0-9 and _",
        KEY_ID_PATTERN: "must contain only letters, digits and -",
        SINGLE_LINE_PATTERN: "must be a single line without control characters",
        r"^[\x20-\x7e]*$": "must contain only printable ASCII characters",
        r"^[\x21-\x7e]+$": "must contain only printable ASCII characters without spaces",
        "^[A-Z]{3}$": "must be a currency code of three upper-case letters, such as EUR",
        "^[A-Za-z0-9-]{1,100}$": "must be the name of a header: letters, digits and -",
        r"^\d{1,19}$": "must be a customer id in decimal digits",
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

Id = Annotated[int, Field(ge=1, le=MAX_ID, examples=[12])]
"""An id that the service assigns. Every id fits into a number of JavaScript."""
CustomerId = Annotated[int, Field(strict=True, ge=0, le=MAX_CUSTOMER_ID, examples=[4711])]
"""An id of a customer in a request body, chosen by the caller."""
AnyCustomerId = Annotated[int, Field(ge=-MAX_ID, le=MAX_CUSTOMER_ID, examples=[4711])]
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


def described_by(schema: Any) -> BeforeValidator:  # noqa: ANN401  # a model, or a list of one
    """Annotation of a value that the domain parses: the contract describes it by `schema`.

    The domain reports the pointer of every error; validation by the schema would stop earlier.
    """
    return BeforeValidator(_unchanged, json_schema_input_type=schema)


def _unchanged(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    return value
