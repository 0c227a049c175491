"""What a draft of the stage map would do: rehearsed on the present customers, tried on their past."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from journey_service.api.authentication import StageDrafter, StageWriter
from journey_service.api.dependencies import AppStateDep, SeenVersion
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.stages.schemas.backtests import BacktestIn, BacktestOut
from journey_service.api.stages.schemas.previews import PreviewIn, PreviewOut
from journey_service.api.stages.stage_maps import base_of, edit_of
from journey_service.domain.errors import JobNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.stages.errors import AdoptionPendingError, StageOccupiedError, StaleMapError
from journey_service.services.jobs import get_job
from journey_service.services.stages import backtests, previews
from journey_service.services.stages.backtests import BACKTEST
from journey_service.services.stages.previews import PREVIEW

router = APIRouter(tags=["stages"], route_class=StrictRoute)

JobId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.post(
    "/stages/preview",
    summary="Preview a draft of the stage map",
    responses={
        202: {"model": PreviewOut, "description": "Many customers: the worker goes on"},
        **problems(StaleMapError, StageOccupiedError, AdoptionPendingError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def post_preview(
    body: PreviewIn, response: Response, caller: StageWriter, app_state: AppStateDep, seen: SeenVersion
) -> PreviewOut:
    """Who would move where, and how many messages would go out after consent and caps; nothing is changed.

    What it tells is what putting the draft in force at that instant does. Answered at once with up to 5,000 customers,
    otherwise with 202 and a job.
    """
    job = await previews.preview(
        app_state.database,
        caller.company_id,
        edit_of(body),
        based_on=base_of(body, seen),
        activation=body.activation,
        actor=caller.actor,
        lease_seconds=app_state.settings.lease_seconds,
    )
    app_state.respond_accepted(job.status, response)
    return PreviewOut.of(job)


@router.get("/stage-previews/{job_id}", summary="Read a preview", responses=problems(JobNotFoundError))
async def get_preview(job_id: JobId, caller: StageDrafter, app_state: AppStateDep) -> PreviewOut:
    """How far a preview is, and what it has found."""
    return PreviewOut.of(await get_job(app_state.database, caller.company_id, job_id, kind=PREVIEW))


@router.post(
    "/stages/backtest",
    summary="Back-test a draft of the stage map",
    responses={
        202: {"model": BacktestOut, "description": "Many customers: the worker goes on"},
        **problems(StaleMapError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def post_backtest(
    body: BacktestIn, response: Response, caller: StageWriter, app_state: AppStateDep, seen: SeenVersion
) -> BacktestOut:
    """When would each have moved over a past range, how many alarms, and how many of these came back without help.

    Told for the draft and, beside it, for the map in force. Answered at once with up to 500 customers, otherwise with
    202 and a job.
    """
    job = await backtests.backtest(
        app_state.database,
        caller.company_id,
        edit_of(body),
        body.span,
        based_on=base_of(body, seen),
        actor=caller.actor,
        lease_seconds=app_state.settings.lease_seconds,
    )
    app_state.respond_accepted(job.status, response)
    return BacktestOut.of(job)


@router.get("/stage-backtests/{job_id}", summary="Read a back-test", responses=problems(JobNotFoundError))
async def get_backtest(job_id: JobId, caller: StageDrafter, app_state: AppStateDep) -> BacktestOut:
    """How far a back-test is, and what it has found."""
    return BacktestOut.of(await get_job(app_state.database, caller.company_id, job_id, kind=BACKTEST))
