"""The policy: defaults of the guide, limits of every setting, and the position of every error."""

import json
from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given

from domain.generators import policies
from journey_service.domain.companies.policy import DEFAULT_POLICY, CompanyPolicy, ScoringPolicy
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.errors import InvalidInputError

DAYS = "must be a whole number of days from 1 to 3650"
WHOLE = "must be a whole number from 1 to 3650"
FRACTION = "must be a number from 0 to 1 with at most 4 decimals"
TREND = "must be a number from -1 to 0 with at most 4 decimals"
MONEY = "must be a number from 0.01 to 1000000000 with at most 4 decimals"
QUIET = "must be a time such as '21:00', or null"
LANGUAGE = "must be a language tag such as 'en' or 'pt-br'"
BOTH = "must be null if and only if quiet_from is null"
DIFFERS = "must differ from quiet_from"
SOURCE = "must be one of appointments, payments"


def errors_of(raw, pointer=""):
    with pytest.raises(InvalidInputError) as caught:
        parse_policy(raw, pointer)
    return [(error.pointer, error.message) for error in caught.value.errors]


def test_defaults_are_those_of_the_guide():
    assert policy_to_json(DEFAULT_POLICY) == {
        "scoring": {
            "engagement_frequency_weight": 0.3,
            "engagement_recency_weight": 0.3,
            "engagement_monetary_weight": 0.2,
            "engagement_quality_weight": 0.2,
            "frequency_window_days": 90,
            "frequency_target": 3,
            "recency_horizon_days": 180,
            "monetary_target": 1000,
            "quality_window_days": 180,
            "long_call_seconds": 60,
            "initial_engagement": 0.5,
            "initial_risk": 0,
            "inactive_days": 60,
            "inactive_weight": 0.3,
            "very_inactive_days": 90,
            "very_inactive_weight": 0.3,
            "missed_rate": 0.2,
            "missed_rate_weight": 0.2,
            "missed_window_days": 180,
            "trend": -0.3,
            "trend_weight": 0.2,
            "trend_window_days": 90,
            "tickets_weight": 0,
            "tickets_window_days": 90,
        },
        "revenue_source": "appointments",
        "manual_pin_days": 30,
        "consent": "opt_out",
        "frequency_cap": 3,
        "frequency_cap_days": 7,
        "quiet_from": "21:00",
        "quiet_until": "08:00",
        "max_hold_hours": 24,
        "campaign_pause_days": 30,
        "address_wait_hours": 24,
        "language": "en",
        "keep_event_details_days": 730,
        "keep_import_errors_days": 90,
        "keep_job_details_days": 365,
        "messages_paused": False,
        "open_booking_pauses_risk": True,
        "open_booking_max_days": 90,
        "usual_gap_days": 45,
        "reply_to": None,
        "account_manager_email": None,
        "keep_outbound_events_days": 30,
        "keep_audit_days": 1095,
    }


@pytest.mark.parametrize("raw", [{}, {"scoring": {}}], ids=["nothing", "nothing about scoring"])
def test_missing_settings_have_their_defaults(raw):
    assert parse_policy(raw) == DEFAULT_POLICY


def test_given_settings_are_read_exactly():
    raw = {
        "scoring": {"missed_rate": 0.1, "trend": -0.2505, "inactive_days": 30, "monetary_target": 99.95},
        "revenue_source": "payments",
        "manual_pin_days": 3650,
    }
    expected = ScoringPolicy(
        missed_rate=Decimal("0.1"),
        trend=Decimal("-0.2505"),
        inactive_days=30,
        monetary_target=Decimal("99.95"),
    )
    assert parse_policy(raw) == CompanyPolicy(expected, "payments", 3650)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("consent", "opt_maybe", "must be one of opt_out, opt_in"),
        ("frequency_cap", 0, "must be a whole number from 1 to 1000"),
        ("frequency_cap_days", 366, "must be a whole number of days from 1 to 365"),
        ("consent", None, "must be one of opt_out, opt_in"),
        ("max_hold_hours", 0, "must be a whole number of hours from 1 to 168"),
        ("max_hold_hours", 169, "must be a whole number of hours from 1 to 168"),
        ("address_wait_hours", -1, "must be a whole number of hours from 0 to 72"),
        ("address_wait_hours", 73, "must be a whole number of hours from 0 to 72"),
        ("campaign_pause_days", -1, "must be a whole number of days from 0 to 3650"),
        ("campaign_pause_days", 3651, "must be a whole number of days from 0 to 3650"),
        ("campaign_pause_days", False, "must be a whole number of days from 0 to 3650"),
        ("keep_audit_days", 29, "must be a whole number of days from 30 to 36500"),
        ("quiet_from", "9:00", QUIET),
        ("quiet_from", "24:00", QUIET),
        ("quiet_from", "21:60", QUIET),
        ("quiet_from", "21:00:00", QUIET),
        ("quiet_from", "21:00\n", QUIET),
        ("quiet_from", "\uff12\uff11:00", QUIET),
        ("quiet_from", "", QUIET),
        ("quiet_from", 21, QUIET),
        ("quiet_from", ["21:00"], QUIET),
        ("quiet_until", "8 am", QUIET),
        ("quiet_until", False, QUIET),
        ("quiet_until", "21:00", DIFFERS),
        ("quiet_until", None, BOTH),
        ("language", None, LANGUAGE),
        ("language", "", LANGUAGE),
        ("language", "EN", LANGUAGE),
        ("language", "english", LANGUAGE),
        ("language", "de_at", LANGUAGE),
        ("language", "de-", LANGUAGE),
        ("language", "de\n", LANGUAGE),
        ("language", 3, LANGUAGE),
        ("language", ["de"], LANGUAGE),
        ("manual_pin_days", 0, DAYS),
        ("manual_pin_days", 3651, DAYS),
        ("manual_pin_days", True, DAYS),
        ("manual_pin_days", "30", DAYS),
        ("manual_pin_days", 30.0, DAYS),
        ("manual_pin_days", None, DAYS),
        ("revenue_source", "both", SOURCE),
        ("revenue_source", None, SOURCE),
        ("revenue_source", ["payments"], SOURCE),
        ("scoring", [], "must be an object"),
        ("scoring", None, "must be an object"),
        ("weights", {}, "is not a known setting"),
        ("a/b", {}, "is not a known setting"),
    ],
    ids=repr,
)
def test_an_invalid_setting_is_refused_with_its_position(name, value, message):
    position = name.replace("/", "~1")
    assert errors_of({name: value}, "/policy") == [(f"/policy/{position}", message)]


@pytest.mark.parametrize(
    "raw",
    [
        {"quiet_from": "00:00", "quiet_until": "23:59"},
        {"quiet_from": "23:59", "quiet_until": "00:00"},
        {"quiet_from": None, "quiet_until": None},
        {"quiet_from": "13:00"},
        {"quiet_until": "20:59"},
    ],
)
def test_quiet_hours_are_read_as_given(raw):
    policy = parse_policy(raw)

    assert policy.quiet_from == raw.get("quiet_from", "21:00")
    assert policy.quiet_until == raw.get("quiet_until", "08:00")


def test_quiet_hours_need_both_ends():
    assert errors_of({"quiet_from": None}) == [("/quiet_until", BOTH)]


@pytest.mark.parametrize("language", ["en", "de", "pt-br", "zh-hant", "gsw", "es-419"])
def test_any_language_tag_is_accepted(language):
    assert parse_policy({"language": language}).language == language


@pytest.mark.parametrize(
    ("name", "value"), [("max_hold_hours", 1), ("max_hold_hours", 168), ("campaign_pause_days", 0)]
)
def test_limits_are_inclusive(name, value):
    assert getattr(parse_policy({name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("inactive_days", 0, WHOLE),
        ("inactive_days", 3651, WHOLE),
        ("inactive_days", 60.5, WHOLE),
        ("inactive_days", False, WHOLE),
        ("frequency_target", 0, WHOLE),
        ("inactive_weight", -0.1, FRACTION),
        ("inactive_weight", 1.0001, FRACTION),
        ("inactive_weight", 0.00005, FRACTION),
        ("inactive_weight", "0.3", FRACTION),
        ("inactive_weight", True, FRACTION),
        ("inactive_weight", None, FRACTION),
        ("inactive_weight", float("nan"), FRACTION),
        ("inactive_weight", float("inf"), FRACTION),
        ("initial_engagement", 2, FRACTION),
        ("trend", 0.3, TREND),
        ("trend", -1.1, TREND),
        ("monetary_target", 0, MONEY),
        ("monetary_target", 2_000_000_000, MONEY),
        ("recency", 180, "is not a known scoring setting"),
        ("re~cency", 180, "is not a known scoring setting"),
    ],
    ids=repr,
)
def test_an_invalid_number_is_refused_with_its_position(name, value, message):
    position = name.replace("~", "~0")
    assert errors_of({"scoring": {name: value}}) == [(f"/scoring/{position}", message)]


def test_all_errors_are_reported_together():
    raw = {"scoring": {"trend": 1, "x": 2}, "revenue_source": 3, "y": 4}
    assert [position for position, _ in errors_of(raw)] == [
        "/y",
        "/revenue_source",
        "/scoring/trend",
        "/scoring/x",
    ]


@pytest.mark.parametrize(
    "field", [field for field in fields(ScoringPolicy) if isinstance(field.default, Decimal)]
)
def test_a_fraction_may_be_written_as_a_whole_number(field):
    value = -1 if field.name == "trend" else 1
    assert getattr(parse_policy({"scoring": {field.name: value}}).scoring, field.name) == value


@pytest.mark.parametrize(
    "raw",
    [
        {"quiet_from": None, "quiet_until": None},
        {
            "quiet_from": "12:30",
            "quiet_until": "14:00",
            "max_hold_hours": 3,
            "campaign_pause_days": 0,
            "language": "de-at",
            "consent": "opt_in",
            "frequency_cap": 1,
            "frequency_cap_days": 30,
        },
    ],
)
def test_messaging_settings_survive_a_round_trip(raw):
    written = policy_to_json(parse_policy(raw))

    assert {name: written[name] for name in raw} == raw
    assert parse_policy(json.loads(json.dumps(written))) == parse_policy(raw)


@given(policies())
def test_any_policy_survives_a_round_trip(policy):
    assert parse_policy(json.loads(json.dumps(policy_to_json(policy)))) == policy
