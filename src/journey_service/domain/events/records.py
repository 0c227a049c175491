"""Events, imports and their line errors as they are stored, and the options of an import."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from journey_service.domain.events.import_file import AS_THE_FILE_SHOWS, FileFormat


class ImportOptions(NamedTuple):
    """Options of an import: the last instant to apply (None: now), whether moves run actions, the file format."""

    until: datetime | None = None
    runs_actions: bool = False
    file_format: FileFormat = AS_THE_FILE_SHOWS


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """An import and its progress. `cursor` is (customer, occurred_at, line) of the last applied line."""

    id: int
    status: str
    until: datetime | None
    runs_actions: bool
    lines: int
    staged: int
    done: int
    applied: int
    duplicates: int
    late: int
    later: int
    erased: int
    transitions: int
    failed_lines: int
    ignored_columns: Sequence[str]
    cursor: tuple[int, datetime, int] | None
    error: str | None
    actor: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ImportLineError:
    """One error in a line of an import file."""

    line: int
    pointer: str
    message: str


class EventRecord(NamedTuple):
    """An event of the ledger, with the time of its insertion (real time).

    `is_late`: a later event or move of the customer was known when the event was applied. `is_counted`: it is neither
    retracted nor an outcome of a booking that another one has replaced.
    """

    source: str
    event_id: str
    type: str
    occurred_at: datetime
    recorded_at: datetime
    amount_cents: int
    call_duration: int | None
    booking_id: str | None
    scheduled_for: datetime | None
    reported_at: datetime | None
    retracts: tuple[str, str] | None
    is_late: bool
    is_counted: bool
