"""Due evaluation: any interleaving of clocks, sweeps, nightly runs and events writes the oracle's journeys."""

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
from journey_service.domain.calendar import (
    latest_nightly_run_date,
    nightly_run_at,
    nightly_run_dates,
    utc_text,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.content_keys import content_key, numbered_id
from journey_service.domain.events.event import EVENT_TYPES, Event
from journey_service.domain.journeys.errors import NotPinnedError, StageConflictError, StaleVersionError
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.services.events.imports.imports import run_import, stage_import
from journey_service.services.events.ingest import IngestOutcome, IngestStatus, ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import run_job
from journey_service.services.journeys import evaluation, manual_changes, rescoring
from journey_service.services.journeys.sweep import Sweeper, sweep_batch
from journey_service.services.operations import test_clock as clock
from journey_service.services.operations.nightly import start_nightly_run
from ledger import find_violations, journeys, rows
from oracle.literal import (
    ApplyEvent,
    Facts,
    JourneyOracle,
    LiteralEvent,
    ManualMove,
    Operation,
    RemovePin,
    SetPin,
)

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
    """Moves the test clock and nothing else: due decisions are left to the sweep."""
    await database.run(company_id, lambda uow: uow.companies.set_clock(at))


async def stored_scores(database, company_id: int) -> dict[int, tuple[int, int, datetime]]:
    """Returns engagement, risk and the instant of the scores, by customer."""
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
class Scenario:
    """A company with a test clock, and the operations of each customer as input of the oracle."""

    database: Any
    company_id: int
    chance: random.Random
    zone: ZoneInfo
    stages: Sequence[dict[str, Any]]
    revenue_source: str
    manual_pin_days: int
    start: datetime
    now: datetime
    operations: dict[int, list[Operation]] = field(default_factory=dict)
    refused: dict[int, list[int]] = field(default_factory=dict)
    scored_at: datetime | None = None
    waiting: list[int] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    number: int = 0

    @classmethod
    async def begin(
        cls, database, create_test_company, chance: random.Random, name: str | None = None
    ) -> "Scenario":
        zone = chance.choice(ZONES)
        stages = MAPS[name or chance.choice(list(MAPS))]
        revenue, pin_days = chance.choice(("appointments", "payments")), chance.choice((1, 30, 90))
        start = datetime(2026, chance.randint(1, 12), 1, chance.randint(0, 23), tzinfo=UTC)
        tenant = await create_test_company(
            timezone=zone,
            test_clock=start,
            stages=stages,
            policy={"revenue_source": revenue, "manual_pin_days": pin_days},
        )
        return cls(database, tenant.id, chance, ZoneInfo(zone), stages, revenue, pin_days, start, start)

    @property
    def oracle(self) -> JourneyOracle:
        forms = [{**form, "rules": form.get("auto_rules")} for form in self.stages]
        return JourneyOracle(forms, self.revenue_source, self.manual_pin_days)

    # ---- operations

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

    async def send(self, customer_id: int | None = None, *, is_late: bool = False) -> None:
        events = []
        for _ in range(1 if customer_id else self.chance.choice((1, 1, 2, 4))):
            customer = customer_id or self.chance.randint(1, CUSTOMERS)
            drawn = self.draw_event(is_late=is_late)
            self.number += 1
            self.operations.setdefault(customer, []).append(ApplyEvent(self.now, drawn))
            cents = int(drawn.amount * 100)
            events.append(
                Event(
                    "t", str(self.number), customer, drawn.type, drawn.occurred_at, cents, drawn.call_duration
                )
            )
        answers = await ingest(self.database, self.company_id, events)
        assert all(
            isinstance(each, IngestOutcome) and each.status is IngestStatus.APPLIED for each in answers
        ), answers

    async def send_late(self) -> None:
        await self.send(is_late=True)

    def _known(self) -> int | None:
        return self.chance.choice(sorted(self.operations)) if self.operations else None

    async def _change(self, operation: Operation, change: Callable[[int, int], Awaitable[object]]) -> None:
        """Makes a manual change with version 1, and then with the version that the error reports."""
        customer = self._known()
        if customer is None:
            return
        operations = self.operations[customer]
        operations.append(operation)
        version = 1
        for _ in range(2):
            try:
                await change(customer, version)
            except StaleVersionError as error:
                version = error.current
            except (InvalidInputError, StageConflictError, NotPinnedError):
                self.refused.setdefault(customer, []).append(len(operations) - 1)
                return
            else:
                return
        pytest.fail("stale for the second time without a concurrent change")

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

        await self._change(ManualMove(self.now, to_stage, until), change)

    async def pin(self) -> None:
        until = self.now + self.span()

        async def change(customer: int, version: int) -> None:
            await manual_changes.pin(
                self.database, self.company_id, customer, until=until, version=version, by=Actor("tests")
            )

        await self._change(SetPin(self.now, until), change)

    async def unpin(self) -> None:
        async def change(customer: int, version: int) -> None:
            await manual_changes.unpin(
                self.database, self.company_id, customer, version=version, by=Actor("tests")
            )

        await self._change(RemovePin(self.now), change)

    async def evaluate(self) -> None:
        customer = self._known()
        if customer is not None:
            is_dry = self.chance.random() < 0.2
            await manual_changes.evaluate(
                self.database, self.company_id, customer, by=None if is_dry else Actor("tests")
            )

    def _named(self) -> list[int] | None:
        return self.chance.choice((None, [self._known()])) if self.operations else None

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
            batch_size=self.chance.choice((1, 3, 500)),
        )
        assert await run_job(self.database, self.company_id, job_id, JOB_HANDLERS)
        if named is None:
            self.scored_at = self.now

    async def sweep(self) -> None:
        await Sweeper(self.database).sweep()

    async def sweep_some(self) -> None:
        await sweep_batch(self.database, self.company_id, limit=self.chance.randint(1, 3))

    async def start_nightly_run(self) -> None:
        """Starts a nightly run; its job may run much later."""
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

    async def let_time_pass(self) -> None:
        self.now += self.span()
        await set_clock(self.database, self.company_id, self.now)

    async def run_steps(self, steps: int) -> None:
        """Runs random steps, then everything needed to complete the pending work."""
        for _ in range(steps):
            step = self.chance.choice(STEPS)
            self.log.append(f"{self.now:%Y-%m-%d %H:%M:%S} {step.__name__}")
            await step(self)
        last = self.chance.choice((Scenario.advance, Scenario.let_time_pass))
        self.log.append(f"{self.now:%Y-%m-%d %H:%M:%S} {last.__name__}, sweep")
        await last(self)
        await self.run_waiting()
        await self.sweep()

    # ---- invariants at the end

    async def check(self) -> int:
        """Asserts that journeys and scores equal the oracle's and no customer is due; returns the transitions."""
        assert not await has_due_customers(self.database, self.company_id), "a due customer was skipped"
        assert await causes_used_twice(self.database, self.company_id) == []
        assert await find_violations(self.database, self.company_id) == []
        oracle = self.oracle
        played = {
            customer: oracle.run(operations, self.now) for customer, operations in self.operations.items()
        }
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
        assert stored.keys() == self.operations.keys()
        for customer, (engagement, risk, as_of) in stored.items():
            facts = Facts(self.revenue_source)
            applied = [each for each in self.operations[customer] if isinstance(each, ApplyEvent)]
            for each in applied:
                facts.fold(each.event)
            expected = (facts.engagement(as_of) * 100, facts.risk(as_of) * 100)
            assert (engagement, risk) == expected, f"scores of {customer} are wrong as of {as_of}"
            earliest = max(self.scored_at or self.start, moved_at[customer], applied[-1].now)
            assert earliest <= as_of <= self.now, f"scores of {customer} are old"


STEPS: Sequence[Callable[[Scenario], Awaitable[None]]] = (
    *(Scenario.send,) * 4,
    *(Scenario.send_late,) * 2,
    *(Scenario.let_time_pass,) * 5,
    *(Scenario.advance,) * 2,
    *(Scenario.sweep, Scenario.sweep_some, Scenario.night, Scenario.start_nightly_run, Scenario.run_waiting),
    *(
        Scenario.rescore,
        Scenario.evaluate,
        Scenario.evaluate_in_bulk,
        Scenario.move,
        Scenario.pin,
        Scenario.unpin,
    ),
)


async def play(database, create_test_company, seed: int, *, steps: int = 18) -> int:
    """Runs and checks one random interleaving; a failure is annotated with its seed and steps."""
    scenario = await Scenario.begin(database, create_test_company, random.Random(seed))
    try:
        await scenario.send()
        await scenario.run_steps(steps)
        return await scenario.check()
    except Exception as error:
        error.add_note(f"seed {seed}:\n" + "\n".join(scenario.log))
        raise


@pytest.mark.parametrize("series", range(4))
async def test_any_interleaving_writes_the_oracle_s_journeys_and_leaves_no_customer_due(
    series, database, create_test_company
):
    moves = 0
    for seed in range(series * INTERLEAVINGS, (series + 1) * INTERLEAVINGS):
        moves += await play(database, create_test_company, seed)
    print(f"{INTERLEAVINGS} interleavings from seed {series * INTERLEAVINGS}: {moves} moves")
    assert moves > 4 * INTERLEAVINGS, "too few transitions for this test"


# ---- the guards, removed one by one


async def _is_detected(database, create_test_company) -> bool:
    """Returns whether the check detects a wrong interleaving; leaves no due customers for other tests."""
    for seed in range(1_000, 1_012):
        scenario = await Scenario.begin(database, create_test_company, random.Random(seed))
        try:
            await scenario.send(1)
            await scenario.run_steps(14)
            await scenario.check()
        except Exception as error:  # noqa: BLE001  # any error counts as detection
            print(f"guard removed: detected ({type(error).__name__} with seed {seed})")
            return True
        finally:
            await rows(
                database,
                scenario.company_id,
                "UPDATE customer_relationships SET next_evaluation_at = NULL WHERE company_id = :company"
                " RETURNING id",
            )
    return False


async def test_deciding_at_the_time_of_the_sweep_instead_of_the_due_instant_is_detected(
    database, create_test_company, monkeypatch
):
    def when_found(journey: Journey, until: datetime) -> None:
        due = journey.relationship.next_evaluation_at
        if due is not None and due <= until:
            journey.evaluate(until)

    monkeypatch.setattr(Journey, "advance_to", when_found)
    assert await _is_detected(database, create_test_company)


async def test_ingest_without_deciding_what_was_due_before_is_detected(
    database, create_test_company, monkeypatch
):
    careful = Journey.apply_event

    def careless(journey: Journey, event: Event, now: datetime):
        with monkeypatch.context() as patched:
            patched.setattr(Journey, "advance_to", lambda *_: None)
            return careful(journey, event, now)

    monkeypatch.setattr(Journey, "apply_event", careless)
    assert await _is_detected(database, create_test_company)


async def test_a_nightly_run_that_writes_no_scores_is_detected(database, create_test_company, monkeypatch):
    async def without_scores(run, as_of: datetime) -> None:
        await database.run(run.company_id, lambda uow: uow.companies.set_scored(as_of))

    monkeypatch.setattr(rescoring, "score_company", without_scores)
    monkeypatch.setattr(clock, "score_company", without_scores)
    assert await _is_detected(database, create_test_company)


# ---- the same events, processed in several ways


async def _everything_at_once(scenario: Scenario, at: datetime) -> None:
    """Moves the clock in one call."""
    await clock.advance(
        scenario.database, scenario.company_id, at, actor=Actor("tests"), timeout_seconds=None
    )


async def _night_by_night(scenario: Scenario, at: datetime) -> None:
    """Moves the clock to every nightly run on the way."""
    for night in nightly_run_dates(scenario.now, at, scenario.zone):
        await _everything_at_once(scenario, nightly_run_at(night, scenario.zone))
    await _everything_at_once(scenario, at)


async def _as_real_time_does(scenario: Scenario, at: datetime) -> None:
    """Lets time pass; sweeps occasionally, and runs every nightly run when it is due."""
    for night in nightly_run_dates(scenario.now, at, scenario.zone):
        await set_clock(scenario.database, scenario.company_id, nightly_run_at(night, scenario.zone))
        if scenario.chance.random() < 0.2:
            await sweep_batch(scenario.database, scenario.company_id, limit=1)
        await scenario.night()
    await set_clock(scenario.database, scenario.company_id, at)
    await sweep_batch(scenario.database, scenario.company_id)


def _history(scenario: Scenario, days: int) -> list[tuple[int, LiteralEvent]]:
    """Returns events of three customers, each sent when it occurs, over a period in which customers can lapse."""
    chance, history = scenario.chance, []
    for customer in range(1, 4):
        for _ in range(chance.randint(2, 6)):
            scenario.now = scenario.start + timedelta(minutes=chance.randint(0, days * 24 * 60))
            drawn = scenario.draw_event(is_late=False)
            event = LiteralEvent(drawn.type, scenario.now, drawn.amount, drawn.call_duration)
            history.append((customer, event))
    scenario.now = scenario.start
    return sorted(history, key=lambda each: (each[1].occurred_at, each[0]))


def _event(customer: int, literal: LiteralEvent) -> Event:
    cents = int(literal.amount * 100)
    event = Event("import", "", customer, literal.type, literal.occurred_at, cents, literal.call_duration)
    return event._replace(event_id=numbered_id(content_key(event, utc_text(event.occurred_at)), 1))


async def _import(scenario: Scenario, history: Sequence[tuple[int, LiteralEvent]], end: datetime) -> None:
    async def chunks():
        yield b"customer_id,event_type,occurred_at,amount,call_duration\n"
        for customer, event in history:
            duration = "" if event.call_duration is None else event.call_duration
            fields = (customer, event.type, event.occurred_at.isoformat(), event.amount, duration)
            yield (",".join(map(str, fields)) + "\n").encode()

    await set_clock(scenario.database, scenario.company_id, end)
    queued = await stage_import(scenario.database, scenario.company_id, chunks(), actor=Actor("tests"))
    assert await run_import(scenario.database, scenario.company_id, queued.id)


@pytest.mark.parametrize("name", list(MAPS)[:2])
async def test_one_call_nightly_steps_real_time_and_an_import_have_equal_results(
    name, database, create_test_company
):
    ways = (_everything_at_once, _night_by_night, _as_real_time_does)
    seed, days, after = sum(map(ord, name)), 20, 92
    scenarios = [
        await Scenario.begin(database, create_test_company, random.Random(seed), name) for _ in range(4)
    ]
    history = _history(scenarios[0], days)
    assert [_history(scenario, days) for scenario in scenarios[1:]] == [history] * 3
    end = scenarios[0].start + (days + after) * DAY + timedelta(minutes=1)

    async def live(scenario: Scenario, way: Callable[[Scenario, datetime], Awaitable[None]]) -> None:
        for customer, event in history:
            await way(scenario, event.occurred_at)
            scenario.now = event.occurred_at
            await ingest(database, scenario.company_id, [_event(customer, event)])
            scenario.operations.setdefault(customer, []).append(ApplyEvent(scenario.now, event))
        await way(scenario, end)
        scenario.now = end
        scenario.scored_at = nightly_run_at(latest_nightly_run_date(end, scenario.zone), scenario.zone)
        assert await scenario.check() > len(scenario.operations), "no customer moves"

    await asyncio.gather(*(live(scenario, way) for scenario, way in zip(scenarios, ways, strict=False)))
    await _import(scenarios[3], history, end)
    written = [await journeys(database, scenario.company_id) for scenario in scenarios]
    assert written[1:] == [written[0]] * 3
    scores = [await stored_scores(database, scenario.company_id) for scenario in scenarios[:3]]
    assert scores[1:] == [scores[0]] * 2


async def _run_concurrently(scenario: Scenario, seed: int) -> None:
    """Runs sweeps, events, a nightly run, evaluations and rescoring of the company concurrently."""
    chance = random.Random(seed)
    database, company = scenario.database, scenario.company_id
    tasks = [sweep_batch(database, company, limit=chance.choice((1, 2, 200))) for _ in range(3)]
    tasks += [scenario.send(customer) for customer in range(1, CUSTOMERS + 1) if chance.random() < 0.5]
    tasks += [scenario.night(), scenario.evaluate(), scenario.evaluate_in_bulk(), scenario.rescore()]
    chance.shuffle(tasks)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("name", MAPS)
async def test_concurrent_sweeps_nightly_runs_evaluations_and_events_move_no_customer_twice(
    name, database, create_test_company
):
    for seed in range(2):
        scenario = await Scenario.begin(database, create_test_company, random.Random(seed), name)
        for customer in range(1, CUSTOMERS + 1):
            await scenario.send(customer)
        for _ in range(6):
            await scenario.let_time_pass()
            await _run_concurrently(scenario, seed)
        await scenario.advance()
        await scenario.check()
