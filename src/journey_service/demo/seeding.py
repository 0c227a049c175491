"""Seeding of the demo: creates companies with test clocks, imports histories, replays a month, releases the clocks.

The test clock of a company starts a month in the past, and the history is imported up to that time, without actions.
Then the clock is advanced round by round to the present, with the rest of the events, with actions, and with the work
of the staff. Nothing is in the future. At last the clock is released to real time, or kept for users to advance.
Interrupted seeding resumes: it reads its progress from the clock and from the imports.
"""

import asyncio
import hashlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from journey_service.demo.business import BusinessHistory, DemoBusiness, generate_history
from journey_service.demo.companies.clinic import CLINIC
from journey_service.demo.companies.practice import PRACTICE
from journey_service.demo.companies.salon import SALON
from journey_service.demo.companies.studio import STUDIO
from journey_service.demo.people import DemoPerson
from journey_service.demo.profiles import write_profiles
from journey_service.demo.replay import REPLAY_LENGTH, MonthReplay
from journey_service.demo.story import TimedEvent
from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.delivery import Mailer
from journey_service.domain.companies.errors import CompanyExistsError
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.records import ImportOptions, ImportRecord
from journey_service.domain.operations.records import JobFilter
from journey_service.repositories.database import Database
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.analytics.churn.fitting import enqueue_fit
from journey_service.services.companies.provisioning import create_company, get_company_context
from journey_service.services.events.imports.imports import (
    find_unfinished,
    get_import,
    list_imports,
    run_import,
    stage_import,
)
from journey_service.services.jobs import list_jobs, run_job
from journey_service.services.operations.checks import enqueue_checks
from journey_service.services.operations.test_clock import ADVANCE_CLOCK_JOB, advance, run_advance

BUSINESSES: Final = (SALON, CLINIC, STUDIO, PRACTICE)
DEMO_COMPANIES: Final = (1, 2, 3, 4)
"""Ids of the demo companies, in the order of `BUSINESSES`."""

_MINUTE: Final = timedelta(minutes=1)
_ACTOR: Final = Actor("demo")
_PROFILE_BATCH_SIZE: Final = 50
_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 0.2
_LIST_LIMIT: Final = 10_000

Progress = Callable[[str, int, int], None]


async def seed_demo(
    database: Database,
    *,
    now: datetime,
    mailer: Mailer | None = None,
    on_progress: Progress | None = None,
    ids: Sequence[int] = DEMO_COMPANIES,
) -> bool:
    """Creates the demo companies with their histories up to `now`, or resumes interrupted seeding.

    Returns False if everything exists already. Other companies under these ids are left unchanged. `mailer` gets the
    emails of the last month, without it they are only recorded. `on_progress` receives the name of the company, and
    the numbers of processed and of all lines and profiles.
    """
    seeding = DemoSeeding(database, now, mailer, on_progress)
    # Two at a time: the database works for one company while the events of another are replayed.
    tasks = [
        asyncio.create_task(seeding.seed(company_id, business))
        for company_id, business in zip(ids, BUSINESSES, strict=True)
    ]
    try:
        return any(await asyncio.gather(*tasks))
    except asyncio.CancelledError:
        # gather() has cancelled them; a second time would interrupt their clean-up.
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def is_demo(database: Database, company_id: int, business: DemoBusiness) -> bool:
    """Returns whether an existing company belongs to the demo. Raises CompanyNotFoundError."""
    company = (await get_company_context(database, company_id)).company
    if company.name != business.name:
        return False
    # Interrupted before the import was staged, a company of the demo has nothing but its test clock.
    return company.clock_at is not None or bool(await _list_imports(database, company_id))


@dataclass(frozen=True, slots=True)
class DemoSeeding:
    """What the seeding of all companies shares."""

    database: Database
    now: datetime
    mailer: Mailer | None
    on_progress: Progress | None
    slots: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, 2))

    async def seed(self, company_id: int, business: DemoBusiness) -> bool:
        """Creates a company and its history, or resumes it; False if it is complete, or not of the demo.

        Every step can be repeated: on a machine so busy that the database gives up, it is.
        """
        async with self.slots:
            for _ in range(_ATTEMPTS - 1):
                try:
                    return await self._seed(company_id, business)
                except UnavailableError:
                    await asyncio.sleep(_PAUSE_SECONDS)
            return await self._seed(company_id, business)

    async def _seed(self, company_id: int, business: DemoBusiness) -> bool:
        start = self.now.replace(second=0, microsecond=0) - _MINUTE - REPLAY_LENGTH
        try:
            await create_company(self.database, business.as_company(company_id, start), author=_ACTOR)
        except CompanyExistsError:
            if not await is_demo(self.database, company_id, business):
                return False
            stored_start = await _find_start(self.database, company_id)
            if stored_start is None:
                return await _finish_jobs(self.database, company_id)
            start = stored_start
        history = generate_history(business, start + REPLAY_LENGTH)
        await _CompanySeeding(self, company_id, business, history, start).run()
        return True


async def _find_start(database: Database, company_id: int) -> datetime | None:
    """Returns the initial clock of an unfinished company of the demo; None if its clock has passed the end."""
    clock = (await get_company_context(database, company_id)).company.clock_at
    imports = await _list_imports(database, company_id)
    start = min((one.until for one in imports if one.until is not None), default=clock)
    return None if clock is None or start is None or clock > start + REPLAY_LENGTH else start


async def _finish_jobs(database: Database, company_id: int) -> bool:
    """Waits for the jobs that advance the clock, and runs them if no worker does; False if there are none."""
    has_waited = False
    while True:
        jobs = await list_jobs(database, company_id, JobFilter(_LIST_LIMIT))
        waiting = [
            job for job in jobs if job.kind == ADVANCE_CLOCK_JOB and job.status in ("queued", "running")
        ]
        if not waiting:
            return has_waited
        has_waited = True
        for job in waiting:
            if not await run_job(database, company_id, job.id, {ADVANCE_CLOCK_JOB: run_advance}):
                await asyncio.sleep(_PAUSE_SECONDS)


async def _list_imports(database: Database, company_id: int) -> list[ImportRecord]:
    stored = await list_imports(database, company_id, before=None, limit=_LIST_LIMIT)
    return [one for one in stored if one.actor == _ACTOR.name]


@dataclass(slots=True)
class _CompanySeeding:
    """Seeding of one company. Every step is skipped if it was done before."""

    shared: DemoSeeding
    company_id: int
    business: DemoBusiness
    history: BusinessHistory
    start: datetime
    _done: int = field(default=0)

    async def run(self) -> None:
        clock = await self._clock()
        if clock is not None:
            replay = MonthReplay(
                self.database,
                self.company_id,
                self.business,
                self.history,
                self.start,
                self.shared.mailer,
                self._report_until,
            )
            if clock == self.start:
                await self._import_history()
                await replay.prepare()
            await _finish_jobs(self.database, self.company_id)
            await replay.run(clock)
            is_kept = self.business.keeps_test_clock
            end = self.start + REPLAY_LENGTH + _MINUTE if is_kept else None
            await advance(self.database, self.company_id, end, actor=_ACTOR, timeout_seconds=None)
            await publish(self.database, self.company_id)
        await _finish_jobs(self.database, self.company_id)
        # A worker runs them, so that the dashboard shows at once what is predicted, and whether all figures agree.
        await enqueue_fit(self.database, self.company_id)
        await enqueue_checks(self.database, self.company_id)

    async def _import_history(self) -> None:
        start = self.start
        await self._import_events([event for event in self.history.events if event.at <= start], start)
        await self._write_people([each for each in self.history.people if each[0] <= start])

    @property
    def database(self) -> Database:
        return self.shared.database

    async def _clock(self) -> datetime | None:
        return (await get_company_context(self.database, self.company_id)).company.clock_at

    def _report_until(self, at: datetime) -> None:
        events, people = self.history.events, self.history.people
        done = bisect_right(events, at, key=lambda event: event.at)
        self._report(done + bisect_right(people, at, key=lambda person: person[0]))

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
            await self.database.run(self.company_id, partial(write_profiles, people=batch))
            self._report(self._done + len(batch))

    async def _stored_imports(self) -> list[ImportRecord]:
        return await _list_imports(self.database, self.company_id)

    def _report(self, done: int) -> None:
        self._done = done
        if self.shared.on_progress is not None:
            self.shared.on_progress(
                self.business.name, done, len(self.history.events) + len(self.history.people)
            )


async def _chunks(lines: Sequence[bytes]) -> AsyncIterator[bytes]:
    for start in range(0, len(lines), 1_000):
        yield b"".join(lines[start : start + 1_000])
