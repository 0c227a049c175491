"""The company's settings: its policy, read and replaced as a whole.

The switch is one short transaction in which no other of the company runs. Whom it concerns a job takes over, of which
there is one at most: a change that finds one under way is carried through by it as well, after those it was about.
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
from journey_service.domain.companies.errors import StalePolicyError
from journey_service.domain.companies.policy import CompanyPolicy, ScoringPolicy, policy_to_json
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
    INLINE_TIMEOUT_SECONDS,
    LEASE_SECONDS,
    MAX_INLINE_CUSTOMERS,
    InlineJob,
    enqueue_job,
    new_token,
    run_exclusive,
    run_inline,
)
from journey_service.services.journeys.policy_rollout import (
    APPLY,
    PolicyChange,
    apply_to_all,
    pending_changes,
)
from journey_service.services.stages.linting import lint_rulebook

_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class PolicyUpdate:
    """A policy asked for, and by whom.

    `seen` are the tags of which the policy in force has to bear one; None: whichever is in force is replaced.
    """

    policy: CompanyPolicy
    author: Actor
    seen: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class PolicyChangeResult:
    """A policy in force, the names of what it has otherwise than the former one, and what the linter says of the map.

    `job` takes the customers over to it; None: it concerns nobody.
    """

    policy: CompanyPolicy
    names: Sequence[str]
    findings: Sequence[LinterFinding]
    job: Job | None


async def get_policy(database: Database, company_id: int) -> CompanyPolicy:
    """The policy in force. Raises CompanyNotFoundError."""
    return (await get_company_context(database, company_id)).rulebook.policy


def tag_of(policy: CompanyPolicy) -> str:
    """What tells a policy from every other one: equal for equal content."""
    content = orjson.dumps(policy_to_json(policy), option=orjson.OPT_SORT_KEYS)
    return sha256(content).hexdigest()[:32]


async def change_policy(
    database: Database, company_id: int, update: PolicyUpdate, *, lease_seconds: float = LEASE_SECONDS
) -> PolicyChangeResult:
    """Put a policy in force, and take everybody over to it who may be decided or scored otherwise.

    With few customers they have gone over when this returns; with many, a job has been queued for the worker.
    Raises StalePolicyError, and InvalidInputError when the map would not pass the linter with it.
    """
    for _ in range(_TRIES):
        context = await get_company_context(database, company_id)
        findings = await _look_over(context, update.policy)
        if context.rulebook.policy == update.policy:
            _check_seen(context, update)
            await record_operator_access(database, company_id, "put_settings", by=update.author)
            return PolicyChangeResult(update.policy, (), findings, None)
        switch = partial(
            _switch,
            update=update,
            map_version=context.company.map_version,
            findings=findings,
            lease_seconds=lease_seconds,
        )
        try:
            names, inline_job = await run_exclusive(database, company_id, switch)
        except StaleMapError:
            continue  # the map that was looked over is in force no more
        job = None
        if inline_job is not None:
            job = await run_inline(
                database,
                company_id,
                inline_job,
                apply_to_all,
                lease_seconds=lease_seconds,
                timeout_seconds=INLINE_TIMEOUT_SECONDS,
            )
        return PolicyChangeResult(update.policy, names, findings, job)
    raise RetriesExhaustedError


async def _look_over(context: CompanyContext, policy: CompanyPolicy) -> Sequence[LinterFinding]:
    stage_map = context.rulebook.stage_map
    places = {stage.key: f"/stages/{index}" for index, stage in enumerate(stage_map.stages)}
    return await lint_rulebook(Rulebook(stage_map, policy), places)


def _check_seen(context: CompanyContext, update: PolicyUpdate) -> None:
    if update.seen is not None and tag_of(context.rulebook.policy) not in update.seen:
        raise StalePolicyError


def _differences(former: CompanyPolicy, policy: CompanyPolicy) -> list[str]:
    """The names of what two policies have differently."""
    names = [f.name for f in fields(CompanyPolicy) if f.name != "scoring"]
    return [
        *(
            f"scoring.{f.name}"
            for f in fields(ScoringPolicy)
            if getattr(former.scoring, f.name) != getattr(policy.scoring, f.name)
        ),
        *(name for name in names if getattr(former, name) != getattr(policy, name)),
    ]


async def _switch(
    uow: UnitOfWork,
    *,
    update: PolicyUpdate,
    map_version: int,
    findings: Sequence[LinterFinding],
    lease_seconds: float,
) -> tuple[Sequence[str], InlineJob | None]:
    """Write the policy; returns what it has otherwise than the former one, and the job for the customers, if any."""
    context = await uow.companies.get_context()
    _check_seen(context, update)
    if context.company.map_version != map_version:
        raise StaleMapError(context.company.map_version)
    former, policy = context.rulebook.policy, update.policy
    if former == policy:
        return (), None
    decides_otherwise = (former.scoring, former.revenue_source) != (policy.scoring, policy.revenue_source)
    faults = [finding.message for finding in findings if finding.severity is FindingSeverity.ERROR]
    if decides_otherwise and faults:
        pointer = "/revenue_source" if former.scoring == policy.scoring else "/scoring"
        raise InvalidInputError([FieldError(pointer, message) for message in faults])
    names = _differences(former, policy)
    await uow.companies.set_policy(policy)
    first = (await uow.snapshots.get_bounds()).first
    if former.revenue_source != policy.revenue_source and first is not None:
        await uow.snapshots.mark_dirty(first)  # what is revenue now was revenue on every day
    await uow.audit_log.record(
        update.author,
        AuditEntry(
            "settings.write",
            detail={"changed": names},
            before=policy_to_json(former),
            after=policy_to_json(policy),
        ),
    )
    return names, await _queue(uow, context, update.author, lease_seconds) if decides_otherwise else None


async def _queue(
    uow: UnitOfWork, context: CompanyContext, author: Actor, lease_seconds: float
) -> InlineJob | None:
    """The job that takes everybody over; the one under way, if there is one, from the beginning. None: nobody is there.

    As the transaction is alone, no page of that one is being done: where it is, is where it was left.
    """
    customers = await uow.relationships.count()
    if not customers:
        return None
    is_inline = customers <= MAX_INLINE_CUSTOMERS
    change = PolicyChange(context.now, context.clock, context.company.map_version, context.rulebook.policy)
    under_way = await uow.jobs.find_unfinished(APPLY)
    if under_way is None:
        parameters = {"changes": [change.to_json()]}
        return await enqueue_job(
            uow,
            APPLY,
            parameters,
            actor=author.name,
            is_inline=is_inline,
            lease_seconds=lease_seconds,
        )
    begun = await uow.jobs.find(under_way)
    assert begun is not None  # noqa: S101  # jobs are not deleted
    changes = [*pending_changes(begun), change.to_json()]
    await uow.jobs.restart(under_way, {"changes": changes})
    token = new_token() if is_inline else None
    if token is not None:
        await uow.jobs.claim(under_way, token, lease_seconds)
    job = await uow.jobs.find(under_way)
    assert job is not None  # noqa: S101  # likewise
    return InlineJob(job, token)
