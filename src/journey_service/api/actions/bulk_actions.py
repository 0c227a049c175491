"""Routes of bulk actions: one manual action for many customers."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from journey_service.api.actions.schemas.bulk_actions import BulkActionRequest, BulkActions
from journey_service.api.authentication import ActionReader, ActionWriter
from journey_service.api.customer_names import named_customers
from journey_service.api.dependencies import AppStateDep, BulkKey
from journey_service.api.operations.schemas.jobs import Job
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, NOT_MODIFIED, StrictRoute
from journey_service.domain.errors import IdempotencyKeyReusedError, JobNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.services import jobs
from journey_service.services.actions import bulk_actions

router = APIRouter(prefix="/actions/bulk", tags=["actions"], route_class=StrictRoute)

JobId = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the job of a bulk action", examples=[12])]


@router.post(
    "",
    summary="Request an action for many customers",
    responses={
        202: {"model": BulkActions, "description": "A worker requests the actions"},
        **problems(IdempotencyKeyReusedError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def request_bulk_actions(
    body: BulkActionRequest,
    response: Response,
    caller: ActionWriter,
    app_state: AppStateDep,
    idempotency_key: BulkKey = None,
) -> BulkActions:
    """Requests a call, an email or an offer for each customer, with the checks of a single request.

    Consent, quiet hours and the frequency cap are checked again when a message is sent. A job requests the actions; it
    continues after a failure, and each customer gets at most one action of a job. With `dry_run` the response is 200
    with the numbers of customers by what would happen now; 200 is also the response to a repeated request whose job has
    ended.
    """
    request = body.to_bulk(await named_customers(app_state, caller, body.customer_ids))
    if body.dry_run:
        return BulkActions.of_dry_run(
            await bulk_actions.count_fates(app_state.database, caller.company_id, request, by=caller.actor)
        )
    job = await bulk_actions.request_bulk(
        app_state.database, caller.company_id, request, key=idempotency_key, by=caller.actor
    )
    app_state.respond_accepted(job.status, response)
    return BulkActions.of_job(job)


@router.get(
    "/{job_id}", summary="Get a bulk action", responses={**NOT_MODIFIED, **problems(JobNotFoundError)}
)
async def get_bulk_actions(job_id: JobId, caller: ActionReader, app_state: AppStateDep) -> Job:
    """Returns the job of a bulk action: its progress, and in `counts` the numbers of customers by what was done.

    The names in `counts` are those of a dry run: `ok`, `no_consent`, `no_address`, `capped`, `has_booking`,
    `already_open`, `erased`.
    """
    return Job.of(
        await jobs.get_job(app_state.database, caller.company_id, job_id, kind=bulk_actions.BULK_JOB)
    )
