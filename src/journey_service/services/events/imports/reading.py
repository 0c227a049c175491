"""Reads an import file of any form as batches of parsed lines; spreadsheets in a thread, from a temporary file.

Other requests are served while a file is read: text is parsed in small batches.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Final
from zoneinfo import ZoneInfo

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.errors import MalformedError
from journey_service.domain.events.files.csv_header import CsvHeader, header_of
from journey_service.domain.events.files.csv_records import CsvRecord
from journey_service.domain.events.files.import_file import ImportFileReader
from journey_service.domain.events.files.import_table import ImportTable, ParsedLine
from journey_service.domain.events.records import ImportOptions
from journey_service.services.events.imports.spreadsheets import (
    MAX_SPREADSHEET_BYTES,
    ZIP_MAGIC,
    SpreadsheetRows,
    SpreadsheetTooLargeError,
)

_LINES_BATCH_SIZE: Final = 100
"""Lines that are parsed at once: some milliseconds."""
_ROWS_BATCH_SIZE: Final = 1_000
_SPOOLED_BYTES: Final = 1024**2
"""Maximum size of a spreadsheet that is kept in memory; a larger one is written to a temporary file."""
_PARSER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spreadsheet-parser")
"""Thread that parses spreadsheets. One: each takes its share of the processor from the event loop."""


class ImportSource:
    """An import file: CSV, NDJSON or a spreadsheet, which its first bytes show."""

    def __init__(self, context: CompanyContext, options: ImportOptions, *, is_gzip: bool | None) -> None:
        self._zone = ZoneInfo(context.company.timezone)
        self._currency = context.rulebook.policy.currency
        self._options = options
        self._is_gzip = is_gzip
        self.header: CsvHeader | None = None
        self.lines_read = 0

    async def read(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[Sequence[ParsedLine]]:
        """Yields the lines in batches. Raises MalformedError or InvalidInputError if the whole file is unreadable."""
        head, rest = b"", aiter(chunks)
        async for chunk in rest:
            head += chunk
            if len(head) >= len(ZIP_MAGIC):
                break
        batches = self._read_spreadsheet if head.startswith(ZIP_MAGIC) else self._read_text
        async for batch in batches(head, rest):
            yield batch

    async def _read_text(
        self, head: bytes, rest: AsyncIterator[bytes]
    ) -> AsyncIterator[Sequence[ParsedLine]]:
        options = self._options
        reader = ImportFileReader(
            self._zone,
            is_gzip=self._is_gzip,
            currency=self._currency,
            format_=options.file_format,
            kind=options.kind,
            source=options.source,
        )

        async for batch in self._batches(reader, reader.parse_pieces(head)):
            yield batch
        async for chunk in rest:
            async for batch in self._batches(reader, reader.parse_pieces(chunk)):
                yield batch
        async for batch in self._batches(reader, iter((reader.parse_rest(),))):
            yield batch

    async def _batches(
        self, reader: ImportFileReader, pieces: Iterator[Iterator[ParsedLine]]
    ) -> AsyncIterator[Sequence[ParsedLine]]:
        """Yields the lines of pieces in small batches, between which other tasks of the event loop run.

        In a thread, parsing would make every other request wait for the interpreter's lock many times.
        """
        for lines in pieces:
            while batch := list(islice(lines, _LINES_BATCH_SIZE)):
                self.header, self.lines_read = reader.header, reader.lines_read
                yield batch
                await asyncio.sleep(0)
            self.header, self.lines_read = reader.header, reader.lines_read
            await asyncio.sleep(0)

    async def _read_spreadsheet(
        self, head: bytes, rest: AsyncIterator[bytes]
    ) -> AsyncIterator[Sequence[ParsedLine]]:
        with SpooledTemporaryFile(max_size=_SPOOLED_BYTES) as file:
            file.write(head)
            size = len(head)
            async for chunk in rest:
                size += len(chunk)
                if size > MAX_SPREADSHEET_BYTES:
                    raise SpreadsheetTooLargeError(f"more than {MAX_SPREADSHEET_BYTES // 1024**2} MiB")
                await asyncio.to_thread(file.write, chunk)
            lines = self._parse_rows(file)
            async for batch in _in_thread(iter(lambda: list(islice(lines, _ROWS_BATCH_SIZE)), [])):
                yield batch

    def _parse_rows(self, file: IO[bytes]) -> Iterator[ParsedLine]:
        format_ = self._options.file_format
        table = ImportTable(
            self._zone,
            self._currency,
            self._options.kind,
            source=self._options.source,
            decimal_separator=format_.decimal_separator,
            date_format=format_.date_format,
        )
        for number, cells in SpreadsheetRows(file, format_.sheet, format_.decimal_separator):
            self.lines_read = number
            if self.header is not None:
                blanks = [""] * (len(self.header.fields) - len(cells))
                yield from table.parse_record(CsvRecord(number, [*cells, *blanks]))
            elif any(cells):
                self.header = header_of(cells, number, columns=format_.columns, kind=table.kind)
                table.open(self.header)
        if self.header is None:
            raise MalformedError("The file is empty.")


async def _in_thread(batches: Iterator[Sequence[ParsedLine]]) -> AsyncIterator[Sequence[ParsedLine]]:
    """Yields what an iterator yields, each item produced in a thread."""
    loop = asyncio.get_running_loop()
    while (batch := await loop.run_in_executor(_PARSER, next, batches, None)) is not None:
        yield batch
