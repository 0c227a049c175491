"""Query parameters of an import."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from journey_service.api.dependencies import repeatable
from journey_service.api.schema_fields import Instant, SingleLineText
from journey_service.domain.events.cell_formats import DateFormat, DecimalName, to_separator
from journey_service.domain.events.files.csv_header import parse_columns
from journey_service.domain.events.files.import_file import Encoding, FileFormat
from journey_service.domain.events.files.import_table import ImportKind, table_kind
from journey_service.domain.events.records import ImportOptions, OnChanged


@dataclass(frozen=True, slots=True)
class _ImportParameters:
    """What a file contains, how it is read, and what happens to its lines."""

    kind: Annotated[
        ImportKind,
        Query(
            description="What the lines are: `events`, or `customers` with the columns `customer_id`, `name`, `email`,"
            " `phone`, `language`, `consents` and `consent_<channel>`, which needs the scope `customers:write`",
            examples=["customers"],
        ),
    ] = "events"
    dry_run: Annotated[
        bool, Query(description="Whether to return what the import would do, without changing anything")
    ] = False
    source: Annotated[
        SingleLineText | None,
        Query(
            description="System that the file comes from. Columns and formats that are named are remembered for it,"
            " and used when the next import from it names none. Lines with an id that name no source of their own"
            " have this one",
            examples=["salon-desk"],
        ),
    ] = None
    sheet: Annotated[
        SingleLineText | None,
        Query(description="Sheet of a spreadsheet. Default: the first one", examples=["Termine 2026"]),
    ] = None
    until: Annotated[
        Instant | None,
        Query(
            description="Time up to which events are replayed; later lines are skipped. Default: the current time",
            examples=["2026-03-01T00:00:00Z"],
        ),
    ] = None
    actions: Annotated[
        bool, Query(description="Whether to run the actions of stages entered within the last 24 hours")
    ] = False
    on_changed: Annotated[
        OnChanged,
        Query(
            description="What happens to lines without an id that differ from a known one in the amount alone: `hold`"
            " reports them and changes nothing, `add` adds them as further events, `replace` retracts the known"
            " events and adds them",
            examples=["add"],
        ),
    ] = "hold"
    column: Annotated[
        list[str] | None,
        repeatable(
            "Field of a column of a CSV file that has another name, as `<column>:<field>`. Column names are compared"
            " without case",
            examples=[["Kundennummer:customer_id"]],
        ),
    ] = None
    decimal_separator: Annotated[
        DecimalName | None,
        Query(
            description="Separator of decimals in a CSV file. Default: `comma` if the columns are separated by"
            " semicolons, otherwise `point`; an amount that can then be read in two ways is an error",
            examples=["comma"],
        ),
    ] = None
    date_format: Annotated[
        DateFormat | None,
        Query(
            description="Format of dates with slashes in a CSV file, which are errors without it",
            examples=["DD/MM/YYYY"],
        ),
    ] = None
    encoding: Annotated[
        Encoding | None,
        Query(
            description="Character encoding. Default: UTF-8, or UTF-16 if the file begins with its byte order mark",
            examples=["windows-1252"],
        ),
    ] = None

    def to_options(self) -> ImportOptions:
        """Returns the options of the import. Raises InvalidInputError."""
        file_format = FileFormat(
            parse_columns(self.column or (), "query/column", table_kind(self.kind)),
            to_separator(self.decimal_separator),
            self.date_format,
            self.encoding,
            self.sheet,
        )
        return ImportOptions(self.until, self.actions, file_format, self.on_changed, self.kind, self.source)


ImportParameters = Annotated[_ImportParameters, Depends()]
"""The query parameters of `POST /imports`."""
