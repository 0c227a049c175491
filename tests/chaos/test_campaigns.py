"""T11: campaigns on a clock that is moved, and people who leave, withdraw or are erased between the steps."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chaos.failing import without
from chaos.ground import BY, detected, tell
from journey_service.domain.actions.errors import CampaignEndedError
from journey_service.domain.actions.stage_actions import RETENTION_CAMPAIGN
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import Event
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
"""Each an hour after a step is due."""
DUE = [START + step.day * DAY for step in RETENTION_CAMPAIGN]
NAME = "create_retention_campaign"
FATES = ("stays", "exit", "opt_out", "erasure", "manual")
REASONS = {
    "stays": ("completed", set()),
    "exit": ("left_stage", {"left_stage"}),
    "opt_out": ("completed", {"no_consent"}),
    "erasure": ("erased", {"erased"}),
    "manual": ("manual", {"campaign_ended"}),
}
"""Why the campaign ends, and why the steps that are not sent are not."""
AT_ONCE = 6
LAST = len(CLOCKS) - 1
WITHDRAWN = dict.fromkeys(("email", "sms", "call", "offer"), "withdrawn")


@dataclass
class Person:
    """A customer and their fate: `phase` is the step before or during which it happens."""

    customer_id: int
    fate: str
    phase: int
    is_beside: bool
    relationship_id: int = 0

    @property
    def may_be_too_late(self):
        """Whether it happens during the last step, which may come first: then the campaign is complete."""
        return self.is_beside and self.phase == LAST

    async def meet_it(self, ground, company_id):
        """It happens."""
        match self.fate:
            case "exit":
                visit = Event(
                    "chaos",
                    f"again {self.customer_id}",
                    self.customer_id,
                    "appointment_completed",
                    START,
                    100,
                )
                [answer] = await ingest(ground.database, company_id, [visit])
                assert answer.status == "applied"
            case "opt_out":
                await put_customer(
                    ground.database, company_id, self.customer_id, {}, consents=WITHDRAWN, by=BY
                )
            case "erasure":
                await anonymize_customer(ground.database, company_id, self.customer_id, by=BY)
            case "manual":
                [campaign] = await rows(
                    ground.database,
                    company_id,
                    "SELECT id FROM retention_campaigns WHERE company_id = :company AND relationship_id = :who",
                    who=self.relationship_id,
                )
                try:
                    await cancel_campaign(ground.database, company_id, campaign.id, by=BY)
                except CampaignEndedError:
                    assert self.may_be_too_late

    def step_of(self, effect, company_id):
        """Which step of the person's campaign a call was for."""
        if effect == (
            "mail",
            f"ada{self.customer_id}@{company_id}.salon.example",
            "We haven't seen you in a while",
        ):
            return 0
        if effect[2:3] == (self.customer_id,) and effect[-2] == NAME:
            return effect[-1]
        return None


async def _deliver(ground):
    """Two at once, until nothing is ready."""
    while await ground.ask("SELECT count(*) FROM journey_actions WHERE ready_at IS NOT NULL"):
        await asyncio.gather(*(ground.outbox_dispatcher().drain() for _ in range(2)))


async def _advance(ground, company_id, to):
    """Advances the clock and runs what becomes due; a worker continues if this is interrupted."""
    with suppress(UnavailableError):
        await advance(ground.database, company_id, to, actor=BY, timeout_seconds=None)
    [job] = await list_jobs(ground.database, company_id, before=None, limit=1)
    while (await get_job(ground.database, company_id, job.id)).status != "done":
        with suppress(UnavailableError):
            await run_job(ground.database, company_id, job.id, JOB_HANDLERS)


async def _live_through(ground, company_id, people):
    """Advances the clock over every step; the fates happen before or during that."""
    room = asyncio.Semaphore(AT_ONCE)

    async def meet(person):
        async with room:
            await person.meet_it(ground, company_id)

    await _advance(ground, company_id, VISIT + 90 * DAY)
    await _deliver(ground)
    for phase, at in enumerate(CLOCKS):
        now = [person for person in people if person.phase == phase and person.fate != "stays"]
        await asyncio.gather(*(meet(person) for person in now if not person.is_beside))
        await asyncio.gather(
            _advance(ground, company_id, at),
            *(meet(person) for person in now if person.is_beside),
            ground.outbox_dispatcher().drain(),
        )
        await _deliver(ground)


@dataclass
class Verdict:
    """What was wrong, by kind."""

    lost: list
    duplicated: int
    out_of_order: list
    too_late: list
    inconsistent: list


async def _verdict(ground, company_id, people):
    campaigns = {
        row["relationship_id"]: row for row in await ground.owner.fetch("SELECT * FROM retention_campaigns")
    }
    consents = {
        row["customer_id"]: json.loads(row["consents"])
        for row in await ground.owner.fetch("SELECT customer_id, consents FROM customers")
    }
    steps = {}
    for row in await ground.owner.fetch(
        "SELECT relationship_id, state, reason FROM journey_actions WHERE name = $1", NAME
    ):
        steps.setdefault(row["relationship_id"], []).append((row["state"], row["reason"]))
    calls = {}
    for call in ground.outside.calls:
        calls.setdefault(call.effect, []).append(call)
    by_customer = {}
    for effect, made in calls.items():
        who = int(effect[1].partition("@")[0][3:]) if effect[0] == "mail" else effect[2]
        by_customer.setdefault(who, []).append((effect, made))
    verdict = Verdict([], 0, [], [], [])
    for person in people:
        campaign = campaigns[person.relationship_id]
        first = {}
        for effect, made in by_customer.get(person.customer_id, ()):
            step = person.step_of(effect, company_id)
            if step is not None:
                first[step] = made[0].number
                verdict.duplicated += len({call.key for call in made}) - 1
        is_over = person.may_be_too_late and campaign["end_reason"] == "completed"
        until = None if is_over or person.fate == "stays" else campaign["ended_at"]
        if person.fate == "opt_out":
            until = datetime.fromisoformat(consents[person.customer_id]["email"]["at"])
        messages = [n for n, step in enumerate(RETENTION_CAMPAIGN) if step.channel != "call"]
        before = CLOCKS[-1] if person.fate == "stays" else CLOCKS[person.phase - 1]
        verdict.lost += [(person, n) for n in messages if DUE[n] <= before and n not in first]
        verdict.too_late += [(person, n) for n in first if until is not None and DUE[n] > until]
        if [first[n] for n in sorted(first)] != sorted(first.values()):
            verdict.out_of_order.append((person, first))
        ends, reasons = REASONS[person.fate]
        found = {reason for state, reason in steps[person.relationship_id] if state != "done"}
        if (campaign["end_reason"] != ends and not is_over) or not found <= reasons:
            verdict.inconsistent.append((person, campaign["end_reason"], found))
    return verdict


async def _people(ground, company_id, people):
    at = VISIT
    await ground.visit(company_id, range(len(people)), at=at)
    rows = await ground.owner.fetch("SELECT id, customer_id FROM customer_relationships")
    ids = {row["customer_id"]: row["id"] for row in rows}
    for person in people:
        person.relationship_id = ids[person.customer_id]


async def test_no_step_comes_out_of_order_and_none_begins_after_it_was_called_off(ground, size, chance, seed):
    count = size(ci=60, chaos=1_000, full=2_000)
    people = [
        Person(n, chance.choice(FATES), chance.randint(1, 3), chance.random() < 0.5) for n in range(count)
    ]
    company_id = await ground.found(test_clock=T0, deliver=True)
    await _people(ground, company_id, people)

    await _live_through(ground, company_id, people)

    verdict = await _verdict(ground, company_id, people)
    kills = sum(person.fate != "stays" for person in people)
    tell(
        *("T11", len(verdict.lost), verdict.duplicated, count, kills, seed),
        f"{len(verdict.out_of_order)} journeys out of order,"
        f" {len(verdict.too_late)} steps begun after a committed cancel, {len(verdict.inconsistent)} without a reason",
    )
    assert verdict == Verdict([], 0, [], [], [])
    assert await ground.find_violations() == []


async def test_a_step_that_is_not_evaluated_when_it_falls_due_is_noticed(ground):
    people = [Person(n, "opt_out", 1, is_beside=False) for n in range(3)]
    company_id = await ground.found(test_clock=T0, deliver=True)
    await _people(ground, company_id, people)
    guard = "check at the claim"
    with without(guard):
        await _live_through(ground, company_id, people)
    verdict = await _verdict(ground, company_id, people)
    detected(guard, verdict.too_late)
