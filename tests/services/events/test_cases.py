"""Files as people export them: each case of the shared folder gives the right facts, and so do others of its kind."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.events.files.import_file import FileFormat
from journey_service.domain.events.records import ImportOptions
from journey_service.services.events.imports.imports import (
    get_import,
    list_line_errors,
    run_import,
    stage_import,
)
from ledger import rows

CASES = Path(__file__).parents[4] / "shared" / "cases"


@pytest.fixture
async def import_into(database, create_test_company):
    """Imports a file into a new company of a zone and currency; returns the import, facts by customer, and errors."""

    async def run(content, *, timezone="Europe/Berlin", currency="EUR", company=None, **options):
        tenant = company or await create_test_company(timezone=timezone, currency=currency)

        async def chunks():
            yield content

        staged = await stage_import(
            database, tenant.id, chunks(), actor=Actor("tests"), options=ImportOptions(**options)
        )
        assert await run_import(database, tenant.id, staged.id)
        found = await rows(
            database,
            tenant.id,
            "SELECT customer_id, total_appointments, lifetime_value, last_appointment_at FROM customer_relationships"
            " WHERE company_id = :company",
        )
        errors = await list_line_errors(database, tenant.id, staged.id, after=(0, ""), limit=100)
        facts = {row[0]: (row[1], row[2], row[3]) for row in found}
        return (
            await get_import(database, tenant.id, staged.id),
            facts,
            [(each.line, each.message) for each in errors],
        )

    return run


def case(name):
    """Returns the content of a case; skips where the folder is absent."""
    path = CASES / name
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return path.read_bytes()


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("mark", [b"", b"sep=;\r\n", b"\xef\xbb\xbf"], ids=["plain", "sep", "mark"])
async def test_h01_semicolons_and_decimal_commas(mark, import_into):
    done, facts, errors = await import_into(mark + case("h01_semicolon_decimal_comma.csv"))
    assert errors == []
    assert facts == {
        101: (1, Decimal("80.50"), at("2026-01-09T23:00:00")),
        102: (1, Decimal("1240.00"), at("2026-01-10T23:00:00")),
    }
    assert done.ignored_columns == []


async def test_h02_a_column_without_name_is_ignored(import_into):
    _, facts, errors = await import_into(case("h02_trailing_empty_column.csv"))
    assert ({key: value[:2] for key, value in facts.items()}, errors) == ({103: (1, 80)}, [])


async def test_h03_an_unknown_column_is_ignored_and_named(import_into):
    done, facts, errors = await import_into(case("h03_extra_column.csv"))
    assert ({key: value[:2] for key, value in facts.items()}, errors) == ({104: (1, 80)}, [])
    assert done.ignored_columns == ["stylist"]


async def test_h04_times_without_an_offset_are_local(import_into):
    _, facts, errors = await import_into(case("h04_local_time.csv"))
    assert errors == []
    assert (facts[105][2], facts[106][2]) == (at("2026-01-10T08:30:00"), at("2026-07-10T07:30:00"))


async def test_h05_offsets_as_postgresql_writes_them(import_into):
    _, facts, errors = await import_into(case("h05_postgres_offset.csv"))
    assert (facts[107][2], errors) == (at("2026-01-10T08:30:00.500000"), [])


async def test_h06_the_sign_of_the_company_s_currency(import_into):
    _, facts, errors = await import_into(case("h06_money_symbols.csv"), currency="USD")
    assert errors == []
    assert {key: value[1] for key, value in facts.items()} == {108: Decimal(1280), 109: Decimal(45)}


async def test_h06_the_sign_of_another_currency_is_an_error_of_its_line(import_into):
    _, facts, errors = await import_into(case("h06_money_symbols.csv"), currency="EUR")
    assert facts == {}
    assert errors == [(number, "must be in the company's currency, EUR") for number in (2, 3)]


async def test_h07_text_in_a_quoted_cell_is_no_record(import_into):
    _, facts, errors = await import_into(case("h07_multiline_note.csv"))
    assert ({key: value[:2] for key, value in facts.items()}, errors) == ({110: (1, 10), 112: (1, 20)}, [])


async def test_h08_ids_with_decimals_of_zero(import_into):
    _, facts, errors = await import_into(
        case("h08_float_ids.csv") + b"113.5,2026-01-10,appointment_completed,80\n"
    )
    assert {key: value[:2] for key, value in facts.items()} == {113: (1, 80)}
    assert [line for line, _ in errors] == [3]


async def test_h10_rows_without_content_are_skipped(import_into):
    done, facts, errors = await import_into(case("h10_blank_rows.csv"))
    assert ({key: value[:2] for key, value in facts.items()}, errors) == ({115: (1, 80)}, [])
    assert (done.staged, done.failed_lines) == (1, 0)


async def test_a_file_from_a_german_spreadsheet(import_into):
    text = "\ufeffKundennr;Datum;Art;Betrag;Mitarbeiter\r\n"
    text += "7;3.2.2026 14:30;appointment_completed;1.234,50 \u20ac;Jana\r\n;;;;\r\n"
    names = {"Kundennr": "customer_id", "Datum": "occurred_at", "Art": "type", "Betrag": "amount"}
    done, facts, errors = await import_into(text.encode(), file_format=FileFormat(columns=names))
    assert (facts, errors) == ({7: (1, Decimal("1234.50"), at("2026-02-03T13:30:00"))}, [])
    assert done.ignored_columns == ["Mitarbeiter"]


async def test_a_tab_separated_file_in_utf_16(import_into):
    text = "Customer ID\tOccurred At\tType\tTotal Amount\n8\t2026-02-03 14:30:00 UTC\tappointment_completed\t1,234.50\n"
    _, facts, errors = await import_into(text.encode("utf-16"), timezone="Asia/Kathmandu")
    assert (facts, errors) == ({8: (1, Decimal("1234.50"), at("2026-02-03T14:30:00"))}, [])


JANUARY = "customer_id,occurred_at,event_type,amount\n"


async def test_h09_overlapping_files_count_each_line_once_in_any_order(import_into, create_test_company):
    tenant = await create_test_company(timezone="Europe/Berlin")
    for name in ("h09_overlap_1.csv", "h09_overlap_2_newest_first.csv", "h09_overlap_1.csv"):
        _, facts, errors = await import_into(case(name), company=tenant)
        assert errors == []
    assert facts == {114: (2, Decimal("80.00"), at("2026-02-02T23:00:00"))}


async def test_a_corrected_zone_and_another_notation_double_nothing(
    import_into, create_test_company, database
):
    tenant = await create_test_company(timezone="UTC")
    lines = ["9,2026-02-03 09:30,appointment_completed,30", "9,2026-02-03 09:30,appointment_completed,30"]
    await import_into((JANUARY + "\n".join(lines)).encode(), company=tenant)
    await rows(
        database,
        tenant.id,
        "UPDATE companies SET timezone = 'Asia/Kathmandu' WHERE id = :company RETURNING id",
    )
    lines += ["9,2026-02-03 09:30,appointment_completed,30"]
    german = "\n".join(lines).replace("2026-02-03 09:30", "3.2.2026 9:30")
    done, facts, errors = await import_into((JANUARY + german).encode(), company=tenant)
    assert (done.applied, done.duplicates, done.changed, errors) == (1, 2, 0, [])
    assert facts[9][:2] == (3, Decimal(90))


async def test_a_line_that_differs_in_the_amount_alone_is_held_back_unless_it_is_added(
    import_into, create_test_company
):
    tenant = await create_test_company(timezone="UTC")
    first = JANUARY + "9,2026-02-03,appointment_completed,30\n9,2026-02-03,appointment_completed,50\n"
    await import_into(first.encode(), company=tenant)
    # 30 became 35; 50 is known; 60 has no partner left and is new.
    second = first.replace(",30", ",35") + "9,2026-02-03,appointment_completed,60\n"
    held, facts, errors = await import_into(second.encode(), company=tenant)
    assert (held.applied, held.duplicates, held.changed, held.failed_lines) == (1, 1, 1, 0)
    assert errors == [(2, "differs from a known line in the amount alone, and was held back")]
    assert facts[9][:2] == (3, Decimal(140))
    added, facts, errors = await import_into(second.encode(), company=tenant, on_changed="add")
    assert (added.applied, added.duplicates, added.changed, errors) == (1, 2, 0, [])
    assert facts[9][:2] == (4, Decimal(175))


async def test_a_line_that_differs_in_the_amount_alone_replaces_the_known_one(
    import_into, create_test_company
):
    tenant = await create_test_company(timezone="UTC")
    first = JANUARY + "9,2026-02-03,appointment_completed,30\n9,2026-02-03,appointment_completed,50\n"
    await import_into(first.encode(), company=tenant)
    second = first.replace(",30", ",35").encode()
    replaced, facts, errors = await import_into(second, company=tenant, on_changed="replace")
    assert (replaced.applied, replaced.duplicates, replaced.changed, errors) == (1, 1, 0, [])
    assert facts[9][:2] == (2, Decimal(85))
    again, facts, errors = await import_into(second + b"\n", company=tenant, on_changed="replace")
    assert (again.applied, again.duplicates, again.changed, errors) == (0, 2, 0, [])
    assert facts[9][:2] == (2, Decimal(85))
