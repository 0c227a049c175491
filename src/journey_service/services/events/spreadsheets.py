"""Reads .xlsx spreadsheets row by row, within limits of size, rows and columns."""

import struct
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import SEEK_END
from typing import IO, Any, Final, Self
from zipfile import BadZipFile, ZipFile, ZipInfo

from openpyxl.reader.excel import ExcelReader
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from journey_service.domain.errors import InvalidInputError, quote_value
from journey_service.domain.events.cell_formats import DecimalSeparator

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
        except Exception as error:  # openpyxl passes on whatever a damaged file makes its parts raise
            raise InvalidInputError.at("", f"{_ERROR}: {type(error).__name__}") from error

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        _check_directory(self._file)
        with _BoundedArchive(self._file) as archive:
            reader = ExcelReader(self._file, read_only=True, data_only=True, keep_links=False)
            reader.archive.close()
            reader.archive = archive
            reader.read()
            sheet = self._find_sheet(reader.wb.worksheets)
            archive.unpacked_since_row = 0
            sheet.reset_dimensions()  # which a program may have written wrongly
            for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
                archive.unpacked_since_row = 0
                if number > MAX_ROWS:
                    raise SpreadsheetTooLargeError(f"more than {MAX_ROWS:,} rows")
                cells = [self._text(value) for value in row]
                while cells and not cells[-1]:
                    cells.pop()
                if len(cells) > MAX_COLUMNS:
                    raise SpreadsheetTooLargeError(f"more than {MAX_COLUMNS} columns")
                yield number, cells

    def _find_sheet(self, sheets: list[ReadOnlyWorksheet]) -> ReadOnlyWorksheet:
        found = [sheet for sheet in sheets if self._sheet in (None, sheet.title)]
        if not found:
            names = ", ".join(quote_value(sheet.title) for sheet in sheets[:10]) or "none"
            raise InvalidInputError.at("query/sheet", f"is not a sheet of the file; its sheets are {names}")
        return found[0]

    def _text(self, value: Any) -> str:  # noqa: ANN401  # the value of a cell
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


class _BoundedArchive(ZipFile):
    """A ZIP archive that is refused if it unpacks to more than the limits, whatever its directory declares."""

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
