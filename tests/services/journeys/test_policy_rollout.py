"""Policy rollout: after a change, every customer is in the stage of the oracle, moved without actions."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from domain.generators import apply_operation, companies, operations
from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.errors import InvalidInputError, JourneyServiceError
from journey_service.domain.events.event import Event
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.stages.changes import build_draft, edit_stage
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.repositories.journeys.relationship_rows import COLUMNS, to_stored_relationship
from journey_service.services.companies import settings
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.companies.settings import PolicyUpdate, change_policy
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import JobRun, LeaseLostError, get_job, run_job
from journey_service.services.journeys import policy_rollout, stage_map_rollout
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.operations.test_clock import advance
from journey_service.services.stages import stage_maps
from journey_service.services.stages.stage_maps import MapChangeRequest, change_map
from ledger import find_violations, journeys, rows
from oracle import literal
from profiles import examples

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TYPES = ("appointment_completed", "payment_received") * 4 + (
    *("payment_refunded", "appointment_missed", "call_received", "ticket_opened"),
)
EASY = {"trigger": "lifetime_value", "conditions": {"value": ">=300"}}
PAYMENTS = parse_policy({"revenue_source": "payments"})
STRICT = parse_policy(
    {"revenue_source": "payments", "scoring": {"inactive_days": 20, "inactive_weight": 0.6}}
)
BY_SCORE = [
    {**form, "auto_rules": {"trigger": "risk_score", "conditions": {"score": ">=0.3"}}}
    if form["key"] == "at_risk"
    else form
    for form in DEFAULT_STAGES
]
ME = Actor("key:me")


async def change_to(database, company_id, policy: CompanyPolicy):
    return await change_policy(database, company_id, PolicyUpdate(policy, ME))


async def set_clock(database, company_id, now):
    """Moves the test clock without deciding what is due."""
    sql = "UPDATE companies SET clock_at = :now WHERE id = :company RETURNING id"
    await rows(database, company_id, sql, now=now)


def make_event(customer, id_, at, type_="appointment_completed", cents=4_000, call=90) -> Event:
    return Event("tests", id_, customer, type_, at, cents, call if type_ == "call_received" else None)


class OracleOperations(dict):
    """The operations of every customer, in the oracle's terms."""

    async def send(
        self, database, tenant, chance: random.Random, steps: int, start: datetime, *, customers=30
    ):
        """Sends random events in steps of 15 days from `start`; the clock ends 15 days after the last."""
        for step in range(steps):
            at = start + step * 15 * DAY
            events = [
                make_event(
                    chance.randrange(1, customers + 1),
                    f"{at}-{number}",
                    at - timedelta(hours=chance.randrange(40)),
                    chance.choice(TYPES),
                    chance.choice((0, 2_000, 9_000, 40_000, 70_000)),
                    chance.choice((30, 90, 250)),
                )
                for number in range(20)
            ]
            await ingest(database, tenant.id, events)
            for event in events:
                oracle_event = literal.LiteralEvent(
                    event.type, event.occurred_at, Decimal(event.amount_cents) / 100, event.call_duration
                )
                self.setdefault(event.customer_id, []).append(literal.ApplyEvent(at, oracle_event))
            await advance(database, tenant.id, at + 15 * DAY, actor=ME)

    def change(self, at: datetime, source: str):
        """Changes the source of revenue of every customer."""
        for operations_ in self.values():
            operations_.append((at, source))

    def expected(self, until: datetime):
        """Returns the oracle's transitions and scores of every customer."""
        return {customer: _state_of(_literal(steps, until), until) for customer, steps in self.items()}


def _literal(steps, until, company=None) -> literal.LiteralCustomer:
    customer = literal.LiteralCustomer(company or literal.JourneyOracle(), steps[0].now)
    for number, operation in enumerate(steps):
        now = operation[0] if isinstance(operation, tuple) else operation.now
        if number:
            customer.catch_up(now)
        if isinstance(operation, tuple):
            customer.facts.revenue_source = operation[1]
            customer.catch_up(now)  # decides as of now, repeatedly while that moves the customer
        else:
            customer.apply_operation(operation)
    customer.catch_up(until)
    return customer


def _state_of(customer: literal.LiteralCustomer, until: datetime):
    facts = customer.facts
    moves = [
        (t.seq, t.from_stage, t.to_stage, t.at, t.trigger_type, t.trigger_event) for t in customer.transitions
    ]
    return moves, facts.lifetime_value(), facts.engagement(until), facts.risk(until)


async def stored(database, company_id: int):
    """Returns the stored transitions and scores of every customer, in the same form."""
    moves = await journeys(database, company_id)
    sql = (
        "SELECT customer_id, lifetime_value, engagement_score, risk_score FROM customer_relationships"
        " WHERE company_id = :company"
    )
    scores = await rows(database, company_id, sql)
    return {id_: (moves[id_], value, Fraction(e), Fraction(r)) for id_, value, e, r in scores}


def without_scores(states):
    """Returns the states without the scores, which are stored as of the nightly run."""
    return {id_: (moves, value) for id_, (moves, value, *_) in states.items()}


async def outdated(database, company_id: int) -> list[int]:
    """Returns customers whose stage, due time or scores differ from those of the rules in force."""
    context = await get_company_context(database, company_id)
    sql = f"SELECT {COLUMNS}, r.lifetime_value FROM customer_relationships r WHERE company_id = :company"
    wrong = []
    for row in await rows(database, company_id, sql):
        stored = to_stored_relationship(row)
        relationship, at = stored.relationship, stored.scored_at
        decision = decide(relationship, context.rulebook, context.now)
        scores = [
            f(relationship.facts, context.rulebook.policy, at) for f in (scoring.engagement, scoring.risk)
        ]
        due, next_at = relationship.next_evaluation_at, decision.next_at
        if (
            (decision.move is not None and not decision.is_suppressed)
            or (next_at is not None and (due is None or due > next_at))
            or scores != [stored.engagement, stored.risk]
            or row.lifetime_value * 100 != relationship.facts.lifetime_cents(context.rulebook.policy)
        ):
            wrong.append(row.customer_id)
    return wrong


# ---- every customer is in the stage of the oracle


@given(data=st.data(), company=companies())
@tries(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_journey_migrated_to_another_source_of_revenue_equals_the_oracle_s(data, company):
    steps = data.draw(operations([form["key"] for form in company.forms]))
    change = data.draw(st.integers(1, len(steps)))
    source = {"appointments": "payments", "payments": "appointments"}[company.revenue_source]
    other = replace(company, revenue_source=source).rulebook
    span = (steps[change].now if change < len(steps) else steps[-1].now + 150 * DAY) - steps[change - 1].now
    at = steps[change - 1].now + span * data.draw(st.sampled_from([0, 1 / 3, 1]))
    journey = Journey.open(7, company.rulebook, steps[0].now)
    for number, step in enumerate([*steps[:change], None, *steps[change:]]):
        if step is None:
            journey.apply_policy(other, at, at=at)
        else:
            with suppress(JourneyServiceError):  # the oracle rejects it as well
                apply_operation(journey, step, number)
    until = steps[-1].now + 300 * DAY
    journey.advance_to(until)

    all_steps = [*steps[:change], (at, source), *steps[change:]]
    moves, value, engagement, risk = _state_of(_literal(all_steps, until, company.oracle), until)
    facts = journey.relationship.facts
    assert [
        (t.seq, t.from_stage, t.to_stage, t.transitioned_at, *t[4:6]) for t in journey.new_transitions
    ] == moves
    assert facts.lifetime_cents(other.policy) == value * 100
    assert scoring.engagement(facts, other.policy, until) == engagement * 100
    assert scoring.risk(facts, other.policy, until) == risk * 100


async def test_a_change_of_the_source_of_revenue_migrates_every_customer(database, create_test_company):
    tenant, operations_, chance = (
        await create_test_company(test_clock=T0),
        OracleOperations(),
        random.Random(1),
    )
    await operations_.send(database, tenant, chance, 10, T0)
    before, now = await stored(database, tenant.id), T0 + 150 * DAY
    assert without_scores(before) == without_scores(operations_.expected(now))

    changed = await change_to(database, tenant.id, PAYMENTS)
    operations_.change(now, "payments")

    after = await stored(database, tenant.id)
    assert after == operations_.expected(now)
    assert {id_ for id_ in after if after[id_][0] != before[id_][0]}, "the change must move customers"
    assert changed.job.status == "done"
    assert changed.job.counts["moved"] == sum(after[id_][0] != before[id_][0] for id_ in after)
    assert await outdated(database, tenant.id) == []
    await operations_.send(database, tenant, chance, 6, now)
    until = now + 90 * DAY
    assert without_scores(await stored(database, tenant.id)) == without_scores(operations_.expected(until))
    assert await find_violations(database, tenant.id) == []


async def test_a_job_that_migrates_no_customer_is_detected(database, create_test_company, monkeypatch):
    async def migrate_none(uow, transaction, changes):
        return {}

    monkeypatch.setattr(policy_rollout, "_migrate_page", migrate_none)
    with pytest.raises(AssertionError):
        await test_a_change_of_the_source_of_revenue_migrates_every_customer(database, create_test_company)
    print("guard removed: detected")


@pytest.mark.parametrize("policy", [PAYMENTS, STRICT, parse_policy({"scoring": {"long_call_seconds": 200}})])
async def test_facts_and_scores_equal_those_of_a_company_created_with_the_policy(
    database, create_test_company, policy
):
    changed = await create_test_company(test_clock=T0)
    created = await create_test_company(test_clock=T0, policy=policy_to_json(policy))
    for tenant in (changed, created):
        await OracleOperations().send(database, tenant, random.Random(2), 10, T0)
    reached = await journeys(database, changed.id)
    await change_to(database, changed.id, policy)
    await run_job(database, created.id, await queue_rescore(database, created.id, actor=ME), JOB_HANDLERS)

    numbers = []
    for tenant in (changed, created):
        sql = f"SELECT {COLUMNS}, r.lifetime_value FROM customer_relationships r WHERE company_id = :company"
        by_customer = {row.customer_id: row for row in await rows(database, tenant.id, sql)}
        numbers.append(
            {
                id_: (
                    row.lifetime_value,
                    row.engagement,
                    row.risk,
                    to_stored_relationship(row).relationship.facts,
                )
                for id_, row in by_customer.items()
            }
        )
    assert numbers[0] == numbers[1]
    ends = [await journeys(database, tenant.id) for tenant in (changed, created)]
    comparable = [id_ for id_ in reached if {m[2] for m in reached[id_]} <= {m[2] for m in ends[1][id_]}]
    assert [ends[0][id_][-1][2] for id_ in comparable] == [ends[1][id_][-1][2] for id_ in comparable]
    assert len(comparable) > len(reached) / 2


async def test_what_was_due_before_is_evaluated_with_the_former_policy(database, create_test_company):
    tenant = await create_test_company(test_clock=T0, stages=BY_SCORE)
    await ingest(database, tenant.id, [make_event(1, "a", T0)])
    await set_clock(database, tenant.id, T0 + 100 * DAY)

    await change_to(
        database, tenant.id, parse_policy({"scoring": {"inactive_days": 365, "very_inactive_days": 365}})
    )

    moves = (await journeys(database, tenant.id))[1]
    assert moves[-1][2:4] == ("at_risk", T0 + 61 * DAY)


async def test_moves_of_a_change_run_no_actions_and_name_the_rule_that_held(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(
        database, tenant.id, [make_event(1, "a", T0), make_event(1, "b", T0, "payment_received", 200_000)]
    )
    await change_to(database, tenant.id, PAYMENTS)

    sql = (
        "SELECT to_stage, is_silent, trigger_type, trigger_event, cause_kind FROM journey_transitions"
        " WHERE company_id = :company ORDER BY seq DESC LIMIT 1"
    )
    [move] = await rows(database, tenant.id, sql)
    assert tuple(move) == ("vip", True, "automatic", "lifetime_value", "policy")


# ---- interruptions and concurrent changes


async def interrupted(database, create_test_company, monkeypatch, *, customers=12, pages=1, **properties):
    """Returns a company and its migration job, interrupted after `pages` pages of five customers."""
    tenant = await create_test_company(test_clock=T0, **properties)
    events = [make_event(id_, f"p{id_}", T0, "payment_received", 200_000) for id_ in range(1, customers + 1)]
    await ingest(
        database, tenant.id, [*events, *(make_event(id_, f"v{id_}", T0) for id_ in range(1, customers + 1))]
    )
    monkeypatch.setattr(settings, "MAX_INLINE_CUSTOMERS", -1)
    monkeypatch.setattr(policy_rollout, "BATCH_SIZE", 5)
    changed = await change_to(database, tenant.id, PAYMENTS)
    assert changed.job.status == "queued"

    def die(job) -> None:
        if job.done == 5 * pages:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run_job(database, tenant.id, changed.job.id, JOB_HANDLERS, on_progress=die)
    return tenant, changed.job


async def count_stages(database, company_id):
    sql = "SELECT current_stage, count(*) FROM customer_relationships WHERE company_id = :company GROUP BY 1"
    return dict(tuple(row) for row in await rows(database, company_id, sql))


async def test_an_interrupted_change_is_resumed(database, create_test_company, monkeypatch):
    tenant, job = await interrupted(database, create_test_company, monkeypatch)
    assert await count_stages(database, tenant.id) == {"vip": 5, "customer": 7}
    await ingest(database, tenant.id, [make_event(id_, f"late{id_}", T0, "call_received") for id_ in (2, 9)])

    assert await run_job(database, tenant.id, job.id, JOB_HANDLERS)

    assert await count_stages(database, tenant.id) == {"vip": 12}
    ended = await get_job(database, tenant.id, job.id)
    assert (ended.status, ended.done, ended.total) == ("done", 12, 12)
    assert ended.counts["evaluated"] == 12
    assert await outdated(database, tenant.id) == []


async def test_a_second_change_is_added_to_the_job_of_the_first(database, create_test_company, monkeypatch):
    tenant, first = await interrupted(database, create_test_company, monkeypatch, stages=BY_SCORE)
    await set_clock(database, tenant.id, T0 + 30 * DAY)
    back = replace(STRICT, revenue_source="appointments")
    second = await change_to(database, tenant.id, back)
    assert second.job.id == first.id, "there is one such job at most"

    await run_job(database, tenant.id, first.id, JOB_HANDLERS)

    histories = {
        tuple(move[2:4] for move in moves[1:]) for moves in (await journeys(database, tenant.id)).values()
    }
    assert histories == {(("customer", T0), ("vip", T0), ("at_risk", T0 + 30 * DAY))}
    assert (await get_job(database, tenant.id, first.id)).status == "done"
    assert await outdated(database, tenant.id) == []


async def test_concurrent_changes_and_events_leave_every_customer_evaluated(
    database, create_test_company, monkeypatch
):
    tenant = await create_test_company()
    monkeypatch.setattr(policy_rollout, "BATCH_SIZE", 3)
    now = (await get_company_context(database, tenant.id)).now - timedelta(hours=1)
    await ingest(
        database, tenant.id, [make_event(id_, f"v{id_}", now, cents=200_000) for id_ in range(1, 30)]
    )

    async def send(sender: int) -> None:
        for number in range(15):
            customer = 1 + (number * 7 + sender) % 40
            await ingest(
                database, tenant.id, [make_event(customer, f"{sender}-{number}", now, "payment_received")]
            )

    looser = parse_policy({"scoring": {"frequency_target": 1}})
    async with asyncio.timeout(240):
        await asyncio.gather(
            *(send(sender) for sender in range(3)),
            *(change_to(database, tenant.id, policy) for policy in (PAYMENTS, STRICT, looser)),
            change_map(
                database,
                tenant.id,
                partial(edit_stage, key="vip", fields={"color": "#000001"}),
                MapChangeRequest(None, Activation.CURRENT_WITH_ACTIONS, ME),
            ),
        )

    for job in await rows(
        database, tenant.id, "SELECT id, kind, status FROM jobs WHERE company_id = :company"
    ):
        assert job.status == "done" or await run_job(database, tenant.id, job.id, JOB_HANDLERS)
    assert await outdated(database, tenant.id) == []
    assert await find_violations(database, tenant.id) == []


@pytest.mark.parametrize("order", [("map", "policy"), ("policy", "map")])
async def test_pending_maps_and_policies_are_applied_in_their_order(
    database, create_test_company, monkeypatch, order
):
    easy = partial(edit_stage, key="vip", fields={"auto_rules": EASY})
    ended = []
    for number in range(3):  # inline; then both pending, with their jobs run in either order
        company = await create_test_company(test_clock=T0)
        await OracleOperations().send(database, company, random.Random(4), 6, T0)
        jobs = {}
        with monkeypatch.context() as patched:
            if number:
                patched.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
                patched.setattr(settings, "MAX_INLINE_CUSTOMERS", -1)
            for days, what in enumerate(order, start=91):
                if what == "map":
                    request = MapChangeRequest(1, Activation.CURRENT_SILENT, ME)
                    jobs[what] = (await change_map(database, company.id, easy, request)).job
                else:
                    jobs[what] = (await change_to(database, company.id, PAYMENTS)).job
                await set_clock(database, company.id, T0 + days * DAY)
        for what in order if number == 1 else order[::-1]:
            await run_job(database, company.id, jobs[what].id, JOB_HANDLERS)
            assert (await get_job(database, company.id, jobs[what].id)).status == "done"
        await advance(database, company.id, T0 + 93 * DAY, actor=ME)
        sql = "SELECT map_version, migrated_version FROM companies WHERE id = :company"
        assert [tuple(row) for row in await rows(database, company.id, sql)] == [(2, 2)]
        assert await outdated(database, company.id) == []
        ended.append(await journeys(database, company.id))

    assert ended[0] == ended[1] == ended[2]


async def test_a_map_job_that_ignores_pending_policies_is_detected(
    database, create_test_company, monkeypatch
):
    async def no_changes(uow):
        return []

    monkeypatch.setattr(stage_map_rollout, "load_pending_changes", no_changes)
    with pytest.raises(AssertionError):
        await test_pending_maps_and_policies_are_applied_in_their_order(
            database, create_test_company, monkeypatch, ("map", "policy")
        )
    print("guard removed: detected")


async def test_a_restarted_job_revokes_the_lease_of_its_runner(database, create_test_company, monkeypatch):
    tenant, job = await interrupted(database, create_test_company, monkeypatch)
    assert await database.run(tenant.id, lambda uow: uow.jobs.claim(job.id, "slow", 60.0))
    slow = JobRun(database, tenant.id, await get_job(database, tenant.id, job.id), "slow", 60.0, {}, {})

    await change_to(database, tenant.id, STRICT)
    with pytest.raises(LeaseLostError):
        await policy_rollout.apply_to_all(slow)

    assert await count_stages(database, tenant.id) == {"vip": 5, "customer": 7}
    assert await run_job(database, tenant.id, job.id, JOB_HANDLERS)
    assert await count_stages(database, tenant.id) == {"vip": 12}


async def test_a_map_is_linted_again_if_the_policy_changes_meanwhile(
    database, create_test_company, monkeypatch
):
    tenant = await create_test_company(test_clock=T0)
    harmless = parse_policy(
        {"scoring": {f"{name}_weight": 0 for name in ("inactive", "very_inactive", "missed_rate", "trend")}}
    )
    lint_or_raise, policies_linted = stage_maps.lint_or_raise, []

    async def slow(rulebook, pointers):
        findings = await lint_or_raise(rulebook, pointers)
        policies_linted.append(rulebook.policy)
        if len(policies_linted) == 1:
            await change_to(database, tenant.id, harmless)
        return findings

    monkeypatch.setattr(stage_maps, "lint_or_raise", slow)
    with pytest.raises(InvalidInputError):
        await change_map(
            database,
            tenant.id,
            partial(build_draft, raw=BY_SCORE, pointer="/stages"),
            MapChangeRequest(None, Activation.FUTURE_ONLY, ME),
        )

    assert [policy == harmless for policy in policies_linted] == [False]
    assert (await get_company_context(database, tenant.id)).company.map_version == 1


async def test_unaffected_customers_are_not_written(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(
        database, tenant.id, [make_event(1, "a", T0, cents=0), make_event(2, "b", T0, "payment_received")]
    )
    sql = "SELECT xmin::text FROM customer_relationships WHERE company_id = :company ORDER BY customer_id"
    before = await rows(database, tenant.id, sql)

    await change_to(database, tenant.id, PAYMENTS)

    after = await rows(database, tenant.id, sql)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False]
