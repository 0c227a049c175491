"""Reads the header of a CSV file: its separator, the columns that are known, and those that are ignored."""

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from journey_service.domain.errors import FieldError, InvalidInputError, MalformedError, quote_value
from journey_service.domain.events.parsing import FIELD_ALIASES, KNOWN_COLUMNS

DELIMITERS: Final = (",", ";", "\t", "|")
"""Separators that are recognized, the most common first."""
_REQUIRED: Final = ("customer_id", "occurred_at", "type")
_MAX_IGNORED: Final = 50
"""Maximum number of ignored columns that are reported."""
_MAX_NAME_LENGTH: Final = 100
_SEPARATOR_LINE: Final = re.compile(r"sep=(.)", re.IGNORECASE)
_BLANKS: Final = re.compile(r"[\s_-]+")


class CsvHeader(NamedTuple):
    """The columns of a CSV file: the field of each column, None for an ignored one; and the names that are ignored.

    A field has the name that the file gives it, which may be an alias.
    """

    delimiter: str
    fields: Sequence[str | None]
    ignored: Sequence[str]


def separator_of(line: str) -> str | None:
    """Returns the separator that a first line such as `sep=;` declares; None for any other line."""
    match = _SEPARATOR_LINE.fullmatch(line.strip(" \ufeff"))
    return match[1] if match is not None and match[1] in DELIMITERS else None


def parse_columns(pairs: Sequence[str], pointer: str) -> Mapping[str, str] | None:
    """Parses the fields of columns, each written as `column:field`; None without any.

    Raises InvalidInputError with the position of each error after the pointer.
    """
    split = [pair.rpartition(":") for pair in pairs]
    errors = [
        FieldError(
            f"{pointer}/{at}", f"must be column:field; the fields are {', '.join(sorted(KNOWN_COLUMNS))}"
        )
        for at, (name, _, field) in enumerate(split)
        if not name or field not in KNOWN_COLUMNS
    ]
    if errors:
        raise InvalidInputError(errors)
    return {name: field for name, _, field in split} or None


def read_header(
    line: str, number: int, *, delimiter: str | None, columns: Mapping[str, str] | None = None
) -> CsvHeader:
    """Reads a header. Without a delimiter, it is the one with which most columns are known.

    `columns` are the fields of columns that the caller names, by the name in the file. Names are compared without
    case; blanks, hyphens and underscores are alike.

    Raises MalformedError if the line is not CSV, InvalidInputError for missing and duplicate columns.
    """
    renamed = {_key(name): field for name, field in (columns or {}).items()}
    headers = [
        _to_header(names, each, renamed)
        for each in ((delimiter,) if delimiter else DELIMITERS)
        if (names := _cells(line, each)) is not None
    ]
    if not headers:
        raise MalformedError("The first line is neither a CSV header nor a JSON object.", offset=0)
    found = max(headers, key=lambda header: sum(field is not None for field in header.fields))
    _check(found, number)
    return found


def _cells(line: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return None


def _to_header(names: Sequence[str], delimiter: str, renamed: Mapping[str, str]) -> CsvHeader:
    known = {_key(name): name for name in KNOWN_COLUMNS}
    fields: list[str | None] = []
    ignored: list[str] = []
    for name in names:
        key = _key(name)
        field = renamed.get(key) or known.get(key)
        fields.append(field)
        if field is None and key:
            ignored.append(name.strip()[:_MAX_NAME_LENGTH])
    return CsvHeader(delimiter, fields, ignored[:_MAX_IGNORED])


def _key(name: str) -> str:
    return _BLANKS.sub("_", name.strip().casefold())


def _check(header: CsvHeader, number: int) -> None:
    position = f"line {number}"
    chosen = [FIELD_ALIASES.get(field, field) for field in header.fields if field is not None]
    hint = (
        f"; unknown columns are {', '.join(map(quote_value, header.ignored[:5]))}" if header.ignored else ""
    )
    errors = [
        FieldError(
            position,
            f"lacks the column {field!r}{' (or ' + repr('event_type') + ')' if field == 'type' else ''}{hint}",
        )
        for field in _REQUIRED
        if field not in chosen
    ]
    if len(set(chosen)) < len(chosen):
        errors.append(FieldError(position, "contains a duplicate column"))
    if errors:
        raise InvalidInputError(errors)
