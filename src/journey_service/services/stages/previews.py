"""Previews: simulates the activation of a draft on existing customers; reports moves and actions.

Only the job and its result are stored.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.delivery import find_closed_channels
from journey_service.domain.companies.currencies import get_currency
from journey_service.domain.journeys.journey import JourneyWithoutReasons
from journey_service.domain.journeys.relationship import Activation, Rulebook
from journey_service.domain.operations.records import Job
from journey_service.domain.simulation.preview import PreviewDraft, PreviewTotals
from journey_service.domain.stages.changes import diff
from journey_service.domain.stages.parsing import parse_stage_map, stage_map_to_json
from journey_service.domain.stages.stage_map import StageMap
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import (
    LEASE_SECONDS,
    MAX_INLINE_CUSTOMERS,
    InlineJob,
    JobRun,
    PageResult,
    enqueue_job,
    run_inline,
)
from journey_service.services.journeys.map_history import load_map_history
from journey_service.services.stages.linting import findings_to_json
from journey_service.services.stages.stage_maps import MapEdit, build_draft, check_archived_stages

PREVIEW_JOB: Final = "preview_stage_map"
BATCH_SIZE: Final = 500
"""Customers in one page of the job."""
_YIELD_INTERVAL: Final = 50
"""Customers after which the event loop can run other tasks."""


async def preview(  # noqa: PLR0913  # each is an option of the request
    database: Database,
    company_id: int,
    edit: MapEdit,
    *,
    based_on: int | None,
    activation: Activation,
    has_mailer: bool = True,
    actor: Actor,
    lease_seconds: float = LEASE_SECONDS,
) -> Job:
    """Previews the activation of a draft now; returns the job: ended for few customers, else queued.

    Raises StaleMapError, StageInUseError, RolloutPendingError, InvalidInputError, and the errors of the edit.
    """
    draft, findings = await build_draft(database, company_id, edit, based_on=based_on)

    async def unit(uow: UnitOfWork) -> InlineJob:
        context = await uow.companies.get_context()
        await check_archived_stages(uow, context, draft)
        parameters: dict[str, Any] = {
            "stages": stage_map_to_json(draft.stage_map),
            "version": draft.stage_map.version,
            "currency": draft.stage_map.currency.code,
            "activation": activation.value,
            "as_of": context.now.isoformat(),
            "findings": findings_to_json(findings),
            "has_mailer": has_mailer,
        }
        inline_job = await enqueue_job(
            uow,
            PREVIEW_JOB,
            parameters,
            actor=actor.name,
            is_inline=await uow.relationships.count() <= MAX_INLINE_CUSTOMERS,
            lease_seconds=lease_seconds,
        )
        await uow.audit_log.record(actor, AuditEntry("stage_map.preview", target=f"job:{inline_job.job.id}"))
        return inline_job

    return await run_inline(
        database,
        company_id,
        await database.run(company_id, unit),
        preview_all,
        lease_seconds=lease_seconds,
    )


async def preview_all(run: JobRun) -> None:
    """Job handler: migrates copies of all customers to the draft, and stores the totals as the result."""
    parameters = run.job.parameters
    draft_map = parse_stage_map(
        parameters["stages"],
        version=parameters["version"],
        currency=get_currency(parameters["currency"]),
        is_stored=True,
    )

    async def page(uow: UnitOfWork) -> PageResult:
        after = run.cursor.get("after", 0)
        totals = PreviewTotals.from_json(run.cursor["tally"]) if run.cursor else PreviewTotals()
        total = None if run.cursor else await uow.relationships.count()
        last = await _preview_page(uow, draft_map, parameters, totals, after)
        cursor = {"after": after if last is None else last, "tally": totals.to_json(), "ended": last is None}
        done = totals.customers - (run.cursor["tally"]["customers"] if run.cursor else 0)
        if last is None:
            total = totals.customers  # customers may have been added meanwhile
        return PageResult(cursor, {"customers": done}, done=done, total=total)

    while not run.cursor.get("ended"):
        await run.page(page)

    async def result(uow: UnitOfWork) -> dict[str, Any]:
        current = (await uow.companies.get_context()).rulebook.stage_map
        return _to_result(parameters, current, draft_map, run.cursor["tally"])

    await run.set_result(await run.database.run(run.company_id, result))


def _to_result(
    parameters: Mapping[str, Any], current: StageMap, draft_map: StageMap, tally: Mapping[str, Any]
) -> dict[str, Any]:
    changes = diff(current, draft_map)
    totals = dict(tally)
    before, after = totals.pop("before"), totals.pop("after")
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
        "based_on": parameters["version"] - 1,
        "activation": parameters["activation"],
        "as_of": parameters["as_of"],
        "warnings": parameters["findings"],
        "diff": changes._asdict() | {"changed": [change._asdict() for change in changes.changed]},
        "stages": stages,
        **totals,
    }


async def _preview_page(
    uow: UnitOfWork, draft_map: StageMap, parameters: Mapping[str, Any], totals: PreviewTotals, after: int
) -> int | None:
    """Previews the next customers by relationship id; returns the last id, None if no customer was left."""
    context = await uow.companies.get_context()
    map_history = await load_map_history(uow, context)
    rulebook = Rulebook(draft_map, context.rulebook.policy)
    as_of = datetime.fromisoformat(parameters["as_of"])
    endpoints = await uow.webhook_endpoints.list_all()
    closed = find_closed_channels(endpoints, has_mailer=parameters["has_mailer"])
    draft = PreviewDraft(rulebook, Activation(parameters["activation"]), as_of, context.stage_actions, closed)
    last = None
    customers = await uow.customer_list.page_by_relationship(after, limit=BATCH_SIZE)
    done_steps = await uow.delivery_log.list_done_steps([stored.id for stored, _ in customers])
    for index, (stored, reachability) in enumerate(customers):
        journey = map_history.journey(stored.relationship, context.rulebook, JourneyWithoutReasons)
        totals.preview_customer(journey, draft, reachability, done_steps.get(stored.id, frozenset()))
        last = stored.id
        if index % _YIELD_INTERVAL == 0:
            await asyncio.sleep(0)
    return last
