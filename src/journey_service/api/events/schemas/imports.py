"""Histories over the wire."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.events.records import Import, ImportLineError


class ImportOut(ResponseModel):
    """An import and how far it is."""

    id: int
    job_id: int
    status: Literal["reading", "queued", "running", "done", "failed"]
    until: datetime | None = Field(description="the instant journeys are brought to; null: the company's now")
    lines: int = Field(description="lines read, the header included")
    total: int = Field(description="lines that were understood")
    done: int = Field(description="lines decided so far")
    applied: int
    duplicates: int
    late: int = Field(description="of the applied: told after something later, decided as of now")
    later: int = Field(description="lines beyond `until`, left for another time")
    erased: int = Field(description="lines of customers who were erased, ignored")
    failed: int = Field(description="faulty lines; see the errors")
    transitions: int
    error: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, found: Import) -> "ImportOut":
        """Show an import."""
        return cls(
            id=found.id,
            job_id=found.id,
            status=found.status,  # type: ignore[arg-type]  # the table's own check
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
            error=found.error,
            created_at=found.created_at,
            finished_at=found.finished_at,
        )


class ImportsOut(ResponseModel):
    """A page of imports, newest first."""

    items: list[ImportOut]
    next_cursor: str | None


class LineFaultOut(ResponseModel):
    """What was wrong with a line."""

    line: int
    pointer: str
    detail: str

    @classmethod
    def of(cls, fault: ImportLineError) -> "LineFaultOut":
        """Show a fault."""
        return cls(line=fault.line, pointer=fault.pointer, detail=fault.message)


class LineFaultsOut(ResponseModel):
    """A page of faulty lines."""

    items: list[LineFaultOut]
    next_cursor: str | None
