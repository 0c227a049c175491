"""Dry run of an import: what the staged lines would do."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from journey_service.domain.customers.updates import ProfileUpdate
from journey_service.domain.errors import FieldError
from journey_service.domain.events.event import Event, content_hash
from journey_service.domain.events.files.csv_header import CsvHeader
from journey_service.domain.events.parsing import ImportLine, future_error
from journey_service.domain.events.records import CheckedError, ImportCheck, ImportCursor, ImportOptions
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.events.counting import is_same_content
from journey_service.services.events.imports.customers import cursor_after, load_customer_lines
from journey_service.services.events.imports.matching import LineMatches, match_lines
from journey_service.services.events.imports.reading import ImportSource
from journey_service.services.events.imports.replay import CHANGED, OTHER_CONTENT, load_lines, position_of
from journey_service.services.events.imports.staging import MAX_ERRORS_KEPT, Staging

_MAX_VALUE_LENGTH: Final = 60
"""Maximum number of characters of a cell in the result; a longer one is shortened."""


@dataclass(slots=True)
class _Page:
    """What one page of lines would do."""

    cursor: ImportCursor
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[tuple[ImportLine, Sequence[FieldError]]] = field(default_factory=list)
    fields: Counter[str] = field(default_factory=Counter)

    def count_fields(self, profile: ProfileUpdate | None) -> None:
        """Counts a line by the fields of the profile that it names."""
        if profile is not None:
            self.fields.update(profile.fields.keys())
            self.fields.update(name for name in ("consents", "attributes") if getattr(profile, name))


async def check_lines(
    database: Database, company_id: int, staging: Staging, source: ImportSource, options: ImportOptions
) -> ImportCheck:
    """Counts what the lines of a staged file would do, page by page."""
    import_id = staging.import_id
    assert import_id is not None  # the file is staged
    check: Callable[..., Awaitable[_Page | None]]
    check = _check_customers if options.kind == "customers" else partial(_check_events, options=options)
    counts: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    header = source.header
    errors = [
        each
        for line in staging.first_invalid
        for each in _checked(line.number, line.errors, line.cells, header)
    ]
    cursor = None
    while True:
        page = await database.run(company_id, partial(check, import_id=import_id, cursor=cursor))
        if page is None:
            break
        cursor = page.cursor
        counts += page.counts
        fields += page.fields
        for line, found in page.errors[:MAX_ERRORS_KEPT]:
            errors += _checked(line.number, found, line.cells, header)
        errors = sorted(errors, key=lambda each: each[:2])[:MAX_ERRORS_KEPT]
    return ImportCheck(
        kind=options.kind,
        lines=source.lines_read,
        columns=[] if header is None else list(zip(header.names, header.fields, strict=True)),
        new=counts["new"],
        known=counts["known"],
        changed=counts["changed"],
        later=counts["later"],
        erased=counts["erased"],
        failed=staging.failed + counts["failed"],
        customers_new=counts["customers_new"],
        customers_known=counts["customers_known"],
        profile_fields=fields,
        errors=errors,
    )


async def _check_events(
    uow: UnitOfWork, *, import_id: int, cursor: ImportCursor | None, options: ImportOptions
) -> _Page | None:
    lines, _ = await load_lines(uow, import_id, cursor)
    if not lines:
        return None
    page = _Page(position_of(lines[-1]))
    now = (await uow.companies.get_context()).now
    customers = {line.event.customer_id for line in lines}
    relationship_ids, erased = await _count_customers(uow, page, cursor, customers)
    matches = await match_lines(uow, import_id, lines, cursor, relationship_ids)
    digests: dict[tuple[str, str], bytes] = {}
    for line, event in zip(lines, matches.events, strict=True):
        if event.customer_id in erased:
            page.counts["erased"] += 1
            continue
        stored = matches.stored.by_key.get(event.key)
        first = digests.get(event.key) if stored is None else stored.digest
        if first is None:
            outcome, errors = _outcome_of_new(event, matches, options, now)
            if outcome == "new":
                digests[event.key] = content_hash(event)
                page.count_fields(event.profile)
        elif not line.has_id or await is_same_content(uow, event, first, ignores_profile=True):
            outcome, errors = "known", ()
        else:
            outcome, errors = "failed", [FieldError("/id", OTHER_CONTENT)]
        page.counts[outcome] += 1
        if errors:
            page.errors.append((line, errors))
    return page


def _outcome_of_new(
    event: Event, matches: LineMatches, options: ImportOptions, now: datetime
) -> tuple[str, Sequence[FieldError]]:
    """Returns what a line with an unknown event would do, and its errors."""
    if options.until is not None and event.occurred_at > options.until:
        return "later", ()
    if event.key in matches.changed and options.on_changed == "hold":
        return "changed", [FieldError("", CHANGED)]
    error = future_error(event, options.until or now)
    if error is not None:
        return "failed", error.errors
    return "new", ()


async def _check_customers(uow: UnitOfWork, *, import_id: int, cursor: ImportCursor | None) -> _Page | None:
    lines = await load_customer_lines(uow, import_id, cursor)
    if not lines:
        return None
    page = _Page(cursor_after(lines[-1]))
    known, erased = await _count_customers(uow, page, cursor, {line.customer_id for line in lines})
    for line in lines:
        is_erased, is_known = line.customer_id in erased, line.customer_id in known
        page.counts["erased" if is_erased else "known" if is_known else "new"] += 1
        page.count_fields(None if is_erased else line.update)
    return page


async def _count_customers(
    uow: UnitOfWork, page: _Page, cursor: ImportCursor | None, customers: set[int]
) -> tuple[Mapping[int, int], set[int]]:
    """Counts the customers that begin on this page; returns the known ones, and those who are erased."""
    known = await uow.relationships.get_ids(sorted(customers))
    erased = await uow.tombstones.find_erased(customers - known.keys())
    counted = customers - erased - ({cursor.customer_id} if cursor is not None else set())
    page.counts["customers_known"] += len(counted & known.keys())
    page.counts["customers_new"] += len(counted - known.keys())
    return known, erased


def _checked(
    number: int, errors: Iterable[FieldError], cells: Sequence[str] | None, header: CsvHeader | None
) -> list[CheckedError]:
    """Returns errors with the column and the shortened value of the cell that each is about."""
    return [
        CheckedError(number, error.pointer, *_cell(error.pointer, cells, header), error.message)
        for error in errors
    ]


def _cell(
    pointer: str, cells: Sequence[str] | None, header: CsvHeader | None
) -> tuple[str | None, str | None]:
    name = pointer.split("/")[1] if pointer else ""
    if header is None or cells is None or name not in header.fields:
        return None, None
    at = header.fields.index(name)
    value = cells[at] if at < len(cells) else ""
    shortened = value if len(value) <= _MAX_VALUE_LENGTH else f"{value[: _MAX_VALUE_LENGTH - 1]}\u2026"
    return header.names[at].strip(), shortened
