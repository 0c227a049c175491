"""History read in over HTTP."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from journey_service.api.authentication import EventWriter, HistoryWriter
from journey_service.api.dependencies import (
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_id,
    is_text,
    next_cursor,
)
from journey_service.api.events.schemas.imports import ImportOut, ImportsOut, LineFaultOut, LineFaultsOut
from journey_service.api.problems import problems
from journey_service.api.request_bodies import MAX_IMPORT_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import Instant
from journey_service.domain.errors import MalformedError
from journey_service.domain.events.errors import ImportNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.events.records import ImportOptions
from journey_service.services.events import imports

router = APIRouter(tags=["imports"], route_class=StrictRoute)

ImportId = Annotated[int, Path(ge=1, le=MAX_ID)]

_HISTORY = {
    "requestBody": {
        "required": True,
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in ("text/csv", "application/x-ndjson", "application/gzip")
        },
    }
}


@router.post(
    "/imports",
    summary="Read in a history",
    status_code=202,
    responses=problems(MalformedError),
    openapi_extra=_HISTORY,
    max_body_size=MAX_IMPORT_BODY_BYTES,
)
async def post_import(
    request: Request,
    caller: HistoryWriter,
    app_state: AppStateDep,
    *,
    until: Annotated[Instant | None, Query(description="bring journeys up to then, not to now")] = None,
    actions: Annotated[
        bool, Query(description="run the actions of stages entered within the last 24 hours")
    ] = False,
) -> ImportOut:
    """Read CSV or NDJSON, plain or gzip; answered once every line is kept. The replay goes on by itself."""

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in request.stream():
            yield chunk

    declared = (request.headers.get("content-type", ""), request.headers.get("content-encoding", ""))
    is_gzip = True if any("gzip" in header for header in declared) else None
    found = await imports.stage_import(
        app_state.database,
        caller.company_id,
        chunks(),
        actor=caller.actor,
        is_gzip=is_gzip,
        options=ImportOptions(until, actions),
    )
    app_state.wake("imports")
    return ImportOut.of(found)


@router.get("/imports", summary="List imports", responses=problems())
async def list_imports(
    caller: EventWriter, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> ImportsOut:
    """Imports, newest first."""
    before = from_cursor("imports", cursor, is_id)
    found = await imports.list_imports(
        app_state.database, caller.company_id, before=before[0] if before else None, limit=limit + 1
    )
    items = [ImportOut.of(one) for one in found[:limit]]
    return ImportsOut(items=items, next_cursor=next_cursor("imports", found, limit, lambda row: [row.id]))


@router.get(
    "/imports/{import_id}", summary="Read an import's progress", responses=problems(ImportNotFoundError)
)
async def get_import(import_id: ImportId, caller: EventWriter, app_state: AppStateDep) -> ImportOut:
    """How far an import is, and what became of its lines."""
    return ImportOut.of(await imports.get_import(app_state.database, caller.company_id, import_id))


@router.get(
    "/imports/{import_id}/errors",
    summary="Read an import's faulty lines",
    responses=problems(ImportNotFoundError),
)
async def list_import_errors(
    import_id: ImportId, caller: EventWriter, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> LineFaultsOut:
    """What was wrong with which line; the first 10,000 are kept."""
    after = from_cursor("import-errors", cursor, is_id, is_text)
    found = await imports.list_line_errors(
        app_state.database,
        caller.company_id,
        import_id,
        after=(0, "") if after is None else (after[0], after[1]),
        limit=limit + 1,
    )
    items = [LineFaultOut.of(fault) for fault in found[:limit]]
    return LineFaultsOut(
        items=items,
        next_cursor=next_cursor("import-errors", found, limit, lambda row: [row.line, row.pointer]),
    )
