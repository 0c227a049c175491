"""Routes of simulations of a draft of the stage map: previews and back-tests."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from journey_service.api.authentication import StageDrafter, StageWriter
from journey_service.api.customer_names import named_customers, names_in
from journey_service.api.dependencies import AppStateDep, SeenDraftVersion
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, NOT_MODIFIED, StrictRoute
from journey_service.api.stages.schemas.backtests import Backtest, BacktestRequest
from journey_service.api.stages.schemas.previews import StageMapPreview
from journey_service.api.stages.schemas.stage_maps import StageMapDraft
from journey_service.api.stages.stage_maps import to_base_version, to_map_edit
from journey_service.domain.errors import JobNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.stages.errors import RolloutPendingError, StageInUseError, StaleMapError
from journey_service.services.jobs import get_job
from journey_service.services.stages import backtests, previews
from journey_service.services.stages.backtests import BACKTEST_JOB
from journey_service.services.stages.previews import PREVIEW_JOB

router = APIRouter(tags=["stages"], route_class=StrictRoute)

JobIdPath = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the job", examples=[12])]


@router.post(
    "/stages/preview",
    summary="Preview a draft of the stage map",
    dependencies=[ONCE_PER_KEY],
    responses={
        202: {
            "model": StageMapPreview,
            "description": "The job continues: it takes longer than ten seconds, or there are more than 5,000"
            " customers",
        },
        **problems(*KEY_ERRORS, StaleMapError, StageInUseError, RolloutPendingError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def preview_stage_map(
    body: StageMapDraft,
    response: Response,
    caller: StageWriter,
    app_state: AppStateDep,
    seen: SeenDraftVersion,
) -> StageMapPreview:
    """Computes the effect of activating the draft now: which customers would move, and which messages would be sent.

    Messages are counted after consent and the frequency cap are checked. Nothing is changed.
    """
    job = await previews.preview(
        app_state.database,
        caller.company_id,
        to_map_edit(body),
        based_on=to_base_version(body, seen),
        activation=body.activation_or(Activation.CURRENT_WITH_ACTIONS),
        has_mailer=app_state.settings.has_mailer,
        actor=caller.actor,
        lease_seconds=app_state.settings.lease_seconds,
    )
    app_state.respond_accepted(job.status, response)
    return StageMapPreview.of(job, await names_in(app_state, caller, job.result))


@router.get(
    "/stage-previews/{job_id}",
    summary="Get a preview",
    responses={**NOT_MODIFIED, **problems(JobNotFoundError)},
)
async def get_stage_map_preview(
    job_id: JobIdPath, caller: StageDrafter, app_state: AppStateDep
) -> StageMapPreview:
    """Returns the progress of a preview and, if it is done, its result."""
    job = await get_job(app_state.database, caller.company_id, job_id, kind=PREVIEW_JOB)
    return StageMapPreview.of(job, await names_in(app_state, caller, job.result))


@router.post(
    "/stages/backtest",
    summary="Start a back-test of a draft of the stage map",
    dependencies=[ONCE_PER_KEY],
    responses={
        202: {
            "model": Backtest,
            "description": "The job continues: it takes longer than ten seconds, or there are more than 500 customers",
        },
        **problems(*KEY_ERRORS, StaleMapError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def start_backtest(
    body: BacktestRequest,
    response: Response,
    caller: StageWriter,
    app_state: AppStateDep,
    seen: SeenDraftVersion,
) -> Backtest:
    """Replays a past range under the draft and under the current map, and compares their moves and alarms.

    An alarm is a move from a progress stage into a risk stage. It is confirmed if the customer stayed away for
    `lapse_days`, and false if the customer came back before. Nothing is changed.
    """
    job = await backtests.backtest(
        app_state.database,
        caller.company_id,
        to_map_edit(body),
        body.to_parameters(await named_customers(app_state, caller, body.customer_ids) or ()),
        based_on=to_base_version(body, seen),
        actor=caller.actor,
        lease_seconds=app_state.settings.lease_seconds,
    )
    app_state.respond_accepted(job.status, response)
    return Backtest.of(job, await names_in(app_state, caller, job.result))


@router.get(
    "/stage-backtests/{job_id}",
    summary="Get a back-test",
    responses={**NOT_MODIFIED, **problems(JobNotFoundError)},
)
async def get_backtest(job_id: JobIdPath, caller: StageDrafter, app_state: AppStateDep) -> Backtest:
    """Returns the progress of a back-test and, if it is done, its result."""
    job = await get_job(app_state.database, caller.company_id, job_id, kind=BACKTEST_JOB)
    return Backtest.of(job, await names_in(app_state, caller, job.result))
