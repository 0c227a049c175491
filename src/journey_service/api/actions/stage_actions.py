"""What stages do on entry: read, replaced, and put back to the default."""

from collections.abc import Sequence

from fastapi import APIRouter, Response

from journey_service.api.actions.schemas.stage_actions import StageActionsIn, StageActionsOut
from journey_service.api.authentication import Caller, StageReader, StageWriter
from journey_service.api.dependencies import AppState, AppStateDep, SeenTags
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.stages.stage_maps import StageKey
from journey_service.domain.actions.errors import StaleActionsError
from journey_service.domain.actions.parsing import parse_actions
from journey_service.domain.actions.stage_actions import StageAction
from journey_service.domain.stages.errors import StageNotFoundError
from journey_service.services.actions import stage_actions as playbooks
from journey_service.services.actions.stage_actions import StageActions

router = APIRouter(tags=["stages"], route_class=StrictRoute)


@router.get("/stages/{key}/actions", summary="Read what a stage does", responses=problems(StageNotFoundError))
async def get_stage_actions(
    key: StageKey, response: Response, caller: StageReader, app_state: AppStateDep
) -> StageActionsOut:
    """What entering a stage does. The ETag is of the content: equal actions have the same."""
    return _tagged(response, await playbooks.get_actions(app_state.database, caller.company_id, key))


@router.put(
    "/stages/{key}/actions",
    summary="Say what a stage does",
    responses=problems(StageNotFoundError, StaleActionsError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def put_stage_actions(
    key: StageKey,
    body: StageActionsIn,
    response: Response,
    caller: StageWriter,
    app_state: AppStateDep,
    seen: SeenTags,
) -> StageActionsOut:
    """Have entering the stage do this from now on, none at all included. What is under way goes on as it began.

    The same actions again change nothing; If-Match, where given, is respected.
    """
    return _tagged(response, await _set(app_state, caller, key, parse_actions(body.actions), seen))


@router.delete(
    "/stages/{key}/actions",
    summary="Have a stage do what it does by default",
    responses=problems(StageNotFoundError, StaleActionsError),
)
async def delete_stage_actions(
    key: StageKey, response: Response, caller: StageWriter, app_state: AppStateDep, seen: SeenTags
) -> StageActionsOut:
    """Forget what the company has said: a stage of a well-known key does what it does by default, any other nothing."""
    return _tagged(response, await _set(app_state, caller, key, None, seen))


async def _set(
    app_state: AppState,
    caller: Caller,
    key: str,
    actions: Sequence[StageAction] | None,
    seen: frozenset[str] | None,
) -> StageActions:
    return await playbooks.set_actions(
        app_state.database, caller.company_id, key, actions, seen=seen, by=caller.actor
    )


def _tagged(response: Response, view: StageActions) -> StageActionsOut:
    response.headers["ETag"] = f'"{playbooks.tag_of(view)}"'
    return StageActionsOut.of(view)
