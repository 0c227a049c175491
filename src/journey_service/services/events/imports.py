"""History read in: staged as it comes, then replayed through the engine, customer by customer.

Reading and replaying are two phases. The first ends with every understood line in the database, and only
then is the import promised; the second works in short transactions, each of which moves the cursor with
the work it did, so that it can stop anywhere and go on. Nothing is applied twice: events carry ids.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.errors import InvalidInputError, JourneyServiceError, UnavailableError
from journey_service.domain.events.errors import ImportNotFoundError
from journey_service.domain.events.event import EARLIEST, Event, content_hash
from journey_service.domain.events.import_file import ImportFileReader, InvalidLineError
from journey_service.domain.events.parsing import ImportLine, future_error, line_id
from journey_service.domain.events.records import Import, ImportLineError, ImportOptions
from journey_service.domain.journeys.journey import Journey
from journey_service.repositories.database import Database
from journey_service.repositories.events.ledger import AppliedEvent, StoredEvent
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import count_money
from journey_service.services.analytics.snapshots import take_page
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.jobs import new_token
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

_LINES_STAGED_AT_ONCE = 5_000
_LINES_DECIDED_AT_ONCE = 1_000
_LEASE_SECONDS = 20
_TIMEOUT_MS = 60_000

ProgressCallback = Callable[[Import], None]

DEFAULT_IMPORT_OPTIONS: Final = ImportOptions()
"""Up to now, and without actions."""


async def stage_import(  # one upload has just these properties
    database: Database,
    company_id: int,
    chunks: AsyncIterable[bytes],
    *,
    actor: Actor,
    is_gzip: bool | None = None,
    options: ImportOptions = DEFAULT_IMPORT_OPTIONS,
    on_progress: Callable[[int], None] | None = None,
) -> Import:
    """Read a history whole and keep it for replaying; returns the queued import.

    Its moves run no actions unless the terms say so, and those of long ago never do. Raises
    MalformedError or InvalidInputError, with nothing kept, when the file is not a history at all.
    `on_progress` is told the number of bytes read so far.
    """
    context = await get_company_context(database, company_id)
    if options.until is not None and options.until > context.now:
        raise InvalidInputError.at("/until", "must not lie in the future of the company")
    staging = _Staging(database, company_id, actor, options)
    reader = ImportFileReader(ZoneInfo(context.company.timezone), is_gzip=is_gzip)
    digest = hashlib.sha256()
    size = 0
    try:
        async for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            for line in reader.feed(chunk):
                await staging.take(line, reader.lines_read)
            if on_progress is not None:
                on_progress(size)
        for line in reader.close():
            await staging.take(line, reader.lines_read)
        return await staging.finish(digest.digest(), reader.lines_read)
    except BaseException:
        await staging.abandon()
        raise


async def find_unfinished(
    database: Database, company_id: int, content: bytes, options: ImportOptions = DEFAULT_IMPORT_OPTIONS
) -> Import | None:
    """An import of the same bytes (SHA-256) on the same terms that was read whole and not finished."""

    async def unit(uow: UnitOfWork) -> Import | None:
        return await uow.imports.find_unfinished(content, options)

    return await database.run(company_id, unit)


async def get_import(database: Database, company_id: int, import_id: int) -> Import:
    """One import. Raises ImportNotFoundError."""

    async def unit(uow: UnitOfWork) -> Import:
        found = await uow.imports.find(import_id)
        if found is None:
            raise ImportNotFoundError(import_id)
        return found

    return await database.run(company_id, unit)


async def list_imports(
    database: Database, company_id: int, *, before: int | None, limit: int
) -> Sequence[Import]:
    """Imports, newest first. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[Import]:
        await uow.companies.get_context()
        return await uow.imports.page(before=before, limit=limit)

    return await database.run(company_id, unit)


async def list_line_errors(
    database: Database, company_id: int, import_id: int, *, after: tuple[int, str], limit: int
) -> Sequence[ImportLineError]:
    """What was wrong with which line. Raises ImportNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[ImportLineError]:
        if await uow.imports.find(import_id) is None:
            raise ImportNotFoundError(import_id)
        return await uow.imports.page_errors(import_id, after=after, limit=limit)

    return await database.run(company_id, unit)


async def run_import(
    database: Database, company_id: int, import_id: int, *, on_progress: ProgressCallback | None = None
) -> bool:
    """Replay a queued import, or go on with one whose runner fell silent; False if somebody else has it.

    Raises UnavailableError with the import left to be gone on with. An error nobody expected ends the
    import as failed, and is raised.
    """
    token = new_token()

    async def claim(uow: UnitOfWork) -> bool:
        return await uow.imports.claim(import_id, token, _LEASE_SECONDS)

    if not await database.run(company_id, claim):
        return False
    step = _run_page
    try:
        while True:
            at_end = await step(database, company_id, import_id, token)
            if at_end is None:
                return False
            if on_progress is not None:
                on_progress(await get_import(database, company_id, import_id))
            if at_end and step is _conclude:
                return True
            step = _conclude if at_end else step
    except asyncio.CancelledError:
        # A friendly stop: somebody else may go on at once, without waiting for the lease to run out.
        await asyncio.shield(_release(database, company_id, import_id, token))
        raise
    except UnavailableError:
        raise
    except Exception as error:
        await _fail(database, company_id, import_id, f"{type(error).__name__}: {error}")
        raise


async def run_due_imports(database: Database) -> int:
    """Replay the imports of any company that wait; returns how many were finished."""
    due = await database.read_due_work(lambda reader: reader.imports.list_due(limit=10))
    return sum([await run_import(database, company_id, import_id) for company_id, import_id in due])


async def _release(database: Database, company_id: int, import_id: int, token: str) -> None:
    async def unit(uow: UnitOfWork) -> None:
        await uow.imports.release(import_id, token)

    await database.run(company_id, unit)


async def _fail(database: Database, company_id: int, import_id: int, error: str) -> None:
    async def unit(uow: UnitOfWork) -> None:
        await uow.imports.finish(import_id, error=error)

    await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)


class _Staging:
    """Writes lines down as they are read, some thousand at a time."""

    def __init__(self, database: Database, company_id: int, actor: Actor, options: ImportOptions) -> None:
        self._database = database
        self._company_id = company_id
        self._actor = actor
        self._terms = options
        self._import_id: int | None = None
        self._lines: list[ImportLine] = []
        self._faulty: list[InvalidLineError] = []
        self._counted = 0

    async def take(self, line: ImportLine | InvalidLineError, lines_read: int) -> None:
        if isinstance(line, InvalidLineError):
            self._faulty.append(line)
        else:
            self._lines.append(line)
        if len(self._lines) + len(self._faulty) >= _LINES_STAGED_AT_ONCE:
            await self._flush(lines_read)

    async def finish(self, content: bytes, lines_read: int) -> Import:
        await self._flush(lines_read)
        import_id = self._import_id
        assert import_id is not None  # noqa: S101  # _flush sets it

        async def unit(uow: UnitOfWork) -> Import:
            await uow.imports.enqueue(import_id, content)
            found = await uow.imports.find(import_id)
            assert found is not None  # noqa: S101  # it was just written
            detail = {"lines": found.lines}
            await uow.audit_log.record(
                self._actor, AuditEntry("import.read", target=f"import:{import_id}", detail=detail)
            )
            return found

        return await self._database.run(self._company_id, unit)

    async def abandon(self) -> None:
        if self._import_id is not None:
            await _fail(self._database, self._company_id, self._import_id, "The upload ended too early.")

    async def _flush(self, lines_read: int) -> None:
        lines, faulty, drilldown = self._lines, self._faulty, self._counted

        async def unit(uow: UnitOfWork) -> int:
            import_id = self._import_id
            if import_id is None:
                import_id = await uow.imports.insert(self._terms, actor=self._actor.name)
            await uow.imports.insert_lines(import_id, lines)
            await uow.imports.insert_errors(import_id, _flatten(faulty))
            await uow.imports.add_read_counts(
                import_id, lines=lines_read - drilldown, staged=len(lines), failed=len(faulty)
            )
            return import_id

        self._import_id = await self._database.run(self._company_id, unit, timeout_ms=_TIMEOUT_MS)
        self._lines, self._faulty, self._counted = [], [], lines_read


def _flatten(faulty: Sequence[InvalidLineError]) -> list[ImportLineError]:
    return [
        ImportLineError(line.number, fault.pointer, fault.message) for line in faulty for fault in line.errors
    ]


async def _run_page(database: Database, company_id: int, import_id: int, token: str) -> bool | None:
    """Decide the next lines; True when there were none left, None when the lease was lost."""

    async def unit(uow: UnitOfWork) -> bool | None:
        found = await uow.imports.find(import_id)
        if found is None:
            raise ImportNotFoundError(import_id)
        lines = await uow.imports.list_lines(
            import_id, found.cursor, limit=_LINES_DECIDED_AT_ONCE, start=EARLIEST
        )
        page = _Page(found, _whole_customers(lines))
        await page.decide(uow)
        cursor = page.cursor or found.cursor
        if not await uow.imports.save_progress(
            import_id, token, _LEASE_SECONDS, cursor=cursor, counts=page.counts
        ):
            return None
        return not lines

    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)


async def _conclude(database: Database, company_id: int, import_id: int, token: str) -> bool | None:
    """Take snapshots of the days the history tells of; True when it has so ended, None when the lease was lost."""

    async def unit(uow: UnitOfWork) -> bool | None:
        _, is_over = await take_page(uow)
        found = await uow.imports.find(import_id)
        if found is None:
            raise ImportNotFoundError(import_id)
        cursor = found.cursor
        if not await uow.imports.save_progress(import_id, token, _LEASE_SECONDS, cursor=cursor, counts={}):
            return None
        if is_over:
            await uow.imports.finish(import_id)
        return is_over

    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)


def _whole_customers(lines: list[ImportLine]) -> list[ImportLine]:
    """Leave a customer whose lines may go on to the next page, unless the page holds nobody else."""
    if len(lines) < _LINES_DECIDED_AT_ONCE:
        return lines
    last = lines[-1].event.customer_id
    whole = [line for line in lines if line.event.customer_id != last]
    return whole or lines


@dataclass(slots=True)
class _Page:
    """The lines one transaction decides."""

    found: Import
    lines: list[ImportLine]
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("done", "applied", "duplicates", "late", "later", "erased", "transitions", "failed"), 0
        )
    )
    _applied: dict[tuple[str, str], tuple[Event, bytes, str, int | None]] = field(default_factory=dict)
    _faults: list[ImportLineError] = field(default_factory=list)

    @property
    def cursor(self) -> tuple[int, datetime, int] | None:
        """The place of the last line of the page."""
        if not self.lines:
            return None
        last = self.lines[-1]
        return last.event.customer_id, last.event.occurred_at, last.number

    async def decide(self, uow: UnitOfWork) -> None:
        """Replay the lines, bring their customers to the end, and write it all."""
        cursor = self.found.cursor
        customers = {line.event.customer_id for line in self.lines}
        if cursor is not None:
            customers.add(cursor[0])  # whose lines may have ended with the page before
        transaction = await load(uow, customers, now=self.found.until)
        events = self._with_ids(
            {} if cursor is None else await uow.imports.count_same_instant(self.found.id, cursor)
        )
        known = await uow.events.get_many([event.key for event in events])
        for line, event in zip(self.lines, events, strict=True):
            self._take(transaction, line, event, known)
        open_customer = self.lines[-1].event.customer_id if self._goes_on else None
        for customer_id in sorted(customers):
            journey = transaction.find(customer_id)
            if journey is not None and customer_id != open_customer:
                journey.advance_to(transaction.now)
        self.counts["done"] = len(self.lines)
        self.counts["transitions"] = sum(
            len(journey.new_transitions) for journey in transaction.journeys.values()
        )
        await write(uow, transaction, runs_actions=self.found.runs_actions, is_history=True)
        applied = [
            AppliedEvent(transaction.relationships[event.customer_id].id, event, content, stage, seq)
            for event, content, stage, seq in self._applied.values()
        ]
        await uow.events.insert(applied)
        await count_money(uow, transaction.context, applied)
        await uow.imports.insert_errors(self.found.id, self._faults)

    @property
    def _goes_on(self) -> bool:
        return len(self.lines) >= _LINES_DECIDED_AT_ONCE

    def _with_ids(self, told: dict[str, int]) -> list[Event]:
        """The events with ids; equal ones without an id are told apart by their order."""
        place = None if self.found.cursor is None else self.found.cursor[:2]
        ordinals = dict(told)
        events = []
        for line in self.lines:
            event = line.event
            if (event.customer_id, event.occurred_at) != place:
                place = (event.customer_id, event.occurred_at)
                ordinals = {}
            if not line.has_id:
                ordinals[event.type] = ordinals.get(event.type, 0) + 1
                event = event._replace(event_id=line_id(event, ordinals[event.type]))
            events.append(event)
        return events

    def _take(
        self,
        transaction: JourneyTransaction,
        line: ImportLine,
        event: Event,
        known: dict[tuple[str, str], StoredEvent],
    ) -> None:
        until = transaction.now
        if event.customer_id in transaction.erased:
            self.counts["erased"] += 1
            return
        content = content_hash(event)
        earlier = self._applied.get(event.key)
        before = known.get(event.key)
        if earlier is not None or before is not None:
            first = earlier[1] if earlier is not None else before.content if before is not None else b""
            if first == content:
                self.counts["duplicates"] += 1
            else:
                self._fault(line, "/id", "is already known with other content")
            return
        if self.found.until is not None and event.occurred_at > until:
            self.counts["later"] += 1
            return
        refused: JourneyServiceError | None = future_error(event, until)
        if refused is None:
            refused = self._happen(transaction, event, content, until)
        if isinstance(refused, InvalidInputError):
            for fault in refused.errors:
                self._fault(line, fault.pointer, fault.message)

    def _happen(
        self, transaction: JourneyTransaction, event: Event, content: bytes, until: datetime
    ) -> InvalidInputError | None:
        at = min(event.occurred_at, until)
        journey: Journey = transaction.open(event.customer_id, at)
        is_late = journey.is_late(event.occurred_at)
        try:
            transition = journey.apply_event(event, until if is_late else at)
        except InvalidInputError as error:
            return error
        self.counts["applied"] += 1
        self.counts["late"] += is_late
        stage = journey.relationship.current_stage
        self._applied[event.key] = (event, content, stage, None if transition is None else transition.seq)
        return None

    def _fault(self, line: ImportLine, pointer: str, message: str) -> None:
        self.counts["failed"] += 1
        self._faults.append(ImportLineError(line.number, pointer, message))
