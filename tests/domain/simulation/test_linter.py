"""The linter, finding by finding: a map with the defect, and a valid map that differs in one detail."""

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.builders import DEFAULT, any_of, company, defaults_with, path, rule, stage
from domain.guide_literal import STAGES, ArmlessJourney, LiteralJourney
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.events.event import EARLIEST, LATEST
from journey_service.domain.journeys.engine import Decision
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter import FindingSeverity, lint
from journey_service.domain.simulation.linter.value_ranges import is_within, rank, rates
from journey_service.domain.stages.rules import TRIGGERS, Condition, ConditionField, Rule
from journey_service.domain.stages.stage_map import Stage, StageKind, StageMap

DAYS = "days_since_last_appointment"
AWAY_90_DAYS = rule(DAYS, days=">90")


def map_with(*stages, risk=AWAY_90_DAYS, policy=None):
    """Returns a map of a start stage, the given stages, and a risk stage."""
    definitions = [stage("prospect", 1), *stages]
    if risk is not None:
        definitions.append(stage("at_risk", 50, risk, kind="risk"))
    return company(*definitions, policy=policy)


def lapsing(**rules):
    """Returns a map of a start stage, a stage for the first appointment, and the given risk stages in order."""
    definitions = [stage("prospect", 1), stage("customer", 2, rule("appointment_completed"))]
    definitions += [stage(key, 10 + n, rules[key], kind="risk") for n, key in enumerate(rules)]
    return company(*definitions)


def findings_of(rulebook, code, **more):
    """Returns the findings with one code, as (severity, pointer, stages, message)."""
    return [
        (finding.severity.value, finding.pointer, finding.stages, finding.message)
        for finding in lint(rulebook, **more).findings
        if finding.code == code
    ]


# ---- the default map


def test_the_default_map_has_no_findings_and_an_example_for_every_stage():
    report = lint(DEFAULT)
    assert report.findings == report.errors == report.warnings == ()
    assert set(report.examples) == set(DEFAULT.stage_map.by_key)


@pytest.mark.parametrize("key", [stage.key for stage in DEFAULT.stage_map.stages])
def test_an_example_of_the_default_map_ends_in_its_stage(key):
    example = lint(DEFAULT).examples[key]
    journey = example.replay(DEFAULT)
    assert path(journey)[-1] == key
    assert journey.new_transitions[-1].transitioned_at <= example.until
    assert len({event.key for _, event in example.events()}) == example.size


# ---- unreachable stages

COUNT_OF = "the number of appointments is a whole number"

UNREACHABLE = [
    pytest.param("appointment_count", "count", "<0", "<=0", COUNT_OF, id="fewer appointments than none"),
    pytest.param("appointment_count", "count", "==2.5", "==2", COUNT_OF, id="half an appointment"),
    pytest.param("appointment_count", "count", ">=999999999999", ">=9", COUNT_OF, id="more than are counted"),
    pytest.param("lifetime_value", "value", "<0", "<=0", "not negative", id="a negative value"),
    pytest.param("lifetime_value", "value", "==10.005", "==10.01", "two decimals", id="half a cent"),
    pytest.param(
        "engagement_score", "score", ">1", ">0.9", "between 0 and 1", id="engagement above the maximum"
    ),
    pytest.param(
        "engagement_score", "score", "<0", "<0.5", "between 0 and 1", id="engagement below the minimum"
    ),
    pytest.param(
        "risk_score",
        "score",
        "==0.55",
        "==0.3",
        "scoring policy",
        id="a risk score that no weights add up to",
    ),
    pytest.param("missed_rate", "rate", ">1", ">0.9", "between 0 and 1", id="a rate above 1"),
    pytest.param(
        "missed_rate", "rate", "==0.015", "==0.125", "at most 64 missed", id="a rate of too many appointments"
    ),
    pytest.param("days_in_stage", "days", "<0", "<1", "whole numbers", id="negative days in a stage"),
    pytest.param(DAYS, "days", "<0", "<=0", "whole numbers", id="negative days away"),
    pytest.param(DAYS, "days", "==1.5", "==1", "whole numbers", id="half a day away"),
]


@pytest.mark.parametrize(("trigger", "field", "never", "sometimes", "why"), UNREACHABLE)
def test_a_stage_whose_rule_can_never_hold_is_unreachable(trigger, field, never, sometimes, why):
    def map_of(condition):
        return map_with(stage("odd", 2, rule(trigger, **{field: condition}), kind="progress"))

    [(severity, pointer, stages, message)] = findings_of(map_of(never), "unreachable_stage")
    assert (severity, pointer, stages) == ("error", "/1", ("odd",))
    assert message.startswith(
        f"No customer can ever enter 'odd': `{trigger} {never}` can never hold, because "
    )
    assert why in message
    assert lint(map_of(sometimes)).errors == ()


@pytest.mark.parametrize(
    ("never", "sometimes"),
    [({"call_duration": "<0"}, {"call_duration": "<1"}), ({"total_amount": "<0"}, {"total_amount": "<=0"})],
    ids=["a call that ends before it begins", "a negative amount"],
)
def test_a_rule_on_an_event_can_be_impossible(never, sometimes):
    assert findings_of(map_with(stage("odd", 2, rule("call_received", **never))), "unreachable_stage")
    assert lint(map_with(stage("odd", 2, rule("call_received", **sometimes)))).errors == ()


def test_a_negative_value_is_reached_where_refunds_count():
    odd = stage("odd", 2, rule("lifetime_value", value="<-20"))
    assert findings_of(map_with(odd), "unreachable_stage")
    assert lint(map_with(odd, policy={"revenue_source": "payments"})).errors == ()


def test_contradicting_conditions_on_one_field_are_impossible():
    def map_of(*conditions):
        count = [Condition(ConditionField.COUNT, sign, Decimal(number)) for sign, number in conditions]
        odd = Stage("odd", "odd", 2, StageKind.PROGRESS, (Rule(TRIGGERS["appointment_count"], tuple(count)),))
        start = Stage("start", "start", 1, StageKind.PROGRESS)
        return Rulebook(StageMap(1, (start, odd)), DEFAULT_POLICY)

    [(_, _, _, message)] = findings_of(map_of((">=", 5), ("<", 5)), "unreachable_stage")
    assert (
        "`appointment_count >=5 and <5` can never hold, because its conditions on 'count' contradict each"
        in message
    )
    assert lint(map_of((">=", 5), ("<", 6))).errors == ()


def test_a_customer_without_an_appointment_cannot_lapse():
    [(_, _, _, message)] = findings_of(
        map_with(risk=rule("appointment_count", count="<1")), "unreachable_stage"
    )
    assert "a customer without a completed appointment cannot lapse" in message
    assert findings_of(map_with(risk=rule("appointment_count", count="<2")), "unreachable_stage") == []


def test_a_score_that_the_weights_do_not_reach_is_impossible():
    policy = {"scoring": {"very_inactive_weight": 0, "trend_weight": 0}}
    risky = rule("risk_score", score=">0.7")
    assert "scoring policy" in findings_of(map_with(risk=risky, policy=policy), "unreachable_stage")[0][3]
    assert lint(map_with(risk=risky)).errors == ()


OUTRANKED = [
    pytest.param(
        map_with(stage("regular", 2, rule("appointment_count", count=">=5")),
            stage("vip", 3, rule("appointment_count", count=">=2"))),
        map_with(stage("regular", 2, rule("appointment_count", count=">=2")),
            stage("vip", 3, rule("appointment_count", count=">=5"))),
        "/1", ("regular",),
        "whenever `appointment_count >=5` holds, `appointment_count >=2` of 'vip' holds as well, and 'vip' takes",
        id="a higher progress stage requires less",
    ),
    pytest.param(
        map_with(stage("called", 2, rule("call_received", call_duration=">60")),
                 stage("heard", 3, rule("call_received"))),
        map_with(stage("called", 2, rule("call_received")),
                 stage("heard", 3, rule("call_received", call_duration=">60"))),
        "/1", ("called",),
        "whenever `call_received with call_duration >60` holds, `call_received` of 'heard' holds as well",
        id="a higher stage accepts every call",
    ),
    pytest.param(
        map_with(stage("customer", 2, rule("appointment_completed")),
            stage("regular", 3, rule("appointment_count", count=">=1"))),
        map_with(stage("customer", 2, rule("appointment_completed")),
            stage("regular", 3, rule("appointment_count", count=">=2"))),
        "/1", ("customer",),
        "whenever `appointment_completed` holds, `appointment_count >=1` of 'regular' holds as well",
        id="a first appointment is a count of one",
    ),
    pytest.param(
        lapsing(away=rule(DAYS, days=">180"), lost=rule(DAYS, days=">90")),
        lapsing(away=rule(DAYS, days=">90"), lost=rule(DAYS, days=">180")),
        "/2", ("away",),
        "whenever `days_since_last_appointment >180` holds, `days_since_last_appointment >90` of 'lost' holds",
        id="a more severe risk stage requires less",
    ),
    pytest.param(
        map_with(stage("asleep", 2, rule(DAYS, days=">120"), kind="progress")),
        map_with(stage("asleep", 2, rule(DAYS, days=">60"), kind="progress")),
        "/1", ("asleep",),
        "whenever `days_since_last_appointment >120` holds, `days_since_last_appointment >90` of 'at_risk' holds",
        id="the risk stage comes before a progress stage",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("defective", "valid", "pointer", "stages", "why"), OUTRANKED)
def test_a_stage_whose_rule_is_always_outranked_is_unreachable(defective, valid, pointer, stages, why):
    [(severity, *about, message)] = findings_of(defective, "unreachable_stage")
    assert (severity, *about) == ("error", pointer, stages)
    assert why in message
    assert findings_of(valid, "unreachable_stage") == []


def test_a_milder_risk_stage_does_not_outrank_a_return_from_a_more_severe_one():
    """A customer who returns from `lost` is not kept by `watched`, which is milder."""
    stages = (
        stage("prospect", 1),
        stage("buyer", 2, rule("lifetime_value", value=">=10")),
        stage("watched", 10, rule("lifetime_value", value=">=5"), kind="risk"),
        stage("lost", 11, rule(DAYS, days=">90"), kind="risk"),
    )
    report = lint(company(*stages))
    assert "buyer" in report.examples
    assert not [finding for finding in report.findings if finding.code == "unreachable_stage"]
    assert [f.stages for f in lint(company(*stages[:3])).errors if f.code == "unreachable_stage"] == [
        ("buyer",)
    ]


def test_an_uncertain_finding_reports_what_the_search_has_seen():
    """Engagement is above 0.9 only after several appointments, when the higher stage has already been entered."""
    defective = map_with(
        stage("fond", 2, rule("engagement_score", score=">0.9")),
        stage("regular", 3, rule("appointment_count", count=">=2")),
    )
    [(_, _, _, message)] = findings_of(defective, "unreachable_stage")
    assert message == (
        "No sequence of events was found that leads into 'fond' by `engagement_score >0.9`. Whenever that held, the "
        "customer was in 'regular' and stayed there. Change its rules, or those of the stages that take precedence."
    )
    assert lint(
        map_with(
            stage("fond", 2, rule("engagement_score", score=">0.9")),
            stage("regular", 3, rule("appointment_count", count=">=9")),
        )
    ).errors == ()  # fmt: skip


@pytest.mark.parametrize(
    ("days", "errors"), [(40, []), (None, ["unreachable_stage"])], ids=["replaced", "as written"]
)
def test_retention_days_replace_the_days_of_the_mildest_risk_stage(days, errors):
    """As written, `lost` always takes precedence over `quiet`; with the customer's 40 days it does not."""
    rulebook = company(
        stage("prospect", 1),
        stage("customer", 2, rule("appointment_completed"), retention_days=days),
        stage("quiet", 10, rule(DAYS, days=">90"), kind="risk"),
        stage("lost", 11, rule(DAYS, days=">60"), kind="risk"),
    )
    assert [finding.code for finding in lint(rulebook).errors] == errors


@pytest.mark.parametrize(
    ("trigger", "conditions"),
    [
        ("days_since_last_appointment", {"days": "<5"}),
        ("rhythm_ratio", {"ratio": "<0.5"}),
        ("churn_probability", {"probability": "<0.5"}),
    ],
)
def test_a_risk_stage_reached_only_by_an_appointment_that_is_reported_late_is_reachable(trigger, conditions):
    away = stage("away", 10, rule("days_in_stage", days="<1"), kind="risk")
    fresh = stage("fresh", 11, rule(trigger, **conditions), kind="risk")
    report = lint(company(stage("prospect", 1), away, fresh))
    assert {"away", "fresh"} <= report.examples.keys()


def test_the_start_stage_is_never_unreachable():
    impossible = rule("appointment_count", count="<0")
    assert lint(company(stage("prospect", 1, impossible), stage("at_risk", 2, AWAY_90_DAYS))).errors == ()


def test_an_archived_stage_is_not_checked():
    rulebook = map_with(
        stage("odd", 2, rule("appointment_count", count="<0"), is_active=False, remapped_to="prospect")
    )
    assert lint(rulebook).errors == ()


# ---- rules that never decide


SHADOWED = [
    pytest.param(
        any_of(rule("appointment_count", count=">=3"), rule("appointment_count", count=">=5")),
        any_of(rule("appointment_count", count=">=5"), rule("appointment_count", count=">=3")),
        1, ("regular",), "`appointment_count >=3` holds as well and is evaluated first",
        id="an earlier rule accepts everything",
    ),
    pytest.param(
        any_of(rule("appointment_count", count=">=3"), rule("engagement_score", score=">1")),
        any_of(rule("appointment_count", count=">=3"), rule("engagement_score", score=">0.8")),
        1, ("regular",), "`engagement_score >1` can never hold",
        id="it can never hold",
    ),
    pytest.param(
        any_of(rule("lifetime_value", value=">=2000"), rule("appointment_count", count=">=3")),
        any_of(rule("lifetime_value", value=">=500"), rule("appointment_count", count=">=3")),
        0, ("regular", "vip"), "`lifetime_value >=1000` of 'vip' holds as well, and 'vip' takes precedence",
        id="a stage that takes precedence accepts everything",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("defective", "valid", "index", "stages", "why"), SHADOWED)
def test_a_rule_that_never_decides_is_shadowed(defective, valid, index, stages, why):
    def with_rules(rules):
        return company(*defaults_with(regular={"auto_rules": rules}))

    [(severity, pointer, keys, message)] = findings_of(with_rules(defective), "shadowed_rule")
    assert (severity, pointer, keys) == ("warning", f"/3/auto_rules/any/{index}", stages)
    assert message.startswith("This rule of 'regular' never decides: ")
    assert why in message
    assert lint(with_rules(defective)).errors == ()
    assert findings_of(with_rules(valid), "shadowed_rule") == []


def test_an_unknown_call_duration_satisfies_no_condition():
    def map_of(first):
        rules = any_of(rule("call_received", **first), rule("call_received"))
        return map_with(stage("lead", 2, rules))

    assert findings_of(map_of({"call_duration": ">=0"}), "shadowed_rule") == []
    assert [about[1] for about in findings_of(map_of({"total_amount": ">=0"}), "shadowed_rule")] == [
        "/1/auto_rules/any/1"
    ]


# ---- flip-flops


def test_a_move_back_at_the_same_time_is_a_flip_flop():
    def lapsing_by(condition):
        return lapsing(at_risk=any_of(AWAY_90_DAYS, rule("days_in_stage", days=condition)))

    [(severity, pointer, stages, message)] = findings_of(lapsing_by("<5"), "oscillation")[:1]
    assert (severity, pointer, stages) == ("error", "/2/auto_rules/any/1", ("at_risk", "customer"))
    assert message == (
        "A customer who leaves 'at_risk' for 'customer' is moved back to 'at_risk' at the same time by "
        "`days_in_stage <5`, without an event in between. "
        "Change one of the two rules so that they do not hold at the same time."
    )
    assert findings_of(lapsing_by(">45"), "oscillation") == []


def test_a_return_that_lasts_only_days_is_a_warning():
    def lapsing_by(condition):
        return lapsing(at_risk=any_of(AWAY_90_DAYS, rule("days_in_stage", days=condition)))

    [(severity, pointer, stages, message)] = findings_of(lapsing_by(">=3"), "oscillation")
    assert (severity, pointer, stages) == ("warning", "/2/auto_rules/any/1", ("at_risk", "customer"))
    assert "can be in 'at_risk' 3 days later by `days_in_stage >=3`" in message
    assert findings_of(lapsing_by(">=8"), "oscillation") == []


def test_a_relapse_into_a_milder_risk_stage_is_a_warning():
    defective = lapsing(at_risk=rule("appointment_count", count=">=1"), churned=rule(DAYS, days=">90"))
    assert ("warning", ("at_risk", "customer")) in [
        (about[0], about[2]) for about in findings_of(defective, "oscillation")
    ]
    valid = lapsing(at_risk=rule(DAYS, days=">60"), churned=rule(DAYS, days=">90"))
    assert findings_of(valid, "oscillation") == []


def test_a_flip_flop_caused_by_a_late_report_is_a_warning():
    """An appointment of 50 days ago moves the customer to vip, where customers are at risk from day 21 on."""

    def with_vip(days):
        return company(*defaults_with(customer={"retention_days": 120}, vip={"retention_days": days}))

    [(severity, _, stages, message)] = findings_of(with_vip(20), "oscillation")
    assert (severity, stages) == ("warning", ("at_risk", "vip"))
    assert "This was seen only when an appointment was reported late." in message
    assert findings_of(with_vip(120), "oscillation") == []


# ---- no way back


NO_WAY_BACK = [
    pytest.param(
        rule("appointment_count", count=">=1"),
        rule("appointment_count", count="==1"),
        id="every appointment adds one",
    ),
    pytest.param(
        rule("lifetime_value", value=">=0"), rule("lifetime_value", value="<50"), id="every value is positive"
    ),
    pytest.param(
        rule("appointment_completed"),
        rule("appointment_completed", total_amount="<20"),
        id="the appointment itself",
    ),
    pytest.param(
        rule("days_in_stage", days=">=0"), rule("days_in_stage", days=">=1"), id="any time in the stage"
    ),
]


@pytest.mark.parametrize(("defective", "valid"), NO_WAY_BACK)
def test_a_risk_stage_that_no_appointment_leaves_has_no_way_back(defective, valid):
    [(severity, pointer, stages, message)] = findings_of(lapsing(stuck=defective), "no_return_path")
    assert (severity, pointer, stages) == ("error", "/2", ("stuck",))
    conditions = "".join(f" with {k} {v}" for k, v in defective["conditions"].items() if k == "total_amount")
    rest = "".join(f" {v}" for k, v in defective["conditions"].items() if k != "total_amount")
    assert (
        f"After every appointment that was tried, `{defective['trigger']}{conditions}{rest}` still held"
        in message
    )
    assert findings_of(lapsing(stuck=valid), "no_return_path") == []


def test_a_more_severe_risk_stage_can_prevent_a_return():
    kept = lapsing(at_risk=rule(DAYS, days=">90"), gone=rule("days_in_stage", days=">=0"))
    stuck = {about[2]: about[3] for about in findings_of(kept, "no_return_path")}
    assert ("gone",) in stuck


# ---- gaps


@pytest.mark.parametrize(
    ("trigger", "field", "low", "high", "near", "expected"),
    [
        ("appointment_count", "count", "==1", ">=3", ">=2", "appointment_count 2:"),
        ("appointment_count", "count", "==1", ">=5", ">=2", "appointment_count from 2 to 4:"),
        ("lifetime_value", "value", "<=100", ">200", ">100", "lifetime_value from 100.01 to 200.00:"),
        ("engagement_score", "score", "<=0.3", ">=0.5", ">=0.31", "engagement_score from 0.31 to 0.49:"),
        ("missed_rate", "rate", "<0.25", ">0.5", ">=0.25", "missed_rate from 0.25 to 0.5:"),
    ],
)
def test_values_between_the_thresholds_of_two_stages_are_a_gap(trigger, field, low, high, near, expected):
    def map_of(condition):
        rules = [rule(trigger, **{field: text}) for text in (low, condition)]
        return map_with(stage("lower", 2, rules[0]), stage("upper", 3, rules[1]))

    [(severity, pointer, stages, message)] = findings_of(map_of(high), "gap")
    assert (severity, pointer, stages) == ("warning", "/2/auto_rules", ("upper", "lower"))
    assert message.startswith(f"No progress stage covers {expected}")
    assert f"'lower' requires `{trigger} {low}`, 'upper' requires `{trigger} {high}`" in message
    assert findings_of(map_of(near), "gap") == []


def test_risk_stages_have_their_own_gaps():
    def map_of(days):
        return lapsing(at_risk=rule(DAYS, days="==30"), churned=rule(DAYS, days=days))

    [(_, pointer, stages, message)] = findings_of(map_of(">90"), "gap")
    assert (pointer, stages) == ("/3/auto_rules", ("churned", "at_risk"))
    assert message.startswith(f"No risk stage covers {DAYS} from 31 to 90:")
    assert findings_of(map_of(">=31"), "gap") == []


def test_values_between_stages_of_different_kinds_are_no_gap():
    rulebook = map_with(
        stage("some", 2, rule("appointment_count", count="==1")), risk=rule("appointment_count", count=">=5")
    )
    assert findings_of(rulebook, "gap") == []


def test_a_single_rule_that_excludes_a_value_leaves_no_gap():
    assert findings_of(map_with(stage("odd", 2, rule("appointment_count", count="!=3"))), "gap") == []
    assert findings_of(map_with(stage("odd", 2, any_of(rule("appointment_count", count="<3"),
                                            rule("appointment_count", count=">3")))), "gap")  # fmt: skip


def test_impossible_scores_are_no_gap():
    """With these weights, risk scores are tenths: there is none between 0.3 and 0.4."""
    rulebook = lapsing(a=rule("risk_score", score="==0.3"), b=rule("risk_score", score=">=0.4"))
    assert findings_of(rulebook, "gap") == []
    assert findings_of(
        lapsing(a=rule("risk_score", score="==0.3"), b=rule("risk_score", score=">=0.5")), "gap"
    )


# ---- the whole map


def test_a_map_without_a_risk_stage_is_a_warning():
    customer = stage("customer", 2, rule("appointment_completed"))
    [(severity, pointer, stages, message)] = findings_of(map_with(customer, risk=None), "no_risk_stage")
    assert (severity, pointer, stages) == ("warning", "", ())
    assert "customers never count as at risk" in message
    assert findings_of(map_with(customer), "no_risk_stage") == []


def test_a_stage_without_rules_is_a_warning():
    [(severity, pointer, stages, message)] = findings_of(map_with(stage("friends", 2)), "manual_only")
    assert (severity, pointer, stages) == ("warning", "/1", ("friends",))
    assert "customers only enter it by manual moves" in message
    assert findings_of(map_with(stage("friends", 2, rule("appointment_completed"))), "manual_only") == []


def test_the_map_s_own_warnings_are_reported():
    rulebook = map_with(stage("customer", 2, rule("appointment_completed")))
    assert findings_of(rulebook, "stage_count") == [("warning", "", (), rulebook.stage_map.warnings[0])]
    assert findings_of(DEFAULT, "stage_count") == []


# ---- pointers and order


def test_findings_have_the_pointers_of_the_stages():
    rules = any_of(rule("lifetime_value", value=">=2000"), rule("appointment_count", count=">=3"))
    rulebook = company(*defaults_with(regular={"auto_rules": rules}, lead={"auto_rules": None}))
    pointers = {stage.key: f"/stages/{90 + stage.order}" for stage in rulebook.stage_map.stages}
    pointers_by_code = {f.code: f.pointer for f in lint(rulebook, pointers=pointers).findings}
    assert pointers_by_code == {"manual_only": "/stages/92", "shadowed_rule": "/stages/94/auto_rules/any/0"}
    few_pointers = {"prospect": "/stages/0", "customer": "/stages/1"}
    two_stages = company(stage("prospect", 1), stage("customer", 2, rule("appointment_completed")))
    assert {f.pointer for f in lint(two_stages, pointers=few_pointers).findings} == {"/stages"}


def test_findings_are_ordered_by_severity_and_map():
    rulebook = map_with(
        stage("friends", 2),
        stage("never", 3, rule("appointment_count", count="<0")),
        stage("impossible", 4, rule("appointment_count", count="<0")),
    )
    report = lint(rulebook)
    assert [(f.severity, f.stages) for f in report.findings] == [
        (FindingSeverity.ERROR, ("never",)),
        (FindingSeverity.ERROR, ("impossible",)),
        (FindingSeverity.WARNING, ("friends",)),
    ]
    assert report.errors == report.findings[:2]
    assert report.warnings == report.findings[2:]


# ---- huge numbers


HUGE_NUMBERS = {
    "appointment_count": ["999999999999", "2147483647", "100000"],
    "lifetime_value": ["999999999999", "99999999"],
    DAYS: ["36500", "20000"],
    "days_in_stage": ["36500"],
    "risk_score": ["999999999999.999999"],
    "engagement_score": ["999999999999"],
    "missed_rate": ["999999999999"],
    "call_received": ["999999999999"],
}


@pytest.mark.parametrize("sign", [">", ">=", "<", "<=", "==", "!="])
@pytest.mark.parametrize(
    ("trigger", "number"), [(t, n) for t, numbers in HUGE_NUMBERS.items() for n in numbers]
)
def test_huge_thresholds_are_checked(trigger, number, sign):
    field = TRIGGERS[trigger].fields[0].label
    odd = rule(trigger, **{field: f"{sign}{number}"})
    for kind in StageKind:
        report = lint(company(stage("prospect", 1), stage("odd", 2, odd, kind=kind.value)))
        if sign in ("<", "<=", "!="):
            assert "odd" in report.examples
        for example in report.examples.values():
            assert example.until <= LATEST
            assert all(EARLIEST <= entry.event.occurred_at <= entry.at for entry in example.entries)


@pytest.mark.parametrize(("number", "is_reached"), [("2147483647", True), ("2147483648", False)])
def test_a_count_above_the_maximum_is_never_reached(number, is_reached):
    report = lint(map_with(stage("odd", 2, rule("appointment_count", count=f">={number}"))))
    assert ("odd" in report.examples) is is_reached


def test_a_value_above_the_maximum_is_never_reached():
    def map_of(cents):
        condition = Condition(ConditionField.VALUE, ">=", Decimal(cents) / 100)
        odd = Stage("odd", "odd", 2, StageKind.PROGRESS, (Rule(TRIGGERS["lifetime_value"], (condition,)),))
        return Rulebook(StageMap(1, (DEFAULT.stage_map.start, odd)), DEFAULT_POLICY)

    assert findings_of(map_of(10**14), "unreachable_stage")
    report = lint(map_of(10**14 - 1))
    assert report.errors == ()
    assert report.examples["odd"].replay(map_of(10**14 - 1)).relationship.current_stage == "odd"


def test_a_distant_threshold_is_reached_by_one_repeated_event():
    rulebook = map_with(stage("loyal", 2, rule("appointment_count", count=">=500")))
    example = lint(rulebook).examples["loyal"]
    assert [entry.times for entry in example.entries] == [500]
    assert path(example.replay(rulebook)) == ["prospect", "loyal"]


def test_rates_are_represented_by_their_rank():
    assert len(rates()) == len(set(rates()))
    assert list(rates()) == sorted(rates())
    for missed, total in ((0, 1), (1, 3), (64, 128), (64, 65), (63, 127), (64, 64)):
        assert (
            rates()[rank(missed, total)] == Decimal(missed) / total
            or rates()[rank(missed, total)] * total == missed
        )


def test_is_within():
    assert is_within(((1, 3), (7, 9)), ((0, 3), (5, 12)))
    assert not is_within(((1, 4),), ((0, 3), (5, 12)))


# ---- other decision functions


def test_first_match_wins_makes_churned_unreachable_and_regulars_flip_flop():
    report = lint(company(*STAGES), journey_type=LiteralJourney)
    errors = {(finding.code, finding.stages): finding.message for finding in report.errors}
    assert {stages for code, stages in errors if code == "unreachable_stage"} == {("churned",)}
    assert "'at_risk' and stayed there" in errors["unreachable_stage", ("churned",)]
    assert ("oscillation", ("regular", "customer")) in errors
    assert lint(company(*STAGES)).errors == ()


def test_with_the_guide_s_match_as_written_no_customer_becomes_a_lead():
    errors = lint(company(*STAGES), journey_type=ArmlessJourney).errors
    unreachable = {finding.stages for finding in errors if finding.code == "unreachable_stage"}
    assert unreachable == {("lead",), ("customer",), ("churned",)}


def test_a_decision_function_that_never_settles_is_detected():
    """Two stages that move a customer to each other without end."""

    class EndlessDecision(Decision):
        def _choose(self):
            keys = ["here", "there"]
            other = keys[1 - keys.index(self._relationship.current_stage)]
            return next(q.move for s, qs in self._compiled_stage.rules_by_stage if s.key == other for q in qs)

        @property
        def reasons(self):
            return ()

    class EndlessJourney(Journey):
        decide = staticmethod(
            lambda relationship, rulebook, now, event=None: EndlessDecision(
                relationship, rulebook, now, event
            )
        )

    customer = rule("appointment_completed")
    rulebook = company(stage("here", 1, customer), stage("there", 2, customer))
    assert {finding.code for finding in lint(rulebook, journey_type=EndlessJourney).errors} == {"oscillation"}
    assert lint(rulebook).errors == ()


def test_findings_depend_on_the_policy():
    threshold_map = map_with(stage("fond", 2, rule("engagement_score", score=">0.85")))
    assert lint(threshold_map).errors == ()
    scoring = parse_policy({"scoring": {"engagement_frequency_weight": 0}})
    assert [f.code for f in lint(threshold_map._replace(policy=scoring)).errors] == ["unreachable_stage"]
    assert lint(threshold_map._replace(policy=replace(scoring, scoring=DEFAULT_POLICY.scoring))).errors == ()
