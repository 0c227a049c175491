"""Reads import files as a byte stream: gzip or plain, CSV or NDJSON, in constant memory."""

import codecs
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from journey_service.domain.companies.currencies import EUR, Currency
from journey_service.domain.errors import FieldError, InvalidInputError, MalformedError
from journey_service.domain.events.cell_formats import DateFormat, DecimalSeparator
from journey_service.domain.events.files.csv_header import CsvHeader, read_header, separator_of
from journey_service.domain.events.files.csv_records import CsvRecords
from journey_service.domain.events.files.import_table import (
    ImportKind,
    ImportTable,
    InvalidLineError,
    ParsedLine,
    kept_cells,
)

_GZIP: Final = b"\x1f\x8b"
_MAX_LINE_BYTES: Final = 64 * 1024
"""Maximum length of a line; a longer line is an error and is skipped."""
_CHUNK_BYTES: Final = 64 * 1024
"""Maximum number of bytes that are decompressed and split at once."""
MAX_LINES: Final = 10_000_000
"""Maximum number of lines of a file, blank ones too; a longer file is an error."""
MAX_UNPACKED_RATIO: Final = 100
"""Maximum number of unpacked bytes of a gzip file for each compressed byte, beyond MIN_UNPACKED_LIMIT."""
MIN_UNPACKED_LIMIT: Final = 8 * 1024**2
"""Number of bytes to which any gzip file may unpack."""
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
Encoding = Literal["utf-8", "utf-16", "windows-1250", "windows-1252", "iso-8859-15"]


class FileFormat(NamedTuple):
    """What the caller says of a file; None: as the file shows.

    `columns` are the fields of columns, by the name of the column in the file. `sheet` is that of a spreadsheet; None:
    the first one.
    """

    columns: Mapping[str, str] | None = None
    decimal_separator: DecimalSeparator | None = None
    date_format: DateFormat | None = None
    encoding: Encoding | None = None
    sheet: str | None = None

    @property
    def written(self) -> dict[str, object]:
        """The format as JSON, without what the file shows."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> "FileFormat":
        """Returns the format that is stored as this JSON."""
        return cls(**written)


AS_THE_FILE_SHOWS: Final = FileFormat()


class ImportFileReader:
    """Parses the bytes of an import file incrementally into lines and errors of lines.

    Times without an offset are those of `zone`, amounts are in `currency`. Of an incomplete gzip file, all complete
    lines are read and the last line is an error. Raises MalformedError or InvalidInputError if the whole file is
    unreadable.
    """

    def __init__(
        self,
        zone: ZoneInfo,
        *,
        is_gzip: bool | None = None,
        currency: Currency = EUR,
        format_: FileFormat = AS_THE_FILE_SHOWS,
        kind: ImportKind = "events",
        source: str | None = None,
    ) -> None:
        self._is_gzip = is_gzip
        self._format = format_
        self._table = ImportTable(
            zone,
            currency,
            kind,
            source=source,
            decimal_separator=format_.decimal_separator,
            date_format=format_.date_format,
        )
        self._inflater: zlib._Decompress | None = None
        self._packed_bytes = 0
        self._unpacked_bytes = 0
        self._head = b""
        self._has_format = False
        self._text = _Utf8(format_.encoding)
        self._pending = b""
        self._skips_rest = False
        self._is_broken = False
        self._separator: str | None = None
        self._records = CsvRecords(",")
        self._is_json = False
        self.lines_read = 0

    @property
    def header(self) -> CsvHeader | None:
        """The header of a CSV file; None for NDJSON, and before it is read."""
        return self._table.header

    def parse_chunk(self, data: bytes) -> Iterator[ParsedLine]:
        """Parses the next bytes of the file."""
        for lines in self.parse_pieces(data):
            yield from lines

    def parse_pieces(self, data: bytes) -> Iterator[Iterator[ParsedLine]]:
        """Parses the next bytes of the file: one iterator for each piece of at most 64 KiB, to be read to its end.

        A small compressed chunk may have many pieces, and a piece of blank lines yields nothing.
        """
        if not self._has_format:
            self._head += data
            if len(self._head) < len(_GZIP):
                return
            data, self._head, self._has_format = self._head, b"", True
            self._detect_gzip(data)
        for piece in self._inflate(data):
            yield self._split(self._text.convert(piece))

    def parse_rest(self) -> Iterator[ParsedLine]:
        """Parses what is left at the end of the file. Raises MalformedError for an empty file."""
        if not self._has_format and self._head:
            self._has_format = True
            self._detect_gzip(self._head)
            yield from self._split(self._text.convert(self._head))
        yield from self._split(self._text.finish())
        is_incomplete = self._inflater is not None and not self._inflater.eof
        if self._pending or self._is_broken or is_incomplete:
            rest, self._pending = self._pending, b""
            if self._is_broken or is_incomplete:
                if not self._has_first_line:
                    raise MalformedError("The compressed file ends within its first line.")
                self.lines_read += 1
                yield InvalidLineError(
                    self.lines_read,
                    (FieldError("", "is incomplete: the compressed file ends early or is damaged"),),
                )
            elif not self._skips_rest:
                yield from self._line(rest)
        for record in self._records.finish():
            yield from self._table.parse_record(record)
        if not self._has_first_line:
            raise MalformedError("The file is empty.")

    @property
    def _has_first_line(self) -> bool:
        return self.header is not None or self._is_json

    def _detect_gzip(self, head: bytes) -> None:
        has_magic = head.startswith(_GZIP)
        if self._is_gzip and not has_magic:
            raise MalformedError("The file is declared as gzip but is not compressed.", offset=0)
        if has_magic:
            self._inflater = zlib.decompressobj(wbits=31)

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            for start in range(0, len(data), _CHUNK_BYTES):
                yield data[start : start + _CHUNK_BYTES]
            return
        self._packed_bytes += len(data)
        while not self._is_broken:
            if self._inflater.eof:
                if not data:
                    return
                self._inflater = zlib.decompressobj(wbits=31)  # a gzip file may consist of several members
            before = self._inflater.copy()
            try:
                piece = self._inflater.decompress(data, _CHUNK_BYTES)
            except zlib.error:
                yield from self._decompress_up_to_error(before, data)
                return
            data = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
            self._count_unpacked(len(piece))
            yield piece
            if not data and not self._inflater.eof and len(piece) < _CHUNK_BYTES:
                return

    def _count_unpacked(self, size: int) -> None:
        self._unpacked_bytes += size
        if self._unpacked_bytes > max(MIN_UNPACKED_LIMIT, self._packed_bytes * MAX_UNPACKED_RATIO):
            raise InvalidInputError.at(
                "", f"unpacks to more than {MAX_UNPACKED_RATIO} times its size; send it without compression"
            )

    def _decompress_up_to_error(self, inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        """Yields the bytes before damaged data, which a failing call of the decompressor does not return."""
        self._is_broken = True
        for index in range(len(data)):
            try:
                yield inflater.decompress(data[index : index + 1])
            except zlib.error:
                return

    def _split(self, piece: bytes) -> Iterator[ParsedLine]:
        *lines, self._pending = (self._pending + piece).split(b"\n")
        for raw in lines:
            if self._skips_rest:
                self._skips_rest = False
                continue
            yield from self._line(raw)
        if len(self._pending) > _MAX_LINE_BYTES + 1:  # the last byte may be the CR of CRLF
            if not self._skips_rest:
                self.lines_read += 1
                self._skips_rest = True
                yield self._too_long()
            self._pending = b""

    def _too_long(self) -> InvalidLineError:
        if not self._has_first_line:
            raise MalformedError("The first line is longer than 64 KiB; the file is neither CSV nor NDJSON.")
        return InvalidLineError(self.lines_read, (FieldError("", "is longer than 64 KiB"),))

    def _line(self, raw: bytes) -> Iterator[ParsedLine]:
        self.lines_read += 1
        if self.lines_read > MAX_LINES:
            raise InvalidInputError.at("", f"has more than {MAX_LINES:,} lines; split it into several files")
        raw = raw.removesuffix(b"\r")
        if self.lines_read == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if not raw.strip() and not self._records.is_open:
            return
        if len(raw) > _MAX_LINE_BYTES:
            yield self._too_long()
            return
        if not self._has_first_line and not raw.lstrip().startswith(b"{"):
            self._read_header(raw)
        elif self.header is None:
            self._is_json = True
            yield self._json_line(raw)
        else:
            # What is not UTF-8 is an error of the record that contains it.
            for record in self._records.add(self.lines_read, raw.decode("utf-8", "surrogateescape")):
                yield from self._table.parse_record(record)

    def _read_header(self, raw: bytes) -> None:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedError(
                "The first line is neither a CSV header nor a JSON object.", offset=0
            ) from error
        if self._separator is None and (separator := separator_of(text)) is not None:
            self._separator = separator
            return
        header = read_header(
            text,
            self.lines_read,
            delimiter=self._separator,
            columns=self._format.columns,
            kind=self._table.kind,
        )
        self._table.open(header)
        self._records = CsvRecords(header.delimiter)

    def _json_line(self, raw: bytes) -> ParsedLine:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return InvalidLineError(self.lines_read, (FieldError("", "is not UTF-8"),))
        try:
            values = _json(text)
        except InvalidInputError as error:
            return InvalidLineError(self.lines_read, tuple(error.errors), kept_cells([text]))
        return self._table.parse_object(values, self.lines_read, text)


class _Utf8:
    """Converts the bytes of a file to UTF-8: from UTF-16 with a byte order mark, or from the encoding that is named.

    A file that is named as UTF-16 and has no mark is little-endian.
    """

    def __init__(self, encoding: Encoding | None) -> None:
        self._is_utf_16 = encoding == "utf-16"
        self._is_known = encoding is not None and not self._is_utf_16
        self._decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
        self._head = b""

    def convert(self, data: bytes) -> bytes:
        """Converts the next bytes."""
        if not self._is_known:
            data, self._head = self._head + data, b""
            if len(data) < len(_UTF_16[0]):
                self._head = data
                return b""
            self._is_known = True
            if data.startswith(_UTF_16):
                self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
            elif self._is_utf_16:
                self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")
        return data if self._decoder is None else self._decoder.decode(data).encode("utf-8", "replace")

    def finish(self) -> bytes:
        """Converts what is left at the end of the file."""
        rest, self._head = self._head, b""
        return (
            rest
            if self._decoder is None
            else self._decoder.decode(rest, final=True).encode("utf-8", "replace")
        )


def _json(text: str) -> dict[str, object]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_finite)
    except RecursionError:
        raise InvalidInputError.at("", "is nested too deeply") from None
    except ValueError as error:
        raise InvalidInputError.at("", f"is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInputError.at("", "must be a JSON object")
    return value


def _parse_finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is out of range")
    return number


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
