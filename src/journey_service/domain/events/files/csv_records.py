"""Splits the lines of a CSV file into records.

A cell in quotes may contain line breaks, so a record may have several lines. What a cell contains is never a record of
its own.
"""

import csv
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_RECORD_LENGTH: Final = 64 * 1024
"""Maximum number of characters of a record."""


class CsvRecord(NamedTuple):
    """The cells of a record, with the number of its first line; or the error of a record that cannot be read."""

    number: int
    cells: list[str]
    error: str | None = None


class _Lines:
    """Supplies lines to the CSV reader, and knows whether it asked for more than there are."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self._lines = lines
        self.taken = 0
        self.is_exhausted = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.taken == len(self._lines):
            self.is_exhausted = True
            raise StopIteration
        self.taken += 1
        return f"{self._lines[self.taken - 1][1]}\n"


class CsvRecords:
    """Reads records from lines that arrive one by one, in constant memory.

    After a quoted cell that does not end within `MAX_RECORD_LENGTH` nothing is read: which of the lines that follow
    are cells, and which are records, is unknown.
    """

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._pending: list[tuple[int, str]] = []
        self._length = 0
        self._retry_at = 1
        self._is_stopped = False

    @property
    def is_open(self) -> bool:
        """Whether the last line may end within a quoted cell."""
        return bool(self._pending)

    def add(self, number: int, line: str) -> Iterator[CsvRecord]:
        """Adds a line without its end; yields the records that are complete."""
        if self._is_stopped:
            return
        self._pending.append((number, line))
        self._length += len(line) + 1
        # Each attempt reads an open record from its start: with twice as many lines each time, the work stays linear.
        if len(self._pending) >= self._retry_at or self._length > MAX_RECORD_LENGTH:
            yield from self._read(is_end=False)

    def finish(self) -> Iterator[CsvRecord]:
        """Yields what is left at the end of the file."""
        yield from self._read(is_end=True)

    def _read(self, *, is_end: bool) -> Iterator[CsvRecord]:
        while self._pending:
            lines = _Lines(self._pending)
            number = self._pending[0][0]
            try:
                record = CsvRecord(number, next(csv.reader(lines, delimiter=self._delimiter, strict=True)))
            except csv.Error as error:
                if lines.is_exhausted and not is_end:
                    if self._length <= MAX_RECORD_LENGTH:
                        self._retry_at = 2 * len(self._pending)
                        return
                    self._is_stopped = True
                    message = "opens a quoted cell that does not end within 64 KiB; nothing after it was read"
                elif lines.is_exhausted:
                    message = "opens a quoted cell that does not end"
                else:
                    message = f"is not valid CSV: {error}"
                record = CsvRecord(number, [], f"{message}{self._range(lines.taken)}")
            self._length -= sum(len(line) + 1 for _, line in self._pending[: lines.taken])
            del self._pending[: lines.taken]
            yield record
        self._retry_at = 1

    def _range(self, taken: int) -> str:
        """Returns which lines an unreadable record consists of, if it is more than one."""
        first, last = self._pending[0][0], self._pending[taken - 1][0]
        return "" if taken == 1 else f" (lines {first} to {last})"
