"""Numbers, amounts and times as spreadsheets write them: one reading, or an error."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_service.domain.events.cell_formats import (
    INVALID_TIME,
    TIME_ERROR,
    CellFormat,
    parse_amount,
    parse_local_time,
    parse_whole_number,
)

POINT = CellFormat("USD")
COMMA = CellFormat("EUR", ",")
DECLARED_COMMA = CellFormat("EUR", ",", has_declared_decimals=True)
NO_NUMBER = "must be a number such as 1240.50"
NO_COMMA_NUMBER = "must be a number such as 1240,50"
AMBIGUOUS = "can be read in two ways, with thousands or with decimals: give the decimal separator"
SLASHES = "can be read in two ways: give the date format, DD/MM/YYYY or MM/DD/YYYY"
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "number"),
    [("113", 113), ("113.0", 113), ("113.00", 113), ("113,0", 113), ("0", 0), ("00", 0)],
)
def test_whole_numbers_may_have_decimals_of_zero(text, number):
    assert parse_whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["113.5", "1e3", "", "-1", "1.000.0", "1,234", "\u0661", "1" * 21, "0x10", " 1"]
)
def test_other_text_is_no_whole_number(text):
    assert parse_whole_number(text) is None


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("45", "45"),
        ("$1,280.00", "1280.00"),
        ("$45.00", "45.00"),
        ("1,280", "1280"),
        ("1 280.50", "1280.50"),
        ("1\u00a0280.50", "1280.50"),
        ("1\u202f280.50", "1280.50"),
        ("1'280.50", "1280.50"),
        ("1\u2019280.50", "1280.50"),
        ("USD 45", "45"),
        ("45 usd", "45"),
        ("1,280,000.00", "1280000.00"),
        (" 45.10 ", "45.10"),
        ("-45", "-45"),
        ("-$45", "-45"),
        ("$-45", "-45"),
        ("80.500", "80.500"),
    ],
)
def test_amounts_with_a_decimal_point(text, amount):
    assert parse_amount(text, POINT) == Decimal(amount)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("80,50", "80.50"),
        ("1.240,00", "1240.00"),
        ("1.240.000,5", "1240000.5"),
        ("1 240,00 \u20ac", "1240.00"),
        ("\u20ac80,50", "80.50"),
        ("EUR 80", "80"),
        ("80.50", "80.50"),
        ("80.5", "80.5"),
        ("1240.50", "1240.50"),
    ],
)
def test_amounts_of_a_file_with_semicolons(text, amount):
    assert parse_amount(text, COMMA) == Decimal(amount)


@pytest.mark.parametrize("text", ["1.240", "80.500", "1.240.000"])
def test_an_amount_that_can_be_read_in_two_ways_needs_the_decimal_separator(text):
    assert parse_amount(text, COMMA) == AMBIGUOUS
    assert parse_amount(text, DECLARED_COMMA) == Decimal(text.replace(".", ""))


def test_with_a_declared_decimal_comma_a_point_separates_thousands_only():
    assert parse_amount("80.50", DECLARED_COMMA) == NO_COMMA_NUMBER


@pytest.mark.parametrize(
    "text", ["", "NaN", "1e3", "12,50", "1,28", "1,2345", "12.5.1", "1.240,00", "--5", "abc", "$"]
)
def test_other_text_is_no_amount(text):
    assert parse_amount(text, POINT) == NO_NUMBER


@pytest.mark.parametrize("text", ["\u20ac5", "5 \u20ac", "EUR 5", "\u00a35", "5 kr", "R$5", "$5 EUR"])
def test_the_sign_of_another_currency_is_an_error(text):
    assert parse_amount(text, POINT) == "must be in the company's currency, USD"


@given(st.decimals(0, 99_999_999, places=2), st.sampled_from([".", ","]), st.booleans(), st.booleans())
def test_any_amount_is_read_as_it_is_written(amount, separator, is_grouped, has_sign):
    cells = CellFormat("EUR", separator, has_declared_decimals=True)
    text = f"{amount:,.2f}" if is_grouped else f"{amount:.2f}"
    if separator == ",":
        text = text.translate(str.maketrans(",.", ".,"))
    assert parse_amount(f"{text} \u20ac" if has_sign else text, cells) == amount


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-10", "2026-01-09T23:00:00+00:00"),
        ("2026-01-10 09:30:00", "2026-01-10T08:30:00+00:00"),
        ("2026-07-10 09:30", "2026-07-10T07:30:00+00:00"),
        ("2026-07-10T09:30", "2026-07-10T07:30:00+00:00"),
        ("2026-01-10 09:30:00.5+01", "2026-01-10T08:30:00.500000+00:00"),
        ("2026-01-10 09:30:00,5+0100", "2026-01-10T08:30:00.500000+00:00"),
        ("2026-01-10 09:30:00 UTC", "2026-01-10T09:30:00+00:00"),
        ("2026-01-10 09:30 +02:00", "2026-01-10T07:30:00+00:00"),
        ("2026-01-10T09:30:00.123456789Z", "2026-01-10T09:30:00.123456+00:00"),
        ("2026/01/10 9:30", "2026-01-10T08:30:00+00:00"),
        ("2026.01.10", "2026-01-09T23:00:00+00:00"),
        ("10.01.2026", "2026-01-09T23:00:00+00:00"),
        ("1.7.2026 9:30", "2026-07-01T07:30:00+00:00"),
        ("2026-01-10 09:30 PM", "2026-01-10T20:30:00+00:00"),
        ("2026-01-10 12:05 am", "2026-01-09T23:05:00+00:00"),
        ("2026-03-29 02:30", "2026-03-29T01:00:00+00:00"),  # skipped: the end of the gap
        ("2026-10-25 02:30", "2026-10-25T00:30:00+00:00"),  # ambiguous: the first
    ],
)
def test_times_without_an_offset_are_local(text, instant):
    assert parse_local_time(text, BERLIN).instant.isoformat() == instant


@pytest.mark.parametrize(
    ("texts", "as_written"),
    [
        (("10.1.2026", "2026-01-10", "2026/01/10 0:00", "2026-01-10T00:00:00.000"), "2026-01-10T00:00:00"),
        (("2026-03-29 02:30", "29.03.2026 2:30 AM"), "2026-03-29T02:30:00"),
        (("2026-01-10T09:30Z", "2026-01-10 10:30+01", "10.01.2026 09:30 UTC"), "2026-01-10T09:30:00Z"),
    ],
    ids=["date", "skipped", "offset"],
)
def test_a_time_as_written_does_not_depend_on_its_notation_or_the_zone(texts, as_written):
    for zone in (BERLIN, ZoneInfo("America/New_York")):
        assert {parse_local_time(text, zone).as_written for text in texts} == {as_written}


@pytest.mark.parametrize(
    ("date_format", "instant"),
    [("DD/MM/YYYY", "2026-11-10T08:30:00+00:00"), ("MM/DD/YYYY", "2026-10-11T07:30:00+00:00")],
)
def test_a_date_with_slashes_needs_its_format(date_format, instant):
    assert parse_local_time("10/11/2026 09:30", BERLIN) == SLASHES
    assert parse_local_time("10/11/2026 09:30", BERLIN, date_format).instant.isoformat() == instant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", TIME_ERROR),
        ("yesterday", TIME_ERROR),
        ("2026-1-10", TIME_ERROR),
        ("2026-01/10", TIME_ERROR),
        ("10.01.26", TIME_ERROR),
        ("46032", TIME_ERROR),
        ("2026-01-10 09", TIME_ERROR),
        ("2026-01-10 09:30 CET", TIME_ERROR),
        ("2026-02-30", INVALID_TIME),
        ("2026-01-10 24:00", INVALID_TIME),
        ("2026-01-10 13:00 PM", INVALID_TIME),
        ("2026-01-10 09:30+01:60", INVALID_TIME),
        ("2026-01-10 09:30+24:00", INVALID_TIME),
        ("31.02.2026", INVALID_TIME),
    ],
)
def test_other_text_is_no_time(text, message):
    assert parse_local_time(text, BERLIN) == message
