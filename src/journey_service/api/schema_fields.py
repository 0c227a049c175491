"""What every shape is made of: texts, instants, free JSON."""

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
from journey_service.domain.events.event import JsonValue
from journey_service.domain.events.parsing import find_json_error, parse_instant


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL")
    return value


def _free_json(value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
    fault = None if value is None else find_json_error(value)
    if fault is not None:
        raise ValueError(fault)
    return value


def _rfc3339(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be a time such as 2026-03-01T09:30:00Z")  # noqa: TRY004  # pydantic wants it
    try:
        return parse_instant(value, "")
    except InvalidInputError as error:
        raise ValueError(error.errors[0].message) from error


Text = Annotated[str, AfterValidator(_no_nul)]
MAX_NOTE_LENGTH: Final = 2_000
Note = Annotated[str, AfterValidator(_no_nul), Field(min_length=1, max_length=MAX_NOTE_LENGTH)]
SingleLineText = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A text on one line."""
Instant = Annotated[
    AwareDatetime, BeforeValidator(_rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})
]
JsonObject = Annotated[dict[str, Any] | None, AfterValidator(_free_json)]


class RequestModel(BaseModel):
    """A body: what is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def omittable() -> Any:  # noqa: ANN401  # pydantic's field
    """The default of a field that may be left out, and not be null: nobody reads it."""
    return Field(default_factory=_nothing)


def _nothing() -> None:
    """What a factory makes is no part of the contract, as a default would be."""


class PatchModel(RequestModel):
    """What is to be otherwise; what is left out stays as it is."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must name what is to be changed")
        return self


class ResponseModel(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True)
