"""Stage maps: reads and compares versions, activates changes of the map or of single stages."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.rollups import reached_by
from journey_service.domain.companies.errors import StaleSettingsError
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.errors import RetriesExhaustedError
from journey_service.domain.journeys.records import MapVersion
from journey_service.domain.journeys.relationship import Activation, Rulebook
from journey_service.domain.operations.records import Job
from journey_service.domain.simulation.linter import LinterFinding
from journey_service.domain.stages.changes import MapDiff, MapDraft, diff
from journey_service.domain.stages.errors import (
    MapVersionNotFoundError,
    RolloutPendingError,
    StageInUseError,
    StaleMapError,
)
from journey_service.domain.stages.parsing import stage_map_to_json
from journey_service.domain.stages.stage_map import StageMap
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import enqueue_rollup_rebuild
from journey_service.services.jobs import (
    LEASE_SECONDS,
    MAX_INLINE_CUSTOMERS,
    InlineJob,
    enqueue_job,
    run_exclusive,
    run_inline,
)
from journey_service.services.journeys.stage_map_rollout import ROLL_OUT_STAGE_MAP_JOB, migrate_all
from journey_service.services.stages.linting import findings_to_json, lint_or_raise, lint_rulebook

MapEdit = Callable[[StageMap], MapDraft]
"""Builds the draft of the next version from the current map."""
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class MapView:
    """A version of the company's stage map with its metadata; `is_current`: it is in force."""

    stage_map: StageMap
    version: MapVersion
    is_current: bool


@dataclass(frozen=True, slots=True)
class MapChangeRequest:
    """A requested change: its activation, author and notes.

    `based_on` is the version that the author has read; None: any current version.
    """

    based_on: int | None
    activation: Activation
    author: Actor
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class MapChangeResult:
    """Result of a change: the map in force, and the migration job (None: no customer is affected)."""

    view: MapView
    job: Job | None


async def get_map(database: Database, company_id: int, version: int | None = None) -> MapView:
    """Returns the map in force, or `version`. Raises CompanyNotFoundError, MapVersionNotFoundError."""

    async def unit(uow: UnitOfWork) -> MapView:
        return await _view(uow, await uow.companies.get_context(), version)

    return await database.run(company_id, unit)


async def list_versions(
    database: Database, company_id: int, *, before: int | None, limit: int
) -> Sequence[MapVersion]:
    """Returns a page of versions, newest first. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[MapVersion]:
        await uow.companies.get_context()
        return await uow.stage_maps.page(before=before, limit=limit)

    return await database.run(company_id, unit)


async def diff_versions(database: Database, company_id: int, version: int, since: int) -> MapDiff:
    """Returns the differences from version `since` to `version`. Raises MapVersionNotFoundError."""

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
    """Activates the next version of the map, and migrates the affected customers.

    The activation is one short exclusive transaction. Few customers are migrated before this returns; for many, a job
    is enqueued for the worker.

    Raises StaleMapError if the current version is not the one the change is based on, StageInUseError,
    RolloutPendingError, InvalidInputError with every error of the map and of the linter, and the errors of the edit.
    """
    for _ in range(_ATTEMPTS):
        draft, rulebook = await _build(database, company_id, edit, request.based_on)
        findings = await lint_or_raise(rulebook, draft.pointers)
        activate_version = partial(
            _activate,
            draft=draft,
            findings=findings,
            policy=rulebook.policy,
            request=request,
            lease_seconds=lease_seconds,
        )
        try:
            inline_job = await run_exclusive(database, company_id, activate_version)
        except StaleSettingsError:
            continue  # linted with a policy that is no longer in force: lint again
        except StaleMapError:
            if request.based_on is not None:
                raise
            continue  # any version is accepted: apply the edit to the current one
        job = None
        if inline_job is not None:
            job = await run_inline(database, company_id, inline_job, migrate_all, lease_seconds=lease_seconds)
        return MapChangeResult(await get_map(database, company_id, draft.stage_map.version), job)
    raise RetriesExhaustedError


async def lint_draft(
    database: Database, company_id: int, edit: MapEdit, *, based_on: int | None
) -> Sequence[LinterFinding]:
    """Returns all lint findings of a draft. Raises StaleMapError, InvalidInputError."""
    draft, rulebook = await _build(database, company_id, edit, based_on)
    return await lint_rulebook(rulebook, draft.pointers)


async def build_draft(
    database: Database, company_id: int, edit: MapEdit, *, based_on: int | None
) -> tuple[MapDraft, Sequence[LinterFinding]]:
    """Returns the draft that an edit builds, and the linter's warnings.

    Raises StaleMapError, InvalidInputError, also for errors of the linter, and the errors of the edit.
    """
    draft, rulebook = await _build(database, company_id, edit, based_on)
    return draft, await lint_or_raise(rulebook, draft.pointers)


async def _build(
    database: Database, company_id: int, edit: MapEdit, based_on: int | None
) -> tuple[MapDraft, Rulebook]:
    """Returns the draft that an edit builds from the current map, and its rulebook."""
    context = await database.run(company_id, lambda uow: uow.companies.get_context())
    _check_version(context, based_on)
    draft = edit(context.rulebook.stage_map)
    return draft, Rulebook(draft.stage_map, context.rulebook.policy)


async def check_archived_stages(uow: UnitOfWork, context: CompanyContext, draft: MapDraft) -> dict[str, int]:
    """Returns the numbers of customers in the archived stages of a draft, by stage.

    Raises StageInUseError if such a stage has no successor, and RolloutPendingError if an earlier migration can
    still move customers into an archived stage without a successor.
    """
    draft_map = draft.stage_map
    archived = [stage.key for stage in draft_map.stages if not stage.is_active]
    occupied = await uow.stage_maps.count_by_stage(archived) if archived else {}
    without_successor = {key: number for key, number in occupied.items() if draft_map.find(key) is None}
    if without_successor:
        raise StageInUseError(without_successor)
    newly_archived = [key for key in draft.archived if draft_map.find(key) is None]
    if newly_archived and context.company.migrated_version < context.company.map_version:
        raise RolloutPendingError(context.company.map_version, newly_archived)
    return occupied


def _check_version(context: CompanyContext, based_on: int | None) -> None:
    if based_on is not None and based_on != context.company.map_version:
        raise StaleMapError(context.company.map_version)


async def _activate(
    uow: UnitOfWork,
    *,
    draft: MapDraft,
    findings: Sequence[LinterFinding],
    policy: CompanyPolicy,
    request: MapChangeRequest,
    lease_seconds: float,
) -> InlineJob | None:
    """Writes and activates the version; returns the migration job, None if no customer is affected.

    Raises StaleMapError, and StaleSettingsError if the map was linted with another policy.
    """
    context, draft_map = await uow.companies.get_context(), draft.stage_map
    _check_version(context, draft_map.version - 1)
    if context.rulebook.policy != policy:
        raise StaleSettingsError
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
    await _update_rollups(uow, context, draft_map, request.author)
    await _record_change(uow, context.rulebook.stage_map, draft_map, request)
    return await _enqueue_rollout(uow, context, draft_map, occupied, request, lease_seconds)


async def _record_change(
    uow: UnitOfWork, former: StageMap, draft_map: StageMap, request: MapChangeRequest
) -> None:
    await uow.audit_log.record(
        request.author,
        AuditEntry(
            "stage_map.update",
            target=f"stage-map:{draft_map.version}",
            detail={"activation": request.activation},
            before=stage_map_to_json(former),
            after=stage_map_to_json(draft_map),
        ),
    )


async def _update_rollups(
    uow: UnitOfWork, context: CompanyContext, draft_map: StageMap, author: Actor
) -> None:
    """Rebuilds the rollups, now or in a job, if stages are reached in another order than before."""
    is_counted = context.company.rollup_version == context.company.map_version
    if is_counted and reached_by(draft_map) == reached_by(context.rulebook.stage_map):
        await uow.rollups.set_version(draft_map.version)
    elif await uow.relationships.count() <= MAX_INLINE_CUSTOMERS:
        await uow.rollups.rebuild(draft_map.version, context.company.zone, reached_by(draft_map))
    else:
        await enqueue_rollup_rebuild(uow, actor=author)


async def _enqueue_rollout(
    uow: UnitOfWork,
    context: CompanyContext,
    draft_map: StageMap,
    occupied: Collection[str],
    request: MapChangeRequest,
    lease_seconds: float,
) -> InlineJob | None:
    affected_stages = None
    if (
        request.activation is Activation.FUTURE_ONLY
        and context.company.migrated_version >= draft_map.version - 1
    ):
        # Affected are customers in archived stages, and overdue customers, who are decided by the former rules.
        affected_stages = sorted(occupied)
        affected = await uow.stage_maps.count_affected(affected_stages, context.now)
        if not affected:
            await uow.stage_maps.set_migrated_version(draft_map.version)
            return None
    else:
        affected = await uow.relationships.count()
    parameters = {"version": draft_map.version, "stages": affected_stages, "due": context.now.isoformat()}
    return await enqueue_job(
        uow,
        ROLL_OUT_STAGE_MAP_JOB,
        parameters,
        actor=request.author.name,
        is_inline=affected <= MAX_INLINE_CUSTOMERS,
        lease_seconds=lease_seconds,
    )


async def _view(uow: UnitOfWork, context: CompanyContext, version: int | None) -> MapView:
    current = context.company.map_version
    number = current if version is None else version
    metadata = await uow.stage_maps.find(number)
    if metadata is None:
        raise MapVersionNotFoundError(number)
    return MapView(
        await uow.stage_maps.get(number, context.rulebook.policy.currency), metadata, number == current
    )
