"""Schemas of imports."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from journey_service.api.schema_fields import Id, NextCursor, ResponseModel, Timestamp
from journey_service.domain.events import records
from journey_service.domain.events.cell_formats import DateFormat, DecimalName
from journey_service.domain.events.files.csv_header import (
    CsvHeader,
    ProposedColumn,
    TableKind,
    is_field,
    missing_fields,
)
from journey_service.domain.events.files.import_file import Encoding, FileFormat
from journey_service.domain.events.files.import_table import ImportKind
from journey_service.domain.events.records import OnChanged

ImportStatus = Literal["reading", "queued", "running", "done", "failed"]


class ImportFormat(ResponseModel):
    """What was named of the format of a file, by the caller or by an earlier import from the same source."""

    columns: dict[str, str] = Field(
        description="Fields of columns, by the name of the column", examples=[{"Kundennummer": "customer_id"}]
    )
    decimal_separator: DecimalName | None = Field(
        description="Separator of decimals; null if it follows from the file", examples=["comma"]
    )
    date_format: DateFormat | None = Field(
        description="Format of dates with slashes; null if such dates are errors", examples=["DD/MM/YYYY"]
    )
    encoding: Encoding | None = Field(
        description="Character encoding; null if it is UTF-8, or UTF-16 with a byte order mark",
        examples=[None],
    )
    sheet: str | None = Field(
        description="Sheet of a spreadsheet; null if it is the first one", examples=["Termine 2026"]
    )

    @classmethod
    def of(cls, found: FileFormat) -> "ImportFormat":
        """Returns the schema of a format."""
        separator: DecimalName | None = {",": "comma", ".": "point", None: None}[found.decimal_separator]
        return cls(
            columns=dict(found.columns or {}),
            decimal_separator=separator,
            date_format=found.date_format,
            encoding=found.encoding,
            sheet=found.sheet,
        )


class Import(ResponseModel):
    """An import of past events and its progress."""

    id: Id = Field(description="Id of the import")
    job_id: Id = Field(description="Id of the import for `GET /admin/jobs/{job_id}`: equal to `id`")
    status: ImportStatus = Field(
        description="`reading`: the file is being stored. `queued`: no worker has started the import. `running`: a"
        " worker replays the lines. `done`: all lines are replayed. `failed`: the import has stopped, see `error`",
        examples=["done"],
    )
    kind: ImportKind = Field(
        description="What the lines are: past events, or profiles of customers", examples=["events"]
    )
    source: str | None = Field(
        description="System that the file comes from; null if the caller named none", examples=["salon-desk"]
    )
    format: ImportFormat = Field(description="How the file was read")
    on_changed: OnChanged = Field(
        description="What happens to lines without an id that differ from a known one in the amount alone: `hold`"
        " reports them, `add` adds them as further events, `replace` retracts the known ones and adds them",
        examples=["hold"],
    )
    until: Timestamp | None = Field(
        description="Time up to which events are replayed; null if it is the time of the import",
        examples=[None],
    )
    lines: int = Field(ge=0, description="Lines of the file, including the header", examples=[10_001])
    total: int = Field(ge=0, description="Valid lines to replay", examples=[9_998])
    done: int = Field(ge=0, description="Lines replayed so far", examples=[9_998])
    applied: int = Field(ge=0, description="Lines that were stored as new events", examples=[9_990])
    duplicates: int = Field(ge=0, description="Lines whose event was stored before", examples=[5])
    changed: int = Field(
        ge=0,
        description="Lines without an id that differ from a known one in the amount alone and were held back; they are"
        " among the errors of the import. `on_changed=add` or `replace` takes them",
        examples=[0],
    )
    late: int = Field(
        ge=0,
        description="Lines of `applied` that are older than a stored event of the customer; they are evaluated as of"
        " now",
        examples=[0],
    )
    later: int = Field(ge=0, description="Lines with a time after `until`, which were skipped", examples=[0])
    erased: int = Field(ge=0, description="Lines of erased customers, which were skipped", examples=[3])
    failed: int = Field(ge=0, description="Invalid lines; see the errors of the import", examples=[2])
    transitions: int = Field(ge=0, description="Transitions that the import caused", examples=[1_204])
    ignored_columns: list[str] = Field(
        description="Columns of a CSV file that are not known and were ignored, up to 50",
        examples=[["stylist"]],
    )
    error: str | None = Field(
        description="Why the import failed; null unless `status` is `failed`", examples=[None]
    )
    created_at: Timestamp = Field(description="When the import began, in real time")
    finished_at: Timestamp | None = Field(
        description="When the import ended, in real time; null if it has not ended",
        examples=["2026-03-01T09:30:04Z"],
    )

    @classmethod
    def of(cls, found: records.ImportRecord) -> "Import":
        """Returns the schema of an import."""
        return cls(
            id=found.id,
            job_id=found.id,
            status=found.status,  # type: ignore[arg-type]  # a constraint of the table
            kind=found.kind,  # type: ignore[arg-type]  # a constraint of the table
            source=found.source,
            format=ImportFormat.of(found.file_format),
            on_changed=found.on_changed,  # type: ignore[arg-type]  # a constraint of the table
            until=found.until,
            lines=found.lines,
            total=found.staged,
            done=found.done,
            applied=found.applied,
            duplicates=found.duplicates,
            changed=found.changed,
            late=found.late,
            later=found.later,
            erased=found.erased,
            failed=found.failed_lines,
            transitions=found.transitions,
            ignored_columns=list(found.ignored_columns),
            error=found.error,
            created_at=found.created_at,
            finished_at=found.finished_at,
        )


class ImportPage(ResponseModel):
    """A page of imports, newest first."""

    items: list[Import] = Field(description="The imports of the page")
    next_cursor: NextCursor


class ImportLineError(ResponseModel):
    """An error of one line of an import."""

    line: int = Field(ge=1, description="Number of the line, from 1", examples=[17])
    pointer: str = Field(
        description="JSON pointer (RFC 6901) of the field; empty for the line as a whole",
        examples=["/occurred_at"],
    )
    detail: str = Field(
        description="What is wrong, in one sentence", examples=["must be a time such as 2026-03-01T09:30:00Z"]
    )

    @classmethod
    def of(cls, error: records.ImportLineError) -> "ImportLineError":
        """Returns the schema of an error."""
        return cls(line=error.line, pointer=error.pointer, detail=error.message)


class ImportLineErrorPage(ResponseModel):
    """A page of errors of an import, by line."""

    items: list[ImportLineError] = Field(description="The errors of the page")
    next_cursor: NextCursor


class CheckedColumn(ResponseModel):
    """A column of a file that was checked."""

    name: str = Field(description="Name of the column", examples=["Kundennummer"])
    field: str | None = Field(
        description="Field that is read from the column; null if it is ignored", examples=["customer_id"]
    )


class CheckedError(ResponseModel):
    """An error that an import would report."""

    line: int = Field(ge=1, description="Number of the line, from 1", examples=[17])
    pointer: str = Field(
        description="JSON pointer (RFC 6901) of the field; empty for the line as a whole",
        examples=["/occurred_at"],
    )
    column: str | None = Field(
        description="Column of the cell; null for the line as a whole and for NDJSON", examples=["Datum"]
    )
    value: str | None = Field(
        description="Content of the cell, shortened to 60 characters; null if `column` is",
        examples=["10/11/2026"],
    )
    detail: str = Field(
        description="What is wrong, in one sentence", examples=["must be a time such as 2026-03-01T09:30:00Z"]
    )


class ProfileFields(ResponseModel):
    """Numbers of lines by the fields of the profile that they name."""

    name: int = Field(default=0, ge=0, description="Lines with a name", examples=[870])
    first_name: int = Field(default=0, ge=0, description="Lines with a first name", examples=[0])
    email: int = Field(default=0, ge=0, description="Lines with an email address", examples=[850])
    phone: int = Field(default=0, ge=0, description="Lines with a phone number", examples=[410])
    language: int = Field(default=0, ge=0, description="Lines with a language", examples=[0])
    consents: int = Field(default=0, ge=0, description="Lines with a consent", examples=[0])
    attributes: int = Field(default=0, ge=0, description="Lines with an attribute", examples=[0])


class ImportCheck(ResponseModel):
    """What an import of the file would do. Nothing was changed."""

    kind: ImportKind = Field(
        description="What the lines are: past events, or profiles of customers", examples=["events"]
    )
    lines: int = Field(ge=0, description="Lines of the file, including the header", examples=[10_001])
    columns: list[CheckedColumn] = Field(description="Columns of the file; empty for NDJSON")
    ignored_columns: list[str] = Field(
        description="Names of columns that are ignored", examples=[["stylist"]]
    )
    new: int = Field(
        ge=0, description="Lines with new events, or with customers who are new", examples=[9_990]
    )
    known: int = Field(
        ge=0, description="Lines whose event is stored, or whose customer is known", examples=[5]
    )
    changed: int = Field(
        ge=0,
        description="Lines without an id that differ from a known one in the amount alone and would be held back",
        examples=[0],
    )
    later: int = Field(ge=0, description="Lines with a time after `until`", examples=[0])
    erased: int = Field(ge=0, description="Lines of erased customers", examples=[3])
    failed: int = Field(ge=0, description="Invalid lines", examples=[2])
    customers_new: int = Field(ge=0, description="Customers of the lines who are new", examples=[120])
    customers_known: int = Field(ge=0, description="Customers of the lines who are known", examples=[880])
    profile_fields: ProfileFields = Field(
        description="Lines that would be applied, by the fields of the profile that they name. A field that was changed"
        " later than the event stays as it is"
    )
    errors: list[CheckedError] = Field(
        description="The first 100 errors, and lines that would be held back, by line"
    )

    @classmethod
    def of(cls, found: records.ImportCheck) -> "ImportCheck":
        """Returns the schema of a check."""
        return cls(
            kind=found.kind,
            lines=found.lines,
            columns=[CheckedColumn(name=name, field=field) for name, field in found.columns],
            ignored_columns=[name for name, field in found.columns if field is None and name.strip()],
            new=found.new,
            known=found.known,
            changed=found.changed,
            later=found.later,
            erased=found.erased,
            failed=found.failed,
            customers_new=found.customers_new,
            customers_known=found.customers_known,
            profile_fields=ProfileFields.model_validate(found.profile_fields),
            errors=[
                CheckedError(
                    line=error.line,
                    pointer=error.pointer,
                    column=error.column,
                    value=error.value,
                    detail=error.message,
                )
                for error in found.errors
            ],
        )


class ImportProposedColumn(ResponseModel):
    """A column of a header, and the field that it probably is."""

    name: str = Field(description="Name of the column", examples=["Kundennummer"])
    field: str | None = Field(
        description="Field of the column; null if its name is unknown", examples=["customer_id"]
    )
    is_known: bool = Field(
        description="Whether an import takes the field by itself; otherwise it is a proposal by the name",
        examples=[False],
    )


class ImportProposal(ResponseModel):
    """The fields that the columns of a header probably are."""

    delimiter: str = Field(description="Separator of the columns", examples=[";"])
    columns: list[ImportProposedColumn] = Field(description="Columns of the header")
    column: list[str] = Field(
        description="Values of the parameter `column` with which an import follows the proposal",
        examples=[["Kundennummer:customer_id", "Datum:occurred_at"]],
    )
    missing: list[str] = Field(description="Required fields that no column has", examples=[["type"]])
    format: ImportFormat | None = Field(
        description="Format of the latest import from the source; null if no source is given, or it has none"
    )

    @classmethod
    def of(
        cls,
        header: CsvHeader,
        columns: Sequence[ProposedColumn],
        kind: TableKind,
        known: FileFormat | None,
    ) -> "ImportProposal":
        """Returns the schema of a proposal."""
        return cls(
            delimiter=header.delimiter,
            columns=[
                ImportProposedColumn(name=each.name, field=each.field, is_known=each.is_known)
                for each in columns
            ],
            column=[
                f"{each.name}:{each.field}"
                for each in columns
                if each.field is not None and not is_field(each.name, kind)
            ],
            missing=list(missing_fields([each.field for each in columns], kind)),
            format=None if known is None else ImportFormat.of(known),
        )
