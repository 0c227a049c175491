"""Schemas of imports."""

from typing import Literal

from pydantic import Field

from journey_service.api.schema_fields import Id, NextCursor, ResponseModel, Timestamp
from journey_service.domain.events import records

ImportStatus = Literal["reading", "queued", "running", "done", "failed"]


class Import(ResponseModel):
    """An import of past events and its progress."""

    id: Id = Field(description="Id of the import")
    job_id: Id = Field(description="Id of the import for `GET /admin/jobs/{job_id}`: equal to `id`")
    status: ImportStatus = Field(
        description="`reading`: the file is being stored. `queued`: no worker has started the import. `running`: a"
        " worker replays the lines. `done`: all lines are replayed. `failed`: the import has stopped, see `error`",
        examples=["done"],
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
            until=found.until,
            lines=found.lines,
            total=found.staged,
            done=found.done,
            applied=found.applied,
            duplicates=found.duplicates,
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
