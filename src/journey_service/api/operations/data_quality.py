"""What is amiss in a company's data: looked at, tried out, repaired."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from journey_service.api.authentication import Admin, AdminReader
from journey_service.api.dependencies import AppStateDep
from journey_service.api.operations.schemas.data_quality import IssueOut, QualityOut, RepairsIn, RepairsOut
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.services.operations import data_quality

router = APIRouter(prefix="/admin/data-quality", tags=["operations"], route_class=StrictRoute)

_JOBS = "jobs"
DryRun = Annotated[bool, Query(description="only tell what would be done")]


@router.get("", summary="Look the data over", responses=problems())
async def get_data_quality(caller: AdminReader, app_state: AppStateDep) -> QualityOut:
    """Everything that may be amiss in the company's data: how often it is, examples, and what a repair would do."""
    return QualityOut.of(await data_quality.inspect(app_state.database, caller.company_id))


@router.post(
    "/repairs",
    summary="Repair the data",
    status_code=202,
    responses={
        200: {"model": RepairsOut, "description": "A dry run: nothing was changed"},
        **problems(*JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def post_repairs(
    response: Response,
    caller: Admin,
    app_state: AppStateDep,
    body: RepairsIn | None = None,
    dry_run: DryRun = False,  # noqa: FBT002  # a parameter of the address
) -> RepairsOut:
    """Repair some kinds of issues, or all that can be repaired, as a job; or tell what that would be about."""
    names = (body or RepairsIn()).issues
    if dry_run:
        found = await data_quality.dry_run(app_state.database, caller.company_id, names, actor=caller.actor)
        response.status_code = 200
        return RepairsOut(dry_run=True, job_id=None, issues=[IssueOut.of(issue) for issue in found])
    job_id = await data_quality.queue_repairs(
        app_state.database, caller.company_id, names, actor=caller.actor
    )
    app_state.wake(_JOBS)
    return RepairsOut(dry_run=False, job_id=job_id, issues=[])
