"""Routes of the actions that entering a stage triggers."""

from collections.abc import Sequence

from fastapi import APIRouter, Response

from journey_service.api.actions.schemas.stage_actions import StageActions, StageActionsUpdate
from journey_service.api.authentication import Caller, StageReader, StageWriter
from journey_service.api.dependencies import AppState, AppStateDep, IfMatchETags
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, NOT_MODIFIED, StrictRoute
from journey_service.api.stages.stage_maps import StageKeyPath
from journey_service.domain.actions.errors import StaleActionsError
from journey_service.domain.actions.parsing import parse_actions
from journey_service.domain.actions.stage_actions import StageAction
from journey_service.domain.stages.errors import StageNotFoundError
from journey_service.services.actions import stage_actions

router = APIRouter(tags=["stages"], route_class=StrictRoute)


@router.get(
    "/stages/{key}/actions",
    summary="Get the actions of a stage",
    responses={**NOT_MODIFIED, **problems(StageNotFoundError)},
    response_model_exclude_unset=True,
)
async def get_stage_actions(
    key: StageKeyPath, response: Response, caller: StageReader, app_state: AppStateDep
) -> StageActions:
    """Returns the actions that entering the stage triggers. The ETag is a hash of them."""
    view = await stage_actions.get_actions(
        app_state.database, caller.company_id, key, has_mailer=app_state.settings.has_mailer
    )
    return _to_response(view, response)


@router.put(
    "/stages/{key}/actions",
    summary="Replace the actions of a stage",
    responses=problems(StageNotFoundError, StaleActionsError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
    response_model_exclude_unset=True,
)
async def replace_stage_actions(
    key: StageKeyPath,
    body: StageActionsUpdate,
    response: Response,
    caller: StageWriter,
    app_state: AppStateDep,
    seen: IfMatchETags,
) -> StageActions:
    """Replaces the actions that entering the stage triggers from now on. Actions that are already planned stay planned.

    Replacing actions by equal ones changes nothing. `If-Match` is optional: with it, the change is refused if the
    actions have changed since that ETag was read.
    """
    view = await _set_actions(app_state, caller, key, parse_actions(body.actions), seen)
    return _to_response(view, response)


@router.delete(
    "/stages/{key}/actions",
    summary="Reset the actions of a stage",
    responses=problems(StageNotFoundError, StaleActionsError),
    response_model_exclude_unset=True,
)
async def reset_stage_actions(
    key: StageKeyPath, response: Response, caller: StageWriter, app_state: AppStateDep, seen: IfMatchETags
) -> StageActions:
    """Restores the default actions. Only a stage with a key of the default stage map has any."""
    return _to_response(await _set_actions(app_state, caller, key, None, seen), response)


async def _set_actions(
    app_state: AppState,
    caller: Caller,
    key: str,
    actions: Sequence[StageAction] | None,
    seen: frozenset[str] | None,
) -> stage_actions.StoredStageActions:
    return await stage_actions.set_actions(
        app_state.database,
        caller.company_id,
        key,
        actions,
        seen=seen,
        has_mailer=app_state.settings.has_mailer,
        by=caller.actor,
    )


def _to_response(view: stage_actions.StoredStageActions, response: Response) -> StageActions:
    response.headers["ETag"] = f'"{stage_actions.tag_of(view)}"'
    return StageActions.of(view)
