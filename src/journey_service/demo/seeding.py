"""Seeding of the demo: creates companies with test clocks, imports histories, releases the clocks.

The test clock of a company starts a few days in the past, and the history is imported up to that time. Then the clock
is released, which processes everything that became due, and the rest of the history is imported. So no event is in the
future. Interrupted seeding resumes: it reads its progress from the clock and from the imports.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from journey_service.demo.business import BusinessHistory, DemoBusiness, generate_history
from journey_service.demo.clinic import CLINIC
from journey_service.demo.people import DemoPerson
from journey_service.demo.salon import SALON
from journey_service.demo.story import TimedEvent
from journey_service.demo.studio import STUDIO
from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.errors import CompanyExistsError
from journey_service.domain.customers.records import ConsentChange
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.records import ImportOptions, ImportRecord
from journey_service.domain.operations.records import JobFilter
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.companies.provisioning import create_company, get_company_context
from journey_service.services.customers.profiles import changed_consents, consent_of
from journey_service.services.events.imports import (
    find_unfinished,
    get_import,
    list_imports,
    run_import,
    stage_import,
)
from journey_service.services.jobs import list_jobs, run_job
from journey_service.services.journeys.transaction import load, write
from journey_service.services.operations.test_clock import ADVANCE_CLOCK_JOB, advance, run_advance

BUSINESSES: Final = (SALON, CLINIC, STUDIO)
DEMO_COMPANIES: Final = (1, 2, 3)
"""Ids of the demo companies, in the order of `BUSINESSES`."""

CLOCK_LAG: Final = timedelta(days=5)
"""Time between the initial clock and the end of the history: longer than any company is closed."""

_ACTOR: Final = Actor("demo")
_PROFILE_BATCH_SIZE: Final = 50
_PAUSE_SECONDS: Final = 0.2
_LIST_LIMIT: Final = 10_000

Progress = Callable[[str, int, int], None]


async def seed_demo(
    database: Database,
    *,
    now: datetime,
    on_progress: Progress | None = None,
    ids: Sequence[int] = DEMO_COMPANIES,
) -> bool:
    """Creates the demo companies with their histories up to `now`, or resumes interrupted seeding.

    Returns False if everything exists already. Other companies under these ids are left unchanged. `on_progress`
    receives the name of the company, and the numbers of processed and of all lines and profiles.
    """
    seeded = [
        await _seed_company(database, company_id, business, now, on_progress)
        for company_id, business in zip(ids, BUSINESSES, strict=True)
    ]
    return any(seeded)


async def is_demo(database: Database, company_id: int, business: DemoBusiness) -> bool:
    """Returns whether an existing company belongs to the demo. Raises CompanyNotFoundError."""
    if (await get_company_context(database, company_id)).company.name != business.name:
        return False
    return bool(await _list_imports(database, company_id))


async def _seed_company(
    database: Database, company_id: int, business: DemoBusiness, now: datetime, on_progress: Progress | None
) -> bool:
    clock_start = now.replace(second=0, microsecond=0) - CLOCK_LAG
    try:
        await create_company(database, business.as_company(company_id, clock_start), author=_ACTOR)
    except CompanyExistsError:
        stored_start = await _find_start(database, company_id, business)
        if stored_start is None:
            return False
        clock_start = stored_start
    history = generate_history(business, clock_start + CLOCK_LAG)
    await _CompanySeeding(database, company_id, business.name, history, clock_start, on_progress).run()
    return True


async def _find_start(database: Database, company_id: int, business: DemoBusiness) -> datetime | None:
    """Returns the initial clock of an unfinished demo company; None if it is complete, or not of the demo."""
    company = (await get_company_context(database, company_id)).company
    if company.name != business.name:
        return None
    imports = await _list_imports(database, company_id)
    clock_start = min((one.until for one in imports if one.until is not None), default=company.clock_at)
    if clock_start is None:
        return None
    is_imported = any(one.status == "done" and one.until == clock_start + CLOCK_LAG for one in imports)
    return None if company.clock_at is None and is_imported else clock_start


async def _list_imports(database: Database, company_id: int) -> list[ImportRecord]:
    stored = await list_imports(database, company_id, before=None, limit=_LIST_LIMIT)
    return [one for one in stored if one.actor == _ACTOR.name]


@dataclass(slots=True)
class _CompanySeeding:
    """Seeding of one company. Every step is skipped if it was done before."""

    database: Database
    company_id: int
    name: str
    history: BusinessHistory
    clock_start: datetime
    on_progress: Progress | None
    _done: int = field(default=0)

    async def run(self) -> None:
        events, people, clock_start = self.history.events, self.history.people, self.clock_start
        if (await get_company_context(self.database, self.company_id)).company.clock_at is not None:
            await self._import_events([event for event in events if event.at <= clock_start], clock_start)
            await self._write_people([each for each in people if each[0] <= clock_start])
            await advance(self.database, self.company_id, None, actor=_ACTOR, timeout_seconds=None)
        await self._finish_release()
        self._done = sum(event.at <= clock_start for event in events)
        self._done += sum(met_at <= clock_start for met_at, _ in people)
        await self._write_people([each for each in people if each[0] > clock_start])
        await self._import_events(
            [event for event in events if event.at > clock_start], clock_start + CLOCK_LAG
        )

    async def _import_events(self, events: Sequence[TimedEvent], until: datetime) -> None:
        database, company_id = self.database, self.company_id
        before = self._done
        if not any(one.until == until and one.status == "done" for one in await self._stored_imports()):
            lines = [event.line for event in events]
            digest = hashlib.sha256(b"".join(lines)).digest()
            stored = await find_unfinished(database, company_id, digest, ImportOptions(until))
            if stored is None:
                stored = await stage_import(
                    database, company_id, _chunks(lines), actor=_ACTOR, options=ImportOptions(until)
                )
            await self._replay(stored.id)
        self._report(before + len(events))

    async def _replay(self, import_id: int) -> None:
        before = self._done
        while not await run_import(
            self.database,
            self.company_id,
            import_id,
            on_progress=lambda stored: self._report(before + stored.done),
        ):
            stored = await get_import(self.database, self.company_id, import_id)
            if stored.status == "done":
                return
            if stored.status == "failed":
                raise UnavailableError(f"The history of a demo company could not be imported: {stored.error}")
            # A worker runs the import. If the worker was killed, its lease expires.
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _write_people(self, people: Sequence[tuple[datetime, DemoPerson]]) -> None:
        for start in range(0, len(people), _PROFILE_BATCH_SIZE):
            batch = people[start : start + _PROFILE_BATCH_SIZE]
            await self.database.run(self.company_id, partial(_write_profiles, people=batch))
            self._report(self._done + len(batch))

    async def _finish_release(self) -> None:
        """Waits for the job that releases the clock, and runs it if no worker does."""
        kinds = {ADVANCE_CLOCK_JOB: run_advance}
        while True:
            jobs = await list_jobs(self.database, self.company_id, JobFilter(_LIST_LIMIT))
            waiting = [
                job for job in jobs if job.kind == ADVANCE_CLOCK_JOB and job.status in ("queued", "running")
            ]
            if not waiting:
                return
            for job in waiting:
                if not await run_job(self.database, self.company_id, job.id, kinds):
                    await asyncio.sleep(_PAUSE_SECONDS)

    async def _stored_imports(self) -> list[ImportRecord]:
        return await _list_imports(self.database, self.company_id)

    def _report(self, done: int) -> None:
        self._done = done
        if self.on_progress is not None:
            self.on_progress(self.name, done, len(self.history.events) + len(self.history.people))


async def _write_profiles(uow: UnitOfWork, people: Sequence[tuple[datetime, DemoPerson]]) -> None:
    """Writes a batch of profiles; consent is dated at the first contact.

    Customers without events so far get a journey that starts at the first contact.
    """
    transaction = await load(uow, [person.customer_id for _, person in people])
    changes: dict[int, list[ConsentChange]] = {}
    for met_at, person in people:
        known = await uow.customers.find(person.customer_id)
        consents_before = {} if known is None else dict(known.consents)
        changes[person.customer_id] = changed_consents(consents_before, person.consents, met_at, "reception")
        consents = consents_before | {
            change.channel: consent_of(change) for change in changes[person.customer_id]
        }
        profile = {"name": person.name, "email": person.email, "phone": person.phone, "consents": consents}
        await uow.customers.upsert(person.customer_id, profile)
        if person.customer_id not in transaction.relationships:
            transaction.open(person.customer_id, met_at).schedule_first_evaluation(met_at)
    if transaction.journeys:
        await write(uow, transaction, runs_actions=False)
    await uow.consents.insert(changes)


async def _chunks(lines: Sequence[bytes]) -> AsyncIterator[bytes]:
    for start in range(0, len(lines), 1_000):
        yield b"".join(lines[start : start + 1_000])
