"""Operating one company: rescoring, evaluating, jobs, the test clock."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from journey_service.api.authentication import Admin, AdminReader, ClockKeeper, CompanyId
from journey_service.api.dependencies import AppStateDep, Cursor, Limit, from_cursor, is_id, next_cursor
from journey_service.api.operations.schemas.health import HealthOut, ScheduleOut
from journey_service.api.operations.schemas.jobs import (
    AcceptedOut,
    ClockIn,
    ClockOut,
    EvaluateIn,
    JobOut,
    JobsOut,
    RescoreIn,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.companies.errors import NoTestClockError
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import JobNotFoundError
from journey_service.domain.events.errors import ImportNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.services import jobs
from journey_service.services.events import imports
from journey_service.services.journeys import evaluation, rescoring
from journey_service.services.operations import health, schedule
from journey_service.services.operations import test_clock as clock

router = APIRouter(prefix="/admin", tags=["operations"], route_class=StrictRoute)

JobId = Annotated[int, Path(ge=1, le=MAX_ID)]

_JOBS = "jobs"


@router.post(
    "/rescore",
    summary="Write scores anew",
    status_code=202,
    responses=problems(CustomerNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_rescore(caller: Admin, app_state: AppStateDep, body: RescoreIn | None = None) -> AcceptedOut:
    """Score all customers, some or one as of now; for all, whoever is due is decided before."""
    wanted = body or RescoreIn()
    job_id = await rescoring.queue_rescore(
        app_state.database,
        caller.company_id,
        actor=caller.actor,
        customer_ids=wanted.customer_ids,
        chunk=wanted.chunk,
    )
    app_state.wake(_JOBS)
    return AcceptedOut(job_id=job_id)


@router.post(
    "/evaluate-transitions",
    summary="Evaluate customers",
    status_code=202,
    responses=problems(CustomerNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_evaluations(
    caller: Admin, app_state: AppStateDep, body: EvaluateIn | None = None
) -> AcceptedOut:
    """Decide everything that is due, and then as of now, for all customers, some or one."""
    job_id = await evaluation.queue_evaluation(
        app_state.database,
        caller.company_id,
        actor=caller.actor,
        customer_ids=None if body is None else body.customer_ids,
    )
    app_state.wake(_JOBS)
    return AcceptedOut(job_id=job_id)


@router.get("/jobs", summary="List jobs", responses=problems())
async def list_jobs(
    caller: AdminReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> JobsOut:
    """Long work, newest first, nightly runs included; imports have a list of their own."""
    before = from_cursor(_JOBS, cursor, is_id)
    found = await jobs.list_jobs(
        app_state.database, caller.company_id, before=before[0] if before else None, limit=limit + 1
    )
    items = [JobOut.of(job) for job in found[:limit]]
    return JobsOut(items=items, next_cursor=next_cursor(_JOBS, found, limit, lambda row: [row.id]))


@router.get("/jobs/{job_id}", summary="Read how far a job is", responses=problems(JobNotFoundError))
async def get_job(job_id: JobId, caller: AdminReader, app_state: AppStateDep) -> JobOut:
    """A job, or an import, and its progress."""
    try:
        return JobOut.of(await jobs.get_job(app_state.database, caller.company_id, job_id))
    except JobNotFoundError:
        try:
            return JobOut.of_import(await imports.get_import(app_state.database, caller.company_id, job_id))
        except ImportNotFoundError:
            raise JobNotFoundError(job_id) from None


@router.get("/schedule", summary="Read what runs when", responses=problems())
async def get_schedule(caller: AdminReader, app_state: AppStateDep) -> ScheduleOut:
    """The company's next nightly run, the last ones, and what the workers look for all the time."""
    return ScheduleOut.of(await schedule.get_schedule(app_state.database, caller.company_id))


@router.get("/health", summary="Read whether the work gets done", responses=problems())
async def get_health(caller: AdminReader, app_state: AppStateDep) -> HealthOut:  # noqa: ARG001  # naming it is the check
    """Database, schema, Redis, and how far behind the workers are: over all companies, naming none."""
    redis = None if app_state.worker_wakeup is None else app_state.worker_wakeup.answers
    return HealthOut.of(await health.examine(app_state.database, redis=redis))


@router.post(
    "/companies/{company_id}/clock",
    summary="Move a test clock",
    responses={
        202: {"model": ClockOut, "description": "The clock is moved; what fell due is still being done"},
        **problems(NoTestClockError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def post_clock(
    company_id: CompanyId, body: ClockIn, response: Response, caller: ClockKeeper, app_state: AppStateDep
) -> ClockOut:
    """Move the company's time forwards, or release it to real time; all that falls due on the way is done.

    Answered once it is done, or with 202 and a job when that takes longer than ten seconds.
    """
    advanced = await clock.advance(
        app_state.database,
        company_id,
        body.advance_to,
        actor=caller.actor,
        lease_seconds=app_state.settings.lease_seconds,
    )
    shown = ClockOut.of(advanced)
    app_state.respond_accepted(shown.status, response)
    return shown
