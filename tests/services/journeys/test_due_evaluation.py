"""Time is an event: however clocks, sweeps, nights and tellers interleave, the journeys are the literal ones."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.calendar import latest_nightly_run_date, nightly_run_at, nightly_run_dates
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import EVENT_TYPES, Event
from journey_service.domain.events.parsing import line_id
from journey_service.domain.journeys.errors import NotPinnedError, StageConflictError, StaleVersionError
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.services.events.imports import run_import, stage_import
from journey_service.services.events.ingest import IngestOutcome, IngestStatus, ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import run_job
from journey_service.services.journeys import evaluation, manual_changes, rescoring
from journey_service.services.journeys.sweep import Sweeper, sweep_batch
from journey_service.services.operations import test_clock as clock
from journey_service.services.operations.nightly import start_nightly_run
from ledger import faults, journeys, rows
from oracle.literal import (
    Facts,
    Happened,
    Literal,
    LiteralEvent,
    Moved,
    Operation,
    Pinned,
    Unpinned,
)
from server_versions import first_on_both

DAY = timedelta(hours=24)
INSTANT = timedelta(microseconds=1)
INTERLEAVINGS = 15
CUSTOMERS = 4


def _rule(trigger: str, **conditions: str) -> dict[str, object]:
    return {"trigger": trigger, "conditions": conditions}


def _stage(key: str, order: int, *rules: object, **more: object) -> dict[str, object]:
    return {
        "key": key,
        "name": key.title(),
        "order": order,
        "auto_rules": {"any": list(rules)} if rules else None,
        **more,
    }


MAPS: dict[str, Sequence[dict[str, Any]]] = {
    "the default": DEFAULT_STAGES,
    "days in a stage, engagement and missed visits": (
        _stage("prospect", 1, _rule("call_received")),
        _stage("known", 2, _rule("days_in_stage", days=">=30"), _rule("appointment_completed")),
        _stage("keen", 3, _rule("engagement_score", score=">=0.6"), retention_days=45),
        _stage("loyal", 4, _rule("appointment_count", count=">=4"), _rule("lifetime_value", value=">300")),
        _stage(
            "cooling",
            5,
            _rule("engagement_score", score="<0.35"),
            _rule("missed_rate", rate=">0.5"),
            kind="risk",
        ),
        _stage("silent", 6, _rule("days_since_last_appointment", days=">75"), kind="risk"),
        _stage("lost", 7, _rule("days_since_last_appointment", days=">=160"), kind="risk"),
    ),
    "risk, missed visits and idle stages": (
        _stage("new", 1),
        _stage("active", 2, _rule("appointment_completed", total_amount=">0"), _rule("payment_received")),
        _stage("trusted", 3, _rule("missed_rate", rate="<0.34"), retention_days=20),
        _stage(
            "wobbly", 4, _rule("risk_score", score=">=0.3"), _rule("missed_rate", rate=">=0.5"), kind="risk"
        ),
        _stage(
            "gone", 5, _rule("days_in_stage", days="==121"), _rule("risk_score", score=">0.7"), kind="risk"
        ),
    ),
}
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Asia/Kolkata",
)
DAYS = (1, 7, 14, 15, 30, 59, 60, 61, 75, 76, 90, 91, 120, 121, 160, 180, 181)
KINDS_OF_EVENT = (
    *("appointment_completed",) * 5,
    *("appointment_missed", "call_received", "ticket_opened", "payment_received") * 2,
    *EVENT_TYPES,
)


async def set_clock(database, company_id: int, at: datetime) -> None:
    """Let time pass and nothing else: what falls due waits for whoever comes."""
    await database.run(company_id, lambda uow: uow.companies.set_clock(at))


async def stored_scores(database, company_id: int) -> dict[int, tuple[int, int, datetime]]:
    """Engagement, risk, and the instant they are said to hold at, by customer."""
    return {
        row[0]: (row[1], row[2], row[3])
        for row in await rows(
            database,
            company_id,
            "SELECT r.customer_id, CAST(r.engagement_score * 100 AS int), CAST(r.risk_score * 100 AS int),"
            " greatest(r.scored_at, c.scored_at) FROM customer_relationships r JOIN companies c"
            " ON c.id = r.company_id WHERE r.company_id = :company",
        )
    }


async def causes_used_twice(database, company_id: int) -> list[object]:
    return await rows(
        database,
        company_id,
        "SELECT relationship_id, cause_kind, cause_id FROM journey_transitions WHERE company_id = :company"
        " GROUP BY 1, 2, 3 HAVING count(*) > 1",
    )


async def has_due_customers(database, company_id: int) -> bool:
    return await database.run(company_id, rescoring.has_due_customers)


@dataclass
class Story:
    """A company whose time is told as it goes, and what the literal reading is told of it."""

    database: Any
    company_id: int
    chance: random.Random
    zone: ZoneInfo
    stages: Sequence[dict[str, Any]]
    revenue_source: str
    manual_pin_days: int
    start: datetime
    now: datetime
    told: dict[int, list[Operation]] = field(default_factory=dict)
    refused: dict[int, list[int]] = field(default_factory=dict)
    scored_at: datetime | None = None
    waiting: list[int] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    number: int = 0

    @classmethod
    async def begin(cls, database, found_tenant, chance: random.Random, name: str | None = None) -> "Story":
        zone = chance.choice(ZONES)
        stages = MAPS[name or chance.choice(list(MAPS))]
        revenue, pin_days = chance.choice(("appointments", "payments")), chance.choice((1, 30, 90))
        start = datetime(2026, chance.randint(1, 12), 1, chance.randint(0, 23), tzinfo=UTC)
        tenant = await found_tenant(
            timezone=zone,
            test_clock=start,
            stages=stages,
            policy={"revenue_source": revenue, "manual_pin_days": pin_days},
        )
        return cls(database, tenant.id, chance, ZoneInfo(zone), stages, revenue, pin_days, start, start)

    @property
    def oracle(self) -> Literal:
        forms = [{**form, "rules": form.get("auto_rules")} for form in self.stages]
        return Literal(forms, self.revenue_source, self.manual_pin_days)

    # ---- what can happen

    def span(self) -> timedelta:
        chance = self.chance
        return chance.choice(
            (
                timedelta(0),
                timedelta(minutes=chance.randint(1, 60 * 24)),
                timedelta(minutes=chance.randint(1, 60 * 24 * 20)),
                chance.choice(DAYS) * DAY,
                chance.choice(DAYS) * DAY - INSTANT,
            )
        )

    def draw_event(self, *, is_late: bool) -> LiteralEvent:
        chance = self.chance
        kind = chance.choice(KINDS_OF_EVENT)
        delay = self.span() if is_late else chance.choice((timedelta(0), timedelta(0), -timedelta(minutes=5)))
        cents = chance.choice((0, 0, 5_000, 9_999, 25_000, 100_000, chance.randint(0, 60_000)))
        duration = chance.choice((None, 0, 60, 61, 300)) if kind == "call_received" else None
        return LiteralEvent(kind, self.now - delay, Decimal(cents) / 100, duration)

    async def tell(self, customer_id: int | None = None, *, is_late: bool = False) -> None:
        events = []
        for _ in range(1 if customer_id else self.chance.choice((1, 1, 2, 4))):
            customer = customer_id or self.chance.randint(1, CUSTOMERS)
            said = self.draw_event(is_late=is_late)
            self.number += 1
            self.told.setdefault(customer, []).append(Happened(self.now, said))
            cents = int(said.amount * 100)
            events.append(
                Event("t", str(self.number), customer, said.type, said.occurred_at, cents, said.call_duration)
            )
        answers = await ingest(self.database, self.company_id, events)
        assert all(
            isinstance(each, IngestOutcome) and each.status is IngestStatus.APPLIED for each in answers
        ), answers

    async def tell_late(self) -> None:
        await self.tell(is_late=True)

    def _known(self) -> int | None:
        return self.chance.choice(sorted(self.told)) if self.told else None

    async def _change(self, operation: Operation, change: Callable[[int, int], Awaitable[object]]) -> None:
        """A change by hand, on the version seen first and then on the one that is told."""
        customer = self._known()
        if customer is None:
            return
        told = self.told[customer]
        told.append(operation)
        version = 1
        for _ in range(2):
            try:
                await change(customer, version)
            except StaleVersionError as error:
                version = error.current
            except (InvalidInputError, StageConflictError, NotPinnedError):
                self.refused.setdefault(customer, []).append(len(told) - 1)
                return
            else:
                return
        pytest.fail("stale for the second time with nobody else about")

    async def move(self) -> None:
        keys = [form["key"] for form in self.stages]
        to_stage = self.chance.choice([*keys, "nowhere"])
        until = self.chance.choice((None, self.now + self.span()))
        self.number += 1
        key = str(self.number)

        async def change(customer: int, version: int) -> None:
            request = manual_changes.ManualMove(
                to_stage, version, actor=Actor("tests"), key=key, is_repeatable=False, pin_until=until
            )
            await manual_changes.move(self.database, self.company_id, customer, request)

        await self._change(Moved(self.now, to_stage, until), change)

    async def pin(self) -> None:
        until = self.now + self.span()

        async def change(customer: int, version: int) -> None:
            await manual_changes.pin(
                self.database, self.company_id, customer, until=until, version=version, by=Actor("tests")
            )

        await self._change(Pinned(self.now, until), change)

    async def unpin(self) -> None:
        async def change(customer: int, version: int) -> None:
            await manual_changes.unpin(
                self.database, self.company_id, customer, version=version, by=Actor("tests")
            )

        await self._change(Unpinned(self.now), change)

    async def evaluate(self) -> None:
        customer = self._known()
        if customer is not None:
            is_dry = self.chance.random() < 0.2
            await manual_changes.evaluate(
                self.database, self.company_id, customer, by=None if is_dry else Actor("tests")
            )

    def _named(self) -> list[int] | None:
        return self.chance.choice((None, [self._known()])) if self.told else None

    async def evaluate_in_bulk(self) -> None:
        job_id = await evaluation.queue_evaluation(
            self.database, self.company_id, actor=Actor("tests"), customer_ids=self._named()
        )
        assert await run_job(self.database, self.company_id, job_id, JOB_HANDLERS)

    async def rescore(self) -> None:
        named = self._named()
        job_id = await rescoring.queue_rescore(
            self.database,
            self.company_id,
            actor=Actor("tests"),
            customer_ids=named,
            chunk=self.chance.choice((1, 3, 500)),
        )
        assert await run_job(self.database, self.company_id, job_id, JOB_HANDLERS)
        if named is None:
            self.scored_at = self.now

    async def sweep(self) -> None:
        await Sweeper(self.database).sweep()

    async def sweep_some(self) -> None:
        await sweep_batch(self.database, self.company_id, limit=self.chance.randint(1, 3))

    async def start_nightly_run(self) -> None:
        """A night is begun; who does it may come much later."""
        job_id = await start_nightly_run(self.database, self.company_id)
        if job_id is not None:
            self.waiting.append(job_id)
            night = nightly_run_at(latest_nightly_run_date(self.now, self.zone), self.zone)
            self.scored_at = max(self.scored_at or night, night)

    async def run_waiting(self) -> None:
        self.chance.shuffle(self.waiting)
        while self.waiting:
            assert await run_job(self.database, self.company_id, self.waiting.pop(), JOB_HANDLERS)

    async def night(self) -> None:
        await self.start_nightly_run()
        await self.run_waiting()

    async def advance(self) -> None:
        before, self.now = self.now, self.now + self.span()
        done = await clock.advance(
            self.database, self.company_id, self.now, actor=Actor("tests"), timeout_seconds=None
        )
        assert (done.now, done.job.status) == (self.now, "done")
        nights = list(nightly_run_dates(before, self.now, self.zone))
        if nights:
            night = nightly_run_at(nights[-1], self.zone)
            self.scored_at = max(self.scored_at or night, night)

    async def pass_by(self) -> None:
        self.now += self.span()
        await set_clock(self.database, self.company_id, self.now)

    async def go_on(self, steps: int) -> None:
        """So many steps of any kind, and then whatever is needed for all to be done."""
        for _ in range(steps):
            step = self.chance.choice(STEPS)
            self.log.append(f"{self.now:%Y-%m-%d %H:%M:%S} {step.__name__}")
            await step(self)
        last = self.chance.choice((Story.advance, Story.pass_by))
        self.log.append(f"{self.now:%Y-%m-%d %H:%M:%S} {last.__name__}, sweep")
        await last(self)
        await self.run_waiting()
        await self.sweep()

    # ---- what must hold in the end

    async def check(self) -> int:
        """Everybody's journey is the literal one, nobody is due, scores hold when they say; returns the moves."""
        assert not await has_due_customers(self.database, self.company_id), "somebody is skipped"
        assert await causes_used_twice(self.database, self.company_id) == []
        assert await faults(self.database, self.company_id) == []
        oracle = self.oracle
        played = {customer: oracle.play(told, self.now) for customer, told in self.told.items()}
        expected = {
            customer: [
                (m.seq, m.from_stage, m.to_stage, m.at, m.trigger_type, m.trigger_event)
                for m in each.transitions
            ]
            for customer, each in played.items()
        }
        assert await journeys(self.database, self.company_id) == expected
        assert {customer: each.refused for customer, each in played.items() if each.refused} == self.refused
        await self.check_scores({customer: moves[-1][3] for customer, moves in expected.items()})
        return sum(len(moves) for moves in expected.values())

    async def check_scores(self, moved_at: dict[int, datetime]) -> None:
        stored = await stored_scores(self.database, self.company_id)
        assert stored.keys() == self.told.keys()
        for customer, (engagement, risk, as_of) in stored.items():
            facts = Facts(self.revenue_source)
            applied = [each for each in self.told[customer] if isinstance(each, Happened)]
            for each in applied:
                facts.fold(each.event)
            expected = (facts.engagement(as_of) * 100, facts.risk(as_of) * 100)
            assert (engagement, risk) == expected, f"scores of {customer} do not hold at {as_of}"
            earliest = max(self.scored_at or self.start, moved_at[customer], applied[-1].now)
            assert earliest <= as_of <= self.now, f"scores of {customer} are old"


STEPS: Sequence[Callable[[Story], Awaitable[None]]] = (
    *(Story.tell,) * 4,
    *(Story.tell_late,) * 2,
    *(Story.pass_by,) * 5,
    *(Story.advance,) * 2,
    *(Story.sweep, Story.sweep_some, Story.night, Story.start_nightly_run, Story.run_waiting),
    *(Story.rescore, Story.evaluate, Story.evaluate_in_bulk, Story.move, Story.pin, Story.unpin),
)


async def play(database, found_tenant, seed: int, *, steps: int = 18) -> int:
    """One interleaving by chance, checked; a failure tells its seed and what was done."""
    story = await Story.begin(database, found_tenant, random.Random(seed))
    try:
        await story.tell()
        await story.go_on(steps)
        return await story.check()
    except Exception as error:
        error.add_note(f"seed {seed}:\n" + "\n".join(story.log))
        raise


@pytest.mark.parametrize("series", first_on_both(range(4)))
async def test_any_interleaving_writes_the_literal_journeys_and_leaves_nobody_due(
    series, database, found_tenant
):
    moves = 0
    for seed in range(series * INTERLEAVINGS, (series + 1) * INTERLEAVINGS):
        moves += await play(database, found_tenant, seed)
    print(f"{INTERLEAVINGS} interleavings from seed {series * INTERLEAVINGS}: {moves} moves")
    assert moves > 4 * INTERLEAVINGS, "too little happens to tell anything"


# ---- the guards, removed one by one


async def _is_seen(database, found_tenant) -> bool:
    """Whether some interleaving is found wrong; nothing is left due for other tests to meet."""
    for seed in range(1_000, 1_012):
        story = await Story.begin(database, found_tenant, random.Random(seed))
        try:
            await story.tell(1)
            await story.go_on(14)
            await story.check()
        except Exception as error:  # noqa: BLE001  # wrong is wrong
            print(f"guard removed: detected ({type(error).__name__} with seed {seed})")
            return True
        finally:
            await rows(
                database,
                story.company_id,
                "UPDATE customer_relationships SET next_evaluation_at = NULL WHERE company_id = :company"
                " RETURNING id",
            )
    return False


async def test_deciding_at_the_time_of_the_sweep_instead_of_the_due_instant_would_be_seen(
    database, found_tenant, monkeypatch
):
    def when_found(journey: Journey, until: datetime) -> None:
        due = journey.relationship.next_evaluation_at
        if due is not None and due <= until:
            journey.evaluate(until)

    monkeypatch.setattr(Journey, "advance_to", when_found)
    assert await _is_seen(database, found_tenant)


async def test_telling_without_deciding_what_was_due_before_would_be_seen(
    database, found_tenant, monkeypatch
):
    careful = Journey.apply_event

    def careless(journey: Journey, event: Event, now: datetime):
        with monkeypatch.context() as patched:
            patched.setattr(Journey, "advance_to", lambda *_: None)
            return careful(journey, event, now)

    monkeypatch.setattr(Journey, "apply_event", careless)
    assert await _is_seen(database, found_tenant)


async def test_a_night_that_decides_but_scores_nobody_would_be_seen(database, found_tenant, monkeypatch):
    async def forgotten(run, as_of: datetime) -> None:
        await database.run(run.company_id, lambda uow: uow.companies.set_scored(as_of))

    monkeypatch.setattr(rescoring, "score_company", forgotten)
    monkeypatch.setattr(clock, "score_company", forgotten)
    assert await _is_seen(database, found_tenant)


# ---- one history, told in several ways


async def _everything_at_once(story: Story, at: datetime) -> None:
    """Move the clock in one call."""
    await clock.advance(story.database, story.company_id, at, actor=Actor("tests"), timeout_seconds=None)


async def _night_by_night(story: Story, at: datetime) -> None:
    """Move the clock to every night on the way."""
    for night in nightly_run_dates(story.now, at, story.zone):
        await _everything_at_once(story, nightly_run_at(night, story.zone))
    await _everything_at_once(story, at)


async def _as_real_time_does(story: Story, at: datetime) -> None:
    """Let time pass; the sweep comes now and then, the nights when they are due."""
    for night in nightly_run_dates(story.now, at, story.zone):
        await set_clock(story.database, story.company_id, nightly_run_at(night, story.zone))
        if story.chance.random() < 0.2:
            await sweep_batch(story.database, story.company_id, limit=1)
        await story.night()
    await set_clock(story.database, story.company_id, at)
    await sweep_batch(story.database, story.company_id)


def _history(story: Story, days: int) -> list[tuple[int, LiteralEvent]]:
    """Events of three customers, each told when it happens, over a while that leaves time to lapse."""
    chance, found = story.chance, []
    for customer in range(1, 4):
        for _ in range(chance.randint(2, 6)):
            story.now = story.start + timedelta(minutes=chance.randint(0, days * 24 * 60))
            said = story.draw_event(is_late=False)
            said = LiteralEvent(said.type, story.now, said.amount, said.call_duration)
            found.append((customer, said))
    story.now = story.start
    return sorted(found, key=lambda each: (each[1].occurred_at, each[0]))


def _event(customer: int, said: LiteralEvent) -> Event:
    cents = int(said.amount * 100)
    event = Event("import", "", customer, said.type, said.occurred_at, cents, said.call_duration)
    return event._replace(event_id=line_id(event, 1))


async def _imported(story: Story, told: Sequence[tuple[int, LiteralEvent]], end: datetime) -> None:
    async def chunks():
        yield b"customer_id,event_type,occurred_at,amount,call_duration\n"
        for customer, said in told:
            duration = "" if said.call_duration is None else said.call_duration
            yield f"{customer},{said.type},{said.occurred_at.isoformat()},{said.amount},{duration}\n".encode()

    await set_clock(story.database, story.company_id, end)
    found = await stage_import(story.database, story.company_id, chunks(), actor=Actor("tests"))
    assert await run_import(story.database, story.company_id, found.id)


@pytest.mark.parametrize("name", first_on_both(list(MAPS)[:2]))
async def test_one_call_every_night_real_time_and_an_import_end_alike(name, database, found_tenant):
    ways = (_everything_at_once, _night_by_night, _as_real_time_does)
    seed, days, after = sum(map(ord, name)), 20, 92
    stories = [await Story.begin(database, found_tenant, random.Random(seed), name) for _ in range(4)]
    told = _history(stories[0], days)
    assert [_history(story, days) for story in stories[1:]] == [told] * 3
    end = stories[0].start + (days + after) * DAY + timedelta(minutes=1)

    async def live(story: Story, way: Callable[[Story, datetime], Awaitable[None]]) -> None:
        for customer, said in told:
            await way(story, said.occurred_at)
            story.now = said.occurred_at
            await ingest(database, story.company_id, [_event(customer, said)])
            story.told.setdefault(customer, []).append(Happened(story.now, said))
        await way(story, end)
        story.now = end
        story.scored_at = nightly_run_at(latest_nightly_run_date(end, story.zone), story.zone)
        assert await story.check() > len(story.told), "nobody moves"

    await asyncio.gather(*(live(story, way) for story, way in zip(stories, ways, strict=False)))
    await _imported(stories[3], told, end)
    written = [await journeys(database, story.company_id) for story in stories]
    assert written[1:] == [written[0]] * 3
    scores = [await stored_scores(database, story.company_id) for story in stories[:3]]
    assert scores[1:] == [scores[0]] * 2


async def _crowd(story: Story, seed: int) -> None:
    """Everybody works on the company at once: whatever comes first, each finds the same."""
    chance = random.Random(seed)
    database, company = story.database, story.company_id
    busy = [sweep_batch(database, company, limit=chance.choice((1, 2, 200))) for _ in range(3)]
    busy += [story.tell(customer) for customer in range(1, CUSTOMERS + 1) if chance.random() < 0.5]
    busy += [story.night(), story.evaluate(), story.evaluate_in_bulk(), story.rescore()]
    chance.shuffle(busy)
    await asyncio.gather(*busy)


@pytest.mark.parametrize("name", first_on_both(MAPS))
async def test_sweeps_nights_evaluations_and_tellers_all_at_once_move_nobody_twice(
    name, database, found_tenant
):
    for seed in range(2):
        story = await Story.begin(database, found_tenant, random.Random(seed), name)
        for customer in range(1, CUSTOMERS + 1):
            await story.tell(customer)
        for _ in range(6):
            await story.pass_by()
            await _crowd(story, seed)
        await story.advance()
        await story.check()
