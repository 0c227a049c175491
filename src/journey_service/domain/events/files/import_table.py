"""Parses the records of a CSV file or a spreadsheet into lines of an import."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal
from zoneinfo import ZoneInfo

from journey_service.domain.companies.currencies import Currency
from journey_service.domain.customers.updates import PROFILE_LENGTHS
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.cell_formats import (
    CellFormat,
    DateFormat,
    DecimalSeparator,
    parse_whole_number,
)
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.events.files.csv_header import (
    CUSTOMER_TABLE,
    EVENT_TABLE,
    CsvHeader,
    TableKind,
)
from journey_service.domain.events.files.csv_records import CsvRecord
from journey_service.domain.events.files.customer_lines import CustomerLine, parse_customer_line
from journey_service.domain.events.parsing import ImportLine, parse_line
from journey_service.domain.events.profile_fields import CONSENT_CHANNELS
from journey_service.domain.texts import is_formula

ImportKind = Literal["events", "customers"]
_UNDECODED: Final = re.compile("[\udc80-\udcff]")
"""Bytes of a cell that are not UTF-8, as `surrogateescape` decodes them."""
_NAMES_IN_CUSTOMER: Final = frozenset((*PROFILE_LENGTHS, "language", "consents", *CONSENT_CHANNELS))
_MAX_KEPT_LENGTH: Final = 8 * 1024
"""Maximum number of characters of a line whose cells are kept for the report of errors."""


class InvalidLineError(InvalidInputError):
    """A line of an import file is invalid; the other lines are not affected.

    `customer_id` is the customer whom the line names, if that can be read.
    """

    def __init__(
        self,
        number: int,
        errors: tuple[FieldError, ...],
        cells: Sequence[str] | None = None,
        customer_id: int | None = None,
    ) -> None:
        super().__init__(errors)
        self.number = number
        self.cells = cells
        self.customer_id = customer_id


ParsedLine = ImportLine | CustomerLine | InvalidLineError


def table_kind(kind: ImportKind) -> TableKind:
    """Returns what the columns of a file of this kind may be."""
    return CUSTOMER_TABLE if kind == "customers" else EVENT_TABLE


class ImportTable:
    """Parses records under a header, and objects. Times without an offset are those of the zone.

    `source` is that of lines with an id that name none.
    """

    def __init__(
        self,
        zone: ZoneInfo,
        currency: Currency,
        kind: ImportKind,
        *,
        source: str | None,
        decimal_separator: DecimalSeparator | None,
        date_format: DateFormat | None,
    ) -> None:
        self._zone = zone
        self._currency = currency
        self._kind = kind
        self._source = source
        self._decimal_separator = decimal_separator
        self._date_format = date_format
        self._cells = CellFormat(currency.code)
        self.header: CsvHeader | None = None

    @property
    def kind(self) -> TableKind:
        """What the columns may be."""
        return table_kind(self._kind)

    def open(self, header: CsvHeader) -> None:
        """Begins with a header; decimals follow a comma in tables that are separated by semicolons."""
        self.header = header
        declared = self._decimal_separator
        self._cells = CellFormat(
            self._currency.code,
            declared or ("," if header.delimiter == ";" else "."),
            declared is not None,
            self._date_format,
        )

    def parse_record(self, record: CsvRecord) -> Iterator[ParsedLine]:
        """Parses one record; a record without content yields nothing."""
        if record.error is not None:
            yield InvalidLineError(record.number, (FieldError("", record.error),))
            return
        cells = [_unescaped(cell.strip()) for cell in record.cells]
        if not any(cells):
            return
        kept = kept_cells(cells)
        values = self._values(cells)
        try:
            self._check_cells(cells)
            yield self._parse(values, record.number, self._cells)._replace(cells=kept)
        except InvalidInputError as error:
            yield self._invalid(record.number, error, kept, values)

    def parse_object(self, values: dict[str, object], number: int, text: str) -> ParsedLine:
        """Parses one line of NDJSON; `text` is the line."""
        kept = kept_cells([text])
        try:
            return self._parse(values, number, None)._replace(cells=kept)
        except InvalidInputError as error:
            return self._invalid(number, error, kept, values)

    def _parse(
        self, values: dict[str, object], number: int, cells: CellFormat | None
    ) -> ImportLine | CustomerLine:
        if self._kind == "customers":
            return parse_customer_line(values, number, cells=cells)
        line = parse_line(values, number, self._zone, currency=self._currency, cells=cells)
        if self._source is None or not line.has_id or values.get("source") not in (None, ""):
            return line
        return line._replace(event=line.event._replace(source=self._source))

    def _invalid(
        self,
        number: int,
        error: InvalidInputError,
        cells: Sequence[str] | None,
        values: Mapping[str, object],
    ) -> InvalidLineError:
        errors = tuple(map(self._without_unknown_names, error.errors))
        return InvalidLineError(number, errors, cells, _customer_of(values))

    def _values(self, cells: list[str]) -> dict[str, object]:
        assert self.header is not None  # records follow the header
        return {
            field: cell for field, cell in zip(self.header.fields, cells, strict=False) if field is not None
        }

    def _check_cells(self, cells: list[str]) -> None:
        assert self.header is not None  # records follow the header
        number = len(self.header.fields)
        if len(cells) < number or any(cells[number:]):
            raise InvalidInputError.at("", f"has {len(cells)} columns instead of {number}")
        if any(not cell.isascii() and _UNDECODED.search(cell) for cell in cells):
            raise InvalidInputError.at("", "is not UTF-8; name the encoding of the file")

    def _without_unknown_names(self, error: FieldError) -> FieldError:
        """Removes the pointer of an error if it contains a name from the line, which may be personal data."""
        parent, _, name = error.pointer.rpartition("/")
        if parent.startswith("/customer"):
            return error if name in _NAMES_IN_CUSTOMER else FieldError("/customer", error.message)
        is_known = self.kind.has(name) or name in ("", "data") or parent == "/consents"
        return error if is_known else FieldError("", error.message)


def _unescaped(cell: str) -> str:
    """Returns a cell without the apostrophe by which exports keep a text from being evaluated as a formula."""
    return cell[1:] if cell.startswith("'") and is_formula(cell[1:]) else cell


def _customer_of(values: Mapping[str, object]) -> int | None:
    value = values.get("customer_id")
    number = parse_whole_number(value) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return number if 0 <= number <= MAX_ID else None


def kept_cells(cells: Sequence[str]) -> Sequence[str] | None:
    """Returns cells that can be stored; None if they are too long, and without what is not UTF-8 or is NUL."""
    if sum(map(len, cells)) > _MAX_KEPT_LENGTH:
        return None
    return [cell if cell.isascii() and "\x00" not in cell else _storable(cell) for cell in cells]


def _storable(cell: str) -> str:
    return cell.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
