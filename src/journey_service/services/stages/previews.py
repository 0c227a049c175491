"""A draft of the stage map rehearsed on the present customers: who would move where, what would be sent.

Nothing of it is kept but the job, and its result.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.journeys.journey import JourneyWithoutReasons
from journey_service.domain.journeys.relationship import Activation, Rulebook
from journey_service.domain.operations.records import Job
from journey_service.domain.simulation.preview import PreviewDraft, PreviewTotals
from journey_service.domain.stages.changes import diff
from journey_service.domain.stages.stage_map import StageMap, parse_stage_map, stage_map_to_json
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import (
    INLINE_TIMEOUT_SECONDS,
    LEASE_SECONDS,
    MAX_INLINE_CUSTOMERS,
    InlineJob,
    JobPage,
    JobRun,
    enqueue_job,
    run_inline,
)
from journey_service.services.journeys.map_history import load_map_history
from journey_service.services.stages.linting import findings_to_json
from journey_service.services.stages.stage_maps import MapEdit, build_draft, check_archived_stages

PREVIEW: Final = "preview_stage_map"
CHUNK: Final = 500
_BREATH: Final = 50
"""After how many customers whoever else is at work in the process is let in."""


async def preview(
    database: Database,
    company_id: int,
    edit: MapEdit,
    *,
    based_on: int | None,
    activation: Activation,
    actor: Actor,
    lease_seconds: float = LEASE_SECONDS,
) -> Job:
    """Rehearse putting a draft in force now; returns the job, done with few customers, queued with many.

    Raises StaleMapError, StageOccupiedError, AdoptionPendingError, InvalidInputError, and whatever the edit raises.
    """
    draft, findings = await build_draft(database, company_id, edit, based_on=based_on)

    async def unit(uow: UnitOfWork) -> InlineJob:
        context = await uow.companies.get_context()
        await check_archived_stages(uow, context, draft)
        parameters: dict[str, Any] = {
            "stages": stage_map_to_json(draft.stage_map),
            "version": draft.stage_map.version,
            "activation": activation.value,
            "as_of": context.now.isoformat(),
            "findings": findings_to_json(findings),
        }
        inline_job = await enqueue_job(
            uow,
            PREVIEW,
            parameters,
            actor=actor.name,
            is_inline=await uow.relationships.count() <= MAX_INLINE_CUSTOMERS,
            lease_seconds=lease_seconds,
        )
        await uow.audit_log.record(actor, AuditEntry("stages.preview", target=f"job:{inline_job.job.id}"))
        return inline_job

    return await run_inline(
        database,
        company_id,
        await database.run(company_id, unit),
        preview_all,
        lease_seconds=lease_seconds,
        timeout_seconds=INLINE_TIMEOUT_SECONDS,
    )


async def preview_all(run: JobRun) -> None:
    """The job: let copies of all customers go over to the draft, and tell what came of it."""
    told = run.job.parameters
    draft_map = parse_stage_map(told["stages"], version=told["version"])

    async def page(uow: UnitOfWork) -> JobPage:
        after = run.cursor.get("after", 0)
        tally = PreviewTotals.from_json(run.cursor["tally"]) if run.cursor else PreviewTotals()
        total = None if run.cursor else await uow.relationships.count()
        last = await _rehearse_page(uow, draft_map, told, tally, after)
        cursor = {"after": after if last is None else last, "tally": tally.to_json(), "ended": last is None}
        done = tally.customers - (run.cursor["tally"]["customers"] if run.cursor else 0)
        if last is None:
            total = tally.customers  # some may have come meanwhile
        return JobPage(cursor, {"customers": done}, done=done, total=total)

    while not run.cursor.get("ended"):
        await run.page(page)

    async def shown(uow: UnitOfWork) -> dict[str, Any]:
        present = (await uow.companies.get_context()).rulebook.stage_map
        changes = diff(present, draft_map)
        tally = dict(run.cursor["tally"])
        before, after = tally.pop("before"), tally.pop("after")
        stages = [
            {
                "stage_key": stage.key,
                "stage_name": stage.name,
                "before": before.get(stage.key, 0),
                "after": after.get(stage.key, 0),
            }
            for stage in draft_map.stages
            if stage.is_active or before.get(stage.key) or after.get(stage.key)
        ]
        return {
            "based_on": told["version"] - 1,
            "activation": told["activation"],
            "as_of": told["as_of"],
            "warnings": told["findings"],
            "diff": changes._asdict() | {"changed": [change._asdict() for change in changes.changed]},
            "stages": stages,
            **tally,
        }

    await run.set_result(await run.database.run(run.company_id, shown))


async def _rehearse_page(
    uow: UnitOfWork, draft_map: StageMap, told: Mapping[str, Any], tally: PreviewTotals, after: int
) -> int | None:
    """Rehearse the next customers by id; the last one's id, None when there was nobody left."""
    context = await uow.companies.get_context()
    pending = await load_map_history(uow, context)
    rulebook = Rulebook(draft_map, context.rulebook.policy)
    as_of = datetime.fromisoformat(told["as_of"])
    draft = PreviewDraft(rulebook, Activation(told["activation"]), as_of, context.stage_actions)
    last = None
    for index, (stored, reachability) in enumerate(
        await uow.customer_list.page_by_relationship(after, limit=CHUNK)
    ):
        journey = pending.journey(stored.relationship, context.rulebook, JourneyWithoutReasons)
        tally.preview_customer(journey, draft, reachability)
        last = stored.id
        if index % _BREATH == 0:
            await asyncio.sleep(0)
    return last
