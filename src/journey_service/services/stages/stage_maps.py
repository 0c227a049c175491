"""The company's stage map: read, changed as a whole or stage by stage, put in force; its versions and their diff."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.rollups import reached_by
from journey_service.domain.companies.errors import StalePolicyError
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.errors import RetriesExhaustedError
from journey_service.domain.journeys.records import MapVersion
from journey_service.domain.journeys.relationship import Activation, Rulebook
from journey_service.domain.operations.records import Job
from journey_service.domain.simulation.linter import LinterFinding
from journey_service.domain.stages.changes import MapDiff, MapDraft, diff
from journey_service.domain.stages.errors import (
    AdoptionPendingError,
    MapVersionNotFoundError,
    StageOccupiedError,
    StaleMapError,
)
from journey_service.domain.stages.stage_map import StageMap, stage_map_to_json
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import enqueue_rollup_rebuild
from journey_service.services.jobs import (
    INLINE_TIMEOUT_SECONDS,
    LEASE_SECONDS,
    MAX_INLINE_CUSTOMERS,
    InlineJob,
    enqueue_job,
    run_exclusive,
    run_inline,
)
from journey_service.services.journeys.stage_map_rollout import ADOPT, adopt_all
from journey_service.services.stages.linting import findings_to_json, lint_or_raise, lint_rulebook

MapEdit = Callable[[StageMap], MapDraft]
"""What makes the next version of a map out of the one in force."""
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class MapView:
    """A version of the company's map, and what is known of it; `is_current`: it is in force."""

    stage_map: StageMap
    version: MapVersion
    is_current: bool


@dataclass(frozen=True, slots=True)
class MapChangeRequest:
    """A change asked for: for whom it is to count, who asks, and what they say of it.

    `based_on` is the version that was seen; None: whichever is in force.
    """

    based_on: int | None
    activation: Activation
    author: Actor
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class MapChangeResult:
    """A map put in force, and the job that has taken the customers concerned over to it (None: nobody was)."""

    view: MapView
    job: Job | None


async def get_map(database: Database, company_id: int, version: int | None = None) -> MapView:
    """The map in force, or an earlier version. Raises CompanyNotFoundError, MapVersionNotFoundError."""

    async def unit(uow: UnitOfWork) -> MapView:
        return await _view(uow, await uow.companies.get_context(), version)

    return await database.run(company_id, unit)


async def list_versions(
    database: Database, company_id: int, *, before: int | None, limit: int
) -> Sequence[MapVersion]:
    """Versions of the map, newest first. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[MapVersion]:
        await uow.companies.get_context()
        return await uow.stage_maps.page(before=before, limit=limit)

    return await database.run(company_id, unit)


async def diff_versions(database: Database, company_id: int, version: int, since: int) -> MapDiff:
    """What leads from one version to another. Raises MapVersionNotFoundError."""

    async def unit(uow: UnitOfWork) -> MapDiff:
        context = await uow.companies.get_context()
        before, after = await _view(uow, context, since), await _view(uow, context, version)
        return diff(before.stage_map, after.stage_map)

    return await database.run(company_id, unit)


async def change_map(
    database: Database,
    company_id: int,
    edit: MapEdit,
    request: MapChangeRequest,
    *,
    lease_seconds: float = LEASE_SECONDS,
) -> MapChangeResult:
    """Put the next version of the map in force, and take the customers over whom it concerns.

    The switch is one short transaction in which no other of the company runs. With few customers they have gone
    over when this returns; with many, a job has been queued for the worker. Raises StaleMapError when the map is
    not at the version the change is based on, StageOccupiedError, InvalidInputError with the place of every fault
    and of every error of the linter, and whatever the edit raises.
    """
    for _ in range(_TRIES):
        draft, rulebook = await _drawn(database, company_id, edit, request.based_on)
        findings = await lint_or_raise(rulebook, draft.pointers)

        async def switch(
            uow: UnitOfWork,
            draft: MapDraft = draft,
            findings: Sequence[LinterFinding] = findings,
            policy: CompanyPolicy = rulebook.policy,
        ) -> InlineJob | None:
            context = await uow.companies.get_context()
            _check_fresh(context, draft.stage_map.version - 1)
            if context.rulebook.policy != policy:
                raise StalePolicyError
            return await _put_in_force(uow, context, draft, findings, request, lease_seconds)

        try:
            inline_job = await run_exclusive(database, company_id, switch)
        except StalePolicyError:
            continue  # looked over with a policy that is in force no more
        except StaleMapError:
            if request.based_on is not None:
                raise
            continue  # asked for whatever is in force: then for what is in force now
        job = None
        if inline_job is not None:
            job = await run_inline(
                database,
                company_id,
                inline_job,
                adopt_all,
                lease_seconds=lease_seconds,
                timeout_seconds=INLINE_TIMEOUT_SECONDS,
            )
        return MapChangeResult(await get_map(database, company_id, draft.stage_map.version), job)
    raise RetriesExhaustedError


async def lint_draft(
    database: Database, company_id: int, edit: MapEdit, *, based_on: int | None
) -> Sequence[LinterFinding]:
    """All that the linter has to say of a draft. Raises StaleMapError, InvalidInputError for faults."""
    draft, rulebook = await _drawn(database, company_id, edit, based_on)
    return await lint_rulebook(rulebook, draft.pointers)


async def build_draft(
    database: Database, company_id: int, edit: MapEdit, *, based_on: int | None
) -> tuple[MapDraft, Sequence[LinterFinding]]:
    """The draft an edit makes, and the linter's warnings.

    Raises StaleMapError, InvalidInputError for faults and for the linter's errors, and whatever the edit raises.
    """
    draft, rulebook = await _drawn(database, company_id, edit, based_on)
    return draft, await lint_or_raise(rulebook, draft.pointers)


async def _drawn(
    database: Database, company_id: int, edit: MapEdit, based_on: int | None
) -> tuple[MapDraft, Rulebook]:
    """The draft an edit makes of the map in force, and the rulebook the company would have with it."""
    context = await database.run(company_id, lambda uow: uow.companies.get_context())
    _check_fresh(context, based_on)
    draft = edit(context.rulebook.stage_map)
    return draft, Rulebook(draft.stage_map, context.rulebook.policy)


async def check_archived_stages(uow: UnitOfWork, context: CompanyContext, draft: MapDraft) -> dict[str, int]:
    """How many customers are in the stages that a draft has archived, by stage.

    Raises StageOccupiedError when it does not say where they go, and AdoptionPendingError when it does not while
    customers may be on their way there.
    """
    draft_map = draft.stage_map
    archived = [stage.key for stage in draft_map.stages if not stage.is_active]
    occupied = await uow.stage_maps.count_by_stage(archived) if archived else {}
    homeless = {key: number for key, number in occupied.items() if draft_map.find(key) is None}
    if homeless:
        raise StageOccupiedError(homeless)
    leading_nowhere = [key for key in draft.archived if draft_map.find(key) is None]
    if leading_nowhere and context.company.adopted_version < context.company.map_version:
        raise AdoptionPendingError(context.company.map_version, leading_nowhere)
    return occupied


def _check_fresh(context: CompanyContext, based_on: int | None) -> None:
    if based_on is not None and based_on != context.company.map_version:
        raise StaleMapError(context.company.map_version)


async def _put_in_force(
    uow: UnitOfWork,
    context: CompanyContext,
    draft: MapDraft,
    findings: Sequence[LinterFinding],
    request: MapChangeRequest,
    lease_seconds: float,
) -> InlineJob | None:
    """Write the version and put it in force; the job for the customers it concerns, None if there are none."""
    draft_map = draft.stage_map
    occupied = await check_archived_stages(uow, context, draft)
    await uow.stage_maps.insert(
        draft_map,
        author=request.author.name,
        findings=findings_to_json(findings),
        activated_at=context.now,
        activation=request.activation,
        notes=request.notes,
    )
    await uow.stage_maps.activate(draft_map.version)
    # Stages that are reached in another order than before are counted anew.
    is_counted = context.company.rollup_version == context.company.map_version
    if is_counted and reached_by(draft_map) == reached_by(context.rulebook.stage_map):
        await uow.rollups.set_version(draft_map.version)
    elif await uow.relationships.count() <= MAX_INLINE_CUSTOMERS:
        await uow.rollups.rebuild(draft_map.version, context.company.timezone, reached_by(draft_map))
    else:
        await enqueue_rollup_rebuild(uow, actor=request.author)
    await uow.audit_log.record(
        request.author,
        AuditEntry(
            "stages.change",
            target=f"stage-map:{draft_map.version}",
            detail={"activation": request.activation},
            before=stage_map_to_json(context.rulebook.stage_map),
            after=stage_map_to_json(draft_map),
        ),
    )
    stages = None
    if (
        request.activation is Activation.FUTURE_ONLY
        and context.company.adopted_version >= draft_map.version - 1
    ):
        # It concerns those whose stage is archived, and those whom the former rules were about to move.
        stages = sorted(occupied)
        concerned = await uow.stage_maps.count_affected(stages, context.now)
        if not concerned:
            await uow.stage_maps.set_adopted_version(draft_map.version)
            return None
    else:
        concerned = await uow.relationships.count()
    parameters = {"version": draft_map.version, "stages": stages, "due": context.now.isoformat()}
    return await enqueue_job(
        uow,
        ADOPT,
        parameters,
        actor=request.author.name,
        is_inline=concerned <= MAX_INLINE_CUSTOMERS,
        lease_seconds=lease_seconds,
    )


async def _view(uow: UnitOfWork, context: CompanyContext, version: int | None) -> MapView:
    current = context.company.map_version
    wanted = current if version is None else version
    found = await uow.stage_maps.find(wanted)
    if found is None:
        raise MapVersionNotFoundError(wanted)
    return MapView(await uow.stage_maps.get(wanted), found, wanted == current)
