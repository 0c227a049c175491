"""A company's policy: scoring, messaging and retention settings, and their defaults."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal, NamedTuple, TypeAlias

from journey_service.domain.companies.currencies import EUR, Currency
from journey_service.domain.rounding import FULL, UNITS, half_up

RevenueSource: TypeAlias = Literal["appointments", "payments"]
ConsentModel: TypeAlias = Literal["opt_out", "opt_in"]
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})?", re.ASCII)
"""A language: the primary tag of BCP 47 and optionally a region, in lower case."""
EMAIL_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}", re.ASCII
)
"""An email address of the company or one of its employees."""


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
    address_wait_hours: int = 24
    """Hours for which an action of a stage waits for a missing email address or phone number; 0: it does not."""
    campaign_pause_days: int = 30
    """Minimum number of days between two campaigns of the same type for a customer."""
    open_booking_pauses_risk: bool = True
    """Whether a customer with an open booking moves to no risk stage."""
    open_booking_max_days: int = 90
    """Days before an appointment from which its booking pauses risk."""
    usual_gap_days: int = 45
    """Usual number of days between two appointments of a customer: the geometric mean of all gaps."""
    reply_to: str | None = None
    """Reply-To address of the company's emails; None: replies go to the sender address of the service."""
    account_manager_email: str | None = None
    """Address of notices about customers whose owner is no email address; None: these notices are not sent."""
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


def _units(weight: Decimal) -> int:
    return int(weight * UNITS)


def default_monetary_target(currency: Currency) -> Decimal:
    """Returns the default monetary target in a currency."""
    return DEFAULT_POLICY.scoring.monetary_target * currency.factor
