"""Routes of data quality: inspection, dry run, repair."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from journey_service.api.authentication import Admin, AdminReader
from journey_service.api.dependencies import AppStateDep
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.operations.schemas.data_quality import (
    DataQualityIssue,
    DataQualityReport,
    DataRepair,
    DataRepairRequest,
)
from journey_service.api.operations.schemas.jobs import JobAccepted
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.services.operations import checks, data_quality

router = APIRouter(prefix="/admin/data-quality", tags=["operations"], route_class=StrictRoute)

_JOBS = "jobs"
DryRun = Annotated[
    bool, Query(description="Whether to report what a repair would change, without changing anything")
]


@router.get("", summary="Get the quality of the data", responses=problems())
async def get_data_quality(caller: AdminReader, app_state: AppStateDep) -> DataQualityReport:
    """Returns the inconsistencies in the company's data, with their number, examples and what a repair does.

    The result is the one that the last nightly run or `POST` has stored. Where none is stored, it is computed at once.
    """
    return DataQualityReport.of(await checks.get_data_quality(app_state.database, caller.company_id))


@router.post(
    "",
    summary="Inspect the data",
    status_code=202,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS),
)
async def start_data_inspection(caller: Admin, app_state: AppStateDep) -> JobAccepted:
    """Queues a job that looks for inconsistencies in the company's data and stores the result for `GET`.

    If such a job is already queued or running, no other is queued, and the response names that job.
    `GET /admin/jobs/{job_id}` shows when it has ended.
    """
    job_id = await checks.queue_inspection(app_state.database, caller.company_id, actor=caller.actor)
    app_state.wake(_JOBS)
    return JobAccepted(job_id=job_id)


@router.post(
    "/repairs",
    summary="Repair the data",
    status_code=202,
    dependencies=[ONCE_PER_KEY],
    responses={
        200: {"model": DataRepair, "description": "Dry run: nothing was changed"},
        **problems(*KEY_ERRORS, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def repair_data(
    response: Response,
    caller: Admin,
    app_state: AppStateDep,
    body: DataRepairRequest | None = None,
    dry_run: DryRun = False,  # noqa: FBT002  # a query parameter
) -> DataRepair:
    """Queues a job that repairs all or some kinds of inconsistencies. A dry run reports what it would repair."""
    names = (body or DataRepairRequest()).issues
    if dry_run:
        found = await data_quality.dry_run(app_state.database, caller.company_id, names, actor=caller.actor)
        response.status_code = 200
        return DataRepair(dry_run=True, job_id=None, issues=[DataQualityIssue.of(issue) for issue in found])
    job_id = await data_quality.queue_repairs(
        app_state.database, caller.company_id, names, actor=caller.actor
    )
    app_state.wake(_JOBS)
    return DataRepair(dry_run=False, job_id=job_id, issues=[])
