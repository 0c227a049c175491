"""Routes of the stage map: reading, replacing, linting, single stages, versions."""

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response

from journey_service.api.authentication import StageDrafter, StageReader, StageWriter
from journey_service.api.dependencies import (
    AppState,
    AppStateDep,
    Cursor,
    Limit,
    SeenDraftVersion,
    SeenVersion,
    from_cursor,
    is_id,
    next_cursor,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, NOT_MODIFIED, StrictRoute
from journey_service.api.stages.schemas.stage_maps import (
    LintReport,
    StageMap,
    StageMapChange,
    StageMapDiff,
    StageMapDraft,
    StageMapVersion,
    StageMapVersionPage,
)
from journey_service.api.stages.schemas.stages import Stage, StageUpdateInput
from journey_service.domain.errors import InvalidInputError, PreconditionMissingError
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.stages.changes import archive, build_draft, edit_stage
from journey_service.domain.stages.errors import (
    MapVersionNotFoundError,
    RolloutPendingError,
    StageArchivedError,
    StageInUseError,
    StageNotFoundError,
    StaleMapError,
)
from journey_service.services.stages import stage_maps
from journey_service.services.stages.stage_maps import MapChangeRequest, MapChangeResult, MapEdit

router = APIRouter(tags=["stages"], route_class=StrictRoute)

_MAX_VERSION: Final = 2**31 - 1

StageKeyPath = Annotated[str, Path(max_length=50, description="Key of the stage", examples=["vip"])]
MapVersionPath = Annotated[
    int, Path(ge=1, le=_MAX_VERSION, description="Number of the version", examples=[3])
]
ActivationQuery = Annotated[
    Activation,
    Query(
        description="Customers that the change applies to. `future_only`: each customer from the next event or due"
        " evaluation on. `current_silent`: all customers at once, without actions. `current_with_actions`: all"
        " customers at once, with the actions of the stages that they enter",
        examples=["current_silent"],
    ),
]

_MIGRATING: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": StageMapChange, "description": "Activated; `job` continues to apply it to customers"}
}


def to_map_edit(draft: StageMapDraft) -> MapEdit:
    """Returns the function that turns the current map into the draft."""
    return partial(build_draft, raw=draft.stages, remap=draft.remap, pointer="/stages")


def to_base_version(draft: StageMapDraft, seen: int | None) -> int | None:
    """Returns the version that a draft is based on. Raises InvalidInputError if header and body differ."""
    if draft.version is not None and seen is not None and draft.version != seen:
        raise InvalidInputError.at("/version", f"must be the version in If-Match ({seen})")
    return draft.version if seen is None else seen


@router.get("/stages", summary="Get the stage map", responses={**NOT_MODIFIED, **problems()})
async def get_stage_map(response: Response, caller: StageReader, app_state: AppStateDep) -> StageMap:
    """Returns the current version: its author, and all stages with their rules, including archived stages.

    The ETag is the version, for `If-Match` of a later change.
    """
    view = await stage_maps.get_map(app_state.database, caller.company_id)
    response.headers["ETag"] = f'"{view.version.version}"'
    return StageMap.of_view(view)


@router.put(
    "/stages",
    summary="Replace the stage map",
    responses={
        **_MIGRATING,
        **problems(StaleMapError, PreconditionMissingError, StageInUseError, RolloutPendingError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def replace_stage_map(
    body: StageMapDraft,
    response: Response,
    caller: StageWriter,
    app_state: AppStateDep,
    seen: SeenDraftVersion,
) -> StageMapChange:
    """Activates a draft as the next version. The draft must be based on the current version.

    `If-Match` or `version` in the body states the version that the draft is based on: one of them is required (428),
    and if both are given, they must be equal (422). Stages that the draft omits are archived. A draft with errors,
    including those of the linter, is refused with the pointer of each error.
    """
    based_on = to_base_version(body, seen)
    if based_on is None:
        raise PreconditionMissingError(
            'Send the version that you read as If-Match: "<version>", or as version in the body.'
        )
    activation = body.activation_or(Activation.FUTURE_ONLY)
    request = MapChangeRequest(based_on, activation, caller.actor, body.notes)
    result = await _change_map(app_state, caller.company_id, to_map_edit(body), request)
    return _to_response(result, response, app_state)


@router.post(
    "/stages/lint",
    summary="Lint a draft of the stage map",
    responses=problems(StaleMapError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def lint_stage_map(
    body: StageMapDraft, caller: StageDrafter, app_state: AppStateDep, seen: SeenDraftVersion
) -> LintReport:
    """Returns all errors and warnings of the linter about a draft. Nothing is changed."""
    findings = await stage_maps.lint_draft(
        app_state.database, caller.company_id, to_map_edit(body), based_on=to_base_version(body, seen)
    )
    return LintReport.of(findings)


@router.get(
    "/stages/{key}", summary="Get a stage", responses={**NOT_MODIFIED, **problems(StageNotFoundError)}
)
async def get_stage(
    key: StageKeyPath, response: Response, caller: StageReader, app_state: AppStateDep
) -> Stage:
    """Returns a stage of the current version, active or archived. The ETag is the version of the stage map."""
    view = await stage_maps.get_map(app_state.database, caller.company_id)
    stage = view.stage_map.by_key.get(key)
    if stage is None:
        raise StageNotFoundError(key)
    response.headers["ETag"] = f'"{view.version.version}"'
    return Stage.of(stage)


@router.patch(
    "/stages/{key}",
    summary="Update a stage",
    responses={
        **_MIGRATING,
        **problems(StageNotFoundError, StageArchivedError, StaleMapError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def update_stage(
    key: StageKeyPath,
    body: StageUpdateInput,
    response: Response,
    caller: StageWriter,
    app_state: AppStateDep,
    seen: SeenVersion,
    activation: ActivationQuery = Activation.FUTURE_ONLY,
) -> StageMapChange:
    """Changes the given fields of a stage, which creates the next version; omitted fields keep their values.

    `If-Match` is optional: with it, the change is refused if the stage map has changed since that version.
    """
    for name in ("key", "is_active", "remapped_to"):
        if name in body:
            raise InvalidInputError.at(
                f"/{name}", "cannot be changed here: a stage keeps its key, and DELETE archives it"
            )
    if not body:
        raise InvalidInputError.at("", "must contain at least one field to change")
    edit = partial(edit_stage, key=key, fields=body)
    request = MapChangeRequest(seen, activation, caller.actor)
    return _to_response(await _change_map(app_state, caller.company_id, edit, request), response, app_state)


RemapToParam = Annotated[
    str | None,
    Query(
        max_length=50,
        description="Key of the active stage that the customers of the stage move to; required if it has customers",
        examples=["customer"],
    ),
]


@router.delete(
    "/stages/{key}",
    summary="Archive a stage",
    responses={
        **_MIGRATING,
        **problems(
            StageNotFoundError, StageArchivedError, StageInUseError, RolloutPendingError, StaleMapError
        ),
    },
)
async def archive_stage(
    key: StageKeyPath,
    response: Response,
    caller: StageWriter,
    app_state: AppStateDep,
    seen: SeenVersion,
    remap_to: RemapToParam = None,
    activation: ActivationQuery = Activation.FUTURE_ONLY,
) -> StageMapChange:
    """Archives a stage permanently: its key is never reused. Its customers move to `remap_to` at once.

    `If-Match` is optional: with it, the change is refused if the stage map has changed since that version.
    """
    try:
        result = await _change_map(
            app_state,
            caller.company_id,
            partial(archive, key=key, remap_to=remap_to),
            MapChangeRequest(seen, activation, caller.actor),
        )
    except InvalidInputError as error:
        raise error.with_pointers({"/remapped_to": "query/remap_to"}) from None
    return _to_response(result, response, app_state)


@router.get("/stage-versions", summary="List versions of the stage map", responses=problems())
async def list_stage_map_versions(
    caller: StageReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> StageMapVersionPage:
    """Lists the versions of the stage map with author and time, newest first."""
    before = from_cursor("stage-versions", cursor, is_id)
    versions = await stage_maps.list_versions(
        app_state.database, caller.company_id, before=before[0] if before else None, limit=limit + 1
    )
    return StageMapVersionPage(
        items=[StageMapVersion.of(version) for version in versions[:limit]],
        next_cursor=next_cursor("stage-versions", versions, limit, lambda row: [row.version]),
    )


@router.get(
    "/stage-versions/{version}",
    summary="Get a version of the stage map",
    responses={**NOT_MODIFIED, **problems(MapVersionNotFoundError)},
)
async def get_stage_map_version(
    version: MapVersionPath, caller: StageReader, app_state: AppStateDep
) -> StageMap:
    """Returns a version with its stages, as it was activated."""
    return StageMap.of_view(await stage_maps.get_map(app_state.database, caller.company_id, version))


@router.get(
    "/stage-versions/{version}/diff",
    summary="Compare two versions of the stage map",
    responses=problems(MapVersionNotFoundError),
)
async def get_stage_map_diff(
    version: MapVersionPath,
    caller: StageReader,
    app_state: AppStateDep,
    since: Annotated[
        int | None,
        Query(
            ge=1,
            le=_MAX_VERSION,
            description="Number of the version to compare with; default: the previous version",
            examples=[2],
        ),
    ] = None,
) -> StageMapDiff:
    """Returns which stages were added and archived, and which fields of the other stages differ."""
    start = max(1, version - 1) if since is None else since
    diff = await stage_maps.diff_versions(app_state.database, caller.company_id, version, start)
    return StageMapDiff.of(start, version, diff)


async def _change_map(
    app_state: AppState, company_id: int, edit: MapEdit, request: MapChangeRequest
) -> MapChangeResult:
    return await stage_maps.change_map(
        app_state.database, company_id, edit, request, lease_seconds=app_state.settings.lease_seconds
    )


def _to_response(result: MapChangeResult, response: Response, app_state: AppState) -> StageMapChange:
    change = StageMapChange.of_changed(result)
    response.headers["ETag"] = f'"{change.version}"'
    if change.job is not None:
        app_state.respond_accepted(change.job.status, response)
    return change
