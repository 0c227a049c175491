"""Reads import files as a byte stream: gzip or plain, CSV or NDJSON, in constant memory."""

import codecs
import csv
import json
import zlib
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.errors import FieldError, InvalidInputError, MalformedError, quote_value
from journey_service.domain.events.parsing import FIELD_ALIASES, ImportLine, parse_line

_GZIP: Final = b"\x1f\x8b"
_MAX_LINE_BYTES: Final = 64 * 1024
"""Maximum length of a line; a longer line is an error and is skipped."""
_CHUNK_BYTES: Final = 256 * 1024
"""Maximum number of bytes that are decompressed at once."""
_REQUIRED: Final = {"customer_id", "occurred_at"}
_COLUMNS: Final = frozenset(
    (
        *("id", "event_id", "source", "type", "event_type", "customer_id", "occurred_at"),
        *("amount", "total_amount", "call_duration", "booking_id", "scheduled_for", "metadata"),
    )
)


class InvalidLineError(InvalidInputError):
    """A line of an import file is invalid; the other lines are not affected."""

    def __init__(self, number: int, errors: tuple[FieldError, ...]) -> None:
        super().__init__(errors)
        self.number = number


class ImportFileReader:
    """Parses the bytes of an import file incrementally into lines and errors of lines.

    Of an incomplete gzip file, all complete lines are read and the last line is an error.
    Raises MalformedError or InvalidInputError if the whole file is unreadable.
    """

    def __init__(self, zone: ZoneInfo, *, is_gzip: bool | None = None) -> None:
        self._zone = zone
        self._is_gzip = is_gzip
        self._inflater: zlib._Decompress | None = None
        self._head = b""
        self._has_format = False
        self._pending = b""
        self._skips_rest = False
        self._is_broken = False
        self._columns: list[str] | None = None
        self._is_json = False
        self.lines_read = 0

    def parse_chunk(self, data: bytes) -> Iterator[ImportLine | InvalidLineError]:
        """Parses the next bytes of the file."""
        if not self._has_format:
            self._head += data
            if len(self._head) < len(_GZIP):
                return
            data, self._head, self._has_format = self._head, b"", True
            self._detect_gzip(data)
        for piece in self._inflate(data):
            yield from self._split(piece)

    def parse_rest(self) -> Iterator[ImportLine | InvalidLineError]:
        """Parses what is left at the end of the file. Raises MalformedError for an empty file."""
        if not self._has_format and self._head:
            self._has_format = True
            self._detect_gzip(self._head)
            yield from self._split(self._head)
        is_incomplete = self._inflater is not None and not self._inflater.eof
        if self._pending or self._is_broken or is_incomplete:
            rest, self._pending = self._pending, b""
            if self._is_broken or is_incomplete:
                if self._columns is None and not self._is_json:
                    raise MalformedError("The compressed file ends within its first line.")
                self.lines_read += 1
                yield InvalidLineError(
                    self.lines_read,
                    (FieldError("", "is incomplete: the compressed file ends early or is damaged"),),
                )
            elif not self._skips_rest:
                yield from self._line(rest)
        if self._columns is None and not self._is_json:
            raise MalformedError("The file is empty.")

    def _detect_gzip(self, head: bytes) -> None:
        has_magic = head.startswith(_GZIP)
        if self._is_gzip and not has_magic:
            raise MalformedError("The file is declared as gzip but is not compressed.", offset=0)
        if has_magic:
            self._inflater = zlib.decompressobj(wbits=31)

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            yield data
            return
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
            yield piece
            if not data and not self._inflater.eof and len(piece) < _CHUNK_BYTES:
                return

    def _decompress_up_to_error(self, inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        """Yields the bytes before damaged data, which a failing call of the decompressor does not return."""
        self._is_broken = True
        for index in range(len(data)):
            try:
                yield inflater.decompress(data[index : index + 1])
            except zlib.error:
                return

    def _split(self, piece: bytes) -> Iterator[ImportLine | InvalidLineError]:
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
        if self._columns is None and not self._is_json:
            raise MalformedError("The first line is longer than 64 KiB; the file is neither CSV nor NDJSON.")
        return InvalidLineError(self.lines_read, (FieldError("", "is longer than 64 KiB"),))

    def _line(self, raw: bytes) -> Iterator[ImportLine | InvalidLineError]:
        self.lines_read += 1
        raw = raw.removesuffix(b"\r")
        if self.lines_read == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if not raw.strip():
            return
        if len(raw) > _MAX_LINE_BYTES:
            yield self._too_long()
            return
        if self._columns is None and not self._is_json and self._is_header(raw):
            return
        try:
            text = raw.decode("utf-8")
            values = _json(text) if self._is_json else self._cells(text)
            yield parse_line(values, self.lines_read, self._zone, is_text=not self._is_json)
        except UnicodeDecodeError:
            yield InvalidLineError(self.lines_read, (FieldError("", "is not UTF-8"),))
        except InvalidInputError as error:
            yield InvalidLineError(self.lines_read, tuple(map(_without_unknown_names, error.errors)))

    def _is_header(self, raw: bytes) -> bool:
        if raw.lstrip().startswith(b"{"):
            self._is_json = True
            return False
        try:
            names = [name.strip() for name in next(csv.reader([raw.decode("utf-8")], strict=True))]
        except (UnicodeDecodeError, csv.Error) as error:
            raise MalformedError(
                "The first line is neither a CSV header nor a JSON object.", offset=0
            ) from error
        position = f"line {self.lines_read}"
        errors = [
            FieldError(position, f"lacks the column {name!r}") for name in sorted(_REQUIRED - set(names))
        ]
        if not {"type", "event_type"} & set(names):
            errors.append(FieldError(position, "lacks the column 'type' (or 'event_type')"))
        errors += [
            FieldError(position, f"{quote_value(name)} is not a known column")
            for name in names
            if name not in _COLUMNS
        ]
        if len({FIELD_ALIASES.get(name, name) for name in names}) < len(names):
            errors.append(FieldError(position, "contains a duplicate column"))
        if errors:
            raise InvalidInputError(errors)
        self._columns = names
        return True

    def _cells(self, text: str) -> dict[str, object]:
        columns = self._columns or []
        try:
            cells = next(csv.reader([text], strict=True))
        except csv.Error as error:
            raise InvalidInputError.at("", f"is not valid CSV: {error}") from error
        if len(cells) != len(columns):
            raise InvalidInputError.at("", f"has {len(cells)} columns instead of {len(columns)}")
        return dict(zip(columns, cells, strict=True))


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


def _without_unknown_names(error: FieldError) -> FieldError:
    """Removes the pointer of an error if it contains a name from the line, which may be personal data."""
    *_, name = error.pointer.split("/")
    return error if name in _COLUMNS or name in ("", "data") else FieldError("", error.message)
