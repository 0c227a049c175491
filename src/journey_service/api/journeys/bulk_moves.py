"""Routes of bulk moves: one manual move for many customers."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from journey_service.api.authentication import CustomerReader, JourneyWriter
from journey_service.api.customer_names import named_customers
from journey_service.api.dependencies import AppStateDep, BulkKey
from journey_service.api.journeys.schemas.bulk_moves import BulkMoveRequest, BulkMoves
from journey_service.api.operations.schemas.jobs import Job
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.errors import IdempotencyKeyReusedError, JobNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.journeys.errors import InactiveStageError
from journey_service.services import jobs
from journey_service.services.customers import bulk_moves

router = APIRouter(prefix="/transitions/bulk", tags=["journeys"], route_class=StrictRoute)

JobId = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the job of a bulk move", examples=[13])]


@router.post(
    "",
    summary="Move many customers",
    responses={
        202: {"model": BulkMoves, "description": "A worker moves the customers"},
        **problems(IdempotencyKeyReusedError, InactiveStageError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def request_bulk_moves(
    body: BulkMoveRequest,
    response: Response,
    caller: JourneyWriter,
    app_state: AppStateDep,
    idempotency_key: BulkKey = None,
) -> BulkMoves:
    """Moves each customer to an active stage, by the rules of a single move.

    If the rules would reverse a move immediately, a pin is set. A job moves the customers, whatever the versions of
    their journeys, and continues after a failure. Customers who are in the stage, and erased ones, are left as they
    are. With `dry_run` the response is 200 with the numbers of customers by what would happen, by their stored stages;
    200 is also the response to a repeated request whose job has ended.
    """
    selection = body.to_selection(await named_customers(app_state, caller, body.customer_ids))
    move = body.to_move()
    if body.dry_run:
        return BulkMoves.of_dry_run(
            await bulk_moves.count_moves(
                app_state.database, caller.company_id, move, selection, by=caller.actor
            )
        )
    job = await bulk_moves.request_moves(
        app_state.database, caller.company_id, move, selection, key=idempotency_key, by=caller.actor
    )
    app_state.respond_accepted(job.status, response)
    return BulkMoves.of_job(job)


@router.get("/{job_id}", summary="Get a bulk move", responses=problems(JobNotFoundError))
async def get_bulk_moves(job_id: JobId, caller: CustomerReader, app_state: AppStateDep) -> Job:
    """Returns the job of a bulk move: its progress, and in `counts` the numbers of customers by what was done.

    The names in `counts` are those of a dry run: `moved`, `with_actions`, `in_stage`, `erased`.
    """
    return Job.of(
        await jobs.get_job(app_state.database, caller.company_id, job_id, kind=bulk_moves.BULK_MOVES_JOB)
    )
