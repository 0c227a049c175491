"""Reads the fields of one object and collects their errors with their pointers."""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import islice
from math import isnan
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.companies.currencies import MAX_DECIMALS
from journey_service.domain.customers.references import find_ref_error
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token
from journey_service.domain.events.cell_formats import CellFormat, parse_amount, parse_whole_number
from journey_service.domain.events.event import MAX_CUSTOMER_ID, MAX_ID
from journey_service.domain.events.values import parse_time
from journey_service.domain.texts import find_text_error

MAX_TEXT_LENGTH: Final = 255
"""Maximum number of characters of ids and sources; a longer text is an error."""
MAX_UNKNOWN_FIELDS: Final = 100
"""Maximum number of unknown fields of an object that are reported."""

_DIGITS: Final = re.compile(r"-?\d{1,20}", re.ASCII)
_AMOUNT: Final = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_MAX_AMOUNT: Final = Decimal("999999999.99")
"""Largest amount of an event in any currency; a larger one is refused."""
_THOUSANDTHS: Final = 10**MAX_DECIMALS


class ObjectReader:
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
        """Returns a field, None if it is missing, null, or an empty cell."""
        value = self.raw.get(name)
        return None if self.cells is not None and value == "" else value

    def add_error(self, name: str, message: str) -> None:
        """Adds an error of a field."""
        pointer = self.pointers.get(name) or f"{self.pointer}/{pointer_token(name)}"
        self.errors.append(FieldError(pointer, message))

    def text(self, name: str, *, required: bool) -> str | None:
        """Returns a text of 1 to MAX_TEXT_LENGTH characters, None if it is missing or invalid."""
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
        """Returns a whole number from 0 to a maximum, None if it is missing or invalid."""
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

    def customer_id(self, name: str, *, required: bool) -> int | None:
        """Returns a customer's number, None if it is missing or invalid; other texts are refs, as the error says."""
        count = len(self.errors)
        found = self.integer(name, MAX_ID, required=required)
        if len(self.errors) > count and self.get(name) is not None:
            self.errors.pop()
            self.add_error(
                name, f"must be a whole number from 0 to {MAX_CUSTOMER_ID}; use customer_ref for other ids"
            )
        return found

    def ref(self, name: str) -> str | None:
        """Returns an id that is text, None if it is missing or invalid; a number is taken as its digits."""
        value = self.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None:
            return None
        if (problem := find_ref_error(value)) is not None:
            self.add_error(name, problem)
            return None
        return str(value)

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
        """Returns an amount in thousandths, 0 if it is missing or invalid."""
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
        """Returns a time in UTC, None if it is missing or invalid; without an offset it is one of `zone`."""
        value = self.get(name)
        if value is None:
            if required:
                self.add_error(name, "is required")
            return None
        found = parse_time(value, zone, self.cells)
        if isinstance(found, str):
            self.add_error(name, found)
            return None
        self.written[name] = found.as_written
        return found.instant

    def reject_unknown(self, known: tuple[str, ...]) -> None:
        """Adds an error for each field that is not known, at most MAX_UNKNOWN_FIELDS of them."""
        for name in islice((name for name in self.raw if name not in known), MAX_UNKNOWN_FIELDS):
            self.add_error(name, "is not a known field")


def raise_errors(*readers: ObjectReader) -> None:
    """Raises InvalidInputError if readers have errors."""
    errors = [error for reader in readers for error in reader.errors]
    if errors:
        raise InvalidInputError(errors)
