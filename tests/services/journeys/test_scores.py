"""Scores that the database computes equal those of the domain, exactly."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.relationship import Relationship
from journey_service.repositories.journeys.relationship_rows import RelationshipUpdate
from journey_service.repositories.unit_of_work import UnitOfWork

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
CUSTOMERS = 400
MICROSECOND = timedelta(microseconds=1)

POLICIES = {
    "the default": {},
    "revenue from payments": {"revenue_source": "payments"},
    "a policy of unusual numbers": {
        "scoring": {
            "engagement_frequency_weight": 0.1234,
            "engagement_recency_weight": 0.3333,
            "engagement_monetary_weight": 0.5001,
            "engagement_quality_weight": 0.7,
            "frequency_window_days": 31,
            "frequency_target": 7,
            "recency_horizon_days": 365,
            "monetary_target": 333.33,
            "quality_window_days": 17,
            "initial_engagement": 0.125,
            "initial_risk": 0.3,
            "inactive_days": 14,
            "inactive_weight": 0.1555,
            "very_inactive_days": 41,
            "missed_rate": 0.1667,
            "missed_rate_weight": 0.4445,
            "missed_window_days": 55,
            "trend": -0.0001,
            "trend_weight": 0.25,
            "trend_window_days": 60,
            "tickets_weight": 0.3,
            "tickets_window_days": 12,
        }
    },
    "a policy that overflows": {
        "scoring": {
            "engagement_frequency_weight": 1,
            "engagement_recency_weight": 1,
            "engagement_monetary_weight": 1,
            "engagement_quality_weight": 1,
            "inactive_weight": 1,
            "missed_rate_weight": 1,
            "monetary_target": 1_000_000_000,
            "recency_horizon_days": 3650,
            "frequency_target": 3650,
        }
    },
}


def _times(chance: random.Random, policy) -> tuple[datetime, ...]:
    """Returns instants at, just before and just after the edges of windows and counts of days."""
    numbers = policy.scoring.numbers
    edges = [
        *(numbers.frequency_window, numbers.quality_window, numbers.missed_window, numbers.trend_window),
        *(2 * numbers.trend_window, numbers.tickets_window),
        *(
            timedelta(days=days)
            for days in (0, policy.scoring.inactive_days, policy.scoring.very_inactive_days + 1)
        ),
    ]
    times = []
    for _ in range(chance.choice((0, 0, 1, 2, 3, 8, 64))):
        back = chance.choice(edges) if chance.random() < 0.5 else timedelta(days=chance.uniform(-1, 400))
        times.append(NOW - back + chance.choice((-1, 0, 0, 1)) * MICROSECOND)
    return tuple(sorted(times))


def _facts(chance: random.Random, policy) -> Facts:
    completed, missed = _times(chance, policy), _times(chance, policy)
    target = policy.target_cents
    return Facts(
        total_appointments=len(completed),
        total_missed=len(missed),
        appointments_cents=chance.choice((0, 1, target - 1, target, 99_999_999_999_999)),
        payments_cents=chance.choice((0, target // 3, target, 10**14 - 1)),
        refunds_cents=chance.choice((0, 1, target, 10**14 - 1)),
        first_appointment_at=completed[0] if completed else None,
        last_appointment_at=completed[-1] if completed else None,
        completed=completed,
        missed=missed,
        long_calls=_times(chance, policy),
        tickets=_times(chance, policy),
    )


async def _write(uow: UnitOfWork, facts: list[Facts], scored_at: datetime) -> None:
    ids = await uow.customers.open(range(len(facts)))
    await uow.relationships.save(
        [
            RelationshipUpdate(
                ids[number],
                Relationship(number, "prospect", NOW, 1, each),
                0,
                50,
                0,
                scored_at,
                scored_at,
                scored_at,
            )
            for number, each in enumerate(facts)
        ]
    )


@pytest.mark.parametrize("name", POLICIES)
async def test_the_database_computes_the_scores_of_the_domain(database, create_test_company, name):
    tenant = await create_test_company(policy=POLICIES[name])
    policy = parse_policy(POLICIES[name])
    chance = random.Random(name)
    facts = [Facts(), *(_facts(chance, policy) for _ in range(CUSTOMERS - 1))]

    async def unit(uow: UnitOfWork):
        await _write(uow, facts, NOW - MICROSECOND)
        page = await uow.scores.compare_page(0, limit=CUSTOMERS + 1, as_of=NOW, policy=policy)
        written = await uow.scores.update(page.changed, as_of=NOW, policy=policy)
        relationships = (await uow.relationships.lock(range(CUSTOMERS))).by_customer
        again = await uow.scores.compare_page(0, limit=CUSTOMERS + 1, as_of=NOW, policy=policy)
        return page, written, relationships, again

    page, written, relationships, again = await database.run(tenant.id, unit)
    expected = {
        number: (scoring.engagement(each, policy, NOW), scoring.risk(each, policy, NOW))
        for number, each in enumerate(facts)
    }
    stored = {number: (each.engagement, each.risk) for number, each in relationships.items()}
    assert stored == expected
    assert len(set(expected.values())) > 20, "the generated facts vary too little for this test"
    changed = {number for number, scores in expected.items() if scores != (50, 0)}
    assert {number for number in range(CUSTOMERS) if relationships[number].scored_at == NOW} == changed
    assert (page.seen, written, len(page.changed)) == (CUSTOMERS, len(changed), len(changed))
    assert again.changed == []


async def test_scores_as_of_the_same_or_a_later_instant_are_not_replaced(database, tenant):
    policy = parse_policy({})
    facts = [Facts(1, 0, 5000, completed=(NOW,), last_appointment_at=NOW)] * 2

    async def unit(uow: UnitOfWork):
        await _write(uow, facts, NOW)
        page = await uow.scores.compare_page(0, limit=10, as_of=NOW, policy=policy)
        later = await uow.scores.compare_page(0, limit=10, as_of=NOW + MICROSECOND, policy=policy)
        ids = await uow.scores.get_relationship_ids([0, 1])
        untouched = await uow.scores.update(ids, as_of=NOW, policy=policy)
        return page.changed, len(later.changed), untouched

    assert await database.run(tenant.id, unit) == ([], 2, 0)
