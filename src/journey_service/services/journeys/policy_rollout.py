"""A new policy reaches the customers, page by page.

The policy is in force at once and for everybody. A page takes its customers over: what was due before is decided by
the former policy, then they are decided anew as of the instant of the change, silently. Whoever is touched before
their page comes is decided by the new policy, as everybody is from then on.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from journey_service.domain.companies.policy import CompanyPolicy, parse_policy, policy_to_json
from journey_service.domain.events.event import LATEST, Event
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.facts import NO_FACTS, Facts, fold
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.operations.records import Job
from journey_service.repositories.journeys.relationships import StoredRelationship
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobPage, JobRun
from journey_service.services.journeys.map_history import PendingMapVersion
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

APPLY: Final = "apply_policy"
CHUNK: Final = 200
CAUSE: Final = "policy"
_LOWEST: Final = 0


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One change of the policy, as its job keeps it: when it was, in the company's time and in the database's.

    `map_version` was in force then. Relationships up to the id `beyond` have gone through it already.
    """

    at: datetime
    clock: datetime
    map_version: int
    former: CompanyPolicy
    beyond: int = _LOWEST

    def to_json(self, beyond: int | None = None) -> dict[str, object]:
        """As parameters of a job."""
        return {
            "at": self.at.isoformat(),
            "clock": self.clock.isoformat(),
            "map_version": self.map_version,
            "former": policy_to_json(self.former),
            "beyond": self.beyond if beyond is None else max(beyond, self.beyond),
        }

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "PolicyChange":
        """As the parameters of a job tell it."""
        at, clock = datetime.fromisoformat(raw["at"]), datetime.fromisoformat(raw["clock"])
        return cls(at, clock, raw["map_version"], parse_policy(raw["former"]), raw["beyond"])


@dataclass(frozen=True, slots=True)
class PolicyChangeStep:
    """One change as one customer goes through it: to which policy, and as of when they are decided anew."""

    change: PolicyChange
    policy: CompanyPolicy
    at: datetime


def left_of(job: Job) -> Iterator[dict[str, object]]:
    """The changes that customers have yet to go through, each with how far it is."""
    cursor = job.cursor or {}
    if not cursor.get("ended"):
        for raw in job.parameters["changes"]:
            yield PolicyChange.of(raw).to_json(cursor.get("beyond", _LOWEST))


async def changes_under_way(uow: UnitOfWork) -> Sequence[PolicyChange]:
    """The changes that some customers have yet to go through; almost always none."""
    job_id = await uow.jobs.under_way(APPLY)
    job = None if job_id is None else await uow.jobs.find(job_id)
    return [] if job is None else [PolicyChange.of(raw) for raw in left_of(job)]


async def apply_to_all(run: JobRun) -> None:
    """The job: take every customer through the changes of the policy, by keyset."""
    changes = [PolicyChange.of(raw) for raw in run.job.parameters["changes"]]

    async def page(uow: UnitOfWork) -> JobPage:
        beyond = run.cursor.get("beyond", _LOWEST)
        # By relationship: customers may be given another id meanwhile, when they are erased.
        some = await uow.event_histories.page(beyond, limit=CHUNK, until=LATEST, known_until=LATEST)
        if not some:
            await uow.companies.set_scored(changes[-1].at)
            # Customers may have come meanwhile: in the end there were as many as were seen.
            return JobPage({"beyond": beyond, "ended": True}, total=run.counts.get("decided", 0))
        total = await uow.relationships.count() if beyond == _LOWEST else None
        transaction = await load(uow, [past.customer_id for past in some])
        if len(transaction.relationships) < len(some):
            return JobPage({"beyond": beyond}, total=total)  # erased in between: looked for under the new id
        counts = await _migrate_page(uow, transaction, changes)
        return JobPage({"beyond": some[-1].id}, counts, done=len(some), total=total)

    while not run.cursor.get("ended"):
        await run.page(page)


async def _migrate_page(
    uow: UnitOfWork, transaction: JourneyTransaction, changes: Sequence[PolicyChange]
) -> dict[str, int]:
    """Take customers, held, through the changes, and write those for whom that changes anything."""
    policy = transaction.context.rulebook.policy
    moved = 0
    for customer_id, stored in transaction.relationships.items():
        before = copy(stored.relationship)
        journey = await migrate_journey(uow, transaction, stored, changes)
        moved += any(row.cause.kind == CAUSE for row in journey.new_transitions)
        facts = journey.relationship.facts
        at = max(journey.decided_at or transaction.now, *_scored(transaction, stored))
        scores = scoring.engagement(facts, policy, at), scoring.risk(facts, policy, at)
        sums = {facts.lifetime_cents(change.former) for change in changes}
        if (
            journey.new_transitions
            or journey.relationship != before
            or scores != (stored.engagement, stored.risk)
            or sums != {facts.lifetime_cents(policy)}
        ):
            transaction.journeys[customer_id] = journey
    await write(uow, transaction, as_decided=True)
    return {"decided": len(transaction.relationships), "moved": moved, "changed": len(transaction.journeys)}


def _scored(transaction: JourneyTransaction, stored: StoredRelationship) -> Iterator[datetime]:
    yield from (at for at in (stored.scored_at, transaction.context.company.scored_at) if at is not None)


async def migrate_journey(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    stored: StoredRelationship,
    changes: Sequence[PolicyChange],
) -> Journey:
    """A customer's journey, gone over to every map and policy that has come into force, in the order of time."""
    relationship, present = stored.relationship, transaction.context.rulebook
    version = max(relationship.map_version, transaction.map_history.adopted_version)
    maps = deque(one for one in transaction.map_history.pending if one.rulebook.stage_map.version > version)
    stage_map = transaction.map_history.former[version].stage_map if maps else present.stage_map
    steps, calls = await _steps(uow, transaction, stored, changes)
    journey = Journey(relationship, Rulebook(stage_map, steps[0].change.former if steps else present.policy))
    for step in steps:
        while maps and maps[0].rulebook.stage_map.version <= step.change.map_version:
            _adopt(journey, maps.popleft())
        journey.apply_policy(
            Rulebook(journey.rulebook.stage_map, step.policy),
            step.change.at,
            at=step.at,
            facts=None if calls is None else _with_calls(relationship.facts, calls, step.policy),
        )
    for adoption in maps:
        _adopt(journey, adoption)
    return journey


def _adopt(journey: Journey, adoption: PendingMapVersion) -> None:
    rulebook = Rulebook(adoption.rulebook.stage_map, journey.rulebook.policy)
    journey.apply_stage_map(rulebook, adoption.at, adoption.activation)


async def _steps(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    stored: StoredRelationship,
    changes: Sequence[PolicyChange],
) -> tuple[Sequence[PolicyChangeStep], Sequence[Event] | None]:
    """What is left for a customer to go through; and their events, where other calls than before are long ones.

    Whoever was written since a change was decided by it then: as of that instant things may be known that were not,
    so they are decided as of when it ended, or now.
    """
    policies = [*(change.former for change in changes), transaction.context.rulebook.policy][1:]
    steps = [
        PolicyChangeStep(change, policy, change.at)
        for change, policy in zip(changes, policies, strict=True)
        if stored.id > change.beyond
    ]
    calls = None
    if any(s.policy.scoring.long_call_seconds != s.change.former.scoring.long_call_seconds for s in steps):
        calls = await uow.events.of(stored.id, stored.relationship.customer_id, until=LATEST)
    written = stored.updated_at
    since = [place for place, step in enumerate(steps) if written is not None and step.change.clock < written]
    if since:
        last, *later = steps[since[-1] :]
        steps = [
            PolicyChangeStep(last.change, last.policy, later[0].at if later else transaction.now),
            *later,
        ]
    return steps, calls


def _with_calls(facts: Facts, calls: Sequence[Event], policy: CompanyPolicy) -> Facts:
    folded = NO_FACTS
    for event in calls:
        folded = fold(folded, event, policy)
    return facts._replace(long_calls=folded.long_calls)
