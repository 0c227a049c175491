"""The company's stage map: read, changed as a whole or stage by stage, put in force; its versions and their diff."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import Act
from journey_service.domain.actions.company_context import Desk
from journey_service.domain.analytics.rollups import reached_by
from journey_service.domain.companies.errors import StalePolicyError
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.errors import RacesLostError
from journey_service.domain.journeys.records import MapVersion
from journey_service.domain.journeys.relationship import Activation, Rulebook
from journey_service.domain.operations.records import Job
from journey_service.domain.simulation.linter import Finding
from journey_service.domain.stages.changes import Diff, Draft, diff
from journey_service.domain.stages.errors import (
    AdoptionPendingError,
    MapVersionNotFoundError,
    StageOccupiedError,
    StaleMapError,
)
from journey_service.domain.stages.stage_map import StageMap, stage_map_to_json
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.analytics.rollups import queue_count
from journey_service.services.jobs import (
    AT_ONCE,
    LEASE_SECONDS,
    PATIENCE_SECONDS,
    Errand,
    queue_errand,
    run_alone,
    run_errand,
)
from journey_service.services.journeys.stage_map_rollout import ADOPT, adopt_all
from journey_service.services.stages.linting import findings_of, findings_to_json, look_over

Edit = Callable[[StageMap], Draft]
"""What makes the next version of a map out of the one in force."""
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class MapView:
    """A version of the company's map, and what is known of it; `is_current`: it is in force."""

    stage_map: StageMap
    version: MapVersion
    is_current: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A change asked for: for whom it is to count, who asks, and what they say of it.

    `based_on` is the version that was seen; None: whichever is in force.
    """

    based_on: int | None
    activation: Activation
    author: Actor
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A map put in force, and the job that has taken the customers concerned over to it (None: nobody was)."""

    view: MapView
    job: Job | None


async def get_map(database: Database, company_id: int, version: int | None = None) -> MapView:
    """The map in force, or an earlier version. Raises CompanyNotFoundError, MapVersionNotFoundError."""

    async def unit(work: Work) -> MapView:
        return await _view(work, await work.companies.desk(), version)

    return await database.run(company_id, unit)


async def list_versions(
    database: Database, company_id: int, *, before: int | None, limit: int
) -> Sequence[MapVersion]:
    """Versions of the map, newest first. Raises CompanyNotFoundError."""

    async def unit(work: Work) -> Sequence[MapVersion]:
        await work.companies.desk()
        return await work.stage_maps.latest(before=before, limit=limit)

    return await database.run(company_id, unit)


async def diff_versions(database: Database, company_id: int, version: int, since: int) -> Diff:
    """What leads from one version to another. Raises MapVersionNotFoundError."""

    async def unit(work: Work) -> Diff:
        desk = await work.companies.desk()
        before, after = await _view(work, desk, since), await _view(work, desk, version)
        return diff(before.stage_map, after.stage_map)

    return await database.run(company_id, unit)


async def change_map(
    database: Database,
    company_id: int,
    edit: Edit,
    request: Request,
    *,
    lease_seconds: float = LEASE_SECONDS,
) -> Changed:
    """Put the next version of the map in force, and take the customers over whom it concerns.

    The switch is one short transaction in which no other of the company runs. With few customers they have gone
    over when this returns; with many, a job has been queued for the worker. Raises StaleMapError when the map is
    not at the version the change is based on, StageOccupiedError, InvalidInputError with the place of every fault
    and of every error of the linter, and whatever the edit raises.
    """
    for _ in range(_TRIES):
        draft, rulebook = await _drawn(database, company_id, edit, request.based_on)
        findings = await findings_of(rulebook, draft.places)

        async def switch(
            work: Work,
            draft: Draft = draft,
            findings: Sequence[Finding] = findings,
            policy: CompanyPolicy = rulebook.policy,
        ) -> Errand | None:
            desk = await work.companies.desk()
            _check_fresh(desk, draft.stage_map.version - 1)
            if desk.rulebook.policy != policy:
                raise StalePolicyError
            return await _put_in_force(work, desk, draft, findings, request, lease_seconds)

        try:
            errand = await run_alone(database, company_id, switch)
        except StalePolicyError:
            continue  # looked over with a policy that is in force no more
        except StaleMapError:
            if request.based_on is not None:
                raise
            continue  # asked for whatever is in force: then for what is in force now
        job = None
        if errand is not None:
            job = await run_errand(
                database,
                company_id,
                errand,
                adopt_all,
                lease_seconds=lease_seconds,
                patience_seconds=PATIENCE_SECONDS,
            )
        return Changed(await get_map(database, company_id, draft.stage_map.version), job)
    raise RacesLostError


async def lint_draft(
    database: Database, company_id: int, edit: Edit, *, based_on: int | None
) -> Sequence[Finding]:
    """All that the linter has to say of a draft. Raises StaleMapError, InvalidInputError for faults."""
    draft, rulebook = await _drawn(database, company_id, edit, based_on)
    return await look_over(rulebook, draft.places)


async def draft_of(
    database: Database, company_id: int, edit: Edit, *, based_on: int | None
) -> tuple[Draft, Sequence[Finding]]:
    """The draft an edit makes, and the linter's warnings.

    Raises StaleMapError, InvalidInputError for faults and for the linter's errors, and whatever the edit raises.
    """
    draft, rulebook = await _drawn(database, company_id, edit, based_on)
    return draft, await findings_of(rulebook, draft.places)


async def _drawn(
    database: Database, company_id: int, edit: Edit, based_on: int | None
) -> tuple[Draft, Rulebook]:
    """The draft an edit makes of the map in force, and the rulebook the company would have with it."""
    desk = await database.run(company_id, lambda work: work.companies.desk())
    _check_fresh(desk, based_on)
    draft = edit(desk.rulebook.stage_map)
    return draft, Rulebook(draft.stage_map, desk.rulebook.policy)


async def check_homes(work: Work, desk: Desk, draft: Draft) -> dict[str, int]:
    """How many customers are in the stages that a draft has archived, by stage.

    Raises StageOccupiedError when it does not say where they go, and AdoptionPendingError when it does not while
    customers may be on their way there.
    """
    drawn = draft.stage_map
    archived = [stage.key for stage in drawn.stages if not stage.is_active]
    occupied = await work.stage_maps.occupied(archived) if archived else {}
    homeless = {key: number for key, number in occupied.items() if drawn.find(key) is None}
    if homeless:
        raise StageOccupiedError(homeless)
    leading_nowhere = [key for key in draft.archived if drawn.find(key) is None]
    if leading_nowhere and desk.company.adopted_version < desk.company.map_version:
        raise AdoptionPendingError(desk.company.map_version, leading_nowhere)
    return occupied


def _check_fresh(desk: Desk, based_on: int | None) -> None:
    if based_on is not None and based_on != desk.company.map_version:
        raise StaleMapError(desk.company.map_version)


async def _put_in_force(
    work: Work, desk: Desk, draft: Draft, findings: Sequence[Finding], request: Request, lease_seconds: float
) -> Errand | None:
    """Write the version and put it in force; the job for the customers it concerns, None if there are none."""
    drawn = draft.stage_map
    occupied = await check_homes(work, desk, draft)
    await work.stage_maps.write(
        drawn,
        author=request.author.name,
        findings=findings_to_json(findings),
        activated_at=desk.now,
        activation=request.activation,
        notes=request.notes,
    )
    await work.stage_maps.put_in_force(drawn.version)
    # Stages that are reached in another order than before are counted anew.
    is_counted = desk.company.rollup_version == desk.company.map_version
    if is_counted and reached_by(drawn) == reached_by(desk.rulebook.stage_map):
        await work.rollups.set_counted(drawn.version)
    elif await work.relationships.count() <= AT_ONCE:
        await work.rollups.count_anew(drawn.version, desk.company.timezone, reached_by(drawn))
    else:
        await queue_count(work, actor=request.author)
    await work.audit.record(
        request.author,
        Act(
            "stages.change",
            target=f"stage-map:{drawn.version}",
            detail={"activation": request.activation},
            before=stage_map_to_json(desk.rulebook.stage_map),
            after=stage_map_to_json(drawn),
        ),
    )
    stages = None
    if request.activation is Activation.FUTURE_ONLY and desk.company.adopted_version >= drawn.version - 1:
        # It concerns those whose stage is archived, and those whom the former rules were about to move.
        stages = sorted(occupied)
        concerned = await work.stage_maps.count_concerned(stages, desk.now)
        if not concerned:
            await work.stage_maps.set_adopted(drawn.version)
            return None
    else:
        concerned = await work.relationships.count()
    parameters = {"version": drawn.version, "stages": stages, "due": desk.now.isoformat()}
    return await queue_errand(
        work,
        ADOPT,
        parameters,
        actor=request.author.name,
        is_for_here=concerned <= AT_ONCE,
        lease_seconds=lease_seconds,
    )


async def _view(work: Work, desk: Desk, version: int | None) -> MapView:
    current = desk.company.map_version
    wanted = current if version is None else version
    found = await work.stage_maps.find(wanted)
    if found is None:
        raise MapVersionNotFoundError(wanted)
    return MapView(await work.stage_maps.get(wanted), found, wanted == current)
