"""Reads the header of a table: its separator, the columns that are known, those that are ignored, and proposals."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from journey_service.domain.errors import FieldError, InvalidInputError, MalformedError, quote_value
from journey_service.domain.events.files.customer_lines import CUSTOMER_COLUMNS, is_attribute_column
from journey_service.domain.events.parsing import FIELD_ALIASES, KNOWN_COLUMNS

DELIMITERS: Final = (",", ";", "\t", "|")
"""Separators that are recognized, the most common first."""
_MAX_IGNORED: Final = 50
"""Maximum number of ignored columns that are reported."""
_MAX_NAME_LENGTH: Final = 100
_SEPARATOR_LINE: Final = re.compile(r"sep=(.)", re.IGNORECASE)
_BLANKS: Final = re.compile(r"[\s_-]+")
_UNIT: Final = re.compile(r"_?(?:[(\[].*[)\]]|in_[a-z]{3}|€|\$|£)\.?$")
"""A unit at the end of a name, such as `(EUR)` or `in EUR`."""


class TableKind(NamedTuple):
    """What the columns of a table may be: known fields with their aliases, those that are required, and synonyms.

    `synonyms` are the names that a column of a field often has, in English and German. They are proposed, and never
    taken without the caller's confirmation.
    """

    known: frozenset[str]
    aliases: Mapping[str, str]
    required: Sequence[str]
    synonyms: Mapping[str, str]
    is_further: Callable[[str], bool] | None = None
    """Whether a name that is not known is one of a further field, such as an attribute."""

    def has(self, name: str) -> bool:
        """Whether a field has this name."""
        return name in self.known or (self.is_further is not None and self.is_further(name))


def _synonyms(fields: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({name: field for field, names in fields.items() for name in names.split()})


_CUSTOMER: Final = (
    "customer_number customer_no customer_nr client client_id client_number client_no member_id patient_id"
    " kunde kunden_id kundenid kundennummer kunden_nummer kundennr kunden_nr patientennummer mitgliedsnummer"
)
_REF: Final = "customer_reference client_ref client_reference external_id external_customer_id kundenreferenz"
_PROFILE: Final = {
    "name": "full_name client_name kundenname vollst\u00e4ndiger_name",
    "first_name": "given_name forename vorname",
    "email": "e_mail mail email_address e_mail_address e_mail_adresse emailadresse mailadresse",
    "phone": "phone_number telephone mobile mobile_number tel telefon telefonnummer mobil mobilnummer handy",
    "language": "lang locale sprache",
}
EVENT_TABLE: Final = TableKind(
    KNOWN_COLUMNS,
    FIELD_ALIASES,
    ("customer_id", "occurred_at", "type"),
    _synonyms(
        {
            "customer_id": _CUSTOMER,
            "customer_ref": _REF,
            "occurred_at": "date time date_time datetime timestamp event_date appointment_date start_time"
            " datum zeit zeitpunkt uhrzeit datum_uhrzeit termindatum beginn",
            "type": "event kind event_name art typ ereignis ereignisart vorgang",
            "total_amount": "total price sum value revenue paid betrag gesamtbetrag summe preis umsatz",
            "id": "event_no event_number transaction_id receipt_number belegnummer beleg_nr vorgangsnummer",
            "source": "system origin quelle herkunft",
            "call_duration": "duration duration_seconds seconds dauer dauer_sekunden gespr\u00e4chsdauer",
            "booking_id": "booking booking_number booking_no appointment_id reservation_id buchung buchungsnummer"
            " buchungs_nr terminnummer",
            "scheduled_for": "scheduled scheduled_at booked_for geplant geplant_f\u00fcr termin",
            **{f"customer_{field}": f"{field} {names}" for field, names in _PROFILE.items()},
        }
    ),
)
"""Tables of events."""
CUSTOMER_TABLE: Final = TableKind(
    CUSTOMER_COLUMNS,
    MappingProxyType({}),
    ("customer_id",),
    _synonyms(
        {
            "customer_id": f"customer {_CUSTOMER}",
            "customer_ref": _REF,
            **_PROFILE,
            "name": f"customer_name {_PROFILE['name']}",
            "consent_email": "newsletter email_consent email_opt_in",
            "consent_sms": "sms_consent sms_opt_in",
        }
    ),
    is_attribute_column,
)
"""Tables of customers."""


class CsvHeader(NamedTuple):
    """The columns of a table: their names, the field of each, None for an ignored one; and the names that are ignored.

    A field has the name that the file gives it, which may be an alias.
    """

    delimiter: str
    names: Sequence[str]
    fields: Sequence[str | None]
    ignored: Sequence[str]


class ProposedColumn(NamedTuple):
    """A column, and the field that it probably is; `is_known`: the field is taken without a confirmation."""

    name: str
    field: str | None
    is_known: bool


def separator_of(line: str) -> str | None:
    """Returns the separator that a first line such as `sep=;` declares; None for any other line."""
    match = _SEPARATOR_LINE.fullmatch(line.strip(" \ufeff"))
    return match[1] if match is not None and match[1] in DELIMITERS else None


def parse_columns(
    pairs: Sequence[str], pointer: str, kind: TableKind = EVENT_TABLE
) -> Mapping[str, str] | None:
    """Parses the fields of columns, each written as `column:field`; None without any.

    Raises InvalidInputError with the position of each error after the pointer.
    """
    split = [pair.rpartition(":") for pair in pairs]
    errors = [
        FieldError(f"{pointer}/{at}", f"must be column:field; the fields are {', '.join(sorted(kind.known))}")
        for at, (name, _, field) in enumerate(split)
        if not name or not kind.has(field)
    ]
    if errors:
        raise InvalidInputError(errors)
    return {name: field for name, _, field in split} or None


def read_header(
    line: str,
    number: int,
    *,
    delimiter: str | None,
    columns: Mapping[str, str] | None = None,
    kind: TableKind = EVENT_TABLE,
) -> CsvHeader:
    """Reads a header. Without a delimiter, it is the one with which most columns are known, or have common names.

    `columns` are the fields of columns that the caller names, by the name in the file. Names are compared without
    case; blanks, hyphens and underscores are alike.

    Raises MalformedError if the line is not CSV, InvalidInputError for missing and duplicate columns.
    """
    found = _split_header(line, delimiter, columns, kind)
    _check(found, number, kind)
    return found


def header_of(
    names: Sequence[str],
    number: int,
    *,
    columns: Mapping[str, str] | None = None,
    kind: TableKind = EVENT_TABLE,
) -> CsvHeader:
    """Reads a header whose names are known. Raises InvalidInputError for missing and duplicate columns."""
    found = _to_header(names, "", _renamed(columns), kind)
    _check(found, number, kind)
    return found


def propose_columns(
    line: str, *, columns: Mapping[str, str] | None = None, kind: TableKind = EVENT_TABLE
) -> tuple[CsvHeader, Sequence[ProposedColumn]]:
    """Returns a header line with the field of each column, by synonyms where the name is unknown.

    A field is proposed once. Raises InvalidInputError if the line is not CSV.
    """
    try:
        found = _split_header(line, None, columns, kind, with_synonyms=True)
    except MalformedError as error:
        raise InvalidInputError.at("query/header", "is not a line of CSV") from error
    return found, _propose(found, kind)


def is_field(name: str, kind: TableKind) -> bool:
    """Returns whether a column of this name is taken for a field by itself."""
    return kind.has(_key(name)) or _key(name) in {_key(each) for each in kind.known}


def missing_fields(fields: Sequence[str | None], kind: TableKind) -> Sequence[str]:
    """Returns the required fields that no column has."""
    chosen = {kind.aliases.get(field, field) for field in fields if field is not None}
    if "customer_ref" in chosen:
        chosen.add("customer_id")
    return [field for field in kind.required if field not in chosen]


def _split_header(
    line: str,
    delimiter: str | None,
    columns: Mapping[str, str] | None,
    kind: TableKind,
    *,
    with_synonyms: bool = False,
) -> CsvHeader:
    renamed = _renamed(columns)
    headers = [
        _to_header(names, each, renamed, kind)
        for each in ((delimiter,) if delimiter else DELIMITERS)
        if (names := _cells(line, each)) is not None
    ]
    if not headers:
        raise MalformedError("The first line is neither a CSV header nor a JSON object.", offset=0)

    def number_known(header: CsvHeader) -> tuple[int, int]:
        known = sum(field is not None for field in header.fields)
        proposed = sum(each.field is not None for each in _propose(header, kind))
        return (proposed, known) if with_synonyms else (known, proposed)

    return max(headers, key=number_known)


def _propose(header: CsvHeader, kind: TableKind) -> Sequence[ProposedColumn]:
    taken = {kind.aliases.get(field, field) for field in header.fields if field is not None}
    proposed = []
    for name, field in zip(header.names, header.fields, strict=True):
        synonym = _synonym_of(name, kind) if field is None else None
        if synonym in taken:
            synonym = None
        if synonym is not None:
            taken.add(synonym)
        proposed.append(ProposedColumn(name.strip()[:_MAX_NAME_LENGTH], field or synonym, field is not None))
    return proposed


def _synonym_of(name: str, kind: TableKind) -> str | None:
    key = _key(name)
    for each in (key, _UNIT.sub("", key)):
        field = kind.synonyms.get(each) or (each if each in kind.known else None)
        if field is not None:
            return kind.aliases.get(field, field)
    return None


def _cells(line: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return None


def _renamed(columns: Mapping[str, str] | None) -> Mapping[str, str]:
    return {_key(name): field for name, field in (columns or {}).items()}


def _to_header(
    names: Sequence[str], delimiter: str, renamed: Mapping[str, str], kind: TableKind
) -> CsvHeader:
    known = {_key(name): name for name in kind.known}
    fields: list[str | None] = []
    ignored: list[str] = []
    for name in names:
        key = _key(name)
        field = renamed.get(key) or known.get(key) or (key if kind.has(key) else None)
        fields.append(field)
        if field is None and key:
            ignored.append(name.strip()[:_MAX_NAME_LENGTH])
    return CsvHeader(delimiter, names, fields, ignored[:_MAX_IGNORED])


def _key(name: str) -> str:
    return _BLANKS.sub("_", name.strip().casefold())


def _alternative(field: str) -> str:
    name = {"type": "event_type", "customer_id": "customer_ref"}.get(field)
    return "" if name is None else f" (or {name!r})"


def _check(header: CsvHeader, number: int, kind: TableKind) -> None:
    position = f"line {number}"
    chosen = [kind.aliases.get(field, field) for field in header.fields if field is not None]
    unknown = (
        f"; unknown columns are {', '.join(map(quote_value, header.ignored[:5]))}" if header.ignored else ""
    )
    proposed = {each.field: each.name for each in _propose(header, kind) if not each.is_known}
    errors = [
        FieldError(
            position,
            f"lacks the column {field!r}{_alternative(field)}"
            + (
                f"; is it {quote_value(proposed[field])}? Then name its field"
                if field in proposed
                else unknown
            ),
        )
        for field in missing_fields(header.fields, kind)
    ]
    if len(set(chosen)) < len(chosen):
        errors.append(FieldError(position, "contains a duplicate column"))
    if errors:
        raise InvalidInputError(errors)
