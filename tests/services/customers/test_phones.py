"""Phone numbers by their digits: in international form if the country is known."""

import pytest

from journey_service.services.customers.phones import phone_digits, searched_phone


@pytest.mark.parametrize(
    ("phone", "timezone", "digits"),
    [
        ("+49 30 1234567", "UTC", "49301234567"),
        ("+49 (0)30 1234567", "UTC", "49301234567"),
        ("0049 30-1234567", "UTC", "49301234567"),
        ("030 / 1234567", "Europe/Berlin", "49301234567"),
        ("030 / 1234567", "UTC", "0301234567"),
        ("(650) 253-0000", "America/Los_Angeles", "16502530000"),
        ("12", "Europe/Berlin", "12"),
        ("none", "UTC", None),
        (None, "UTC", None),
    ],
)
def test_a_number_is_stored_by_its_digits(phone, timezone, digits):
    assert phone_digits(phone, timezone) == digits


@pytest.mark.parametrize(
    ("text", "searched"),
    [
        ("+49301234567", "+49301234567"),
        ("0049 (0)30 1234567", "+49301234567"),
        ("030 1234567", "030 1234567"),
        ("+49", "+49"),
        ("ada", "ada"),
    ],
)
def test_a_search_for_a_number_that_names_its_country_is_in_international_form(text, searched):
    assert searched_phone(text) == searched
