"""Reads .xlsx spreadsheets row by row, within limits of size, rows and columns."""

import struct
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from io import SEEK_END
from typing import IO, Any, Final, Self, TypeAlias
from zipfile import BadZipFile, ZipFile, ZipInfo

from defusedxml.ElementTree import iterparse

from journey_service.domain.errors import InvalidInputError, quote_value
from journey_service.domain.events.cell_formats import DecimalSeparator

_OpenpyxlObject: TypeAlias = Any
"""A module or an object of openpyxl, which is imported when the first spreadsheet is read, and not for its types."""

ZIP_MAGIC: Final = b"PK\x03\x04"
"""The first bytes of a spreadsheet, which is a ZIP archive."""
MAX_SPREADSHEET_BYTES: Final = 64 * 1024**2
"""Maximum size of a spreadsheet; a larger one is an error."""
MAX_SHEET_BYTES: Final = 512 * 1024**2
"""Maximum size of all sheets when they are unpacked; they are read as a stream."""
MAX_OTHER_BYTES: Final = 32 * 1024**2
"""Maximum size of everything else when it is unpacked: shared texts and styles, which are kept in memory."""
MAX_ROW_BYTES: Final = 8 * 1024**2
"""Maximum number of unpacked bytes between two rows of a sheet."""
MAX_ROWS: Final = 1_048_576
MAX_COLUMNS: Final = 256
_MAX_DIRECTORY_BYTES: Final = 1024**2
_SHEETS: Final = "xl/worksheets/"
_END_OF_DIRECTORY: Final = b"PK\x05\x06"
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES: Final = 20
_LONGEST_END: Final = 22 + 65_535 + _ZIP64_LOCATOR_BYTES
_DIRECTORY_SIZE: Final = struct.Struct("<12xL")
_ERROR: Final = "is not a spreadsheet that can be read"


class SpreadsheetTooLargeError(InvalidInputError):
    """A spreadsheet exceeds a limit; nothing of it is imported."""

    def __init__(self, limit: str) -> None:
        super().__init__(InvalidInputError.at("", f"is a spreadsheet with {limit}; save it as CSV").errors)


class SpreadsheetRows:
    """The rows of one sheet as texts, in constant memory: numbers, dates, booleans and blanks as a CSV file has them.

    Dates are local. Numbers get the decimal separator that the caller has declared for texts.
    """

    def __init__(
        self, file: IO[bytes], sheet: str | None, decimal_separator: DecimalSeparator | None
    ) -> None:
        self._file = file
        self._sheet = sheet
        self._separator = decimal_separator or "."

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yields (number, cells) of each row, from 1. Raises InvalidInputError, SpreadsheetTooLargeError."""
        try:
            yield from self._read()
        except InvalidInputError:
            raise
        except Exception as error:  # openpyxl raises errors of many kinds for a damaged file
            raise InvalidInputError.at("", f"{_ERROR}: {type(error).__name__}") from error

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        _check_directory(self._file)
        with _BoundedArchive(self._file) as archive:
            reader = _openpyxl("reader.excel").ExcelReader(
                self._file, read_only=True, data_only=True, keep_links=False
            )
            reader.archive.close()
            reader.archive = archive
            # Without the step that looks at every sheet, which can read them to their ends.
            reader.read_manifest()
            reader.read_strings()
            reader.read_workbook()
            _openpyxl("styles.stylesheet").apply_stylesheet(archive, reader.wb)
            sheets: Any = reader.parser.find_sheets()
            path = self._find_sheet({sheet.name: rel.target for sheet, rel in sheets if _is_worksheet(rel)})
            archive.unpacked_since_row = 0
            for number, row in _parse_rows(archive, path, reader):
                archive.unpacked_since_row = 0
                if number > MAX_ROWS:
                    raise SpreadsheetTooLargeError(f"more than {MAX_ROWS:,} rows")
                texts = {cell["column"]: text for cell in row if (text := self._text(cell["value"]))}
                last = max(texts, default=0)
                if last > MAX_COLUMNS:
                    raise SpreadsheetTooLargeError(f"more than {MAX_COLUMNS} columns")
                yield number, [texts.get(column, "") for column in range(1, last + 1)]

    def _find_sheet(self, sheets: Mapping[str, str]) -> str:
        """Returns the path of the sheet, of those by name."""
        name = next(iter(sheets), "") if self._sheet is None else self._sheet
        if name not in sheets:
            names = ", ".join(quote_value(each) for each in list(sheets)[:10]) or "none"
            raise InvalidInputError.at("query/sheet", f"is not a sheet of the file; its sheets are {names}")
        return sheets[name]

    def _text(self, value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if isinstance(value, int | float):
            # A spreadsheet computes with 15 significant digits.
            return f"{Decimal(f'{value:.15g}'):f}".replace(".", self._separator)
        return str(value)


def _openpyxl(module: str) -> _OpenpyxlObject:
    """Returns a module of openpyxl, which loads numpy if it is there: not before a spreadsheet is read."""
    return import_module(f"openpyxl.{module}")


def _is_worksheet(relation: _OpenpyxlObject) -> bool:
    return str(relation.Type).endswith("/worksheet")


def _parse_rows(
    archive: "_BoundedArchive",
    path: str,
    reader: _OpenpyxlObject,
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yields (number, cells) of the rows that a sheet has. Unlike openpyxl's own loop, it keeps nothing of a row."""
    book: Any = reader.wb
    worksheet = _openpyxl("worksheet._reader")
    with archive.open(path) as source:
        parser = worksheet.WorkSheetParser(
            source,
            reader.shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,  # noqa: SLF001  # there is no other access
            timedelta_formats=book._timedelta_formats,  # noqa: SLF001  # likewise
        )
        rows = None
        for event, element in iterparse(source, events=("start", "end")):
            if element.tag == worksheet.DATA_TAG:
                if event == "end":
                    return
                rows = element
            elif element.tag == worksheet.ROW_TAG and event == "end" and rows is not None:
                yield parser.parse_row(element)
                rows.clear()
                parser.row_dimensions.clear()


class _BoundedArchive(ZipFile):
    """A ZIP archive that is refused if it unpacks to more than the limits; its directory is not trusted."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.unpacked_since_row = 0
        sizes = {True: 0, False: 0}
        for entry in self.infolist():
            sizes[entry.filename.startswith(_SHEETS)] += entry.file_size
        if sizes[True] > MAX_SHEET_BYTES or sizes[False] > MAX_OTHER_BYTES:
            raise SpreadsheetTooLargeError("too much content")

    def open(self, name: str | ZipInfo, mode: Any = "r", pwd: bytes | None = None, **options: Any) -> Any:  # noqa: ANN401  # as ZipFile
        """Opens an entry whose bytes are counted."""
        entry = self.getinfo(name) if isinstance(name, str) else name
        stream = super().open(entry, mode, pwd, **options)
        is_sheet = entry.filename.startswith(_SHEETS)
        return _CountedStream(stream, self, MAX_ROW_BYTES if is_sheet else MAX_OTHER_BYTES)

    def count(self, size: int, limit: int) -> None:
        """Counts unpacked bytes. Raises SpreadsheetTooLargeError beyond the limit."""
        self.unpacked_since_row += size
        if self.unpacked_since_row > limit:
            raise SpreadsheetTooLargeError("too much content")


class _CountedStream:
    """A stream of an archive that counts what is read."""

    def __init__(self, stream: IO[bytes], archive: _BoundedArchive, limit: int) -> None:
        self._stream = stream
        self._archive = archive
        self._limit = limit

    def read(self, size: int = -1) -> bytes:
        """Reads at most `size` bytes; all, within the limit, if it is negative."""
        data = self._stream.read(size if size >= 0 else self._limit + 1)
        self._archive.count(len(data), self._limit)
        return data

    def close(self) -> None:
        """Closes the stream."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_directory(file: IO[bytes]) -> None:
    """Checks the size of the archive's directory, which is read as a whole, from the end of the file."""
    size = file.seek(0, SEEK_END)
    file.seek(max(0, size - _LONGEST_END))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(tail) < at + _DIRECTORY_SIZE.size:
        raise BadZipFile
    (length,) = _DIRECTORY_SIZE.unpack_from(tail, at)
    is_zip64 = tail[max(0, at - _ZIP64_LOCATOR_BYTES) : at].startswith(_ZIP64_LOCATOR)
    if length > _MAX_DIRECTORY_BYTES or is_zip64:
        raise SpreadsheetTooLargeError("too many parts")
