"""Engagement and risk, exactly: integer arithmetic from facts to hundredths, and the explanation.

Formulas: customer journey guide, `calculateEngagementScore` and `calculateRiskScore`, with every number
from the company's scoring policy. A score is a whole number of hundredths from 0 to 100; half a hundredth
rounds up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from journey_service.domain.companies.policy import CompanyPolicy, ScoringNumbers
from journey_service.domain.journeys.facts import Facts, Times, count_before, count_since, days_since
from journey_service.domain.rounding import FULL, UNITS, half_up


@dataclass(frozen=True, slots=True)
class ScoreFactor:
    """One part of a score: what was seen, what it is held against, and what it adds.

    `contribution` is in hundredths; the contributions of a score add up to it exactly.
    """

    name: str
    value: Decimal | int | None
    threshold: Decimal | int | None
    weight: Decimal
    contribution: int


@dataclass(frozen=True, slots=True)
class ScoreExplanation:
    """A score in hundredths with everything that went into it."""

    score: int
    factors: tuple[ScoreFactor, ...]


def engagement(facts: Facts, policy: CompanyPolicy, now: datetime) -> int:
    """Engagement at `now`, in hundredths."""
    if facts.is_new:
        return policy.scoring.numbers.new_engagement
    numerator, denominator = _sum_of_parts(_engagement_parts(facts, policy, now))
    return min(FULL, half_up(numerator * FULL, denominator * UNITS))


def risk(facts: Facts, policy: CompanyPolicy, now: datetime) -> int:
    """Risk at `now`, in hundredths."""
    scoring = policy.scoring
    numbers = scoring.numbers
    if facts.is_new:
        return numbers.new_risk
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
    """An upper bound, in hundredths, of the risk while `days_inactive` is not exceeded."""
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
    return min(FULL, max(numbers.new_risk, half_up(units, UNITS // FULL)))


def missed_ratio(facts: Facts, policy: CompanyPolicy, now: datetime) -> tuple[int, int]:
    """(missed, completed + missed) within the policy's window."""
    window = policy.scoring.numbers.missed_window
    missed = count_since(facts.missed, window, now)
    return missed, missed + count_since(facts.completed, window, now)


def explain_engagement(facts: Facts, policy: CompanyPolicy, now: datetime) -> ScoreExplanation:
    """Engagement at `now` with its factors; each value is the factor's own 0 to 1."""
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
    if facts.is_new:
        factors.append(ScoreFactor("new_relationship", scoring.new_engagement, None, Decimal(1), score))
    return ScoreExplanation(score, tuple(factors))


def explain_risk(facts: Facts, policy: CompanyPolicy, now: datetime) -> ScoreExplanation:
    """Risk at `now` with its factors; each value is what the threshold is held against."""
    score = risk(facts, policy, now)
    scoring = policy.scoring
    numbers = scoring.numbers
    last = facts.last_appointment_at
    days = None if last is None else days_since(last, now)
    missed, asked = missed_ratio(facts, policy, now)
    recent, before = _recent_and_before(facts.completed, numbers, now)
    tickets = count_since(facts.tickets, numbers.tickets_window, now)
    judged: Sequence[tuple[str, Decimal | int | None, Decimal | int, Decimal, bool]] = (
        (
            "days_inactive",
            days,
            scoring.inactive_days,
            scoring.inactive_weight,
            days is not None and days > scoring.inactive_days,
        ),
        (
            "days_very_inactive",
            days,
            scoring.very_inactive_days,
            scoring.very_inactive_weight,
            days is not None and days > scoring.very_inactive_days,
        ),
        (
            "missed_appointments",
            _ratio(missed, asked) if asked else Decimal(0),
            scoring.missed_rate,
            scoring.missed_rate_weight,
            _is_missing(facts, numbers, now),
        ),
        (
            "declining_frequency",
            _ratio(recent - before, before) if before else Decimal(0),
            scoring.trend,
            scoring.trend_weight,
            _is_declining(facts.completed, numbers, now),
        ),
        ("support_tickets", tickets, 0, scoring.tickets_weight, tickets > 0),
    )
    shares = (
        [0] * len(judged)
        if facts.is_new
        else _apportion([(int(weight * UNITS) * held, UNITS // FULL) for *_, weight, held in judged], score)
    )
    factors = [
        ScoreFactor(name, value, threshold, weight, share)
        for (name, value, threshold, weight, _), share in zip(judged, shares, strict=True)
    ]
    if facts.is_new:
        factors.append(ScoreFactor("new_relationship", scoring.new_risk, None, Decimal(1), score))
    return ScoreExplanation(score, tuple(factors))


def _engagement_parts(facts: Facts, policy: CompanyPolicy, now: datetime) -> list[tuple[int, int, int]]:
    """(weight in units, part, whole) of the four factors; each factor is part / whole."""
    scoring = policy.scoring
    numbers = scoring.numbers
    target, horizon = scoring.frequency_target, scoring.recency_horizon_days
    frequency = min(count_since(facts.completed, numbers.frequency_window, now), target)
    last = facts.last_appointment_at
    recency = 0 if last is None else max(0, horizon - days_since(last, now))
    monetary = max(0, min(facts.lifetime_cents(policy), numbers.target_cents))
    window = numbers.quality_window
    good = count_since(facts.completed, window, now) + count_since(facts.long_calls, window, now)
    bad = count_since(facts.missed, window, now) + count_since(facts.tickets, window, now)
    return [
        (numbers.frequency, frequency, target),
        (numbers.recency, recency, horizon),
        (numbers.monetary, monetary, numbers.target_cents),
        (numbers.quality, good + 1, good + bad + 2),
    ]


def _sum_of_parts(parts: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    numerator, denominator = 0, 1
    for weight, part, whole in parts:
        numerator = numerator * whole + weight * part * denominator
        denominator *= whole
    return numerator, denominator


def _is_missing(facts: Facts, numbers: ScoringNumbers, now: datetime) -> bool:
    missed = count_since(facts.missed, numbers.missed_window, now)
    if not missed:
        return False
    asked = missed + count_since(facts.completed, numbers.missed_window, now)
    part, whole = numbers.missed_rate
    return missed * whole > part * asked


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
    """Round exact shares (numerator, denominator) to whole hundredths that add up to `total`.

    Largest remainder: what rounding down leaves over goes to the largest fractions first; where a cap
    made the total smaller than the parts, the last parts give way.
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
        taken = min(floors[index], max(0, -missing))
        floors[index] -= taken
        missing += taken
    return floors
