"""Routes of the reconciliation of metrics."""

from fastapi import APIRouter

from journey_service.api.authentication import Admin, AnalyticsReader
from journey_service.api.dependencies import AppStateDep
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.operations.schemas.jobs import JobAccepted
from journey_service.api.operations.schemas.reconciliation import Reconciliation
from journey_service.api.problems import KEY_ERRORS, problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.services.operations import checks

router = APIRouter(tags=["analytics"], route_class=StrictRoute)

_JOBS = "jobs"


@router.get(
    "/analytics/reconciliation", summary="Get the reconciliation of the metrics", responses=problems()
)
async def get_reconciliation(caller: AnalyticsReader, app_state: AppStateDep) -> Reconciliation:
    """Returns whether every metric is the same when computed from stored aggregates and from the ledgers.

    The result is the one that the last nightly run or `POST` has stored. Where none is stored, it is computed at once.
    """
    return Reconciliation.of(await checks.get_reconciliation(app_state.database, caller.company_id))


@router.post(
    "/analytics/reconciliation",
    summary="Reconcile the metrics",
    status_code=202,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS),
)
async def start_reconciliation(caller: Admin, app_state: AppStateDep) -> JobAccepted:
    """Queues a job that computes every metric in two ways and stores the result for `GET`.

    If such a job is already queued or running, no other is queued, and the response names that job.
    `GET /admin/jobs/{job_id}` shows when it has ended.
    """
    job_id = await checks.queue_reconciliation(app_state.database, caller.company_id, actor=caller.actor)
    app_state.wake(_JOBS)
    return JobAccepted(job_id=job_id)
