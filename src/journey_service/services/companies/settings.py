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
from journey_service.domain.access.records import Act
from journey_service.domain.actions.company_context import Desk
from journey_service.domain.companies.errors import StalePolicyError
from journey_service.domain.companies.policy import CompanyPolicy, ScoringPolicy, policy_to_json
from journey_service.domain.errors import Fault, InvalidInputError, RacesLostError
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.operations.records import Job
from journey_service.domain.simulation.linter import Finding, Severity
from journey_service.domain.stages.errors import StaleMapError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.access.audit import note_presence
from journey_service.services.companies.provisioning import get_desk
from journey_service.services.jobs import (
    AT_ONCE,
    LEASE_SECONDS,
    PATIENCE_SECONDS,
    Errand,
    new_token,
    queue_errand,
    run_alone,
    run_errand,
)
from journey_service.services.journeys.policy_rollout import APPLY, Change, apply_to_all, left_of
from journey_service.services.stages.linting import look_over

_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """A policy asked for, and by whom.

    `seen` are the tags of which the policy in force has to bear one; None: whichever is in force is replaced.
    """

    policy: CompanyPolicy
    author: Actor
    seen: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A policy in force, the names of what it has otherwise than the former one, and what the linter says of the map.

    `job` takes the customers over to it; None: it concerns nobody.
    """

    policy: CompanyPolicy
    names: Sequence[str]
    findings: Sequence[Finding]
    job: Job | None


async def get_policy(database: Database, company_id: int) -> CompanyPolicy:
    """The policy in force. Raises CompanyNotFoundError."""
    return (await get_desk(database, company_id)).rulebook.policy


def tag_of(policy: CompanyPolicy) -> str:
    """What tells a policy from every other one: equal for equal content."""
    content = orjson.dumps(policy_to_json(policy), option=orjson.OPT_SORT_KEYS)
    return sha256(content).hexdigest()[:32]


async def change_policy(
    database: Database, company_id: int, wish: Wish, *, lease_seconds: float = LEASE_SECONDS
) -> Changed:
    """Put a policy in force, and take everybody over to it who may be decided or scored otherwise.

    With few customers they have gone over when this returns; with many, a job has been queued for the worker.
    Raises StalePolicyError, and InvalidInputError when the map would not pass the linter with it.
    """
    for _ in range(_TRIES):
        desk = await get_desk(database, company_id)
        findings = await _look_over(desk, wish.policy)
        if desk.rulebook.policy == wish.policy:
            _check_seen(desk, wish)
            await note_presence(database, company_id, "put_settings", by=wish.author)
            return Changed(wish.policy, (), findings, None)
        switch = partial(
            _switch,
            wish=wish,
            map_version=desk.company.map_version,
            findings=findings,
            lease_seconds=lease_seconds,
        )
        try:
            names, errand = await run_alone(database, company_id, switch)
        except StaleMapError:
            continue  # the map that was looked over is in force no more
        job = None
        if errand is not None:
            job = await run_errand(
                database,
                company_id,
                errand,
                apply_to_all,
                lease_seconds=lease_seconds,
                patience_seconds=PATIENCE_SECONDS,
            )
        return Changed(wish.policy, names, findings, job)
    raise RacesLostError


async def _look_over(desk: Desk, policy: CompanyPolicy) -> Sequence[Finding]:
    stage_map = desk.rulebook.stage_map
    places = {stage.key: f"/stages/{index}" for index, stage in enumerate(stage_map.stages)}
    return await look_over(Rulebook(stage_map, policy), places)


def _check_seen(desk: Desk, wish: Wish) -> None:
    if wish.seen is not None and tag_of(desk.rulebook.policy) not in wish.seen:
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
    work: Work, *, wish: Wish, map_version: int, findings: Sequence[Finding], lease_seconds: float
) -> tuple[Sequence[str], Errand | None]:
    """Write the policy; returns what it has otherwise than the former one, and the job for the customers, if any."""
    desk = await work.companies.desk()
    _check_seen(desk, wish)
    if desk.company.map_version != map_version:
        raise StaleMapError(desk.company.map_version)
    former, policy = desk.rulebook.policy, wish.policy
    if former == policy:
        return (), None
    decides_otherwise = (former.scoring, former.revenue_source) != (policy.scoring, policy.revenue_source)
    faults = [finding.message for finding in findings if finding.severity is Severity.ERROR]
    if decides_otherwise and faults:
        pointer = "/revenue_source" if former.scoring == policy.scoring else "/scoring"
        raise InvalidInputError([Fault(pointer, message) for message in faults])
    names = _differences(former, policy)
    await work.companies.set_policy(policy)
    first = (await work.metrics.bounds()).first
    if former.revenue_source != policy.revenue_source and first is not None:
        await work.metrics.mark(first)  # what is revenue now was revenue on every day
    await work.audit.record(
        wish.author,
        Act(
            "settings.write",
            detail={"changed": names},
            before=policy_to_json(former),
            after=policy_to_json(policy),
        ),
    )
    return names, await _queue(work, desk, wish.author, lease_seconds) if decides_otherwise else None


async def _queue(work: Work, desk: Desk, author: Actor, lease_seconds: float) -> Errand | None:
    """The job that takes everybody over; the one under way, if there is one, from the beginning. None: nobody is there.

    As the transaction is alone, no page of that one is being done: where it is, is where it was left.
    """
    customers = await work.relationships.count()
    if not customers:
        return None
    is_for_here = customers <= AT_ONCE
    change = Change(desk.now, desk.clock, desk.company.map_version, desk.rulebook.policy)
    under_way = await work.jobs.under_way(APPLY)
    if under_way is None:
        parameters = {"changes": [change.to_json()]}
        return await queue_errand(
            work,
            APPLY,
            parameters,
            actor=author.name,
            is_for_here=is_for_here,
            lease_seconds=lease_seconds,
        )
    begun = await work.jobs.find(under_way)
    assert begun is not None  # noqa: S101  # jobs are not deleted
    changes = [*left_of(begun), change.to_json()]
    await work.jobs.begin_again(under_way, {"changes": changes})
    token = new_token() if is_for_here else None
    if token is not None:
        await work.jobs.claim(under_way, token, lease_seconds)
    job = await work.jobs.find(under_way)
    assert job is not None  # noqa: S101  # likewise
    return Errand(job, token)
