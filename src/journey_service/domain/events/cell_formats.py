"""Reads numbers, amounts and times as spreadsheets and databases write them.

Text that can be read in two ways is an error, unless the caller has named the format.
"""

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from journey_service.domain.calendar import instant_of
from journey_service.domain.customers.attributes import AttributeValue, to_number

DecimalSeparator = Literal[".", ","]
DecimalName = Literal["comma", "point"]
DateFormat = Literal["DD/MM/YYYY", "MM/DD/YYYY"]

TIME_ERROR: Final = "must be a time such as 2026-03-01T09:30:00Z"
INVALID_TIME: Final = "is not a valid date and time"

_SIGNS: Final = MappingProxyType(
    {
        **dict.fromkeys(("USD", "CAD", "AUD", "NZD", "MXN", "SGD", "HKD", "ARS", "CLP", "COP"), ("$",)),
        "EUR": ("€",),
        "GBP": ("£",),
        "CNY": ("¥", "\uffe5"),
        "JPY": ("¥", "\uffe5", "円"),
        "INR": ("₹",),
        "KRW": ("₩",),
        "CHF": ("Fr.", "SFr."),
        "TRY": ("₺",),
        "PLN": ("zł",),
        "CZK": ("Kč",),
        "UAH": ("₴",),
        "ILS": ("₪",),
        "VND": ("₫",),
        "BRL": ("R$",),
        "NPR": ("Rs.", "रू"),
        **dict.fromkeys(("SEK", "NOK", "DKK", "ISK"), ("kr", "kr.")),
    }
)
"""Signs of currencies in amounts, beside their ISO 4217 codes."""
_MONEY: Final = re.compile(
    r"(?P<minus>-?)\s*(?P<before>[^\d\s,'\u2019+-]*)\s*(?P<inner_minus>-?)(?P<number>\d(?:.*\d)?)\s*(?P<after>\D*)",
    re.DOTALL,
)
_EXAMPLES: Final = MappingProxyType({".": "1240.50", ",": "1240,50"})
_BLANK: Final = r"[ \u00a0\u2009\u202f'\u2019]"
_POINT: Final = re.compile(
    rf"(\d{{1,20}}|\d{{1,3}}(?:(?:,|{_BLANK})\d{{3}}){{1,6}})(?:\.(\d{{1,20}}))?", re.ASCII
)
_COMMA: Final = re.compile(
    rf"(\d{{1,20}}|\d{{1,3}}(?:(?:\.|{_BLANK})\d{{3}}){{1,6}})(?:,(\d{{1,20}}))?", re.ASCII
)
_NO_DIGITS: Final = re.compile(r"\D")
_INTEGER: Final = re.compile(r"(\d{1,20})(?:[.,]0{1,20})?", re.ASCII)
_TIME: Final = (
    r"(?:[Tt ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r" ?(?P<half>[AaPp][Mm])?(?: ?(?P<offset>[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?)?"
)
_YEAR_FIRST: Final = re.compile(
    rf"(?P<year>\d{{4}})([-/.])(?P<month>\d{{2}})\2(?P<day>\d{{2}}){_TIME}", re.ASCII
)
_DAY_FIRST: Final = re.compile(
    rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}}){_TIME}", re.ASCII
)
_SLASHED: Final = re.compile(
    rf"(?P<first>\d{{1,2}})/(?P<second_>\d{{1,2}})/(?P<year>\d{{4}}){_TIME}", re.ASCII
)


class WrittenTime(NamedTuple):
    """A time of a file: the instant in UTC, and how the file has it, in one notation.

    `as_written` is local without an offset, and in UTC with `Z` where the file names an offset.
    """

    instant: datetime
    as_written: str


class CellFormat(NamedTuple):
    """How the cells of a file are written.

    `has_declared_decimals`: the caller has named the decimal separator; otherwise it follows from the separator of the
    cells. `date_format` is that of dates with slashes; without one they are errors.
    """

    currency: str = "EUR"
    decimal_separator: DecimalSeparator = "."
    has_declared_decimals: bool = False
    date_format: DateFormat | None = None


def to_separator(name: DecimalName | None) -> DecimalSeparator | None:
    """Returns the separator of decimals that has this name."""
    return None if name is None else "," if name == "comma" else "."


def parse_whole_number(text: str) -> int | None:
    """Returns a whole number, also one written with decimals of 0, such as `113.0`; None for any other text."""
    match = _INTEGER.fullmatch(text)
    return None if match is None else int(match[1])


def parse_amount(text: str, cells: CellFormat) -> Decimal | str:
    """Returns an amount in the currency of the format, or an error message.

    The currency's own sign or code may stand before or after it, and groups of three digits may be separated.
    """
    match = _MONEY.fullmatch(text.strip())
    if match is None:
        return _number_error(cells)
    signs = [sign for name in ("before", "after") if (sign := match[name].strip().casefold())]
    if signs:
        own = {cells.currency.casefold(), *(sign.casefold() for sign in _SIGNS.get(cells.currency, ()))}
        if not own.issuperset(signs):
            return f"must be in the company's currency, {cells.currency}"
    amount = _parse_decimal(match["number"], cells)
    if match["minus"] and match["inner_minus"]:
        return _number_error(cells)
    is_negative = match["minus"] or match["inner_minus"]
    return -amount if is_negative and isinstance(amount, Decimal) else amount


def parse_cell_value(text: str, cells: CellFormat) -> AttributeValue:
    """Returns the value of a cell of any type: a boolean, a number, a day as ISO text, or the text itself.

    Only plain digits with decimals are a number: `0049`, `1,240.50` and `12 EUR` stay text, as do times.
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    number = _plain_number(text, cells)
    if number is not None:
        return int(number) if number == number.to_integral_value() else float(number)
    return _day_text(text, cells.date_format) or text


def parse_local_time(text: str, zone: ZoneInfo, date_format: DateFormat | None = None) -> WrittenTime | str:
    """Returns a time, or an error message. Without an offset, the time is that of the zone.

    A date alone is 00:00. Of an ambiguous time (fold), the first instant; for a skipped time (gap), the first instant
    after the gap.
    """
    found = _find_day(text, date_format)
    if isinstance(found, str):
        return found
    match, *day = found
    try:
        return _to_written_time(date(*day), match, zone)
    except (ValueError, OverflowError):
        return INVALID_TIME


def _find_day(text: str, date_format: DateFormat | None) -> tuple[re.Match[str], int, int, int] | str:
    """Returns the match of a time with its year, month and day, or an error message."""
    match = _YEAR_FIRST.fullmatch(text) or _DAY_FIRST.fullmatch(text)
    if match is not None:
        return match, int(match["year"]), int(match["month"]), int(match["day"])
    match = _SLASHED.fullmatch(text)
    if match is None:
        return TIME_ERROR
    if date_format is None:
        return "can be read in two ways: give the date format, DD/MM/YYYY or MM/DD/YYYY"
    first, second = int(match["first"]), int(match["second_"])
    day, month = (first, second) if date_format == "DD/MM/YYYY" else (second, first)
    return match, int(match["year"]), month, day


def _day_text(text: str, date_format: DateFormat | None) -> str | None:
    """Returns a day, also one at 00:00, as ISO text; None for other texts."""
    found = _find_day(text, date_format)
    if isinstance(found, str):
        return None
    match, *day = found
    try:
        is_day = match["hour"] is None or (match["offset"] is None and _time_of_day(match) == time())
        return date(*day).isoformat() if is_day else None
    except ValueError:
        return None


def _plain_number(text: str, cells: CellFormat) -> Decimal | None:
    if cells.decimal_separator == ".":
        return to_number(text)
    if "." not in text:
        return to_number(text.replace(",", "."))
    is_ambiguous = cells.has_declared_decimals or _COMMA.fullmatch(text.removeprefix("-")) is not None
    return None if is_ambiguous else to_number(text)


def _parse_decimal(number: str, cells: CellFormat) -> Decimal | str:
    is_comma = cells.decimal_separator == ","
    match = (_COMMA if is_comma else _POINT).fullmatch(number)
    if is_comma and not cells.has_declared_decimals and "," not in number and "." in number:
        point = _POINT.fullmatch(number)
        if match is not None:
            return "can be read in two ways, with thousands or with decimals: give the decimal separator"
        match = point
    return _number_error(cells) if match is None else _join(match)


def _number_error(cells: CellFormat) -> str:
    return f"must be a number such as {_EXAMPLES[cells.decimal_separator]}"


def _join(match: re.Match[str]) -> Decimal:
    whole = _NO_DIGITS.sub("", match[1])
    return Decimal(f"{whole}.{match[2]}" if match[2] else whole)


def _to_written_time(day: date, match: re.Match[str], zone: ZoneInfo) -> WrittenTime:
    at = time() if match["hour"] is None else _time_of_day(match)
    local = f"{day.isoformat()}T{at.isoformat()}"
    offset = None if match["hour"] is None else match["offset"]
    if offset is None:
        return WrittenTime(instant_of(day, at, zone), local)
    if offset.upper() in ("Z", "UTC", "GMT"):
        offset = "+00:00"
    if offset[-2:] > "59" and len(offset) > 3:  # noqa: PLR2004  # with minutes
        raise ValueError(offset)
    instant = datetime.fromisoformat(f"{local}{offset}").astimezone(UTC)
    return WrittenTime(instant, f"{instant.replace(tzinfo=None).isoformat()}Z")


def _time_of_day(match: re.Match[str]) -> time:
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:  # noqa: PLR2004  # hours of a clock
            raise ValueError(hour)
        hour = hour % 12 + (12 if match["half"].lower() == "pm" else 0)
    microsecond = int((match["fraction"] or "0").ljust(6, "0")[:6])
    return time(hour, int(match["minute"]), int(match["second"] or 0), microsecond)
