"""T11: campaigns on a test clock; customers leave, withdraw consent or are erased between the steps."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chaos.failing import without
from chaos.system import ACTOR, assert_detected, print_result
from journey_service.domain.actions.errors import CampaignEndedError
from journey_service.domain.actions.stage_actions import RETENTION_CAMPAIGN
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import Event
from journey_service.domain.operations.records import JobFilter
from journey_service.services.actions.campaigns import cancel_campaign
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, list_jobs, run_job
from journey_service.services.operations.test_clock import advance
from ledger import rows

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
VISIT = T0 - timedelta(hours=1)
START = VISIT + 91 * DAY
CLOCKS = [START + days * DAY + timedelta(hours=1) for days in (0, 3, 7, 14)]
"""Times to which the clock is advanced: one hour after each step is due."""
DUE = [START + step.day * DAY for step in RETENTION_CAMPAIGN]
NAME = "create_retention_campaign"
OUTCOMES = ("stays", "exit", "opt_out", "erasure", "manual")
REASONS = {
    "stays": ("completed", set()),
    "exit": ("left_stage", {"left_stage"}),
    "opt_out": ("completed", {"no_consent"}),
    "erasure": ("erased", {"erased"}),
    "manual": ("manual", {"campaign_ended"}),
}
"""By outcome: the end reason of the campaign, and the reasons of cancelled steps."""
CONCURRENT_CUSTOMERS = 6
LAST = len(CLOCKS) - 1
WITHDRAWN = dict.fromkeys(("email", "sms", "call", "offer"), "withdrawn")


@dataclass
class CampaignCustomer:
    """A customer and the outcome of the campaign; `phase` is the step before or during which the outcome occurs."""

    customer_id: int
    outcome: str
    phase: int
    is_concurrent: bool
    relationship_id: int = 0

    @property
    def may_come_after_end(self):
        """Whether the outcome occurs during the last step, so that the campaign may be completed first."""
        return self.is_concurrent and self.phase == LAST

    async def apply_outcome(self, system, company_id):
        """Applies the outcome."""
        match self.outcome:
            case "exit":
                visit = Event(
                    "chaos",
                    f"again {self.customer_id}",
                    self.customer_id,
                    "appointment_completed",
                    START,
                    100,
                )
                [answer] = await ingest(system.database, company_id, [visit])
                assert answer.status == "applied"
            case "opt_out":
                await put_customer(
                    system.database, company_id, self.customer_id, {}, consents=WITHDRAWN, by=ACTOR
                )
            case "erasure":
                await anonymize_customer(system.database, company_id, self.customer_id, by=ACTOR)
            case "manual":
                [campaign] = await rows(
                    system.database,
                    company_id,
                    "SELECT id FROM retention_campaigns WHERE company_id = :company AND relationship_id = :who",
                    who=self.relationship_id,
                )
                try:
                    await cancel_campaign(system.database, company_id, campaign.id, by=ACTOR)
                except CampaignEndedError:
                    assert self.may_come_after_end

    def step_of(self, effect, company_id):
        """Returns the step of the customer's campaign that an effect belongs to; None for other effects."""
        if effect == (
            "mail",
            f"ada{self.customer_id}@{company_id}.salon.example",
            "We haven't seen you in a while",
        ):
            return 0
        if effect[2:3] == (self.customer_id,) and effect[-2] == NAME:
            return effect[-1]
        return None


async def _deliver(system):
    """Runs two dispatchers until no action is ready."""
    while await system.fetch_value("SELECT count(*) FROM journey_actions WHERE ready_at IS NOT NULL"):
        await asyncio.gather(*(system.outbox_dispatcher().drain() for _ in range(2)))


async def _advance(system, company_id, to):
    """Advances the clock and runs what becomes due; a worker continues if this is interrupted."""
    with suppress(UnavailableError):
        await advance(system.database, company_id, to, actor=ACTOR, timeout_seconds=None)
    [job] = await list_jobs(system.database, company_id, JobFilter(1))
    while (await get_job(system.database, company_id, job.id)).status != "done":
        with suppress(UnavailableError):
            await run_job(system.database, company_id, job.id, JOB_HANDLERS)


async def _run_campaign(system, company_id, people):
    """Advances the clock over every step; outcomes occur before or during an advance."""
    slots = asyncio.Semaphore(CONCURRENT_CUSTOMERS)

    async def apply(person):
        async with slots:
            await person.apply_outcome(system, company_id)

    await _advance(system, company_id, VISIT + 90 * DAY)
    await _deliver(system)
    for phase, at in enumerate(CLOCKS):
        now = [person for person in people if person.phase == phase and person.outcome != "stays"]
        await asyncio.gather(*(apply(person) for person in now if not person.is_concurrent))
        await asyncio.gather(
            _advance(system, company_id, at),
            *(apply(person) for person in now if person.is_concurrent),
            system.outbox_dispatcher().drain(),
        )
        await _deliver(system)


@dataclass
class CampaignViolations:
    """Violations by kind."""

    lost: list
    duplicated: int
    out_of_order: list
    too_late: list
    inconsistent: list


async def _find_campaign_violations(system, company_id, people):
    campaigns = {
        row["relationship_id"]: row for row in await system.owner.fetch("SELECT * FROM retention_campaigns")
    }
    consents = {
        row["customer_id"]: json.loads(row["consents"])
        for row in await system.owner.fetch("SELECT customer_id, consents FROM customers")
    }
    steps = {}
    for row in await system.owner.fetch(
        "SELECT relationship_id, state, reason FROM journey_actions WHERE name = $1", NAME
    ):
        steps.setdefault(row["relationship_id"], []).append((row["state"], row["reason"]))
    calls = {}
    for call in system.receivers.calls:
        calls.setdefault(call.effect, []).append(call)
    by_customer = {}
    for effect, made in calls.items():
        who = int(effect[1].partition("@")[0][3:]) if effect[0] == "mail" else effect[2]
        by_customer.setdefault(who, []).append((effect, made))
    violations = CampaignViolations([], 0, [], [], [])
    for person in people:
        campaign = campaigns[person.relationship_id]
        first = {}
        for effect, made in by_customer.get(person.customer_id, ()):
            step = person.step_of(effect, company_id)
            if step is not None:
                first[step] = made[0].number
                violations.duplicated += len({call.key for call in made}) - 1
        is_over = person.may_come_after_end and campaign["end_reason"] == "completed"
        until = None if is_over or person.outcome == "stays" else campaign["ended_at"]
        if person.outcome == "opt_out":
            until = datetime.fromisoformat(consents[person.customer_id]["email"]["at"])
        messages = [n for n, step in enumerate(RETENTION_CAMPAIGN) if step.channel != "call"]
        before = CLOCKS[-1] if person.outcome == "stays" else CLOCKS[person.phase - 1]
        violations.lost += [(person, n) for n in messages if DUE[n] <= before and n not in first]
        violations.too_late += [(person, n) for n in first if until is not None and DUE[n] > until]
        if [first[n] for n in sorted(first)] != sorted(first.values()):
            violations.out_of_order.append((person, first))
        ends, reasons = REASONS[person.outcome]
        found = {reason for state, reason in steps[person.relationship_id] if state != "done"}
        if (campaign["end_reason"] != ends and not is_over) or not found <= reasons:
            violations.inconsistent.append((person, campaign["end_reason"], found))
    return violations


async def _create_customers(system, company_id, people):
    at = VISIT
    await system.send_first_visits(company_id, range(len(people)), at=at)
    rows = await system.owner.fetch("SELECT id, customer_id FROM customer_relationships")
    ids = {row["customer_id"]: row["id"] for row in rows}
    for person in people:
        person.relationship_id = ids[person.customer_id]


async def test_steps_run_in_order_and_none_starts_after_a_committed_cancellation(system, size, chance, seed):
    count = size(ci=60, chaos=1_000, full=2_000)
    people = [
        CampaignCustomer(n, chance.choice(OUTCOMES), chance.randint(1, 3), chance.random() < 0.5)
        for n in range(count)
    ]
    company_id = await system.create_company(test_clock=T0, deliver=True)
    await _create_customers(system, company_id, people)

    await _run_campaign(system, company_id, people)

    violations = await _find_campaign_violations(system, company_id, people)
    kills = sum(person.outcome != "stays" for person in people)
    print_result(
        *("T11", len(violations.lost), violations.duplicated, count, kills, seed),
        f"{len(violations.out_of_order)} journeys out of order,"
        f" {len(violations.too_late)} steps started after a committed cancellation,"
        f" {len(violations.inconsistent)} without a reason",
    )
    assert violations == CampaignViolations([], 0, [], [], [])
    assert await system.find_violations() == []


async def test_steps_without_checks_at_their_due_time_are_detected(system):
    people = [CampaignCustomer(n, "opt_out", 1, is_concurrent=False) for n in range(3)]
    company_id = await system.create_company(test_clock=T0, deliver=True)
    await _create_customers(system, company_id, people)
    guard = "check at the claim"
    with without(guard):
        await _run_campaign(system, company_id, people)
    violations = await _find_campaign_violations(system, company_id, people)
    assert_detected(guard, violations.too_late)
