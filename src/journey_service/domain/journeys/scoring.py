"""Engagement and risk scores in exact integer arithmetic, and their explanations.

Formulas: customer journey guide, `calculateEngagementScore` and `calculateRiskScore`, with the numbers of the
company's scoring policy. A score is an integer from 0 to 100 hundredths, rounded half up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from journey_service.domain.companies.policy import CompanyPolicy, ScoringNumbers
from journey_service.domain.journeys.facts import Facts, Times, count_before, count_since, days_since
from journey_service.domain.rounding import FULL, UNITS, half_up


@dataclass(frozen=True, slots=True)
class ScoreFactor:
    """One factor of a score: its value, its threshold and its contribution.

    `contribution` is in hundredths; the contributions add up to the score exactly.
    """

    name: str
    value: Decimal | int | None
    threshold: Decimal | int | None
    weight: Decimal
    contribution: int


@dataclass(frozen=True, slots=True)
class ScoreExplanation:
    """A score in hundredths with its factors."""

    score: int
    factors: tuple[ScoreFactor, ...]


def engagement(facts: Facts, policy: CompanyPolicy, now: datetime) -> int:
    """Returns the engagement score at `now`, in hundredths."""
    if facts.is_new:
        return policy.scoring.numbers.initial_engagement
    numerator, denominator = _add_weighted_ratios(_engagement_parts(facts, policy, now))
    return min(FULL, half_up(numerator * FULL, denominator * UNITS))


def risk(facts: Facts, policy: CompanyPolicy, now: datetime) -> int:
    """Returns the risk score at `now`, in hundredths."""
    scoring = policy.scoring
    numbers = scoring.numbers
    if facts.is_new:
        return numbers.initial_risk
    units = 0
    last = facts.last_appointment_at
    if last is not None:
        days = days_since(last, now)
        if days > scoring.inactive_days:
            units += numbers.inactive
        if days > scoring.very_inactive_days:
            units += numbers.very_inactive
        if _is_declining(facts.completed, numbers, now):
            units += numbers.trend
    if facts.missed and _is_missing(facts, numbers, now):
        units += numbers.missed
    if numbers.tickets and count_since(facts.tickets, numbers.tickets_window, now):
        units += numbers.tickets
    return min(FULL, half_up(units, UNITS // FULL))


def risk_upper_bound(facts: Facts, policy: CompanyPolicy, days_inactive: int | None) -> int:
    """Returns an upper bound of the risk score in hundredths, for at most `days_inactive` days."""
    scoring = policy.scoring
    numbers = scoring.numbers
    units = numbers.tickets
    if facts.missed:
        units += numbers.missed
    if days_inactive is not None:
        units += numbers.trend
        if days_inactive > scoring.inactive_days:
            units += numbers.inactive
        if days_inactive > scoring.very_inactive_days:
            units += numbers.very_inactive
    return min(FULL, max(numbers.initial_risk, half_up(units, UNITS // FULL)))


def missed_ratio(facts: Facts, policy: CompanyPolicy, now: datetime) -> tuple[int, int]:
    """Returns (missed, completed + missed) appointments within the policy's window."""
    window = policy.scoring.numbers.missed_window
    missed = count_since(facts.missed, window, now)
    return missed, missed + count_since(facts.completed, window, now)


def explain_engagement(facts: Facts, policy: CompanyPolicy, now: datetime) -> ScoreExplanation:
    """Returns the engagement score at `now` with its factors; the value of a factor is from 0 to 1."""
    score = engagement(facts, policy, now)
    scoring = policy.scoring
    weights = (
        ("appointment_frequency", Decimal(scoring.frequency_target), scoring.engagement_frequency_weight),
        ("recency", Decimal(scoring.recency_horizon_days), scoring.engagement_recency_weight),
        ("monetary_value", scoring.monetary_target, scoring.engagement_monetary_weight),
        ("interaction_quality", None, scoring.engagement_quality_weight),
    )
    parts = _engagement_parts(facts, policy, now)
    shares = (
        [0] * len(parts)
        if facts.is_new
        else _apportion([(weight * part * FULL, whole * UNITS) for weight, part, whole in parts], score)
    )
    factors = [
        ScoreFactor(name, _ratio(part, whole), threshold, weight, share)
        for (name, threshold, weight), (_, part, whole), share in zip(weights, parts, shares, strict=True)
    ]
    return _explanation(score, factors, initial=scoring.initial_engagement if facts.is_new else None)


def explain_risk(facts: Facts, policy: CompanyPolicy, now: datetime) -> ScoreExplanation:
    """Returns the risk score at `now` with its factors; values are compared with their thresholds."""
    score = risk(facts, policy, now)
    signs = _risk_signs(facts, policy, now)
    shares = (
        [0] * len(signs)
        if facts.is_new
        else _apportion([(int(sign.weight * UNITS) * sign.holds, UNITS // FULL) for sign in signs], score)
    )
    factors = [
        ScoreFactor(sign.name, sign.value, sign.threshold, sign.weight, share)
        for sign, share in zip(signs, shares, strict=True)
    ]
    return _explanation(score, factors, initial=policy.scoring.initial_risk if facts.is_new else None)


class _RiskSign(NamedTuple):
    """A sign of risk: its value, and whether it holds against its threshold."""

    name: str
    value: Decimal | int | None
    threshold: Decimal | int
    weight: Decimal
    holds: bool


def _risk_signs(facts: Facts, policy: CompanyPolicy, now: datetime) -> Sequence[_RiskSign]:
    scoring = policy.scoring
    numbers = scoring.numbers
    last = facts.last_appointment_at
    days = None if last is None else days_since(last, now)
    missed, total = missed_ratio(facts, policy, now)
    recent, before = _recent_and_before(facts.completed, numbers, now)
    missed_rate = _ratio(missed, total) if total else Decimal(0)
    trend = _ratio(recent - before, before) if before else Decimal(0)
    tickets = count_since(facts.tickets, numbers.tickets_window, now)
    limit, upper_limit = scoring.inactive_days, scoring.very_inactive_days
    is_inactive, is_very_inactive = (days is not None and days > each for each in (limit, upper_limit))
    is_missing = _is_missing(facts, numbers, now)
    is_declining = _is_declining(facts.completed, numbers, now)
    return (
        _RiskSign("days_inactive", days, limit, scoring.inactive_weight, is_inactive),
        _RiskSign("days_very_inactive", days, upper_limit, scoring.very_inactive_weight, is_very_inactive),
        _RiskSign(
            "missed_appointments", missed_rate, scoring.missed_rate, scoring.missed_rate_weight, is_missing
        ),
        _RiskSign("declining_frequency", trend, scoring.trend, scoring.trend_weight, is_declining),
        _RiskSign("support_tickets", tickets, 0, scoring.tickets_weight, tickets > 0),
    )


def _explanation(score: int, factors: Sequence[ScoreFactor], *, initial: Decimal | None) -> ScoreExplanation:
    """Returns an explanation; of a new relationship, the `initial` score is a factor of its own."""
    if initial is None:
        return ScoreExplanation(score, tuple(factors))
    return ScoreExplanation(
        score, (*factors, ScoreFactor("new_relationship", initial, None, Decimal(1), score))
    )


def _engagement_parts(facts: Facts, policy: CompanyPolicy, now: datetime) -> list[tuple[int, int, int]]:
    """Returns (weight in UNITS, part, whole) of the four factors; a factor is part / whole."""
    scoring = policy.scoring
    numbers = scoring.numbers
    target, horizon = scoring.frequency_target, scoring.recency_horizon_days
    frequency = min(count_since(facts.completed, numbers.frequency_window, now), target)
    last = facts.last_appointment_at
    recency = 0 if last is None else max(0, horizon - days_since(last, now))
    monetary = max(0, min(facts.lifetime_cents(policy), policy.target_cents))
    window = numbers.quality_window
    good = count_since(facts.completed, window, now) + count_since(facts.long_calls, window, now)
    bad = count_since(facts.missed, window, now) + count_since(facts.tickets, window, now)
    return [
        (numbers.frequency, frequency, target),
        (numbers.recency, recency, horizon),
        (numbers.monetary, monetary, policy.target_cents),
        (numbers.quality, good + 1, good + bad + 2),
    ]


def _add_weighted_ratios(parts: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    numerator, denominator = 0, 1
    for weight, part, whole in parts:
        numerator = numerator * whole + weight * part * denominator
        denominator *= whole
    return numerator, denominator


def _is_missing(facts: Facts, numbers: ScoringNumbers, now: datetime) -> bool:
    missed = count_since(facts.missed, numbers.missed_window, now)
    if not missed:
        return False
    total = missed + count_since(facts.completed, numbers.missed_window, now)
    part, whole = numbers.missed_rate
    return missed * whole > part * total


def _recent_and_before(completed: Times, numbers: ScoringNumbers, now: datetime) -> tuple[int, int]:
    window = numbers.trend_window
    return count_since(completed, window, now), count_before(completed, window, now)


def _is_declining(completed: Times, numbers: ScoringNumbers, now: datetime) -> bool:
    recent, before = _recent_and_before(completed, numbers, now)
    part, whole = numbers.trend_below
    return before > 0 and (recent - before) * whole < part * before


def _ratio(part: int, whole: int) -> Decimal:
    return (Decimal(part) / Decimal(whole)).quantize(Decimal("0.0001"))


def _apportion(shares: Sequence[tuple[int, int]], total: int) -> list[int]:
    """Rounds exact shares (numerator, denominator) to integers that add up to `total`.

    Largest remainder method; if `total` was capped below the sum of the shares, the last shares are reduced.
    """
    floors = [numerator // denominator for numerator, denominator in shares]
    by_remainder = sorted(
        range(len(shares)),
        key=lambda i: ((shares[i][0] % shares[i][1]) / shares[i][1], shares[i][0] > 0, -i),
        reverse=True,
    )
    missing = total - sum(floors)
    for index in by_remainder[: max(0, missing)]:
        floors[index] += 1
    for index in reversed(range(len(floors))):
        reduction = min(floors[index], max(0, -missing))
        floors[index] -= reduction
        missing += reduction
    return floors
