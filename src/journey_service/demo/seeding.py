"""The demo is opened: companies founded on test clocks, told their histories, and released to real time.

A company's clock first stands some days back, and its history is told up to there. Then it is released, which
does all that falls due on the way, and told what has happened since: nothing ever lies in its future. Where
it was killed it goes on: how far it has come, and up to when the history is told, is read from the clock and
the imports themselves.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from journey_service.demo.business import Business, History, write_history
from journey_service.demo.clinic import CLINIC
from journey_service.demo.people import Person
from journey_service.demo.salon import SALON
from journey_service.demo.story import Moment
from journey_service.demo.studio import STUDIO
from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.errors import CompanyExistsError
from journey_service.domain.customers.records import ConsentChange
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.records import Import, ImportOptions
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
from journey_service.services.operations.test_clock import ADVANCE, advance, run_advance

BUSINESSES: Final = (SALON, CLINIC, STUDIO)
DEMO_COMPANIES: Final = (1, 2, 3)
"""The ids under which the businesses are founded, in their order."""

STANDS_BACK: Final = timedelta(days=5)
"""How long before the end of the history the clocks stand at first: longer than any of them is closed."""

_ACTOR: Final = Actor("demo")
_AT_ONCE: Final = 50
_PAUSE_SECONDS: Final = 0.2
_MANY: Final = 10_000

Progress = Callable[[str, int, int], None]


async def open_demo(
    database: Database,
    *,
    now: datetime,
    on_progress: Progress | None = None,
    ids: Sequence[int] = DEMO_COMPANIES,
) -> bool:
    """Bring the demo's companies with their histories up to `now`, or go on where that was left off.

    False if all of it is there already; companies of somebody else's under these ids are left alone.
    `on_progress` is told (company, done, total).
    """
    opened = [
        await _open(database, company_id, business, now, on_progress)
        for company_id, business in zip(ids, BUSINESSES, strict=True)
    ]
    return any(opened)


async def is_demo(database: Database, company_id: int, business: Business) -> bool:
    """Whether a company, which exists, is the demo's. Raises CompanyNotFoundError."""
    if (await get_company_context(database, company_id)).company.name != business.name:
        return False
    return bool(await _imports(database, company_id))


async def _open(
    database: Database, company_id: int, business: Business, now: datetime, on_progress: Progress | None
) -> bool:
    begun_at = now.replace(second=0, microsecond=0) - STANDS_BACK
    try:
        await create_company(database, business.as_company(company_id, begun_at), author=_ACTOR)
    except CompanyExistsError:
        left_at = await _left_at(database, company_id, business)
        if left_at is None:
            return False
        begun_at = left_at
    history = write_history(business, begun_at + STANDS_BACK)
    await _Opening(database, company_id, business.name, history, begun_at, on_progress).go_on()
    return True


async def _left_at(database: Database, company_id: int, business: Business) -> datetime | None:
    """Where the clock of a company stood when its demo was begun; None if that is complete, or not the demo's."""
    company = (await get_company_context(database, company_id)).company
    if company.name != business.name:
        return None
    told = await _imports(database, company_id)
    begun_at = min((one.until for one in told if one.until is not None), default=company.clock_at)
    if begun_at is None:
        return None
    is_told = any(one.status == "done" and one.until == begun_at + STANDS_BACK for one in told)
    return None if company.clock_at is None and is_told else begun_at


async def _imports(database: Database, company_id: int) -> list[Import]:
    found = await list_imports(database, company_id, before=None, limit=_MANY)
    return [one for one in found if one.actor == _ACTOR.name]


@dataclass(slots=True)
class _Opening:
    """One company being opened; every step finds out by itself whether it has been taken before."""

    database: Database
    company_id: int
    name: str
    history: History
    begun_at: datetime
    on_progress: Progress | None
    _done: int = field(default=0)

    async def go_on(self) -> None:
        moments, people, begun_at = self.history.moments, self.history.people, self.begun_at
        if (await get_company_context(self.database, self.company_id)).company.clock_at is not None:
            await self._tell([moment for moment in moments if moment.at <= begun_at], begun_at)
            await self._introduce([each for each in people if each[0] <= begun_at])
            await advance(self.database, self.company_id, None, actor=_ACTOR, timeout_seconds=None)
        await self._finish_release()
        self._done = sum(moment.at <= begun_at for moment in moments)
        self._done += sum(met_at <= begun_at for met_at, _ in people)
        await self._introduce([each for each in people if each[0] > begun_at])
        await self._tell([moment for moment in moments if moment.at > begun_at], begun_at + STANDS_BACK)

    async def _tell(self, moments: Sequence[Moment], until: datetime) -> None:
        database, company_id = self.database, self.company_id
        before = self._done
        if not any(one.until == until and one.status == "done" for one in await self._told()):
            lines = [moment.line for moment in moments]
            digest = hashlib.sha256(b"".join(lines)).digest()
            found = await find_unfinished(database, company_id, digest, ImportOptions(until))
            if found is None:
                found = await stage_import(
                    database, company_id, _chunks(lines), actor=_ACTOR, options=ImportOptions(until)
                )
            await self._replay(found.id)
        self._note(before + len(moments))

    async def _replay(self, import_id: int) -> None:
        before = self._done
        while not await run_import(
            self.database,
            self.company_id,
            import_id,
            on_progress=lambda found: self._note(before + found.done),
        ):
            found = await get_import(self.database, self.company_id, import_id)
            if found.status == "done":
                return
            if found.status == "failed":
                raise UnavailableError(f"A history of the demo could not be replayed: {found.error}")
            # A worker has it, or one that was killed: then its lease runs out.
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _introduce(self, people: Sequence[tuple[datetime, Person]]) -> None:
        for start in range(0, len(people), _AT_ONCE):
            some = people[start : start + _AT_ONCE]
            await self.database.run(self.company_id, partial(_write_profiles, people=some))
            self._note(self._done + len(some))

    async def _finish_release(self) -> None:
        """Wait for what the release does, and do it if nobody else does."""
        kinds = {ADVANCE: run_advance}
        while True:
            jobs = await list_jobs(self.database, self.company_id, before=None, limit=_MANY)
            waiting = [job for job in jobs if job.kind == ADVANCE and job.status in ("queued", "running")]
            if not waiting:
                return
            for job in waiting:
                if not await run_job(self.database, self.company_id, job.id, kinds):
                    await asyncio.sleep(_PAUSE_SECONDS)

    async def _told(self) -> list[Import]:
        return await _imports(self.database, self.company_id)

    def _note(self, done: int) -> None:
        self._done = done
        if self.on_progress is not None:
            self.on_progress(self.name, done, len(self.history.moments) + len(self.history.people))


async def _write_profiles(uow: UnitOfWork, people: Sequence[tuple[datetime, Person]]) -> None:
    """Write profiles many at a time; whoever agreed to something did so when first heard of.

    Those of whom the history tells only later begin their journeys with it.
    """
    transaction = await load(uow, [person.customer_id for _, person in people])
    changes: dict[int, list[ConsentChange]] = {}
    for met_at, person in people:
        known = await uow.customers.find(person.customer_id)
        kept = {} if known is None else dict(known.consents)
        changes[person.customer_id] = changed_consents(kept, person.consents, met_at, "reception")
        consents = kept | {change.channel: consent_of(change) for change in changes[person.customer_id]}
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
