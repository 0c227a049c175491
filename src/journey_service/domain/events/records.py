"""Events, imports and their line errors as they are stored, and the options of an import."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from journey_service.domain.events.event import EARLIEST
from journey_service.domain.events.files.import_file import AS_THE_FILE_SHOWS, FileFormat
from journey_service.domain.events.files.import_table import ImportKind

OnChanged = Literal["hold", "add", "replace"]


class ImportOptions(NamedTuple):
    """Options of an import.

    `until` is the last instant to apply (None: now). `on_changed` decides on lines that differ from a known one in the
    amount alone: they are held back, or added. `source` names the system that the file comes from.
    """

    until: datetime | None = None
    runs_actions: bool = False
    file_format: FileFormat = AS_THE_FILE_SHOWS
    on_changed: OnChanged = "hold"
    kind: ImportKind = "events"
    source: str | None = None


class ImportCursor(NamedTuple):
    """The position of a staged line. Lines are applied in this order."""

    customer_id: int
    occurred_at: datetime
    source: str
    event_id: str
    line: int


BEFORE_ALL_LINES: Final = ImportCursor(-1, EARLIEST, "", "", 0)


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """An import and its progress. `cursor` is the position of the last applied line."""

    id: int
    status: str
    kind: str
    source: str | None
    until: datetime | None
    runs_actions: bool
    on_changed: str
    lines: int
    staged: int
    done: int
    applied: int
    duplicates: int
    changed: int
    late: int
    later: int
    erased: int
    transitions: int
    failed_lines: int
    file_format: FileFormat
    header: Sequence[str]
    ignored_columns: Sequence[str]
    cursor: ImportCursor | None
    error: str | None
    actor: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ImportLineError:
    """One error in a line of an import file; `customer_id` and `cells` are those of the line, as far as known."""

    line: int
    pointer: str
    message: str
    customer_id: int | None = None
    cells: Sequence[str] | None = None


class ErrorLine(NamedTuple):
    """A line with errors: its cells, if they are kept, and every error."""

    line: int
    cells: Sequence[str] | None
    errors: Sequence[ImportLineError]


class CheckedError(NamedTuple):
    """An error that a dry run has found. `column` and `value` are those of the cell, None for the line as a whole."""

    line: int
    pointer: str
    column: str | None
    value: str | None
    message: str


@dataclass(frozen=True, slots=True)
class ImportCheck:
    """What an import would do: the lines by outcome, and the customers that are new and known.

    `columns` are the names of the columns with their fields, None for an ignored one. `profile_fields` are the numbers
    of lines that would be applied by the fields of the profile that they name. The first errors are listed.
    """

    kind: ImportKind
    lines: int
    columns: Sequence[tuple[str, str | None]]
    new: int
    known: int
    changed: int
    later: int
    erased: int
    failed: int
    customers_new: int
    customers_known: int
    profile_fields: Mapping[str, int]
    errors: Sequence[CheckedError]


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
