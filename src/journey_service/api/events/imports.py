"""Routes of imports of past events."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from journey_service.api.authentication import EventWriter, ImportWriter
from journey_service.api.csv_responses import CsvResponse, csv_rows
from journey_service.api.dependencies import (
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_id,
    is_text,
    next_cursor,
)
from journey_service.api.events.import_parameters import ImportParameters
from journey_service.api.events.schemas.imports import (
    Import,
    ImportCheck,
    ImportLineError,
    ImportLineErrorPage,
    ImportPage,
    ImportProposal,
)
from journey_service.api.problems import problems
from journey_service.api.request_bodies import (
    JSON,
    MAX_IMPORT_BODY_BYTES,
    NDJSON,
    NOT_MODIFIED,
    StrictRoute,
    UnsupportedMediaTypeError,
    media_type,
)
from journey_service.api.schema_fields import ResponseModel, SingleLineText
from journey_service.domain.errors import ForbiddenError, MalformedError
from journey_service.domain.events.errors import ImportNotFoundError, TooManyImportsError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.events.files.csv_header import propose_columns
from journey_service.domain.events.files.import_table import ImportKind, table_kind
from journey_service.domain.events.records import ErrorLine, ImportRecord
from journey_service.domain.events.records import ImportCheck as ImportCheckRecord
from journey_service.services.events.imports import imports

router = APIRouter(tags=["imports"], route_class=StrictRoute)

ImportId = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the import", examples=[12])]

_MEDIA_TYPES: Final = frozenset(
    (
        *NDJSON,
        *("text/csv", "text/plain", "text/tab-separated-values", "application/csv", JSON),
        *("application/gzip", "application/x-gzip", "application/octet-stream"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.ms-excel",  # what browsers call CSV files on some systems
    )
)
"""Media types of files; which form a file has is read from its first bytes."""
_ERROR_LINES_BATCH_SIZE: Final = 500

_CSV_EXAMPLE: Final = (
    "id,source,type,customer_id,occurred_at,total_amount\n"
    "appt-1001-completed,booking,appointment_completed,4711,2026-03-01T09:30:00Z,49.90\n"
)
_ERROR_LINES_EXAMPLE: Final = (
    '"reason","customer_id","occurred_at","type"\r\n'
    '"line 17: type is required","4711","2026-03-01T09:30:00Z",""\r\n'
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
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "A spreadsheet (.xlsx) of at most 64 MiB: a row with the names of the columns, then"
                    " one event on each row",
                }
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
    response_model=Import,
    responses={
        200: {"model": ImportCheck, "description": "With `dry_run`: what the import would do"},
        **problems(TooManyImportsError, MalformedError, UnsupportedMediaTypeError),
    },
    openapi_extra=_FILE,
    max_body_size=MAX_IMPORT_BODY_BYTES,
)
async def create_import(
    request: Request,
    caller: ImportWriter,
    app_state: AppStateDep,
    parameters: ImportParameters,
) -> Response:
    """Imports a CSV, NDJSON or .xlsx file. Responds once all lines are stored; a worker then replays them.

    CSV and NDJSON may be compressed with gzip. Transitions have the dates of the events. Invalid lines are listed as
    errors of the import; the others are applied. The separator of a CSV file follows from its header. Unknown columns
    are ignored and named in the response. Times without an offset are those of the company's time zone.

    Lines of events may contain the profile of the customer, as `customer` or in columns such as `customer_email`. It is
    applied with the event and as of its time: fields that were changed later stay as they are.

    Lines of customers change the fields that they name, and nothing else; a consent that was withdrawn stays.
    """
    media = media_type(request)
    if media not in _MEDIA_TYPES:
        raise UnsupportedMediaTypeError(
            media, accepted="text/csv, application/x-ndjson, .xlsx or application/gzip"
        )
    if parameters.kind == "customers" and not caller.principal.may("customers:write"):
        raise ForbiddenError("The credential lacks the scope 'customers:write'.")
    options = parameters.to_options()
    declared = (request.headers.get("content-type", ""), request.headers.get("content-encoding", ""))
    is_gzip = True if any("gzip" in header for header in declared) else None
    read = imports.check_import if parameters.dry_run else imports.stage_import
    found = await read(
        app_state.database,
        caller.company_id,
        _chunks(request),
        actor=caller.actor,
        is_gzip=is_gzip,
        options=options,
    )
    if isinstance(found, ImportCheckRecord):
        return _json(ImportCheck.of(found), 200)
    app_state.wake("imports")
    return _json(Import.of(found), 202)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk


def _json(body: ResponseModel, status: int) -> Response:
    return Response(body.model_dump_json(), status_code=status, media_type=JSON)


@router.get("/imports/proposal", summary="Propose the fields of columns", responses=problems())
async def get_import_proposal(
    caller: EventWriter,
    app_state: AppStateDep,
    *,
    header: Annotated[
        str,
        Query(
            min_length=1,
            max_length=4_000,
            description="Header line of a CSV file",
            examples=["Kundennummer;Datum;Vorgang;Betrag (EUR)"],
        ),
    ],
    kind: Annotated[
        ImportKind, Query(description="What the lines of the file are", examples=["events"])
    ] = "events",
    source: Annotated[
        SingleLineText | None,
        Query(
            description="System that the file comes from, whose latest import is looked up first",
            examples=["salon-desk"],
        ),
    ] = None,
) -> ImportProposal:
    """Returns which field each column of a header probably is, by common English and German names.

    An import takes no proposal by itself: name the columns with its parameter `column`.
    """
    known = (
        None
        if source is None
        else await imports.find_format(app_state.database, caller.company_id, kind, source)
    )
    table = table_kind(kind)
    found, columns = propose_columns(header, columns=None if known is None else known.columns, kind=table)
    return ImportProposal.of(found, columns, table, known)


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


@router.get(
    "/imports/{import_id}",
    summary="Get an import",
    responses={**NOT_MODIFIED, **problems(ImportNotFoundError)},
)
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


@router.get(
    "/imports/{import_id}/errors.csv",
    summary="Export the lines with errors of an import",
    response_model=None,
    response_class=CsvResponse,
    responses={
        200: {
            "description": "The lines with errors",
            "headers": {
                "Content-Disposition": {
                    "description": "Name of the file",
                    "schema": {"type": "string"},
                    "example": 'attachment; filename="errors.csv"',
                }
            },
            "content": {
                "text/csv": {
                    "schema": {
                        "type": "string",
                        "description": "RFC 4180 in UTF-8: `reason`, then the columns of the file (NDJSON: `line`)",
                    },
                    "examples": {"csv": {"summary": "One line", "value": _ERROR_LINES_EXAMPLE}},
                }
            },
        },
        **problems(ImportNotFoundError),
    },
)
async def export_import_errors(import_id: ImportId, caller: EventWriter, app_state: AppStateDep) -> Response:
    """Returns the lines with errors as they are in the file, each after the reason, so that they can be corrected.

    The cells of a line are kept as long as the errors of the import, if the line names a customer and has at most 8,192
    characters; they are returned to callers with the scope `customers:read`. Corrected lines can be imported as they
    are: the column `reason` is ignored.
    """

    async def page(after: int) -> tuple[ImportRecord, Sequence[ErrorLine]]:
        return await imports.list_error_lines(
            app_state.database, caller.company_id, import_id, after=after, limit=_ERROR_LINES_BATCH_SIZE
        )

    found, first = await page(0)

    async def table() -> AsyncIterator[str]:
        yield csv_rows([["reason", *(found.header or ["line"])]])
        lines = first
        while lines:
            yield csv_rows([[_reason(line), *((caller.sees_names and line.cells) or ())] for line in lines])
            _, lines = await page(lines[-1].line)

    return StreamingResponse(
        table(),
        media_type=CsvResponse.media_type,
        headers={"Content-Disposition": 'attachment; filename="errors.csv"'},
    )


def _reason(line: ErrorLine) -> str:
    reasons = [f"{error.pointer.lstrip('/') or 'the line'} {error.message}" for error in line.errors]
    return f"line {line.line}: {'; '.join(reasons)}"
