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
    repeatable,
)
from journey_service.api.events.schemas.imports import (
    Import,
    ImportCheck,
    ImportLineError,
    ImportLineErrorPage,
    ImportPage,
    ImportProposal,
)
from journey_service.api.problems import problems
from journey_service.api.request_bodies import JSON, MAX_IMPORT_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import Instant, ResponseModel, SingleLineText
from journey_service.domain.errors import ForbiddenError, MalformedError
from journey_service.domain.events.cell_formats import DateFormat, DecimalName, to_separator
from journey_service.domain.events.errors import ImportNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.events.files.csv_header import parse_columns, propose_columns
from journey_service.domain.events.files.import_file import Encoding, FileFormat
from journey_service.domain.events.files.import_table import ImportKind, table_kind
from journey_service.domain.events.records import ErrorLine, ImportOptions, ImportRecord, OnChanged
from journey_service.domain.events.records import ImportCheck as ImportCheckRecord
from journey_service.services.events.imports import imports

router = APIRouter(tags=["imports"], route_class=StrictRoute)

ImportId = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the import", examples=[12])]

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
        **problems(MalformedError),
    },
    openapi_extra=_FILE,
    max_body_size=MAX_IMPORT_BODY_BYTES,
)
async def create_import(
    request: Request,
    caller: ImportWriter,
    app_state: AppStateDep,
    *,
    kind: Annotated[
        ImportKind,
        Query(
            description="What the lines are: `events`, or `customers` with the columns `customer_id`, `name`, `email`,"
            " `phone`, `language`, `consents` and `consent_<channel>`, which needs the scope `customers:write`",
            examples=["customers"],
        ),
    ] = "events",
    dry_run: Annotated[
        bool, Query(description="Whether to return what the import would do, without changing anything")
    ] = False,
    source: Annotated[
        SingleLineText | None,
        Query(
            description="System that the file comes from. Columns and formats that are named are remembered for it,"
            " and used when the next import from it names none. Lines with an id that name no source of their own"
            " have this one",
            examples=["salon-desk"],
        ),
    ] = None,
    sheet: Annotated[
        SingleLineText | None,
        Query(description="Sheet of a spreadsheet. Default: the first one", examples=["Termine 2026"]),
    ] = None,
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
    on_changed: Annotated[
        OnChanged,
        Query(
            description="What happens to lines without an id that differ from a known one in the amount alone: `hold`"
            " reports them and changes nothing, `add` adds them as further events, `replace` retracts the known"
            " events and adds them",
            examples=["add"],
        ),
    ] = "hold",
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
) -> Response:
    """Imports a CSV, NDJSON or .xlsx file. Responds once all lines are stored; a worker then replays them.

    CSV and NDJSON may be compressed with gzip. Transitions have the dates of the events. Invalid lines are listed as
    errors of the import; the others are applied. The separator of a CSV file follows from its header. Unknown columns
    are ignored and named in the response. Times without an offset are those of the company's time zone.

    Lines of customers change the fields that they name, and nothing else; a consent that was withdrawn stays.
    """
    if kind == "customers" and not caller.principal.may("customers:write"):
        raise ForbiddenError("The credential lacks the scope 'customers:write'.")
    file_format = FileFormat(
        parse_columns(column or (), "query/column", table_kind(kind)),
        to_separator(decimal_separator),
        date_format,
        encoding,
        sheet,
    )

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in request.stream():
            yield chunk

    declared = (request.headers.get("content-type", ""), request.headers.get("content-encoding", ""))
    is_gzip = True if any("gzip" in header for header in declared) else None
    read = imports.check_import if dry_run else imports.stage_import
    found = await read(
        app_state.database,
        caller.company_id,
        chunks(),
        actor=caller.actor,
        is_gzip=is_gzip,
        options=ImportOptions(until, actions, file_format, on_changed, kind, source),
    )
    if isinstance(found, ImportCheckRecord):
        return _json(ImportCheck.of(found), 200)
    app_state.wake("imports")
    return _json(Import.of(found), 202)


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
