"""A company's policy: scoring, messaging and retention settings, their defaults and validation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal, NamedTuple, TypeAlias

from journey_service.domain.companies.currencies import EUR, Currency
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token
from journey_service.domain.rounding import FULL, UNITS, half_up

RevenueSource: TypeAlias = Literal["appointments", "payments"]
ConsentModel: TypeAlias = Literal["opt_out", "opt_in"]
_MAX_DECIMALS: Final = 4
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})?", re.ASCII)
"""A language: the primary tag of BCP 47 and optionally a region, in lower case."""
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}", re.ASCII
)
_WALL_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)


class ScoringNumbers(NamedTuple):
    """A scoring policy as integers and time spans.

    Weights are in ten-thousandths, scores in hundredths.
    """

    frequency: int
    recency: int
    monetary: int
    quality: int
    frequency_window: timedelta
    quality_window: timedelta
    inactive: int
    very_inactive: int
    missed: int
    missed_window: timedelta
    missed_rate: tuple[int, int]
    trend: int
    trend_window: timedelta
    trend_below: tuple[int, int]
    tickets: int
    tickets_window: timedelta
    initial_engagement: int
    initial_risk: int


@dataclass(frozen=True)
class ScoringPolicy:
    """Weights, windows and thresholds of the engagement and risk scores.

    Weights and rates are fractions of 1, windows and time thresholds are days of 24 hours, `monetary_target` is in the
    company's currency. The defaults are those of the customer journey guide.
    """

    engagement_frequency_weight: Decimal = Decimal("0.3")
    engagement_recency_weight: Decimal = Decimal("0.3")
    engagement_monetary_weight: Decimal = Decimal("0.2")
    engagement_quality_weight: Decimal = Decimal("0.2")
    frequency_window_days: int = 90
    frequency_target: int = 3
    recency_horizon_days: int = 180
    monetary_target: Decimal = Decimal(1000)
    quality_window_days: int = 180
    long_call_seconds: int = 60
    initial_engagement: Decimal = Decimal("0.5")
    initial_risk: Decimal = Decimal(0)
    inactive_days: int = 60
    inactive_weight: Decimal = Decimal("0.3")
    very_inactive_days: int = 90
    very_inactive_weight: Decimal = Decimal("0.3")
    missed_rate: Decimal = Decimal("0.2")
    missed_rate_weight: Decimal = Decimal("0.2")
    missed_window_days: int = 180
    trend: Decimal = Decimal("-0.3")
    trend_weight: Decimal = Decimal("0.2")
    trend_window_days: int = 90
    tickets_weight: Decimal = Decimal(0)
    tickets_window_days: int = 90

    @cached_property
    def numbers(self) -> ScoringNumbers:
        """The policy as integers and time spans."""
        return ScoringNumbers(
            frequency=_units(self.engagement_frequency_weight),
            recency=_units(self.engagement_recency_weight),
            monetary=_units(self.engagement_monetary_weight),
            quality=_units(self.engagement_quality_weight),
            frequency_window=timedelta(days=self.frequency_window_days),
            quality_window=timedelta(days=self.quality_window_days),
            inactive=_units(self.inactive_weight),
            very_inactive=_units(self.very_inactive_weight),
            missed=_units(self.missed_rate_weight),
            missed_window=timedelta(days=self.missed_window_days),
            missed_rate=self.missed_rate.as_integer_ratio(),
            trend=_units(self.trend_weight),
            trend_window=timedelta(days=self.trend_window_days),
            trend_below=self.trend.as_integer_ratio(),
            tickets=_units(self.tickets_weight),
            tickets_window=timedelta(days=self.tickets_window_days),
            initial_engagement=half_up(_units(self.initial_engagement), UNITS // FULL),
            initial_risk=half_up(_units(self.initial_risk), UNITS // FULL),
        )


@dataclass(frozen=True)
class CompanyPolicy:
    """A company's settings apart from its stage map."""

    scoring: ScoringPolicy = field(default_factory=ScoringPolicy)
    revenue_source: RevenueSource = "appointments"
    manual_pin_days: int = 30
    consent: ConsentModel = "opt_out"
    """Whether a customer whose consent is unknown may be contacted (opt_out) or not (opt_in)."""
    frequency_cap: int = 3
    """Maximum number of messages to a customer on one channel within any `frequency_cap_days`."""
    frequency_cap_days: int = 7
    quiet_from: str | None = "21:00"
    """Company-local time at which quiet hours begin; None, together with `quiet_until`: no quiet hours."""
    quiet_until: str | None = "08:00"
    """Company-local time at which quiet hours end; on the next day if it is earlier than `quiet_from`."""
    messages_paused: bool = False
    """Whether sending messages is paused for all customers."""
    max_hold_hours: int = 24
    """Maximum delay of a message by quiet hours or a pause, in hours; a message that is older is not sent."""
    campaign_pause_days: int = 30
    """Minimum number of days between two campaigns of the same type for a customer."""
    open_booking_pauses_risk: bool = True
    """Whether a customer with an open booking moves to no risk stage."""
    open_booking_max_days: int = 90
    """Days before an appointment from which its booking pauses risk."""
    reply_to: str | None = None
    """Reply-To address of the company's emails; None: replies go to the sender address of the service."""
    language: str = "en"
    """Language of messages to customers whose language is unknown."""
    keep_event_details_days: int = 730
    """Days after an event occurred during which its metadata is kept; the event itself is kept."""
    keep_import_errors_days: int = 90
    """Days for which the line errors of an import are kept."""
    keep_job_details_days: int = 365
    """Days for which parameters and results of finished jobs are kept."""
    keep_outbound_events_days: int = 30
    """Days for which outbound events and their deliveries are kept."""
    keep_audit_days: int = 1095
    """Days for which audit entries are kept."""
    currency: Currency = EUR
    """Currency of all amounts; a property of the company, which is not part of the JSON of its settings."""

    @cached_property
    def target_cents(self) -> int:
        """The monetary target of the engagement score, in smallest units of the currency."""
        return int(self.scoring.monetary_target * self.currency.units)


DEFAULT_POLICY: Final = CompanyPolicy()


_NUMBERS: Final = (
    ("manual_pin_days", " of days", 1, 3650),
    ("frequency_cap", "", 1, 1000),
    ("frequency_cap_days", " of days", 1, 365),
    ("max_hold_hours", " of hours", 1, 168),
    ("campaign_pause_days", " of days", 0, 3650),
    ("open_booking_max_days", " of days", 1, 3650),
    ("keep_event_details_days", " of days", 1, 36_500),
    ("keep_import_errors_days", " of days", 1, 36_500),
    ("keep_job_details_days", " of days", 1, 36_500),
    ("keep_outbound_events_days", " of days", 1, 36_500),
    ("keep_audit_days", " of days", 30, 36_500),
)


def _units(weight: Decimal) -> int:
    return int(weight * UNITS)


def default_monetary_target(currency: Currency) -> Decimal:
    """Returns the default monetary target in a currency."""
    return DEFAULT_POLICY.scoring.monetary_target * currency.factor


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
    revenue_source = raw.get("revenue_source", DEFAULT_POLICY.revenue_source)
    if revenue_source not in ("appointments", "payments"):
        errors.append(FieldError(f"{pointer}/revenue_source", "must be one of appointments, payments"))
    consent = raw.get("consent", DEFAULT_POLICY.consent)
    if consent not in ("opt_out", "opt_in"):
        errors.append(FieldError(f"{pointer}/consent", "must be one of opt_out, opt_in"))
    numbers: dict[str, int] = {}
    for name, unit, low, high in _NUMBERS:
        number = raw.get(name, getattr(DEFAULT_POLICY, name))
        if _is_int(number, low, high):
            numbers[name] = int(str(number))
        else:
            errors.append(
                FieldError(f"{pointer}/{name}", f"must be a whole number{unit} from {low} to {high}")
            )
    quiet_from, quiet_until = _parse_quiet_hours(raw, pointer, errors)
    switches = _parse_switches(raw, pointer, errors)
    reply_to = raw.get("reply_to")
    if reply_to is not None and not (isinstance(reply_to, str) and _ADDRESS.fullmatch(reply_to)):
        errors.append(
            FieldError(f"{pointer}/reply_to", "must be an email address such as hello@salon.example, or null")
        )
    language = raw.get("language", DEFAULT_POLICY.language)
    if not isinstance(language, str) or not LANGUAGE.fullmatch(language):
        errors.append(FieldError(f"{pointer}/language", "must be a language tag such as 'en' or 'pt-br'"))
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
        reply_to=None if reply_to is None else str(reply_to),
        language=str(language),
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
        else:
            number = _decimal(value)
            low, high = _bounds(name)
            if number is None or not low <= number <= high:
                errors.append(
                    FieldError(position, f"must be a number from {low} to {high} with at most 4 decimals")
                )
            else:
                values[name] = number
    scoring = ScoringPolicy(**values)  # type: ignore[arg-type]  # checked name by name above
    if not is_stored:
        errors += amount_errors(scoring, currency, pointer)
    return scoring


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
