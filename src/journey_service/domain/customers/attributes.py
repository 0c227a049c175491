"""Attributes of customers: named texts, numbers, booleans and dates that a company keeps about its customers.

A date is a text of the form `2026-01-31`. Values are JSON as they were given, so that they are returned unchanged.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import Final, Literal, NamedTuple, TypeAlias

from journey_service.domain.errors import InvalidInputError

AttributeValue: TypeAlias = str | int | float | bool

MAX_ATTRIBUTES: Final = 50
"""Attributes of one customer; more are refused."""
MAX_NAME_LENGTH: Final = 64
MAX_TEXT_LENGTH: Final = 255
MAX_DIGITS: Final = 15
"""Significant digits of a number, and digits before its point: readers of JSON keep as many exactly."""
MAX_DECIMALS: Final = 6
NAME_PATTERN: Final = "^[a-z][a-z0-9_]*$"
"""Pattern of a name, which has at most MAX_NAME_LENGTH characters."""
COLUMN_PREFIX: Final = "attributes."
"""Beginning of the name of a column that holds an attribute."""

NAME_ERROR: Final = (
    f"must be 1 to {MAX_NAME_LENGTH} lower-case letters, digits and underscores, starting with a letter"
)
FILTER_ERROR: Final = (
    "must be a name, one of `:`, `<`, `<=`, `>`, `>=`, and a value, such as plan:gold or visits>=10"
)

_NAME: Final = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_NAME_LENGTH - 1}}}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,6})?", re.ASCII)
_FILTER: Final = re.compile(r"(?P<name>[^:<>]+)(?P<operator>:|<=|>=|<|>)(?P<value>.+)", re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def is_attribute_name(name: object) -> bool:
    """Whether an attribute can have this name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def find_value_error(value: object) -> str | None:
    """Returns why a value cannot be one of an attribute, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _text_error(value)
    if isinstance(value, int | float):
        return _number_error(value)
    return "must be text, a number, true or false"


def to_attribute_value(value: AttributeValue) -> AttributeValue:
    """Returns a valid value as it is stored: a number without decimals as an integer."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value


def to_date(text: str) -> date | None:
    """Returns the day that a text of the form `2026-01-31` names; None for any other text."""
    if _DATE.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def to_number(text: str) -> Decimal | None:
    """Returns the number that a text such as `-10.5` names, if an attribute can have it; None for any other text."""
    if _NUMBER.fullmatch(text) is None:
        return None
    number = Decimal(text)
    return number if _has_few_digits(number) else None


def are_same(left: Mapping[str, object], right: Mapping[str, object]) -> bool:
    """Whether two sets of attributes are equal; `true` and 1 are different values."""
    return left == right and all(
        isinstance(value, bool) == isinstance(right[name], bool) for name, value in left.items()
    )


@dataclass(frozen=True, slots=True)
class AttributeChanges:
    """Attributes to be written, None removes one; the others stay unless `replaces_all`."""

    values: Mapping[str, AttributeValue | None]
    replaces_all: bool = False

    def applied_to(self, stored: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Returns the attributes after the changes. Raises InvalidInputError for more than MAX_ATTRIBUTES."""
        changed = {**({} if self.replaces_all else stored), **self.values}
        kept = {name: to_attribute_value(value) for name, value in changed.items() if value is not None}
        if len(kept) > MAX_ATTRIBUTES:
            raise InvalidInputError.at("/attributes", f"would be more than {MAX_ATTRIBUTES} for the customer")
        return kept


class AttributeFilter(NamedTuple):
    """A condition on an attribute.

    `:` compares with texts that stand for the value, the other operators with a number or a day.
    """

    name: str
    operator: Literal[":", "<", "<=", ">", ">="]
    value: tuple[str, ...] | Decimal | date


def parse_attribute_filter(text: str, pointer: str) -> AttributeFilter:
    """Parses a condition such as `plan:gold`, `visits>=10` or `renewed_on<2026-01-31`. Raises InvalidInputError."""
    match = _FILTER.fullmatch(text)
    if match is None:
        raise InvalidInputError.at(pointer, FILTER_ERROR)
    name, value = match["name"], match["value"]
    if not is_attribute_name(name):
        raise InvalidInputError.at(pointer, f"names an attribute, whose name {NAME_ERROR}")
    if match["operator"] == ":":
        error = _text_error(value, with_days=False)
        if error is not None:
            raise InvalidInputError.at(pointer, f"has a value that {error}")
        number = to_number(value)
        texts = (value,) if number is None else tuple({value: None, canonical(number): None})
        return AttributeFilter(name, ":", texts)
    compared = to_date(value) or to_number(value)
    if compared is None:
        raise InvalidInputError.at(pointer, "must compare with a number or a date, such as 10 or 2026-01-31")
    operator: Literal["<", "<=", ">", ">="] = match["operator"]  # type: ignore[assignment]  # one of the pattern
    return AttributeFilter(name, operator, compared)


def canonical(number: Decimal) -> str:
    """Returns a number as text, without exponent and trailing zeros."""
    return f"{number.normalize() + 0:f}"


def missing_attributes(
    own: Mapping[str, AttributeValue], other: Mapping[str, AttributeValue]
) -> dict[str, AttributeValue]:
    """Returns the attributes that only the other customer has, by name, as far as there is room for them."""
    names = sorted(other.keys() - own.keys())[: MAX_ATTRIBUTES - len(own)]
    return {name: other[name] for name in names}


def _text_error(text: str, *, with_days: bool = True) -> str | None:
    if not 1 <= len(text) <= MAX_TEXT_LENGTH:
        return f"must be text of 1 to {MAX_TEXT_LENGTH} characters"
    if "\x00" in text:
        return "must not contain NUL"
    if _SURROGATE.search(text):
        return "must be valid Unicode text"
    is_no_day = with_days and _DATE.fullmatch(text) is not None and to_date(text) is None
    return "must be a day of the calendar" if is_no_day else None


def _number_error(value: float) -> str | None:
    is_exact = isfinite(value) and _has_few_digits(Decimal(repr(value)))
    return (
        None
        if is_exact
        else f"must be a number of at most {MAX_DIGITS} digits, of which at most {MAX_DECIMALS} are decimals"
    )


def _has_few_digits(number: Decimal) -> bool:
    _, digits, exponent = number.normalize().as_tuple()
    return isinstance(exponent, int) and (
        len(digits) <= MAX_DIGITS and -exponent <= MAX_DECIMALS and len(digits) + exponent <= MAX_DIGITS
    )
