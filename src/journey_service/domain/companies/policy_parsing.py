"""A company's policy as JSON: parsing with every error, and the inverse."""

import re
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Final

from journey_service.domain.companies.currencies import EUR, Currency
from journey_service.domain.companies.policy import (
    DEFAULT_POLICY,
    EMAIL_ADDRESS,
    LANGUAGE,
    CompanyPolicy,
    ScoringPolicy,
    default_monetary_target,
)
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token

_MAX_DECIMALS: Final = 4
_WALL_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_NUMBERS: Final = (
    ("manual_pin_days", " of days", 1, 3650),
    ("frequency_cap", "", 1, 1000),
    ("frequency_cap_days", " of days", 1, 365),
    ("max_hold_hours", " of hours", 1, 168),
    ("address_wait_hours", " of hours", 0, 72),
    ("campaign_pause_days", " of days", 0, 3650),
    ("open_booking_max_days", " of days", 1, 3650),
    ("usual_gap_days", " of days", 1, 3650),
    ("keep_event_details_days", " of days", 1, 36_500),
    ("keep_import_errors_days", " of days", 1, 36_500),
    ("keep_job_details_days", " of days", 1, 36_500),
    ("keep_outbound_events_days", " of days", 1, 36_500),
    ("keep_audit_days", " of days", 30, 36_500),
)


def parse_policy(
    raw: Mapping[str, object], pointer: str = "", *, currency: Currency = EUR, is_stored: bool = False
) -> CompanyPolicy:
    """Reads a policy from JSON; missing settings have their defaults, money the default in the currency.

    `is_stored`: the decimals of money were checked before, in the currency that the company had then.

    Raises InvalidInputError with every error.
    """
    errors: list[FieldError] = []
    known = {f.name for f in fields(CompanyPolicy)} - {"currency"}
    errors += [
        FieldError(f"{pointer}/{pointer_token(name)}", "is not a known setting")
        for name in raw
        if name not in known
    ]
    revenue_source = _parse_choice(raw, "revenue_source", ("appointments", "payments"), pointer, errors)
    consent = _parse_choice(raw, "consent", ("opt_out", "opt_in"), pointer, errors)
    numbers = _parse_numbers(raw, pointer, errors)
    quiet_from, quiet_until = _parse_quiet_hours(raw, pointer, errors)
    switches = _parse_switches(raw, pointer, errors)
    addresses = {name: _parse_address(raw, name, pointer, errors) for name in _ADDRESSES}
    language = _parse_language(raw, pointer, errors)
    scoring = _parse_scoring(
        raw.get("scoring", {}), f"{pointer}/scoring", errors, currency, is_stored=is_stored
    )
    if errors:
        raise InvalidInputError(errors)
    return CompanyPolicy(
        scoring=scoring,
        revenue_source="payments" if revenue_source == "payments" else "appointments",
        consent="opt_in" if consent == "opt_in" else "opt_out",
        quiet_from=quiet_from,
        quiet_until=quiet_until,
        reply_to=addresses["reply_to"],
        account_manager_email=addresses["account_manager_email"],
        language=language,
        messages_paused=switches["messages_paused"],
        open_booking_pauses_risk=switches["open_booking_pauses_risk"],
        currency=currency,
        **numbers,
    )


def amount_errors(scoring: ScoringPolicy, currency: Currency, pointer: str = "") -> list[FieldError]:
    """Returns the errors of amounts with more decimals than the currency."""
    if currency.fits(scoring.monetary_target):
        return []
    return [FieldError(f"{pointer}/monetary_target", currency.decimals_error)]


def policy_to_json(policy: CompanyPolicy) -> dict[str, object]:
    """Converts a policy to the JSON that `parse_policy` reads; decimals become numbers."""
    scoring = {
        f.name: (float(value) if isinstance(value := getattr(policy.scoring, f.name), Decimal) else value)
        for f in fields(policy.scoring)
    }
    return {
        "scoring": scoring,
        **{f.name: getattr(policy, f.name) for f in fields(policy) if f.name not in ("scoring", "currency")},
    }


def _parse_choice(
    raw: Mapping[str, object], name: str, allowed: tuple[str, ...], pointer: str, errors: list[FieldError]
) -> object:
    value = raw.get(name, getattr(DEFAULT_POLICY, name))
    if value not in allowed:
        errors.append(FieldError(f"{pointer}/{name}", f"must be one of {', '.join(allowed)}"))
    return value


def _parse_language(raw: Mapping[str, object], pointer: str, errors: list[FieldError]) -> str:
    language = raw.get("language", DEFAULT_POLICY.language)
    if isinstance(language, str) and LANGUAGE.fullmatch(language):
        return language
    errors.append(FieldError(f"{pointer}/language", "must be a language tag such as 'en' or 'pt-br'"))
    return ""


_ADDRESSES: Final = ("reply_to", "account_manager_email")


def _parse_numbers(raw: Mapping[str, object], pointer: str, errors: list[FieldError]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for name, unit, low, high in _NUMBERS:
        number = raw.get(name, getattr(DEFAULT_POLICY, name))
        if _is_int(number, low, high):
            numbers[name] = int(str(number))
        else:
            errors.append(
                FieldError(f"{pointer}/{name}", f"must be a whole number{unit} from {low} to {high}")
            )
    return numbers


def _parse_address(
    raw: Mapping[str, object], name: str, pointer: str, errors: list[FieldError]
) -> str | None:
    value = raw.get(name)
    if value is None or (isinstance(value, str) and EMAIL_ADDRESS.fullmatch(value)):
        return value
    errors.append(
        FieldError(f"{pointer}/{name}", "must be an email address such as hello@salon.example, or null")
    )
    return None


def _parse_switches(raw: Mapping[str, object], pointer: str, errors: list[FieldError]) -> dict[str, bool]:
    switches: dict[str, bool] = {}
    for name in ("messages_paused", "open_booking_pauses_risk"):
        value = raw.get(name, getattr(DEFAULT_POLICY, name))
        if isinstance(value, bool):
            switches[name] = value
        else:
            errors.append(FieldError(f"{pointer}/{name}", "must be true or false"))
    return switches


def _parse_quiet_hours(
    raw: Mapping[str, object], pointer: str, errors: list[FieldError]
) -> tuple[str | None, str | None]:
    """Reads the begin and end of quiet hours; both are None without quiet hours."""
    values: dict[str, str | None] = {}
    for name in ("quiet_from", "quiet_until"):
        value = raw.get(name, getattr(DEFAULT_POLICY, name))
        if value is not None and not (isinstance(value, str) and _WALL_TIME.fullmatch(value)):
            errors.append(FieldError(f"{pointer}/{name}", "must be a time such as '21:00', or null"))
        values[name] = value if isinstance(value, str) else None
    start, end = values["quiet_from"], values["quiet_until"]
    if not errors and (start is None) != (end is None):
        errors.append(FieldError(f"{pointer}/quiet_until", "must be null if and only if quiet_from is null"))
    elif not errors and start is not None and start == end:
        errors.append(FieldError(f"{pointer}/quiet_until", "must differ from quiet_from"))
    return start, end


def _parse_scoring(
    raw: object, pointer: str, errors: list[FieldError], currency: Currency, *, is_stored: bool
) -> ScoringPolicy:
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object"))
        raw = {}
    values: dict[str, object] = {"monetary_target": default_monetary_target(currency)}
    defaults = {f.name: f.default for f in fields(ScoringPolicy)}
    for name, value in raw.items():
        position = f"{pointer}/{pointer_token(name)}"
        if name not in defaults:
            errors.append(FieldError(position, "is not a known scoring setting"))
        elif isinstance(defaults[name], int):
            if _is_int(value, 1, 3650):
                values[name] = value
            else:
                errors.append(FieldError(position, "must be a whole number from 1 to 3650"))
        elif (number := _parse_scoring_number(name, value, position, errors)) is not None:
            values[name] = number
    scoring = ScoringPolicy(**values)  # type: ignore[arg-type]  # checked name by name above
    if not is_stored:
        errors += amount_errors(scoring, currency, pointer)
    return scoring


def _parse_scoring_number(name: str, value: object, pointer: str, errors: list[FieldError]) -> Decimal | None:
    number = _decimal(value)
    low, high = _bounds(name)
    if number is not None and low <= number <= high:
        return number
    errors.append(FieldError(pointer, f"must be a number from {low} to {high} with at most 4 decimals"))
    return None


def _bounds(name: str) -> tuple[Decimal, Decimal]:
    if name == "monetary_target":
        return Decimal("0.01"), Decimal(1_000_000_000)
    if name == "trend":
        return Decimal(-1), Decimal(0)
    return Decimal(0), Decimal(1)


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value))
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_MAX_DECIMALS:
        return None
    return number
