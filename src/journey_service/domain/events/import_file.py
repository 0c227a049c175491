"""A history file as a stream of bytes: gzip or plain, CSV or NDJSON, read in constant memory."""

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
_LONGEST_LINE: Final = 64 * 1024
_PIECE: Final = 256 * 1024
_REQUIRED: Final = {"customer_id", "occurred_at"}
_COLUMNS: Final = frozenset(
    (
        *("id", "event_id", "source", "type", "event_type", "customer_id", "occurred_at"),
        *("amount", "total_amount", "call_duration", "booking_id", "scheduled_for", "metadata"),
    )
)


class InvalidLineError(InvalidInputError):
    """A line that could not be understood; the others are not affected."""

    def __init__(self, number: int, errors: tuple[FieldError, ...]) -> None:
        super().__init__(errors)
        self.number = number


class ImportFileReader:
    """Turns bytes, as they come, into lines and faulty lines.

    Raises MalformedError or InvalidInputError when the whole file is not what it is said to be; a file that
    is cut off costs its last line only.
    """

    def __init__(self, zone: ZoneInfo, *, is_gzip: bool | None = None) -> None:
        self._zone = zone
        self._is_gzip = is_gzip
        self._inflater: zlib._Decompress | None = None
        self._head = b""
        self._is_open = False
        self._pending = b""
        self._skips_rest = False
        self._is_broken = False
        self._columns: list[str] | None = None
        self._is_json = False
        self.lines_read = 0

    def feed(self, data: bytes) -> Iterator[ImportLine | InvalidLineError]:
        """Read some more bytes."""
        if not self._is_open:
            self._head += data
            if len(self._head) < len(_GZIP):
                return
            data, self._head, self._is_open = self._head, b"", True
            self._recognise(data)
        for piece in self._inflate(data):
            yield from self._split(piece)

    def close(self) -> Iterator[ImportLine | InvalidLineError]:
        """The stream has ended: what is left is the last line."""
        if not self._is_open and self._head:
            self._is_open = True
            self._recognise(self._head)
            yield from self._split(self._head)
        is_cut = self._inflater is not None and not self._inflater.eof
        if self._pending or self._is_broken or is_cut:
            rest, self._pending = self._pending, b""
            if self._is_broken or is_cut:
                if self._columns is None and not self._is_json:
                    raise MalformedError("The compressed file is cut off before its first line ends.")
                self.lines_read += 1
                yield InvalidLineError(
                    self.lines_read, (FieldError("", "is cut off: the compressed file ends too early"),)
                )
            elif not self._skips_rest:
                yield from self._line(rest)
        if self._columns is None and not self._is_json:
            raise MalformedError("The file is empty.")

    def _recognise(self, head: bytes) -> None:
        has_magic = head.startswith(_GZIP)
        if self._is_gzip and not has_magic:
            raise MalformedError("The file is said to be gzip and is not.", offset=0)
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
                self._inflater = zlib.decompressobj(wbits=31)  # gzip allows members one after the other
            before = self._inflater.copy()
            try:
                piece = self._inflater.decompress(data, _PIECE)
            except zlib.error:
                yield from self._salvage(before, data)
                return
            data = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
            yield piece
            if not data and not self._inflater.eof and len(piece) < _PIECE:
                return

    def _salvage(self, inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        """What lies before the damage, which a decompressor that fails does not hand out."""
        self._is_broken = True
        for place in range(len(data)):
            try:
                yield inflater.decompress(data[place : place + 1])
            except zlib.error:
                return

    def _split(self, piece: bytes) -> Iterator[ImportLine | InvalidLineError]:
        *whole, self._pending = (self._pending + piece).split(b"\n")
        for raw in whole:
            if self._skips_rest:
                self._skips_rest = False
                continue
            yield from self._line(raw)
        if len(self._pending) > _LONGEST_LINE + 1:  # the last byte may be half of a line's end
            if not self._skips_rest:
                self.lines_read += 1
                self._skips_rest = True
                yield self._too_long()
            self._pending = b""

    def _too_long(self) -> InvalidLineError:
        if self._columns is None and not self._is_json:
            raise MalformedError("The first line is longer than 64 KiB; this is neither CSV nor NDJSON.")
        return InvalidLineError(self.lines_read, (FieldError("", "is longer than 64 KiB"),))

    def _line(self, raw: bytes) -> Iterator[ImportLine | InvalidLineError]:
        self.lines_read += 1
        raw = raw.removesuffix(b"\r")
        if self.lines_read == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if not raw.strip():
            return
        if len(raw) > _LONGEST_LINE:
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
            yield InvalidLineError(self.lines_read, tuple(map(_without_names, error.errors)))

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
        place = f"line {self.lines_read}"
        errors = [FieldError(place, f"lacks the column {name!r}") for name in sorted(_REQUIRED - set(names))]
        if not {"type", "event_type"} & set(names):
            errors.append(FieldError(place, "lacks the column 'type' (or 'event_type')"))
        errors += [
            FieldError(place, f"{quote_value(name)} is not a known column")
            for name in names
            if name not in _COLUMNS
        ]
        if len({FIELD_ALIASES.get(name, name) for name in names}) < len(names):
            errors.append(FieldError(place, "names a column twice"))
        if errors:
            raise InvalidInputError(errors)
        self._columns = names
        return True

    def _cells(self, text: str) -> dict[str, object]:
        columns = self._columns or []
        try:
            cells = next(csv.reader([text], strict=True))
        except csv.Error as error:
            raise InvalidInputError.at("", f"is not CSV: {error}") from error
        if len(cells) != len(columns):
            raise InvalidInputError.at("", f"has {len(cells)} of {len(columns)} columns; is it cut off?")
        return dict(zip(columns, cells, strict=True))


def _json(text: str) -> dict[str, object]:
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise InvalidInputError.at("", "is nested too deeply") from None
    except ValueError as error:
        raise InvalidInputError.at("", f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInputError.at("", "must be a JSON object")
    return value


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is out of range")
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _without_names(fault: FieldError) -> FieldError:
    """A fault that is kept: where it is, unless that is a name which only the line itself knows."""
    *_, name = fault.pointer.split("/")
    return fault if name in _COLUMNS or name in ("", "data") else FieldError("", fault.message)
