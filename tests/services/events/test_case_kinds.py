"""Further instances of each kind of file in the shared cases: two at least, none of which is there."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.events.records import ImportOptions
from journey_service.services.events.imports.imports import list_line_errors, run_import, stage_import
from ledger import rows

HEADER = "customer_id,occurred_at,event_type,amount\n"
COMMA = HEADER.replace(",", ";")
VISIT = "2026-01-10,appointment_completed"


def of(instant):
    return datetime.fromisoformat(instant).replace(tzinfo=UTC)


@pytest.fixture
def import_file(database, create_test_company):
    """Imports files into one company; returns appointments and value by customer, the latest time, and faulty lines."""

    async def run(*contents, timezone="Europe/Berlin", currency="EUR"):
        tenant = await create_test_company(timezone=timezone, currency=currency)
        faulty = []
        for content in contents:

            async def chunks(content=content):
                yield content if isinstance(content, bytes) else content.encode()

            staged = await stage_import(
                database, tenant.id, chunks(), actor=Actor("tests"), options=ImportOptions()
            )
            assert await run_import(database, tenant.id, staged.id)
            errors = await list_line_errors(database, tenant.id, staged.id, after=(0, ""), limit=100)
            faulty += [each.line for each in errors]
        found = await rows(
            database,
            tenant.id,
            "SELECT customer_id, total_appointments, lifetime_value, last_appointment_at FROM customer_relationships"
            " WHERE company_id = :company ORDER BY customer_id",
        )
        return {row[0]: (row[1], row[2]) for row in found}, {row[0]: row[3] for row in found}, faulty

    return run


def one(value, who=1):
    return {who: (1, Decimal(value))}


FACTS = {
    "h01: tabs, and decimals with a point": (
        HEADER.replace(",", "\t") + "1\t2026-01-10\tappointment_completed\t1240.50\n",
        one("1240.50"),
    ),
    "h01: bars": (HEADER.replace(",", "|") + "1|2026-01-10|appointment_completed|80.5\n", one("80.50")),
    "h01: a declared comma": ("sep=,\n" + HEADER + f"1,{VISIT},80.50\n", one("80.50")),
    "h01: thousands by a point, by an apostrophe and by a narrow blank": (
        COMMA
        + "".join(
            f"{who};{VISIT.replace(',', ';')};{amount}\n"
            for who, amount in enumerate(("1.240,50", "1'240,50", "1\u202f240,50"), 1)
        ),
        {who: (1, Decimal("1240.50")) for who in (1, 2, 3)},
    ),
    "h02: two columns without a name": (HEADER.strip() + ",,\n" + f"1,{VISIT},80,,\n", one(80)),
    "h02: a column of blanks in the middle": (
        "customer_id, ,occurred_at,event_type,amount\n" + f"1,,{VISIT},80\n",
        one(80),
    ),
    "h02: an unnamed column with content": (HEADER.strip() + ",\n" + f"1,{VISIT},80,x\n", one(80)),
    "h03: unknown columns first and last": (
        "Salon,CUSTOMER ID, Occurred-At ,event_type,Amount,Notiz\n" + f"Mitte,1,{VISIT},80,neu\n",
        one(80),
    ),
    "h03: an unknown column with a name like a field": (
        "customer_id,occurred_at,event_type,amount,amount_net\n" + f"1,{VISIT},80,67.23\n",
        one(80),
    ),
    "h07: a line break, a separator and a quote within a cell": (
        HEADER.replace("amount", "amount,note") + f'1,{VISIT},80,"one, ""two"",\n2,{VISIT},90\nand three"\n',
        one(80),
    ),
    "h07: line breaks of Windows within a cell": (
        (
            "customer_id,occurred_at,event_type,amount,stylist\n" + f'1,{VISIT},80,"Kim\n9,{VISIT},9,x"\n'
        ).replace("\n", "\r\n"),
        one(80),
    ),
    "h08: an id with an exponent is a fault": (HEADER + f"1E3,{VISIT},80\n1.0,{VISIT},80\n", one(80), [2]),
    "h08: an id with several zeros, and one with thousands": (
        HEADER + f"1.000,{VISIT},80\n-1.0,{VISIT},80\n",
        one(80),
        [3],
    ),
    "h10: rows of separators, of blanks and of quotes": (
        HEADER + f',,,\n  , ,\t, \n"","","",""\n\n1,{VISIT},80\n;;;\n',
        one(80),
        [7],
    ),
    "h10: blank rows before the header and at the end": (
        "\n\n" + HEADER + f"1,{VISIT},80\n,,,\n,,,\n",
        one(80),
    ),
}


@pytest.mark.parametrize("case", FACTS.values(), ids=FACTS.keys())
async def test_a_file_is_read_as_it_was_meant(import_file, case):
    content, expected, *faulty = case
    facts, _, lines = await import_file(content)
    assert (facts, lines) == (expected, *(faulty or [[]]))


@pytest.mark.parametrize(
    ("written", "timezone", "instant"),
    [
        ("2026-03-29 02:30", "Europe/Berlin", "2026-03-29T01:00:00"),  # h04: the clock skips it
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30:00"),  # h04: it occurs twice
        ("2026-01-10T09:30", "Asia/Kathmandu", "2026-01-10T03:45:00"),
        ("2026-01-10 09:30:00+0530", "Europe/Berlin", "2026-01-10T04:00:00"),  # h05
        ("2026-01-10 09:30:00.25-03", "Europe/Berlin", "2026-01-10T12:30:00.250000"),
        ("2026-01-10 09:30:00 UTC", "Europe/Berlin", "2026-01-10T09:30:00"),
    ],
)
async def test_h04_h05_times(import_file, written, timezone, instant):
    _, times, lines = await import_file(HEADER + f"1,{written},appointment_completed,80\n", timezone=timezone)
    assert (times, lines) == ({1: of(instant)}, [])


@pytest.mark.parametrize("written", ["01/02/2026", "1/2/26", "2026-13-01", "10.11.26", "yesterday"])
async def test_h05_times_that_can_be_read_in_two_ways_or_in_none(import_file, written):
    facts, _, lines = await import_file(HEADER + f"1,{written},appointment_completed,80\n")
    assert (facts, lines) == ({}, [2])


@pytest.mark.parametrize(
    ("currency", "amount", "value"),
    [
        ("GBP", '"\u00a31,280.00"', 1280),  # h06
        ("JPY", '"\u00a51,280"', 1280),
        ("EUR", '" 45.00 \u20ac "', 45),
        ("CHF", "CHF 45.50", "45.50"),
        ("KWD", "KWD 12.345", "12.345"),  # h16
        ("TND", "12.345", "12.345"),
        ("ISK", "8800", 8800),
        ("GBP", "$45", None),
        ("USD", "45 \u20ac", None),
        ("ISK", "8800.5", None),
        ("EUR", "12.345", None),
        ("TND", "12.3456", None),
    ],
)
async def test_h06_h16_amounts_of_the_currency(import_file, currency, amount, value):
    facts, _, lines = await import_file(HEADER + f"1,{VISIT},{amount}\n", currency=currency)
    assert (facts, lines) == (({}, [2]) if value is None else (one(value), []))


async def test_h09_overlaps_in_any_order_and_notation(import_file):
    lines = [f"1,2026-02-0{day},appointment_completed,{10 * day}\n" for day in (1, 2, 3)]
    twice = [*lines, lines[0]]
    for files in (
        [lines[:2], lines[1:]],
        [lines, lines[::-1]],
        [lines[1:], lines[:1], lines],
    ):
        facts, _, faulty = await import_file(*(HEADER + "".join(each) for each in files))
        assert (facts, faulty) == ({1: (3, Decimal(60))}, [])
    # Equal lines of one file are two; of another file that has them too, they are known.
    facts, _, faulty = await import_file(HEADER + "".join(twice), HEADER + "".join(reversed(twice)))
    assert (facts, faulty) == ({1: (4, Decimal(70))}, [])
    german = COMMA + "".join(
        f"1;0{day}.02.2026 00:00;appointment_completed;{10 * day},00\n" for day in (3, 2, 1)
    )
    facts, _, faulty = await import_file(HEADER + "".join(lines).replace(",app", " 00:00,app"), german)
    assert (facts, faulty) == ({1: (3, Decimal(60))}, [])


EVENTS = [
    '{"customer_id": "7", "type": "appointment_completed", "occurred_at": "2026-01-10", "total_amount": "49.90"}\n',
    (
        '{"customer_id": 7.0, "event_type": "appointment_completed", "occurred_at": "2026-01-10",'
        ' "data": {"total_amount": "49.9"}}\n'
    ),
]


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "mark"])
@pytest.mark.parametrize("line", EVENTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_h12_h13_numbers_as_text_and_byte_order_marks(import_file, mark, line, encoding):
    content = f"{mark}{line}".encode(encoding) if encoding == "utf-8" else line.encode(encoding)
    facts, _, faulty = await import_file(content)
    assert (facts, faulty) == (one("49.90", 7), [])
