"""Attributes: values that are kept exactly, changes of them, conditions on them, and cells of files."""

import json
from datetime import date
from decimal import Decimal

import pytest

from journey_service.domain.customers.attributes import (
    AttributeChanges,
    AttributeFilter,
    are_same,
    find_value_error,
    is_attribute_name,
    parse_attribute_filter,
    to_attribute_value,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.cell_formats import CellFormat, parse_cell_value
from journey_service.domain.events.files.csv_header import (
    CUSTOMER_TABLE,
    EVENT_TABLE,
    parse_columns,
    read_header,
)
from journey_service.domain.events.files.customer_lines import parse_customer_line

GOOD = (
    *("gold", "x" * 255, " blanks ", "2026-01-31", "0001-01-01", "9999-12-31", "2026-1-31", "true", "0049"),
    *(0, -7, 10, 999_999_999_999_999, 12.5, -0.000001, 123456789.123456, 48.137154, True, False),
)
BAD = (
    *("", "x" * 256, "a\x00b", "\ud800", "2026-02-30", "0000-01-01", None, [], {}),
    *(10**15, 1234567890123456, 1e300, 0.1234567, 1e-7, 12345678901.123456, float("inf"), float("nan")),
)


def test_values_are_kept_as_json_or_refused():
    for value in GOOD:
        assert find_value_error(value) is None, value
        kept = to_attribute_value(json.loads(json.dumps(value)))
        assert (type(kept), kept) == (type(value), value)
    for value in BAD:
        assert isinstance(find_value_error(value), str), value
    assert json.dumps([to_attribute_value(value) for value in (10.0, -0.0, 1e3)]) == "[10, 0, 1000]"


def test_names_can_be_used_in_templates_columns_and_conditions():
    for name in ("a", "plan_2", "x" * 64, "size"):
        assert is_attribute_name(name)
    for name in ("", "2nd", "Plan", "a-b", "a.b", "a b", "_a", "é", "x" * 65, "a\n", 7):
        assert not is_attribute_name(name)


def test_changes_merge_or_replace_and_null_removes():
    stored = {"plan": "gold", "visits": 3}
    changes = {"plan": None, "is_member": True, "score": 10.0}
    assert AttributeChanges(changes).applied_to(stored) == {"visits": 3, "is_member": True, "score": 10}
    assert AttributeChanges(changes, replaces_all=True).applied_to(stored) == {"is_member": True, "score": 10}
    assert stored == {"plan": "gold", "visits": 3}
    assert are_same({"a": 1}, {"a": 1.0})
    assert not are_same({"a": 1}, {"a": True})

    full = {f"a{number}": number for number in range(50)}
    assert len(AttributeChanges({"a0": None, "b": 1}).applied_to(full)) == 50
    with pytest.raises(InvalidInputError, match="more than 50"):
        AttributeChanges({"b": 1}).applied_to(full)


FILTERS = {
    "plan:gold": AttributeFilter("plan", ":", ("gold",)),
    "plan:a:b>=c": AttributeFilter("plan", ":", ("a:b>=c",)),
    "visits:10.50": AttributeFilter("visits", ":", ("10.50", "10.5")),
    "visits:-0": AttributeFilter("visits", ":", ("-0", "0")),
    "visits:100": AttributeFilter("visits", ":", ("100",)),
    "visits>=10": AttributeFilter("visits", ">=", Decimal(10)),
    "visits<-0.5": AttributeFilter("visits", "<", Decimal("-0.5")),
    "since<=2026-01-31": AttributeFilter("since", "<=", date(2026, 1, 31)),
    "since>2026-01-31": AttributeFilter("since", ">", date(2026, 1, 31)),
}


def test_conditions_are_parsed_or_refused_at_their_parameter():
    for text, expected in FILTERS.items():
        assert parse_attribute_filter(text, "query/attribute") == expected
    bad = (
        *(
            "",
            "plan",
            ":gold",
            "plan:",
            "Plan:gold",
            "a b:c",
            "visits>=",
            "visits>=ten",
            "visits>=2026-02-30",
        ),
        *("visits>=1e3", "visits>=0049", f"plan:{'x' * 256}", "plan:a\x00", "visits=10", "visits=>10"),
    )
    for text in bad:
        with pytest.raises(InvalidInputError) as raised:
            parse_attribute_filter(text, "query/attribute")
        assert [error.pointer for error in raised.value.errors] == ["query/attribute"], text


POINT, COMMA = CellFormat(), CellFormat(decimal_separator=",")
CELLS = (
    ("gold", POINT, "gold"),
    ("TRUE", POINT, True),
    ("12", COMMA, 12),
    ("12.50", POINT, 12.5),
    ("12,50", COMMA, 12.5),
    ("12,50", POINT, "12,50"),
    ("12.5", COMMA, 12.5),
    ("1.500", COMMA, "1.500"),
    ("12.5", COMMA._replace(has_declared_decimals=True), "12.5"),
    ("0049", POINT, "0049"),
    ("1,240.50", POINT, "1,240.50"),
    ("4006381333931234", POINT, "4006381333931234"),
    ("2026-01-31", POINT, "2026-01-31"),
    ("2026-01-31T00:00:00", POINT, "2026-01-31"),
    ("31.01.2026", COMMA, "2026-01-31"),
    ("31/01/2026", POINT, "31/01/2026"),
    ("31/01/2026", POINT._replace(date_format="DD/MM/YYYY"), "2026-01-31"),
    ("2026-01-31 10:00", POINT, "2026-01-31 10:00"),
    ("31.02.2026", POINT, "31.02.2026"),
)


def test_the_cells_of_a_file_are_booleans_numbers_days_or_text():
    for text, cells, expected in CELLS:
        found = parse_cell_value(text, cells)
        assert (type(found), found) == (type(expected), expected), text


def test_columns_of_attributes_are_known_in_files_of_customers_only():
    header = "customer_id,Attributes.Favourite Colour,attributes.2nd,plan"
    found = read_header(header, 1, delimiter=None, columns={"plan": "attributes.plan"}, kind=CUSTOMER_TABLE)
    assert found.fields == ["customer_id", "attributes.favourite_colour", None, "attributes.plan"]
    assert found.ignored == ["attributes.2nd"]
    assert parse_columns(["Plan:attributes.plan"], "query/column", CUSTOMER_TABLE) == {
        "Plan": "attributes.plan"
    }
    for pair, kind in (("Plan:attributes.2nd", CUSTOMER_TABLE), ("Plan:attributes.plan", EVENT_TABLE)):
        with pytest.raises(InvalidInputError):
            parse_columns([pair], "query/column", kind)


def test_a_line_names_attributes_in_columns_and_in_an_object():
    raw = {"customer_id": "1", "attributes.plan": "gold", "attributes.visits": "3", "attributes.old": ""}
    assert parse_customer_line(raw, 1, cells=POINT).attributes == {"plan": "gold", "visits": 3}
    raw = {"customer_id": 1, "attributes": {"plan": "gold", "visits": 3, "old": None}, "attributes.vip": True}
    assert parse_customer_line(raw, 1).attributes == {"plan": "gold", "visits": 3, "vip": True}

    bad = {
        "/attributes": ({"attributes": "gold"}, {"attributes": {"Ada Lovelace": 1}}, {"attributes.Ada": 1}),
        "/attributes.since": ({"attributes.since": "2026-02-30"},),
    }
    for pointer, lines in bad.items():
        for line in lines:
            with pytest.raises(InvalidInputError) as raised:
                parse_customer_line({"customer_id": 1, **line}, 1)
            assert [error.pointer for error in raised.value.errors] == [pointer]
