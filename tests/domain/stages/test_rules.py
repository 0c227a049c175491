"""The rule grammar: values that a condition accepts, and pointers and messages of all errors."""

import json
import operator
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.builders import any_of, rule
from domain.generators import OPERATORS, guide_rules
from journey_service.domain.companies.currencies import EUR
from journey_service.domain.errors import FieldError
from journey_service.domain.events.event import EventType
from journey_service.domain.stages.rules import (
    TRIGGERS,
    Condition,
    ConditionField,
    parse_condition,
    parse_rules,
    rules_to_json,
)

COMPARE = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
KNOWN_TRIGGERS = (
    "call_received, appointment_requested, appointment_completed, appointment_missed, appointment_cancelled, "
    "payment_received, ticket_opened, appointment_count, lifetime_value, days_since_last_appointment, "
    "rhythm_ratio, churn_probability, risk_score, engagement_score, missed_rate, days_in_stage"
)


def condition(field, text):
    errors = []
    parsed = parse_condition(field, text, "/here", errors)
    assert parsed is not None, errors
    return parsed


def errors_of(raw):
    errors = []
    parse_rules(raw, "/rules", errors)
    return [(error.pointer, error.message) for error in errors]


def rules_of(raw):
    errors = []
    rules = parse_rules(raw, "/rules", errors)
    assert errors == []
    return rules


# ---- what a condition accepts


@pytest.mark.parametrize(
    ("text", "below", "at", "above"),
    [
        (">3", False, False, True),
        (">=3", False, True, True),
        ("<3", True, False, False),
        ("<=3", True, True, False),
        ("==3", False, True, False),
        ("!=3", True, False, True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize(
    "field",
    [ConditionField.COUNT, ConditionField.DAYS, ConditionField.CALL_DURATION],
    ids=lambda field: field.label,
)
def test_operators_at_and_next_to_their_number(field, text, below, at, above):
    assert [condition(field, text).accepts(number) for number in (2, 3, 4)] == [below, at, above]


@pytest.mark.parametrize(
    ("field", "text", "refused", "accepted"),
    [
        pytest.param(
            ConditionField.VALUE, ">=1000", [99_999, 0, -100_000], [100_000, 100_001], id="from 1000.00 on"
        ),
        pytest.param(ConditionField.VALUE, ">1000", [100_000], [100_001], id="more than 1000.00"),
        pytest.param(ConditionField.VALUE, "<=10.5", [1_051], [1_050, 1_049], id="at most 10.50"),
        pytest.param(ConditionField.VALUE, "==19.99", [1_998, 2_000], [1_999], id="exactly 19.99"),
        pytest.param(ConditionField.VALUE, "!=19.99", [1_999], [1_998, 2_000], id="anything but 19.99"),
        pytest.param(ConditionField.VALUE, ">0.005", [0], [1], id="more than half a cent"),
        pytest.param(ConditionField.VALUE, ">=0.005", [0], [1], id="at least half a cent"),
        pytest.param(ConditionField.VALUE, "<0.005", [1], [0], id="less than half a cent"),
        pytest.param(ConditionField.VALUE, "<=0.005", [1], [0], id="at most half a cent"),
        pytest.param(ConditionField.VALUE, "==0.005", [0, 1], [], id="half a cent, which no value is"),
        pytest.param(ConditionField.VALUE, "!=0.005", [], [0, 1], id="anything but half a cent"),
        pytest.param(
            ConditionField.VALUE, ">=-5", [-501], [-500, 0], id="more was refunded than paid, by 5 at most"
        ),
        pytest.param(ConditionField.VALUE, ">-0.5", [-50], [-49], id="less than 50 cents below zero"),
        pytest.param(ConditionField.TOTAL_AMOUNT, ">=99.9", [9_989], [9_990], id="an amount from 99.90 on"),
        pytest.param(ConditionField.SCORE, ">0.7", [70], [71], id="a score above 0.70"),
        pytest.param(ConditionField.SCORE, ">=0.7", [69], [70], id="a score from 0.70 on"),
        pytest.param(ConditionField.SCORE, "<0.7", [70], [69], id="a score below 0.70"),
        pytest.param(ConditionField.SCORE, ">0.705", [70], [71], id="a score above 0.705"),
        pytest.param(ConditionField.SCORE, "==0.29", [28, 30], [29], id="a score of 0.29, which no float is"),
        pytest.param(ConditionField.DAYS, ">90.5", [90], [91], id="more than 90.5 days"),
        pytest.param(ConditionField.DAYS, "<90.5", [91], [90], id="less than 90.5 days"),
        pytest.param(
            ConditionField.DAYS, "==90.5", [90, 91], [], id="exactly 90.5 days, which whole days never are"
        ),
        pytest.param(ConditionField.DAYS, ">90.000000", [90], [91], id="six decimals"),
        pytest.param(ConditionField.COUNT, "<=999999999999", [10**12], [10**12 - 1], id="twelve digits"),
    ],
)
def test_numbers_are_scaled_to_cents_hundredths_and_whole_days(field, text, refused, accepted):
    read = condition(field, text)
    assert [units for units in (*refused, *accepted) if read.accepts(units)] == accepted


@pytest.mark.parametrize(
    ("text", "part", "whole", "holds"),
    [
        (">0.2", 1, 5, False),
        (">0.2", 2, 9, True),
        (">=0.2", 1, 5, True),
        (">=0.2", 19, 96, False),
        ("<0.333333", 1, 3, False),
        (">0.333333", 1, 3, True),
        ("==0.5", 3, 6, True),
        ("==0.5", 2, 5, False),
        ("!=0.5", 3, 6, False),
        ("!=0.5", 3, 7, True),
        ("<=0", 0, 4, True),
        ("<=0", 1, 64, False),
        (">=1", 7, 7, True),
    ],
)
def test_a_rate_is_compared_as_the_exact_ratio(text, part, whole, holds):
    assert condition(ConditionField.RATE, text).accepts_ratio(part, whole) is holds


@given(
    st.sampled_from([field for field in ConditionField if field is not ConditionField.RATE]),
    st.sampled_from(OPERATORS),
    st.decimals(-1_000, 1_000, places=3),
    st.integers(-2, 2),
)
@example(ConditionField.VALUE, ">=", Decimal("19.99"), 0)
def test_a_condition_agrees_with_exact_fractions(field, sign, number, offset):
    units = int(number * field.units_in(EUR)) + offset
    assert condition(field, f"{sign}{number:f}").accepts(units) is COMPARE[sign](
        Fraction(units, field.units_in(EUR)), Fraction(number)
    )


@given(st.sampled_from(OPERATORS), st.decimals(0, 2, places=6), st.integers(0, 64), st.integers(1, 64))
def test_a_rate_agrees_with_exact_fractions(sign, number, part, whole):
    assert condition(ConditionField.RATE, f"{sign}{number:f}").accepts_ratio(part, whole) is COMPARE[sign](
        Fraction(part, whole), Fraction(number)
    )


@given(st.sampled_from(OPERATORS), st.decimals(-3, 12, places=1))
def test_change_points_are_the_days_on_which_the_result_changes(sign, number):
    read = condition(ConditionField.DAYS, f"{sign}{number:f}")
    changes = [days for days in range(-10, 20) if read.accepts(days) is not read.accepts(days - 1)]
    assert list(read.change_points) == changes


def test_a_condition_with_another_number_keeps_its_operator():
    read = condition(ConditionField.DAYS, ">90.5")
    assert read.with_number(30) == Condition(ConditionField.DAYS, ">", Decimal(30))
    assert read.with_number(30).text == ">30"
    assert read.text == ">90.5"


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("> 3", ">3"),
        (">=\t3", ">=3"),
        (">3.0", ">3.0"),
        (">=003", ">=3"),
        ("<-2", "<-2"),
        ("==0.000001", "==0.000001"),
        ("!=-0.5", "!=-0.5"),
    ],
)
def test_notations_of_a_condition_are_normalized(text, read_as):
    assert condition(ConditionField.COUNT, text).text == read_as


# ---- invalid conditions


@pytest.mark.parametrize(
    "raw",
    [
        "=>3", ">abc", ">", "", "3", "=3", ">1e5", ">>3", "> =3", "3>", ">3 ", " >3", ">+3", ">--3", ">.5",
        ">5.", ">1,5", ">1_000", ">0x10", ">NaN", ">inf", ">1;2", ">3 or 1", ">3\n", ">__import__('os')",
        "\uff1e3", ">\u0663", ">1000000000000", ">0.0000001", 3, 3.5, None, True, [], [">3"], {}, {">": 3},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_an_invalid_condition_is_rejected_with_its_pointer_and_value(raw):
    assert errors_of({"trigger": "appointment_count", "conditions": {"count": raw}}) == [
        (
            "/rules/conditions/count",
            f"must be one of > >= < <= == != followed by a decimal number, such as '>=3'; got {raw!r}",
        )
    ]


def test_a_long_invalid_condition_is_truncated_in_the_message():
    [(_, message)] = errors_of({"trigger": "appointment_count", "conditions": {"count": "x" * 5_000}})
    assert message.endswith("got '" + "x" * 39)


# ---- rules


def test_the_triggers_are_a_closed_list():
    assert ", ".join(TRIGGERS) == KNOWN_TRIGGERS


@pytest.mark.parametrize(
    ("raw", "pointer", "message"),
    [
        pytest.param([rule("call_received")], "", 'must be a rule or {"any": [rule, ...]}', id="a list"),
        pytest.param("call_received", "", 'must be a rule or {"any": [rule, ...]}', id="a text"),
        pytest.param(7, "", 'must be a rule or {"any": [rule, ...]}', id="a number"),
        pytest.param(False, "", 'must be a rule or {"any": [rule, ...]}', id="false"),
        pytest.param(
            {"trigger": "sms_received"},
            "/trigger",
            f"must be one of {KNOWN_TRIGGERS}; got 'sms_received'",
            id="an unknown trigger",
        ),
        pytest.param(
            {"trigger": "appointment_booked", "conditions": {}},
            "/trigger",
            f"must be one of {KNOWN_TRIGGERS}; got 'appointment_booked'",
            id="an event that is no trigger",
        ),
        pytest.param(
            {"conditions": {}},
            "/trigger",
            f"must be one of {KNOWN_TRIGGERS}; got None",
            id="no trigger at all",
        ),
        pytest.param(
            {"trigger": ["call_received"]},
            "/trigger",
            f"must be one of {KNOWN_TRIGGERS}; got ['call_received']",
            id="a list of triggers",
        ),
        pytest.param(
            {"trigger": "appointment_count", "conditions": {"days": ">3"}},
            "/conditions/days",
            "appointment_count has no condition 'days'; use count",
            id="an unknown condition of a state trigger",
        ),
        pytest.param(
            {"trigger": "call_received", "conditions": {"duration": ">60"}},
            "/conditions/duration",
            "call_received has no condition 'duration'; use call_duration, total_amount",
            id="an unknown condition of an event trigger",
        ),
        pytest.param(
            {"trigger": "risk_score", "conditions": {}},
            "/conditions",
            "risk_score needs a condition on 'score'",
            id="a state trigger with empty conditions",
        ),
        pytest.param(
            {"trigger": "lifetime_value", "conditions": []},
            "/conditions",
            "lifetime_value needs a condition on 'value'",
            id="a state trigger with an empty list of conditions",
        ),
        pytest.param(
            {"trigger": "days_in_stage"},
            "/conditions",
            "days_in_stage needs a condition on 'days'",
            id="a state trigger without conditions",
        ),
        pytest.param(
            {"trigger": "call_received", "conditions": [">60"]},
            "/conditions",
            'must be an object such as {"count": ">=3"}',
            id="a list of conditions",
        ),
        pytest.param(
            {"trigger": "call_received", "conditions": ">60"},
            "/conditions",
            'must be an object such as {"count": ">=3"}',
            id="a bare condition",
        ),
        pytest.param(
            {"trigger": "call_received", "conditions": {}, "when": "now"},
            "/when",
            "is not a field of a rule",
            id="an extra key",
        ),
        pytest.param(
            {"any": [rule("call_received")], "trigger": "call_received"},
            "/trigger",
            'cannot be combined with "any"',
            id="a trigger next to any",
        ),
        pytest.param({"any": []}, "/any", "must be a list of 1 to 20 rules", id="an empty any"),
        pytest.param({"any": None}, "/any", "must be a list of 1 to 20 rules", id="any of nothing"),
        pytest.param(
            {"any": rule("call_received")},
            "/any",
            "must be a list of 1 to 20 rules",
            id="any of one rule, unlisted",
        ),
        pytest.param({"any": "call_received"}, "/any", "must be a list of 1 to 20 rules", id="any of a text"),
        pytest.param(
            {"any": [rule("call_received")] * 21},
            "/any",
            "must be a list of 1 to 20 rules",
            id="any of 21 rules",
        ),
        pytest.param(
            {"any": [rule("call_received"), "call_received"]},
            "/any/1",
            "must be an object with a trigger and conditions",
            id="a text among the rules",
        ),
        pytest.param(
            {"any": [rule("call_received"), rule("appointment_count", count="3")]},
            "/any/1/conditions/count",
            "must be one of > >= < <= == != followed by a decimal number, such as '>=3'; got '3'",
            id="a wrong condition in the second rule",
        ),
        pytest.param(
            {"trigger": "call_received", "conditions": {"call/duration~s": ">60"}},
            "/conditions/call~1duration~0s",
            "call_received has no condition 'call/duration~s'; use call_duration, total_amount",
            id="a key that has to be escaped in a pointer",
        ),
        pytest.param(
            {"trigger": "call_received", "a/b": 1},
            "/a~1b",
            "is not a field of a rule",
            id="an extra key to escape",
        ),
    ],
)
def test_an_invalid_rule_is_rejected_with_its_pointer(raw, pointer, message):
    assert errors_of(raw) == [(f"/rules{pointer}", message)]


def test_any_is_not_allowed_within_any():
    assert errors_of(any_of(any_of(rule("call_received")))) == [
        ("/rules/any/0/any", "is not a field of a rule"),
        ("/rules/any/0/trigger", f"must be one of {KNOWN_TRIGGERS}; got None"),
    ]


def test_all_errors_are_reported_together():
    raw = {
        "any": [
            {"trigger": "risk_score", "conditions": {"score": "high", "days": ">3"}, "note": ""},
            {"trigger": "nothing"},
        ]
    }
    assert [pointer for pointer, _ in errors_of(raw)] == [
        "/rules/any/0/note",
        "/rules/any/0/conditions/score",
        "/rules/any/0/conditions/days",
        "/rules/any/1/trigger",
    ]


def test_an_invalid_rule_is_omitted_and_the_valid_one_is_parsed():
    errors: list[FieldError] = []
    raw = any_of(rule("nothing"), rule("call_received"))
    assert [read.trigger.name for read in parse_rules(raw, "", errors)] == ["call_received"]
    assert [error.pointer for error in errors] == ["/any/0/trigger"]


@pytest.mark.parametrize("raw", [None, {}, []], ids=["null", "an empty object", "PHP's empty map"])
def test_a_stage_may_have_no_rules(raw):
    assert rules_of(raw) == ()


@pytest.mark.parametrize(
    "conditions",
    [{"conditions": {}}, {"conditions": []}, {"conditions": None}, {}],
    ids=["an empty object", "PHP's empty map", "null", "nothing"],
)
def test_an_event_trigger_needs_no_conditions(conditions):
    [read] = rules_of({"trigger": "call_received", **conditions})
    assert (read.trigger.event, read.conditions) == (EventType.CALL_RECEIVED, ())


def test_any_of_one_rule_is_that_rule():
    one = rule("appointment_count", count=">=3")
    assert rules_of(any_of(one)) == rules_of(one)


def test_any_keeps_the_order_of_its_rules():
    rules = rules_of(any_of(rule("risk_score", score=">0.7"), rule("call_received")))
    assert [read.trigger.name for read in rules] == ["risk_score", "call_received"]


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param(
            {"trigger": "call_received", "conditions": []},
            rule("call_received"),
            id="PHP's empty map becomes {}",
        ),
        pytest.param(
            rule("appointment_count", count=">= 3"),
            rule("appointment_count", count=">=3"),
            id="a space is dropped",
        ),
        pytest.param(
            any_of(rule("risk_score", score=">0.70")),
            rule("risk_score", score=">0.70"),
            id="any of one is one",
        ),
        pytest.param(
            any_of(
                rule("payment_received", total_amount=">=99.9", call_duration=">1"), rule("ticket_opened")
            ),
            any_of(
                rule("payment_received", total_amount=">=99.9", call_duration=">1"), rule("ticket_opened")
            ),
            id="several",
        ),
    ],
)
def test_rules_are_written_in_normalized_form(raw, written):
    assert rules_to_json(rules_of(raw)) == written
    assert rules_of(rules_to_json(rules_of(raw))) == rules_of(raw)


@given(st.lists(guide_rules(), max_size=20))
def test_any_rules_survive_a_round_trip(drawn):
    read = rules_of(any_of(*drawn) if drawn else None)
    written = json.loads(json.dumps(rules_to_json(read)))
    assert rules_of(written) == read
