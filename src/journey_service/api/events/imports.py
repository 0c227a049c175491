"""Routes of imports of past events."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request

from journey_service.api.authentication import EventWriter, ImportWriter
from journey_service.api.dependencies import (
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_id,
    is_text,
    next_cursor,
    repeatable,
)
from journey_service.api.events.schemas.imports import (
    Import,
    ImportLineError,
    ImportLineErrorPage,
    ImportPage,
)
from journey_service.api.problems import problems
from journey_service.api.request_bodies import MAX_IMPORT_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import Instant
from journey_service.domain.errors import MalformedError
from journey_service.domain.events.cell_formats import DateFormat, DecimalName, to_separator
from journey_service.domain.events.csv_header import parse_columns
from journey_service.domain.events.errors import ImportNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.events.import_file import Encoding, FileFormat
from journey_service.domain.events.records import ImportOptions
from journey_service.services.events import imports

router = APIRouter(tags=["imports"], route_class=StrictRoute)

ImportId = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the import", examples=[12])]

_CSV_EXAMPLE: Final = (
    "id,source,type,customer_id,occurred_at,total_amount\n"
    "appt-1001-completed,booking,appointment_completed,4711,2026-03-01T09:30:00Z,49.90\n"
)
_NDJSON_EXAMPLE: Final = (
    '{"id":"appt-1001-completed","source":"booking","type":"appointment_completed","customer_id":4711,'
    '"occurred_at":"2026-03-01T09:30:00Z","data":{"total_amount":49.9}}\n'
)
_FILE: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "A header line, then one event on each line",
                },
                "examples": {"csv": {"summary": "One event", "value": _CSV_EXAMPLE}},
            },
            "application/x-ndjson": {
                "schema": {"type": "string", "format": "binary", "description": "One event on each line"},
                "examples": {"ndjson": {"summary": "One event", "value": _NDJSON_EXAMPLE}},
            },
            "application/gzip": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "A CSV or NDJSON file, compressed with gzip",
                }
            },
        },
    }
}


@router.post(
    "/imports",
    summary="Import past events",
    status_code=202,
    responses=problems(MalformedError),
    openapi_extra=_FILE,
    max_body_size=MAX_IMPORT_BODY_BYTES,
)
async def create_import(
    request: Request,
    caller: ImportWriter,
    app_state: AppStateDep,
    *,
    until: Annotated[
        Instant | None,
        Query(
            description="Time up to which events are replayed; later lines are skipped. Default: the current time",
            examples=["2026-03-01T00:00:00Z"],
        ),
    ] = None,
    actions: Annotated[
        bool, Query(description="Whether to run the actions of stages entered within the last 24 hours")
    ] = False,
    column: Annotated[
        list[str] | None,
        repeatable(
            "Field of a column of a CSV file that has another name, as `<column>:<field>`. Column names are compared"
            " without case",
            examples=[["Kundennummer:customer_id"]],
        ),
    ] = None,
    decimal_separator: Annotated[
        DecimalName | None,
        Query(
            description="Separator of decimals in a CSV file. Default: `comma` if the columns are separated by"
            " semicolons, otherwise `point`; an amount that can then be read in two ways is an error",
            examples=["comma"],
        ),
    ] = None,
    date_format: Annotated[
        DateFormat | None,
        Query(
            description="Format of dates with slashes in a CSV file, which are errors without it",
            examples=["DD/MM/YYYY"],
        ),
    ] = None,
    encoding: Annotated[
        Encoding | None,
        Query(
            description="Character encoding. Default: UTF-8, or UTF-16 if the file begins with its byte order mark",
            examples=["windows-1252"],
        ),
    ] = None,
) -> Import:
    """Imports a CSV or NDJSON file, plain or gzip. Responds once all lines are stored; a worker then replays them.

    Transitions have the dates of the events. Invalid lines are listed as errors of the import; the others are applied.
    The separator of a CSV file follows from its header. Unknown columns are ignored and named in the response. Times
    without an offset are those of the company's time zone.
    """
    file_format = FileFormat(
        parse_columns(column or (), "query/column"), to_separator(decimal_separator), date_format, encoding
    )

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
        options=ImportOptions(until, actions, file_format),
    )
    app_state.wake("imports")
    return Import.of(found)


@router.get("/imports", summary="List imports", responses=problems())
async def list_imports(
    caller: EventWriter, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> ImportPage:
    """Lists the imports of the company, newest first."""
    before = from_cursor("imports", cursor, is_id)
    found = await imports.list_imports(
        app_state.database, caller.company_id, before=before[0] if before else None, limit=limit + 1
    )
    return ImportPage(
        items=[Import.of(one) for one in found[:limit]],
        next_cursor=next_cursor("imports", found, limit, lambda row: [row.id]),
    )


@router.get("/imports/{import_id}", summary="Get an import", responses=problems(ImportNotFoundError))
async def get_import(import_id: ImportId, caller: EventWriter, app_state: AppStateDep) -> Import:
    """Returns an import with its progress and results."""
    return Import.of(await imports.get_import(app_state.database, caller.company_id, import_id))


@router.get(
    "/imports/{import_id}/errors", summary="List errors of an import", responses=problems(ImportNotFoundError)
)
async def list_import_errors(
    import_id: ImportId, caller: EventWriter, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> ImportLineErrorPage:
    """Lists the invalid lines of an import with their errors, by line. The first 10,000 errors are stored."""
    after = from_cursor("import-errors", cursor, is_id, is_text)
    found = await imports.list_line_errors(
        app_state.database,
        caller.company_id,
        import_id,
        after=(0, "") if after is None else (after[0], after[1]),
        limit=limit + 1,
    )
    return ImportLineErrorPage(
        items=[ImportLineError.of(error) for error in found[:limit]],
        next_cursor=next_cursor("import-errors", found, limit, lambda row: [row.line, row.pointer]),
    )
