"""Headers: columns that are known, and proposals for those with common names."""

import pytest

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.files.csv_header import (
    CUSTOMER_TABLE,
    EVENT_TABLE,
    missing_fields,
    propose_columns,
    read_header,
)


@pytest.mark.parametrize("kind", [EVENT_TABLE, CUSTOMER_TABLE], ids=["events", "customers"])
def test_a_synonym_names_one_known_field_and_is_no_field_itself(kind):
    assert set(kind.synonyms.values()) <= kind.known
    assert not set(kind.synonyms) & kind.known
    assert all(name == name.casefold() for name in kind.synonyms)


@pytest.mark.parametrize(
    ("line", "delimiter", "fields"),
    [
        (
            "Kundennummer;Datum;Vorgang;Betrag (EUR);Mitarbeiterin",
            ";",
            ["customer_id", "occurred_at", "type", "total_amount", None],
        ),
        (
            "client id,Date,event_type,amount (EUR)",
            ",",
            ["customer_id", "occurred_at", "event_type", "total_amount"],
        ),
        ("Kunden-Nr|Kundennummer|type|Preis in EUR", "|", ["customer_id", None, "type", "total_amount"]),
    ],
)
def test_fields_are_proposed_by_common_names_once_each(line, delimiter, fields):
    header, columns = propose_columns(line)
    assert (header.delimiter, [column.field for column in columns]) == (delimiter, fields)
    assert [column.is_known for column in columns] == [
        column.name in ("event_type", "type") for column in columns
    ]


def test_columns_that_are_named_come_before_synonyms():
    _, columns = propose_columns("Kunde,Kundennummer", columns={"kundennummer": "customer_id"})
    assert [(each.field, each.is_known) for each in columns] == [(None, False), ("customer_id", True)]


def test_fields_that_no_column_has_are_named():
    _, columns = propose_columns("Telefon;E-Mail", kind=CUSTOMER_TABLE)
    assert [each.field for each in columns] == ["phone", "email"]
    assert missing_fields([each.field for each in columns], CUSTOMER_TABLE) == ["customer_id"]


def test_a_missing_column_is_reported_with_the_column_that_it_may_be():
    with pytest.raises(InvalidInputError) as caught:
        read_header("Kundennummer;occurred_at;type", 1, delimiter=None)
    assert [error.message for error in caught.value.errors] == [
        "lacks the column 'customer_id' (or 'customer_ref'); is it 'Kundennummer'? Then name its field"
    ]
