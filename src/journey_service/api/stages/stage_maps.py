"""The company's stage map: read, changed, its versions."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from journey_service.api.authentication import StageDrafter, StageReader, StageWriter
from journey_service.api.dependencies import (
    AppState,
    AppStateDep,
    Cursor,
    Limit,
    SeenVersion,
    from_cursor,
    is_id,
    next_cursor,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.stages.schemas.stage_maps import (
    ChangedOut,
    DiffOut,
    DraftIn,
    FindingsOut,
    MapIn,
    MapOut,
    StageFieldsIn,
    StageOut,
    VersionOut,
    VersionsOut,
)
from journey_service.domain.errors import InvalidInputError, PreconditionMissingError
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.stages.changes import archive, build_draft, edit_stage
from journey_service.domain.stages.errors import (
    AdoptionPendingError,
    MapVersionNotFoundError,
    StageArchivedError,
    StageNotFoundError,
    StageOccupiedError,
    StaleMapError,
)
from journey_service.services.stages import stage_maps
from journey_service.services.stages.stage_maps import MapChangeRequest, MapChangeResult, MapEdit

router = APIRouter(tags=["stages"], route_class=StrictRoute)

StageKey = Annotated[str, Path(max_length=50, examples=["vip"])]
MapVersionId = Annotated[int, Path(ge=1, le=2**31 - 1)]
ActivationQuery = Annotated[
    Activation, Query(description="for whom the change counts from the moment it is in force")
]

_STAYS_OPEN: dict[int | str, dict[str, Any]] = {
    202: {"model": ChangedOut, "description": "In force; customers it concerns are still being taken over"}
}


def edit_of(draft: DraftIn) -> MapEdit:
    """What makes the next version of a map out of the one in force: the draft."""
    return partial(build_draft, raw=draft.stages, remap=draft.remap, pointer="/stages")


def base_of(draft: DraftIn, seen: int | None) -> int | None:
    """The version a draft is based on. Raises InvalidInputError when header and body name two."""
    if draft.version is not None and seen is not None and draft.version != seen:
        raise InvalidInputError.at("/version", f"is another one than If-Match names ({seen})")
    return draft.version if seen is None else seen


def _shown(changed: MapChangeResult, response: Response, app_state: AppState) -> ChangedOut:
    shown = ChangedOut.of_changed(changed)
    response.headers["ETag"] = f'"{shown.version}"'
    if shown.job is not None:
        app_state.respond_accepted(shown.job.status, response)
    return shown


@router.get("/stages", summary="Read the stage map", responses=problems())
async def get_stages(response: Response, caller: StageReader, app_state: AppStateDep) -> MapOut:
    """Every stage in order, rules as they are written, archived ones too; who put the map in force, and when.

    The ETag is the version that a change is based on.
    """
    view = await stage_maps.get_map(app_state.database, caller.company_id)
    response.headers["ETag"] = f'"{view.version.version}"'
    return MapOut.of_view(view)


@router.put(
    "/stages",
    summary="Put a stage map in force",
    responses={
        **_STAYS_OPEN,
        **problems(
            StaleMapError, PreconditionMissingError, StageOccupiedError, AdoptionPendingError, *JSON_BODY
        ),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def put_stages(
    body: MapIn, response: Response, caller: StageWriter, app_state: AppStateDep, seen: SeenVersion
) -> ChangedOut:
    """Replace the map as a whole by its next version, at once and for everybody, if it is based on the present one.

    Stages left out are archived. Faults of the draft and errors of the linter refuse it, each with its place.
    """
    based_on = base_of(body, seen)
    if based_on is None:
        raise PreconditionMissingError(
            'Send the version you saw as If-Match: "<version>", or as version in the body.'
        )
    request = MapChangeRequest(based_on, body.activation, caller.actor, body.notes)
    return _shown(await _change(app_state, caller.company_id, edit_of(body), request), response, app_state)


@router.post(
    "/stages/lint",
    summary="Look a draft over",
    responses=problems(StaleMapError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_lint(
    body: DraftIn, caller: StageDrafter, app_state: AppStateDep, seen: SeenVersion
) -> FindingsOut:
    """Everything the linter has to say of a draft, errors and warnings; nothing is changed."""
    findings = await stage_maps.lint_draft(
        app_state.database, caller.company_id, edit_of(body), based_on=base_of(body, seen)
    )
    return FindingsOut.of(findings)


@router.get("/stages/{key}", summary="Read one stage", responses=problems(StageNotFoundError))
async def get_stage(
    key: StageKey, response: Response, caller: StageReader, app_state: AppStateDep
) -> StageOut:
    """One stage of the map in force, archived or not."""
    view = await stage_maps.get_map(app_state.database, caller.company_id)
    stage = view.stage_map.by_key.get(key)
    if stage is None:
        raise StageNotFoundError(key)
    response.headers["ETag"] = f'"{view.version.version}"'
    return StageOut.of(stage)


@router.patch(
    "/stages/{key}",
    summary="Change one stage",
    responses={
        **_STAYS_OPEN,
        **problems(StageNotFoundError, StageArchivedError, StaleMapError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def patch_stage(
    key: StageKey,
    body: StageFieldsIn,
    response: Response,
    caller: StageWriter,
    app_state: AppStateDep,
    seen: SeenVersion,
    activation: ActivationQuery = Activation.FUTURE_ONLY,
) -> ChangedOut:
    """Write what is given, the rest stays: the next version of the map. If-Match, where given, is respected."""
    for name in ("key", "is_active", "remapped_to"):
        if name in body:
            raise InvalidInputError.at(
                f"/{name}", "is not changed here: a stage keeps its key, and is archived by DELETE"
            )
    if not body:
        raise InvalidInputError.at("", "must name what is to be changed")
    request = MapChangeRequest(seen, activation, caller.actor)
    edit = partial(edit_stage, key=key, fields=body)
    return _shown(await _change(app_state, caller.company_id, edit, request), response, app_state)


@router.delete(
    "/stages/{key}",
    summary="Archive a stage",
    responses={
        **_STAYS_OPEN,
        **problems(
            StageNotFoundError, StageArchivedError, StageOccupiedError, AdoptionPendingError, StaleMapError
        ),
    },
)
async def delete_stage(
    key: StageKey,
    response: Response,
    caller: StageWriter,
    app_state: AppStateDep,
    seen: SeenVersion,
    remap_to: Annotated[str | None, Query(max_length=50, description="where its customers go")] = None,
    activation: ActivationQuery = Activation.FUTURE_ONLY,
) -> ChangedOut:
    """Take a stage out of use for ever. With customers in it, `remap_to` says where they go, at once."""
    try:
        changed = await _change(
            app_state,
            caller.company_id,
            partial(archive, key=key, remap_to=remap_to),
            MapChangeRequest(seen, activation, caller.actor),
        )
    except InvalidInputError as error:
        raise error.with_pointers({"/remapped_to": "query/remap_to"}) from None
    return _shown(changed, response, app_state)


@router.get("/stage-versions", summary="List versions of the stage map", responses=problems())
async def list_stage_versions(
    caller: StageReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> VersionsOut:
    """Who put which version in force, and when; newest first."""
    before = from_cursor("stage-versions", cursor, is_id)
    found = await stage_maps.list_versions(
        app_state.database, caller.company_id, before=before[0] if before else None, limit=limit + 1
    )
    items = [VersionOut.of(version) for version in found[:limit]]
    return VersionsOut(
        items=items, next_cursor=next_cursor("stage-versions", found, limit, lambda row: [row.version])
    )


@router.get(
    "/stage-versions/{version}",
    summary="Read a version of the stage map",
    responses=problems(MapVersionNotFoundError),
)
async def get_stage_version(version: MapVersionId, caller: StageReader, app_state: AppStateDep) -> MapOut:
    """A version with its stages, as it was put in force."""
    return MapOut.of_view(await stage_maps.get_map(app_state.database, caller.company_id, version))


@router.get(
    "/stage-versions/{version}/diff",
    summary="Read what a version has changed",
    responses=problems(MapVersionNotFoundError),
)
async def get_stage_diff(
    version: MapVersionId,
    caller: StageReader,
    app_state: AppStateDep,
    since: Annotated[
        int | None,
        Query(ge=1, le=2**31 - 1, description="the version to begin from; the one before by default"),
    ] = None,
) -> DiffOut:
    """Stages added and archived, and every field that is another one."""
    start = max(1, version - 1) if since is None else since
    diff = await stage_maps.diff_versions(app_state.database, caller.company_id, version, start)
    return DiffOut.of(start, version, diff)


async def _change(
    app_state: AppState, company_id: int, edit: MapEdit, request: MapChangeRequest
) -> MapChangeResult:
    return await stage_maps.change_map(
        app_state.database, company_id, edit, request, lease_seconds=app_state.settings.lease_seconds
    )
