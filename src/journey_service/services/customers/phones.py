"""Converts phone numbers to digits for comparison, in international form if the country is known."""

from functools import cache
from importlib.resources import files
from typing import Final

import phonenumbers

_PREFIX: Final = "00"
"""Prefix of international calls in most countries; `+` stands for it."""


def phone_digits(phone: str | None, timezone: str) -> str | None:
    """Returns the digits of a phone number, with the country code if the country is known; None without digits.

    The country is the one that the number names, else that of the time zone if the number is valid there: an extension
    is not.
    """
    if phone is None:
        return None
    text = phone.strip()
    if text.startswith(_PREFIX):
        text = f"+{text.removeprefix(_PREFIX)}"
    try:
        number = phonenumbers.parse(text, _region_of(timezone))
    except phonenumbers.NumberParseException:
        number = None
    is_usable = phonenumbers.is_possible_number if text.startswith("+") else phonenumbers.is_valid_number
    if number is not None and is_usable(number):
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    return "".join(filter(str.isdecimal, phone)) or None


def searched_phone(text: str) -> str:
    """Returns the text of a search, in international form if it is a phone number that names its country."""
    international = text.strip()
    if international.startswith(_PREFIX):
        international = f"+{international.removeprefix(_PREFIX)}"
    if not international.startswith("+"):
        return text
    try:
        number = phonenumbers.parse(international, None)
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_possible_number(number):
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@cache
def _regions() -> dict[str, str]:
    """Returns the country of each time zone that lies in one country."""
    lines = files("tzdata.zoneinfo").joinpath("zone.tab").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {zone: country for country, _, zone, *_ in rows}


def _region_of(timezone: str) -> str | None:
    return _regions().get(timezone)
