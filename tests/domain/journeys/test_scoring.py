"""Engagement and risk: every factor at and next to its threshold, and the explanations."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from domain.builders import DAY, INSTANT, day, event, payments
from domain.generators import policies
from journey_service.domain.companies.policy import DEFAULT_POLICY, CompanyPolicy
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.journeys.facts import NO_FACTS, Facts, apply_event_to_facts, days_since
from journey_service.domain.journeys.scoring import (
    engagement,
    explain_engagement,
    explain_risk,
    missed_ratio,
    risk,
    risk_upper_bound,
)
from journey_service.domain.rounding import half_up
from oracle import literal

NOW = day(1_000)
JUST = INSTANT / DAY  # one microsecond, in days


def facts(*, completed=(), missed=(), calls=(), tickets=(), spent="0", paid="0", refunded="0") -> Facts:
    """Returns the facts of a customer with events a number of days ago."""
    events = [
        *(event("appointment_completed", NOW - ago * DAY) for ago in completed),
        *(event("appointment_missed", NOW - ago * DAY) for ago in missed),
        *(event("call_received", NOW - ago * DAY, call=300) for ago in calls),
        *(event("ticket_opened", NOW - ago * DAY) for ago in tickets),
        event("payment_received", NOW, amount=paid),
        event("payment_refunded", NOW, amount=refunded),
    ]
    folded = NO_FACTS
    for each in events:
        folded = apply_event_to_facts(folded, each, DEFAULT_POLICY)
    return folded._replace(appointments_cents=int(Decimal(spent) * 100))


def factors(explanation):
    return {factor.name: factor for factor in explanation.factors}


def contributions(explanation):
    return {factor.name: factor.contribution for factor in explanation.factors if factor.contribution}


# ---- a new relationship


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(NO_FACTS, id="nothing happened"),
        pytest.param(facts(paid="500"), id="something was paid"),
        pytest.param(NO_FACTS._replace(last_event_at=NOW), id="a short call"),
    ],
)
def test_a_new_relationship_has_the_scores_of_the_guide(known):
    engaged, at_risk = (
        explain_engagement(known, DEFAULT_POLICY, NOW),
        explain_risk(known, DEFAULT_POLICY, NOW),
    )
    assert (engaged.score, at_risk.score) == (50, 0)
    assert (engagement(known, DEFAULT_POLICY, NOW), risk(known, DEFAULT_POLICY, NOW)) == (50, 0)
    assert contributions(engaged) == {"new_relationship": 50}
    assert contributions(at_risk) == {}
    for explanation, value in ((engaged, Decimal("0.5")), (at_risk, Decimal(0))):
        new = factors(explanation)["new_relationship"]
        assert (new.value, new.threshold, new.weight) == (value, None, 1)


def test_the_scores_of_a_new_relationship_are_settings():
    policy = parse_policy({"scoring": {"initial_engagement": 0.305, "initial_risk": 0.1}})
    assert (engagement(NO_FACTS, policy, NOW), risk(NO_FACTS, policy, NOW)) == (31, 10)


@pytest.mark.parametrize(
    "known", [{"missed": [400]}, {"calls": [400]}, {"tickets": [400]}, {"completed": [400]}]
)
def test_a_relationship_is_new_until_its_first_relevant_event_at_any_time(known):
    # recency, frequency and money are 0, and interaction quality is 1/2 with an empty window
    assert engagement(facts(**known), DEFAULT_POLICY, NOW) == 10
    assert "new_relationship" not in factors(explain_engagement(facts(**known), DEFAULT_POLICY, NOW))


# ---- engagement


@pytest.mark.parametrize(
    ("factor", "known", "value"),
    [
        ("appointment_frequency", {"tickets": [1]}, "0"),
        ("appointment_frequency", {"completed": [1]}, "0.3333"),
        ("appointment_frequency", {"completed": [1, 2]}, "0.6667"),
        ("appointment_frequency", {"completed": [1, 2, 3]}, "1"),
        ("appointment_frequency", {"completed": [1, 2, 3, 4]}, "1"),
        ("appointment_frequency", {"completed": [90 - JUST]}, "0.3333"),
        ("appointment_frequency", {"completed": [90]}, "0"),
        ("appointment_frequency", {"completed": [-JUST]}, "0.3333"),
        ("recency", {"tickets": [1]}, "0"),
        ("recency", {"completed": [0]}, "1"),
        ("recency", {"completed": [1 - JUST]}, "1"),
        ("recency", {"completed": [1]}, "0.9944"),
        ("recency", {"completed": [90, 300]}, "0.5"),
        ("recency", {"completed": [179]}, "0.0056"),
        ("recency", {"completed": [180]}, "0"),
        ("recency", {"completed": [500]}, "0"),
        ("recency", {"completed": [-0.003]}, "1"),
        ("monetary_value", {"tickets": [1]}, "0"),
        ("monetary_value", {"tickets": [1], "spent": "500"}, "0.5"),
        ("monetary_value", {"tickets": [1], "spent": "999.90"}, "0.9999"),
        ("monetary_value", {"tickets": [1], "spent": "1000"}, "1"),
        ("monetary_value", {"tickets": [1], "spent": "25000"}, "1"),
        ("monetary_value", {"tickets": [1], "paid": "500"}, "0"),
        ("interaction_quality", {"completed": [180]}, "0.5"),
        ("interaction_quality", {"completed": [180 - JUST]}, "0.6667"),
        ("interaction_quality", {"calls": [1]}, "0.6667"),
        ("interaction_quality", {"calls": [180]}, "0.5"),
        ("interaction_quality", {"missed": [1]}, "0.3333"),
        ("interaction_quality", {"missed": [180]}, "0.5"),
        ("interaction_quality", {"tickets": [1]}, "0.3333"),
        ("interaction_quality", {"tickets": [180]}, "0.5"),
        ("interaction_quality", {"completed": [1, 2], "calls": [3], "missed": [4], "tickets": [5]}, "0.5714"),
    ],
    ids=str,
)
def test_a_factor_of_engagement_at_and_next_to_its_threshold(factor, known, value):
    explained = factors(explain_engagement(facts(**known), DEFAULT_POLICY, NOW))
    assert explained[factor].value == Decimal(value)


@pytest.mark.parametrize(
    ("name", "threshold", "weight"),
    [
        ("appointment_frequency", 3, "0.3"),
        ("recency", 180, "0.3"),
        ("monetary_value", 1000, "0.2"),
        ("interaction_quality", None, "0.2"),
    ],
)
def test_the_weights_of_engagement_are_those_of_the_guide(name, threshold, weight):
    factor = factors(explain_engagement(facts(completed=[1]), DEFAULT_POLICY, NOW))[name]
    assert (factor.threshold, factor.weight) == (threshold, Decimal(weight))


@pytest.mark.parametrize(
    ("known", "score", "parts"),
    [
        pytest.param(
            {"completed": [0, 0, 0], "spent": "1000"},
            96,
            {"appointment_frequency": 30, "recency": 30, "monetary_value": 20, "interaction_quality": 16},
            id="a good customer",
        ),
        pytest.param(
            {"completed": [90], "spent": "250", "missed": [10]},
            30,
            {"recency": 15, "monetary_value": 5, "interaction_quality": 10},
            id="a customer who was away for 90 days",
        ),
        pytest.param({"missed": [1]}, 7, {"interaction_quality": 7}, id="no appointment yet"),
    ],
)
def test_engagement_is_the_weighted_sum(known, score, parts):
    explained = explain_engagement(facts(**known), DEFAULT_POLICY, NOW)
    assert explained.score == engagement(facts(**known), DEFAULT_POLICY, NOW) == score
    assert contributions(explained) == parts


def test_monetary_value_follows_the_source_of_revenue_and_is_never_negative():
    known = facts(tickets=[1], spent="1000", paid="300", refunded="500")
    assert factors(explain_engagement(known, DEFAULT_POLICY, NOW))["monetary_value"].value == 1
    assert factors(explain_engagement(known, payments(), NOW))["monetary_value"].value == 0
    assert contributions(explain_engagement(known, payments(), NOW)) == {"interaction_quality": 7}


@pytest.mark.parametrize(
    ("ago", "spent", "score"),
    [
        (3, "0", 50),  # 0.495 exactly
        (9, "0", 49),  # 0.485
        (15, "0", 48),  # 0.475
        (4, "0", 49),  # 0.49333...
        (3, "25", 50),  # 0.500
        (3, "24.99", 50),  # 0.499998
        (6, "25", 50),  # 0.495
        (6, "24.99", 49),  # 0.494998
    ],
)
def test_half_a_hundredth_of_engagement_rounds_up(ago, spent, score):
    assert engagement(facts(completed=[ago], tickets=[1], spent=spent), DEFAULT_POLICY, NOW) == score


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [
        (0, 2, 0),
        (1, 2, 1),
        (3, 2, 2),
        (5, 2, 3),
        (49, 100, 0),
        (50, 100, 1),
        (149, 100, 1),
        (10**30 - 1, 2 * 10**30, 0),
    ],
)
def test_halves_are_rounded_upwards(numerator, denominator, rounded):
    assert half_up(numerator, denominator) == rounded


# ---- risk

INACTIVE, VERY = {"days_inactive": 30}, {"days_inactive": 30, "days_very_inactive": 30}
TREND = {"declining_frequency": 20}
MISSED = {"missed_appointments": 20}


@pytest.mark.parametrize(
    ("known", "parts"),
    [
        pytest.param({"completed": [60]}, {}, id="60 days"),
        pytest.param({"completed": [61 - JUST]}, {}, id="an instant before 61 days"),
        pytest.param({"completed": [61]}, INACTIVE, id="61 days"),
        pytest.param({"completed": [90]}, INACTIVE | TREND, id="90 days"),
        pytest.param({"completed": [91 - JUST]}, INACTIVE | TREND, id="an instant before 91 days"),
        pytest.param({"completed": [91]}, VERY | TREND, id="91 days"),
        pytest.param({"completed": [180]}, VERY, id="180 days: nothing in the 90 before either"),
        pytest.param({"completed": [900]}, VERY, id="900 days"),
        pytest.param({"calls": [500]}, {}, id="never: the factor does not apply"),
        pytest.param({"completed": [1, 2, 3, 4], "missed": [5]}, {}, id="missed 1 of 5"),
        pytest.param({"completed": [1, 2, 3, 4, 5, 6, 7], "missed": [8, 9]}, MISSED, id="missed 2 of 9"),
        pytest.param({"missed": [1]}, MISSED, id="missed the only one"),
        pytest.param({"missed": [180 - JUST]}, MISSED, id="missed an instant less than 180 days ago"),
        pytest.param({"missed": [180]}, {}, id="missed 180 days ago"),
        pytest.param({"completed": [1, 2, 3, 181], "missed": [4]}, MISSED, id="of 4 in the last 180 days"),
        pytest.param({"completed": [*range(7), *range(100, 110)]}, {}, id="7 after 10: -0.3"),
        pytest.param({"completed": [*range(6), *range(100, 110)]}, TREND, id="6 after 10: -0.4"),
        pytest.param({"completed": [*range(2), *range(100, 103)]}, TREND, id="2 after 3: -0.333"),
        pytest.param({"completed": [1, 2, 3, 100]}, {}, id="3 after 1: growing"),
        pytest.param({"completed": [1]}, {}, id="1 after none: no trend"),
        pytest.param({"completed": [1, 90, 91]}, TREND, id="1 after 2, 90 days ago being before"),
        pytest.param({"completed": [1, 90 - JUST, 91]}, {}, id="2 after 1, an instant less being recent"),
        pytest.param({"completed": [1, 100, 180 - JUST]}, TREND, id="1 after 2, the first at the very edge"),
        pytest.param({"completed": [1, 100, 180]}, {}, id="1 after 1, the first over the edge"),
        pytest.param({"completed": [1], "tickets": [1] * 30}, {}, id="tickets weigh nothing"),
        pytest.param({"completed": [120], "missed": [1]}, VERY | TREND | MISSED, id="everything"),
    ],
)
def test_a_factor_of_risk_at_and_next_to_its_threshold(known, parts):
    explained = explain_risk(facts(**known), DEFAULT_POLICY, NOW)
    assert contributions(explained) == parts
    assert explained.score == risk(facts(**known), DEFAULT_POLICY, NOW) == sum(parts.values())


def test_risk_is_explained_with_values_and_thresholds():
    known = facts(completed=[100, 110, 120], missed=[1, 2], tickets=[1, 89, 90])
    shown = factors(explain_risk(known, DEFAULT_POLICY, NOW))
    assert {name: (factor.value, factor.threshold, factor.weight) for name, factor in shown.items()} == {
        "days_inactive": (100, 60, Decimal("0.3")),
        "days_very_inactive": (100, 90, Decimal("0.3")),
        "missed_appointments": (Decimal("0.4"), Decimal("0.2"), Decimal("0.2")),
        "declining_frequency": (Decimal(-1), Decimal("-0.3"), Decimal("0.2")),
        "support_tickets": (2, 0, Decimal(0)),
    }
    assert factors(explain_risk(facts(tickets=[1]), DEFAULT_POLICY, NOW))["days_inactive"].value is None


def test_tickets_count_with_a_weight():
    policy = parse_policy({"scoring": {"tickets_weight": 0.15, "tickets_window_days": 30}})
    assert contributions(explain_risk(facts(tickets=[30 - JUST]), policy, NOW)) == {"support_tickets": 15}
    assert contributions(explain_risk(facts(tickets=[30]), policy, NOW)) == {}


def test_risk_and_its_contributions_are_capped_at_1():
    policy = parse_policy(
        {"scoring": {"inactive_weight": 1, "very_inactive_weight": 0.5, "missed_rate_weight": 0.25}}
    )
    explained = explain_risk(facts(completed=[200], missed=[1]), policy, NOW)
    assert explained.score == 100
    assert sum(contributions(explained).values()) == 100


def test_engagement_and_its_contributions_are_capped_at_1():
    policy = parse_policy({"scoring": {"engagement_frequency_weight": 1, "engagement_recency_weight": 0.7}})
    explained = explain_engagement(facts(completed=[1, 2, 3]), policy, NOW)
    assert explained.score == 100
    assert sum(contributions(explained).values()) == 100


def test_half_a_hundredth_of_risk_rounds_up_for_the_sum():
    policy = parse_policy({"scoring": {"inactive_weight": 0.005, "very_inactive_weight": 0.0049}})
    assert risk(facts(completed=[61]), policy, NOW) == 1
    assert risk(facts(completed=[200]), policy, NOW) == 1
    assert contributions(explain_risk(facts(completed=[200]), policy, NOW)) == {"days_inactive": 1}


def test_the_missed_rate_is_two_counts():
    known = facts(completed=[1, 2, 200], missed=[3, 300])
    assert missed_ratio(known, DEFAULT_POLICY, NOW) == (1, 3)


def test_scores_have_no_float_errors():
    policy = parse_policy({"scoring": {"inactive_weight": 0.1, "very_inactive_weight": 0.2}})
    assert 0.1 + 0.2 > 0.3
    assert risk(facts(completed=[200]), policy, NOW) == 30


# ---- properties

_ago = st.one_of(
    st.sampled_from([0, 1, 30, 60, 61, 90, 91, 180, 181]).map(lambda days: NOW - days * DAY),
    st.integers(0, 400 * 24).map(lambda hours: NOW - hours * DAY / 24),
)
_times = st.lists(_ago, max_size=6).map(sorted).map(tuple)
_cents = st.integers(0, 200_000)


@st.composite
def drawn_facts(draw: st.DrawFn) -> Facts:
    """Generates facts."""
    completed, missed, calls, tickets = draw(st.tuples(_times, _times, _times, _times))
    spent, paid, refunded = draw(st.tuples(_cents, _cents, _cents))
    return Facts(
        total_appointments=len(completed),
        total_missed=len(missed),
        appointments_cents=spent,
        payments_cents=paid,
        refunds_cents=refunded,
        first_appointment_at=min(completed, default=None),
        last_appointment_at=max(completed, default=None),
        last_event_at=max((*completed, *missed, *calls, *tickets), default=None),
        completed=completed,
        missed=missed,
        long_calls=calls,
        tickets=tickets,
    )


def hundredths(exact: Fraction) -> int:
    return min(100, floor(exact * 100 + Fraction(1, 2)))


def exact_engagement(known: Facts, policy: CompanyPolicy, now: datetime) -> list[Fraction]:
    """Returns the four parts of the formula as fractions."""
    rules = policy.scoring

    def within(times, days):
        return sum(now - t < days * DAY for t in times)

    days = None if known.last_appointment_at is None else days_since(known.last_appointment_at, now)
    good = within((*known.completed, *known.long_calls), rules.quality_window_days)
    bad = within((*known.missed, *known.tickets), rules.quality_window_days)
    value = Fraction(known.lifetime_cents(policy), 100) / Fraction(rules.monetary_target)
    return [
        Fraction(rules.engagement_frequency_weight)
        * min(1, Fraction(within(known.completed, rules.frequency_window_days), rules.frequency_target)),
        Fraction(rules.engagement_recency_weight)
        * (0 if days is None else max(0, 1 - Fraction(days, rules.recency_horizon_days))),
        Fraction(rules.engagement_monetary_weight) * max(0, min(1, value)),
        Fraction(rules.engagement_quality_weight) * Fraction(good + 1, good + bad + 2),
    ]


def exact_risk(known: Facts, policy: CompanyPolicy, now: datetime) -> list[Fraction]:
    """Returns the five parts of the formula as fractions."""
    rules = policy.scoring

    def within(times, days, since=0):
        return sum(since * DAY <= now - t < days * DAY for t in times)

    days = 0 if known.last_appointment_at is None else days_since(known.last_appointment_at, now)
    missed, kept = (within(times, rules.missed_window_days) for times in (known.missed, known.completed))
    rate = Fraction(missed, missed + kept) if missed + kept else Fraction(0)
    window = rules.trend_window_days
    recent, before = within(known.completed, window), within(known.completed, 2 * window, window)
    trend = Fraction(recent - before, before) if before else Fraction(0)
    has_visits = known.last_appointment_at is not None
    return [
        Fraction(rules.inactive_weight) * (has_visits and days > rules.inactive_days),
        Fraction(rules.very_inactive_weight) * (has_visits and days > rules.very_inactive_days),
        Fraction(rules.missed_rate_weight) * (rate > Fraction(rules.missed_rate)),
        Fraction(rules.trend_weight) * (trend < Fraction(rules.trend)),
        Fraction(rules.tickets_weight) * (within(known.tickets, rules.tickets_window_days) > 0),
    ]


@given(drawn_facts(), policies())
def test_scores_agree_with_the_formula_in_exact_fractions(known, policy):
    assume(not known.is_new)
    assert engagement(known, policy, NOW) == hundredths(sum(exact_engagement(known, policy, NOW)))
    assert risk(known, policy, NOW) == hundredths(sum(exact_risk(known, policy, NOW)))


@given(drawn_facts(), st.sampled_from(["appointments", "payments"]), _ago)
def test_scores_agree_with_the_oracle(known, revenue_source, now):
    oracle = literal.Facts(revenue_source)
    oracle.total["appointment_completed"] = Decimal(known.appointments_cents) / 100
    oracle.total["payment_received"] = Decimal(known.payments_cents) / 100
    oracle.total["payment_refunded"] = Decimal(known.refunds_cents) / 100
    kept = (known.completed, known.missed, known.long_calls, known.tickets)
    oracle.kept = {kind: list(times) for kind, times in zip(literal.WINDOWS, kept, strict=True)}
    policy = parse_policy({"revenue_source": revenue_source})
    assert Fraction(engagement(known, policy, now), 100) == oracle.engagement(now)
    assert Fraction(risk(known, policy, now), 100) == oracle.risk(now)


@given(drawn_facts(), st.one_of(policies(), st.just(DEFAULT_POLICY)))
@example(NO_FACTS, DEFAULT_POLICY)
def test_contributions_add_up_to_the_score_and_differ_little_from_exact_parts(known, policy):
    for explain, score, exact in (
        (explain_engagement, engagement, exact_engagement),
        (explain_risk, risk, exact_risk),
    ):
        explained = explain(known, policy, NOW)
        shares = [factor.contribution for factor in explained.factors]
        assert sum(shares) == explained.score == score(known, policy, NOW)
        assert min(shares) >= 0
        parts = exact(known, policy, NOW)
        if not known.is_new and sum(parts) <= 1:
            assert all(abs(part * 100 - share) < 1 for part, share in zip(parts, shares, strict=True))


@given(drawn_facts(), policies(), _ago, st.integers(0, 300))
def test_the_upper_bound_of_risk_holds_for_the_instants_it_covers(known, policy, now, ahead):
    last = known.last_appointment_at
    covered = None if last is None else days_since(last, now + ahead * DAY)
    bound = risk_upper_bound(known, policy, covered)
    assert bound >= risk(known, policy, now)
    assert bound >= risk(known, policy, now + ahead * DAY)
    assert bound >= risk(known, policy, now + ahead * DAY / 2)


@given(drawn_facts(), policies(), _ago)
def test_scores_stay_between_0_and_1(known, policy, now):
    assert 0 <= engagement(known, policy, now) <= 100
    assert 0 <= risk(known, policy, now) <= 100
