"""Rollout of a new company policy to the customers, page by page.

The policy is in force at once for all customers. A page migrates its customers: decisions due before the change are
made by the former policy, then the customers are evaluated again as of the change, without actions. A customer who is
changed before the page is reached is evaluated with the new policy.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from journey_service.domain.companies.currencies import get_currency
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.events.event import LATEST, Event
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.facts import Facts, fold_facts
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.operations.records import Job
from journey_service.repositories.journeys.relationship_rows import StoredRelationship
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobRun, PageResult
from journey_service.services.journeys.map_history import PendingMapVersion
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

APPLY_SETTINGS_JOB: Final = "apply_settings"
BATCH_SIZE: Final = 200
"""Customers in one page of the job."""
CAUSE: Final = "policy"
_LOWEST: Final = 0


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One change of the policy, as stored in its job.

    `at` is its instant in the company's time, `clock` in the database's; `map_version` was in force then.
    Relationships with an id up to `beyond` have been migrated already.
    """

    at: datetime
    clock: datetime
    map_version: int
    former: CompanyPolicy
    beyond: int = _LOWEST

    def to_json(self, beyond: int | None = None) -> dict[str, object]:
        """Returns the change as parameters of a job."""
        return {
            "at": self.at.isoformat(),
            "clock": self.clock.isoformat(),
            "map_version": self.map_version,
            "former": policy_to_json(self.former),
            "currency": self.former.currency.code,
            "beyond": self.beyond if beyond is None else max(beyond, self.beyond),
        }

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "PolicyChange":
        """Reads a change from the parameters of a job."""
        at, clock = datetime.fromisoformat(raw["at"]), datetime.fromisoformat(raw["clock"])
        currency = get_currency(raw["currency"])
        former = parse_policy(raw["former"], currency=currency, is_stored=True)
        return cls(at, clock, raw["map_version"], former, raw["beyond"])


@dataclass(frozen=True, slots=True)
class PolicyChangeStep:
    """One policy change of one customer: the new policy, and the instant of the next decision."""

    change: PolicyChange
    policy: CompanyPolicy
    at: datetime


def pending_changes(job: Job) -> Iterator[dict[str, object]]:
    """Yields the changes of a job that customers have yet to be migrated to, with the progress of each."""
    cursor = job.cursor or {}
    if not cursor.get("ended"):
        for raw in job.parameters["changes"]:
            yield PolicyChange.of(raw).to_json(cursor.get("beyond", _LOWEST))


async def load_pending_changes(uow: UnitOfWork) -> Sequence[PolicyChange]:
    """Loads the changes that some customers have yet to be migrated to; usually none."""
    job_id = await uow.jobs.find_unfinished(APPLY_SETTINGS_JOB)
    job = None if job_id is None else await uow.jobs.find(job_id)
    return [] if job is None else [PolicyChange.of(raw) for raw in pending_changes(job)]


async def apply_to_all(run: JobRun) -> None:
    """Job handler: migrates every customer to the changed policy, by keyset."""
    changes = [PolicyChange.of(raw) for raw in run.job.parameters["changes"]]

    async def page(uow: UnitOfWork) -> PageResult:
        beyond = run.cursor.get("beyond", _LOWEST)
        # By relationship id: a customer's id changes when the customer is erased.
        histories = await uow.event_histories.page(beyond, limit=BATCH_SIZE, until=LATEST, known_until=LATEST)
        if not histories:
            await uow.companies.set_scored(changes[-1].at)
            # Customers may have been added meanwhile: the final total is the number of customers migrated.
            return PageResult({"beyond": beyond, "ended": True}, total=run.counts.get("evaluated", 0))
        total = await uow.relationships.count() if beyond == _LOWEST else None
        transaction = await load(uow, [history.customer_id for history in histories])
        if len(transaction.relationships) < len(histories):
            return PageResult({"beyond": beyond}, total=total)  # erased in between: retried with the new id
        counts = await _migrate_page(uow, transaction, changes)
        return PageResult({"beyond": histories[-1].id}, counts, done=len(histories), total=total)

    while not run.cursor.get("ended"):
        await run.page(page)


async def _migrate_page(
    uow: UnitOfWork, transaction: JourneyTransaction, changes: Sequence[PolicyChange]
) -> dict[str, int]:
    """Migrates locked customers, and writes those that changed."""
    policy = transaction.context.rulebook.policy
    moved = 0
    for customer_id, stored in transaction.relationships.items():
        before = copy(stored.relationship)
        journey = await migrate_journey(uow, transaction, stored, changes)
        moved += any(row.cause.kind == CAUSE for row in journey.new_transitions)
        facts = journey.relationship.facts
        at = max(journey.decided_at or transaction.now, *_scored(transaction, stored))
        scores = scoring.engagement(facts, policy, at), scoring.risk(facts, policy, at)
        lifetime_values = {facts.lifetime_cents(change.former) for change in changes}
        if (
            journey.new_transitions
            or journey.relationship != before
            or scores != (stored.engagement, stored.risk)
            or lifetime_values != {facts.lifetime_cents(policy)}
        ):
            transaction.journeys[customer_id] = journey
    await write(uow, transaction, as_decided=True)
    return {"evaluated": len(transaction.relationships), "moved": moved, "changed": len(transaction.journeys)}


def _scored(transaction: JourneyTransaction, stored: StoredRelationship) -> Iterator[datetime]:
    yield from (at for at in (stored.scored_at, transaction.context.company.scored_at) if at is not None)


async def migrate_journey(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    stored: StoredRelationship,
    changes: Sequence[PolicyChange],
) -> Journey:
    """Returns a customer's journey migrated to every newer map version and policy, in chronological order."""
    relationship, present = stored.relationship, transaction.context.rulebook
    version = max(relationship.map_version, transaction.map_history.migrated_version)
    maps = deque(
        pending for pending in transaction.map_history.pending if pending.rulebook.stage_map.version > version
    )
    stage_map = transaction.map_history.former[version].stage_map if maps else present.stage_map
    steps, calls = await _steps(uow, transaction, stored, changes)
    policy = steps[0].change.former if steps else present.policy
    journey = Journey(relationship, present._replace(stage_map=stage_map, policy=policy))
    for step in steps:
        while maps and maps[0].rulebook.stage_map.version <= step.change.map_version:
            _apply_map(journey, maps.popleft())
        journey.apply_policy(
            journey.rulebook._replace(policy=step.policy),
            step.change.at,
            at=step.at,
            facts=None if calls is None else _with_calls(relationship.facts, calls, step.policy),
        )
    for pending in maps:
        _apply_map(journey, pending)
    return journey


def _apply_map(journey: Journey, pending: PendingMapVersion) -> None:
    rulebook = journey.rulebook._replace(stage_map=pending.rulebook.stage_map)
    journey.apply_stage_map(rulebook, pending.at, pending.activation)


async def _steps(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    stored: StoredRelationship,
    changes: Sequence[PolicyChange],
) -> tuple[Sequence[PolicyChangeStep], Sequence[Event] | None]:
    """Returns a customer's pending changes, and the events if the threshold of long calls has changed.

    A customer written after a change was already evaluated with it. Events that arrived later
    may be dated before the change, so such a customer is evaluated again as of the next change, or as of now.
    """
    policies = [*(change.former for change in changes), transaction.context.rulebook.policy][1:]
    steps = [
        PolicyChangeStep(change, policy, change.at)
        for change, policy in zip(changes, policies, strict=True)
        if stored.id > change.beyond
    ]
    calls = None
    if any(s.policy.scoring.long_call_seconds != s.change.former.scoring.long_call_seconds for s in steps):
        calls = await uow.events.list_by_customer(stored.id, stored.relationship.customer_id)
    updated_at = stored.updated_at
    evaluated = [
        index for index, step in enumerate(steps) if updated_at is not None and step.change.clock < updated_at
    ]
    if evaluated:
        last, *later = steps[evaluated[-1] :]
        steps = [
            PolicyChangeStep(last.change, last.policy, later[0].at if later else transaction.now),
            *later,
        ]
    return steps, calls


def _with_calls(facts: Facts, calls: Sequence[Event], policy: CompanyPolicy) -> Facts:
    """Returns facts with long calls counted by a policy."""
    return facts._replace(long_calls=fold_facts(calls, policy).long_calls)
