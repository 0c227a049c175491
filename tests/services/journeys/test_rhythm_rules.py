"""Rules on the customer's own rhythm, through events, the sweep and a change of the company's usual gap."""

from datetime import UTC, datetime, timedelta

from domain.builders import defaults_with, rule
from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.events.event import Event
from journey_service.services.companies.settings import PolicyUpdate, change_policy
from journey_service.services.events.ingest import ingest
from journey_service.services.journeys.sweep import Sweeper
from ledger import rows

DAY = timedelta(days=1)
NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
WEEKLY, HALF_YEARLY, NEW = 1, 2, 3
VISITS = {
    WEEKLY: [NOW - 7 * number * DAY for number in range(10)],
    HALF_YEARLY: [NOW - 182 * number * DAY for number in range(4)],
    NEW: [NOW],
}


async def lapses(database, company_id):
    """Returns the moves to the first risk stage, as (customer, days since the last appointment)."""
    query = (
        "SELECT customer_id, transitioned_at FROM journey_transitions JOIN customer_relationships r"
        " ON r.id = relationship_id AND r.company_id = journey_transitions.company_id"
        " WHERE r.company_id = :company AND to_stage = 'at_risk' AND transitioned_at > r.last_appointment_at"
        " ORDER BY 1, 2"
    )
    return [(row[0], (row[1] - NOW) / DAY) for row in await rows(database, company_id, query)]


async def test_customers_lapse_by_their_own_rhythm(database, create_test_company):
    stages = defaults_with(at_risk={"auto_rules": rule("rhythm_ratio", ratio=">=3.5")})
    company_id = (await create_test_company(test_clock=NOW, stages=stages)).id
    events = [
        Event("t", f"{customer}/{number}", customer, "appointment_completed", at, 0, None)
        for customer, visits in VISITS.items()
        for number, at in enumerate(visits)
    ]
    await ingest(database, company_id, events)

    async def sweep_at(days):
        await database.run(company_id, lambda uow: uow.companies.set_clock(NOW + days * DAY))
        await Sweeper(database).sweep()
        return await lapses(database, company_id)

    assert await sweep_at(30) == []
    assert await sweep_at(35) == [(WEEKLY, 31)]
    assert await sweep_at(92) == [(WEEKLY, 31)]
    # With a smaller usual gap of the company, the customer with one visit is late at once, the half-yearly one is not.
    policy = parse_policy({"usual_gap_days": 20})
    await change_policy(database, company_id, PolicyUpdate(policy, author=Actor("tests")))
    assert await lapses(database, company_id) == [(WEEKLY, 31), (NEW, 92)]
