"""Company settings: reads and replaces the policy as a whole.

The change is one short exclusive transaction. A job then migrates the affected customers. There is at most one such
job: a change made while it runs is added to it, and the job starts again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import partial
from hashlib import sha256
from typing import Final

import orjson

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.companies.errors import StaleSettingsError
from journey_service.domain.companies.policy import CompanyPolicy, ScoringPolicy
from journey_service.domain.companies.policy_parsing import policy_to_json
from journey_service.domain.errors import FieldError, InvalidInputError, RetriesExhaustedError
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.operations.records import Job
from journey_service.domain.simulation.linter import FindingSeverity, LinterFinding
from journey_service.domain.stages.errors import StaleMapError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.access.audit import record_operator_access
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.jobs import (
    LEASE_SECONDS,
    MAX_INLINE_CUSTOMERS,
    InlineJob,
    enqueue_job,
    new_token,
    run_exclusive,
    run_inline,
)
from journey_service.services.journeys.policy_rollout import (
    APPLY_SETTINGS_JOB,
    PolicyChange,
    apply_to_all,
    pending_changes,
)
from journey_service.services.stages.linting import lint_rulebook

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class PolicyUpdate:
    """A requested policy and its author.

    `seen` holds the accepted tags of the policy in force; None: any policy is replaced.
    """

    policy: CompanyPolicy
    author: Actor
    seen: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class PolicyChangeResult:
    """Result of a policy change: the policy, the names of the changed fields, and the linter's findings.

    `job` migrates the customers; None if no customer is affected.
    """

    policy: CompanyPolicy
    names: Sequence[str]
    findings: Sequence[LinterFinding]
    job: Job | None


async def get_policy(database: Database, company_id: int) -> CompanyPolicy:
    """Returns the policy in force. Raises CompanyNotFoundError."""
    return (await get_company_context(database, company_id)).rulebook.policy


def tag_of(policy: CompanyPolicy) -> str:
    """Returns the entity tag of a policy: a hash of its content."""
    content = orjson.dumps(policy_to_json(policy), option=orjson.OPT_SORT_KEYS)
    return sha256(content).hexdigest()[:32]


async def change_policy(
    database: Database, company_id: int, update: PolicyUpdate, *, lease_seconds: float = LEASE_SECONDS
) -> PolicyChangeResult:
    """Puts a policy in force, and migrates the customers if it can change decisions or scores.

    Few customers are migrated before this returns; for many, a job is enqueued for the worker.

    Raises StaleSettingsError, and InvalidInputError if the stage map has linter errors with the policy.
    """
    for _ in range(_ATTEMPTS):
        context = await get_company_context(database, company_id)
        findings = await _lint(context, update.policy)
        if context.rulebook.policy == update.policy:
            _check_seen(context, update)
            await record_operator_access(database, company_id, "replace_settings", by=update.author)
            return PolicyChangeResult(update.policy, (), findings, None)
        activate_policy = partial(
            _activate_policy,
            update=update,
            map_version=context.company.map_version,
            findings=findings,
            lease_seconds=lease_seconds,
        )
        try:
            names, inline_job = await run_exclusive(database, company_id, activate_policy)
        except StaleMapError:
            continue  # the linted map is no longer in force: lint the current one
        job = None
        if inline_job is not None:
            job = await run_inline(
                database, company_id, inline_job, apply_to_all, lease_seconds=lease_seconds
            )
        return PolicyChangeResult(update.policy, names, findings, job)
    raise RetriesExhaustedError


async def _lint(context: CompanyContext, policy: CompanyPolicy) -> Sequence[LinterFinding]:
    stage_map = context.rulebook.stage_map
    pointers = {stage.key: f"/stages/{index}" for index, stage in enumerate(stage_map.stages)}
    return await lint_rulebook(Rulebook(stage_map, policy), pointers)


def _check_seen(context: CompanyContext, update: PolicyUpdate) -> None:
    policy = context.rulebook.policy
    is_stale = update.seen is not None and tag_of(policy) not in update.seen
    if is_stale or update.policy.currency != policy.currency:
        raise StaleSettingsError


def _differences(former: CompanyPolicy, policy: CompanyPolicy) -> list[str]:
    """Returns the names of the fields in which two policies differ."""
    names = [f.name for f in fields(CompanyPolicy) if f.name not in ("scoring", "currency")]
    return [
        *(
            f"scoring.{f.name}"
            for f in fields(ScoringPolicy)
            if getattr(former.scoring, f.name) != getattr(policy.scoring, f.name)
        ),
        *(name for name in names if getattr(former, name) != getattr(policy, name)),
    ]


async def _activate_policy(
    uow: UnitOfWork,
    *,
    update: PolicyUpdate,
    map_version: int,
    findings: Sequence[LinterFinding],
    lease_seconds: float,
) -> tuple[Sequence[str], InlineJob | None]:
    """Writes the policy; returns the names of the changed fields, and the migration job, if any."""
    context = await uow.companies.get_context()
    _check_seen(context, update)
    if context.company.map_version != map_version:
        raise StaleMapError(context.company.map_version)
    former, policy = context.rulebook.policy, update.policy
    if former == policy:
        return (), None
    _check_findings(findings, former, policy)
    names = _differences(former, policy)
    await uow.companies.set_policy(policy)
    first = (await uow.snapshots.get_bounds()).first
    if former.revenue_source != policy.revenue_source and first is not None:
        await uow.snapshots.mark_dirty(first)  # the new source of revenue applies to all days
    before, after = policy_to_json(former), policy_to_json(policy)
    entry = AuditEntry("settings.update", detail={"changed": names}, before=before, after=after)
    await uow.audit_log.record(update.author, entry)
    if _deciding_settings(former) == _deciding_settings(policy):
        return names, None
    return names, await _enqueue_migration(uow, context, update.author, lease_seconds)


def _check_findings(findings: Sequence[LinterFinding], former: CompanyPolicy, policy: CompanyPolicy) -> None:
    """Refuses a policy with which the map has errors, if the changed settings can be the reason."""
    errors = [finding.message for finding in findings if finding.severity is FindingSeverity.ERROR]
    is_linted = (former.scoring, former.revenue_source) != (policy.scoring, policy.revenue_source)
    if is_linted and errors:
        pointer = "/revenue_source" if former.scoring == policy.scoring else "/scoring"
        raise InvalidInputError([FieldError(pointer, message) for message in errors])


def _deciding_settings(policy: CompanyPolicy) -> tuple[object, ...]:
    """Returns the settings on which decisions and scores depend."""
    return (
        policy.scoring,
        policy.revenue_source,
        policy.open_booking_pauses_risk,
        policy.open_booking_max_days,
        policy.usual_gap_days,
    )


async def _enqueue_migration(
    uow: UnitOfWork, context: CompanyContext, author: Actor, lease_seconds: float
) -> InlineJob | None:
    """Enqueues the migration job, or adds the change to the unfinished one. None without customers.

    The transaction is exclusive, so no page of the unfinished job runs, and its cursor is final.
    """
    customers = await uow.relationships.count()
    if not customers:
        return None
    is_inline = customers <= MAX_INLINE_CUSTOMERS
    change = PolicyChange(context.now, context.clock, context.company.map_version, context.rulebook.policy)
    job_id = await uow.jobs.find_unfinished(APPLY_SETTINGS_JOB)
    if job_id is None:
        parameters = {"changes": [change.to_json()]}
        return await enqueue_job(
            uow,
            APPLY_SETTINGS_JOB,
            parameters,
            actor=author.name,
            is_inline=is_inline,
            lease_seconds=lease_seconds,
        )
    token = new_token() if is_inline else None
    return await _extend_migration(uow, job_id, change, token, lease_seconds)


async def _extend_migration(
    uow: UnitOfWork, job_id: int, change: PolicyChange, token: str | None, lease_seconds: float
) -> InlineJob:
    """Adds a change to the unfinished migration job, which starts again."""
    unfinished = await uow.jobs.find(job_id)
    assert unfinished is not None  # jobs are not deleted
    changes = [*pending_changes(unfinished), change.to_json()]
    await uow.jobs.restart(job_id, {"changes": changes})
    if token is not None:
        await uow.jobs.claim(job_id, token, lease_seconds)
    job = await uow.jobs.find(job_id)
    assert job is not None  # jobs are not deleted
    return InlineJob(job, token)
