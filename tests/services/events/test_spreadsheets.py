"""Spreadsheets: cells as a CSV file has them, one row after the other, and refused beyond the limits."""

import io
import tracemalloc
import zipfile
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from openpyxl import Workbook

from journey_service.domain.access.actors import Actor
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.files.import_file import FileFormat
from journey_service.domain.events.records import ImportOptions
from journey_service.services.events.imports import spreadsheets
from journey_service.services.events.imports.imports import list_line_errors, run_import, stage_import
from journey_service.services.events.imports.spreadsheets import SpreadsheetRows, SpreadsheetTooLargeError
from ledger import rows

HEADER = ["Customer ID", "occurred_at", "event_type", "amount", "call_duration", "note"]


def workbook(*sheets):
    """Returns the bytes of a workbook; each sheet is its title and rows."""
    book = Workbook(write_only=True)
    for title, lines in sheets:
        sheet = book.create_sheet(title)
        for line in lines:
            sheet.append(line)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def read(data, sheet=None, separator=None):
    """Returns the rows of a spreadsheet."""
    return list(SpreadsheetRows(io.BytesIO(data), sheet, separator))


def replaced(data, name, content):
    """Returns a workbook in which a part has another content."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, content if entry.filename == name else old.read(entry))
    return stream.getvalue()


async def test_a_spreadsheet_is_imported_like_a_csv_file(database, create_test_company):
    tenant = await create_test_company(timezone="Europe/Berlin")
    lines = [
        HEADER,
        [101.0, datetime(2026, 1, 10, 9, 30), "appointment_completed", 80.5, None, "a note"],
        [None] * 6,
        [102, date(2026, 7, 1), "call_received", None, timedelta(minutes=2)],
        ["103", "2026-01-10", "appointment_completed", "1,240.00 \u20ac", None, True],
        [104.5, date(2026, 7, 1), "call_received"],
    ]

    async def chunks():
        data = workbook(("Termine", lines), ("Other", [["nothing"]]))
        for start in range(0, len(data), 1_000):
            yield data[start : start + 1_000]

    staged = await stage_import(database, tenant.id, chunks(), actor=Actor("tests"))
    assert await run_import(database, tenant.id, staged.id)
    found = await rows(
        database,
        tenant.id,
        "SELECT event_id, amount, call_duration, to_char(occurred_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI')"
        " FROM journey_events WHERE company_id = :company ORDER BY 1",
    )
    assert [tuple(row) for row in found] == [
        ("101:appointment_completed:2026-01-10T09:30:00:80.5:1", Decimal("80.5"), None, "01-10 08:30"),
        (found[1][0], 0, 120, "06-30 22:00"),
        ("103:appointment_completed:2026-01-10T00:00:00:1240:1", Decimal(1240), None, "01-09 23:00"),
    ]
    assert list(staged.ignored_columns) == ["note"]
    errors = await list_line_errors(database, tenant.id, staged.id, after=(0, ""), limit=10)
    assert [(error.line, error.pointer) for error in errors] == [(6, "/customer_id")]


def test_numbers_are_written_as_a_spreadsheet_shows_them():
    data = workbook(("A", [[0.1 + 0.2, 113.0, 1e15, -0.5, False, "x", None, None]]))
    assert read(data) == [(1, ["0.3", "113", "1000000000000000", "-0.5", "false", "x"])]
    assert read(data, separator=",")[0][1][0] == "0,3"


def test_the_sheet_is_the_first_one_or_the_one_that_is_named():
    data = workbook(("A", [["a"]]), ("B", [["b"]]))
    assert (read(data), read(data, "B")) == ([(1, ["a"])], [(1, ["b"])])
    with pytest.raises(InvalidInputError) as caught:
        read(data, "C")
    assert caught.value.errors[0].message == "is not a sheet of the file; its sheets are 'A', 'B'"


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("MAX_SHEET_BYTES", 2_000),
        ("MAX_OTHER_BYTES", 2_000),
        ("MAX_ROW_BYTES", 500),
        ("MAX_ROWS", 20),
        ("MAX_COLUMNS", 2),
        ("_MAX_DIRECTORY_BYTES", 100),
    ],
)
def test_a_spreadsheet_beyond_a_limit_is_refused(monkeypatch, name, limit):
    data = workbook(("A", [["x" * 600, "b", "c"]] * 30))
    assert len(read(data)) == 30
    monkeypatch.setattr(spreadsheets, name, limit)
    with pytest.raises(SpreadsheetTooLargeError):
        read(data)


def test_a_directory_that_declares_less_than_there_is_is_refused():
    data = workbook(("A", [["a"]]))
    content = b"<worksheet>" + b" " * 50 * 1024**2
    bomb = bytearray(replaced(data, "xl/worksheets/sheet1.xml", content))
    size = len(content).to_bytes(4, "little")
    assert bomb.count(size) == 2
    for _ in range(2):
        at = bomb.index(size)
        bomb[at : at + 4] = (1_000).to_bytes(4, "little")
    with pytest.raises(InvalidInputError):
        read(bytes(bomb))


@pytest.mark.parametrize(
    "content",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><worksheet><sheetData>&b;</sheetData></worksheet>',
        b"<worksheet><sheetData><row",
        b"",
    ],
    ids=["entities", "truncated", "empty"],
)
def test_a_damaged_sheet_is_an_error_of_the_file(content):
    with pytest.raises(InvalidInputError) as caught:
        read(replaced(workbook(("A", [["a"]])), "xl/worksheets/sheet1.xml", content))
    assert caught.value.errors[0].message.startswith("is not a spreadsheet that can be read: ")


async def test_an_archive_that_is_no_spreadsheet_leaves_nothing(database, tenant):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("events.csv", "customer_id,type,occurred_at\n")

    async def chunks():
        yield stream.getvalue()

    options = ImportOptions(file_format=FileFormat(sheet="A"))
    with pytest.raises(InvalidInputError):
        await stage_import(database, tenant.id, chunks(), actor=Actor("tests"), options=options)
    assert await rows(database, tenant.id, "SELECT id FROM imports WHERE company_id = :company") == []


def test_memory_does_not_grow_with_the_number_of_rows():
    def peak(number):
        data = workbook(("A", [[at, at / 4, date(2026, 1, 1)] for at in range(number)]))
        tracemalloc.start()
        assert sum(1 for _ in SpreadsheetRows(io.BytesIO(data), None, None)) == number
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(4_000) < peak(400) + 256 * 1024  # the rows alone would be more
