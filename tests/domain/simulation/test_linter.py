"""The linter, finding by finding: a map that has the fault, and its twin that differs in one thing."""

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.builders import DEFAULT, any_of, company, defaults_with, path, rule, stage
from domain.guide_literal import STAGES, ArmlessJourney, LiteralJourney
from journey_service.domain.companies.policy import DEFAULT_POLICY, parse_policy
from journey_service.domain.events.event import EARLIEST, LATEST
from journey_service.domain.journeys.engine import Decision
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter import FindingSeverity, lint
from journey_service.domain.simulation.linter.value_ranges import is_within, rank, rates
from journey_service.domain.stages.rules import TRIGGERS, Condition, ConditionField, Rule
from journey_service.domain.stages.stage_map import Stage, StageKind, StageMap

DAYS = "days_since_last_appointment"
LAPSED = rule(DAYS, days=">90")


def few(*stages, risk=LAPSED, policy=None):
    """A prospect, some stages, and somebody who stays away."""
    forms = [stage("prospect", 1), *stages]
    if risk is not None:
        forms.append(stage("at_risk", 50, risk, kind="risk"))
    return company(*forms, policy=policy)


def lapsing(**rules):
    """The risk stages in order, after a customer by their first visit."""
    forms = [stage("prospect", 1), stage("customer", 2, rule("appointment_completed"))]
    forms += [stage(key, 10 + n, rules[key], kind="risk") for n, key in enumerate(rules)]
    return company(*forms)


def found(rulebook, code, **more):
    """The findings of one code, as (severity, pointer, stages, message)."""
    return [
        (finding.severity.value, finding.pointer, finding.stages, finding.message)
        for finding in lint(rulebook, **more).findings
        if finding.code == code
    ]


def the_only(rulebook, code):
    [finding] = [finding for finding in lint(rulebook).findings if finding.code == code]
    return finding


# ---- the default map


def test_the_default_map_has_nothing_to_find_and_every_stage_has_a_witness():
    report = lint(DEFAULT)
    assert report.findings == report.errors == report.warnings == ()
    assert set(report.witnesses) == set(DEFAULT.stage_map.by_key)


@pytest.mark.parametrize("key", [stage.key for stage in DEFAULT.stage_map.stages])
def test_a_witness_of_the_default_map_leads_into_its_stage_at_its_end(key):
    witness = lint(DEFAULT).witnesses[key]
    journey = witness.replay(DEFAULT)
    assert path(journey)[-1] == key
    assert journey.new_transitions[-1].transitioned_at <= witness.until
    assert len({event.key for _, event in witness.events()}) == witness.size


# ---- stages nobody gets into

COUNT_OF = "a number of appointments is a whole number"

UNREACHABLE = [
    pytest.param("appointment_count", "count", "<0", "<=0", COUNT_OF, id="fewer visits than none"),
    pytest.param("appointment_count", "count", "==2.5", "==2", COUNT_OF, id="half a visit"),
    pytest.param("appointment_count", "count", ">=999999999999", ">=9", COUNT_OF, id="more than is counted"),
    pytest.param("lifetime_value", "value", "<0", "<=0", "never negative", id="a negative value"),
    pytest.param("lifetime_value", "value", "==10.005", "==10.01", "two decimals", id="half a cent"),
    pytest.param("engagement_score", "score", ">1", ">0.9", "between 0 and 1", id="more engaged than can be"),
    pytest.param("engagement_score", "score", "<0", "<0.5", "between 0 and 1", id="less engaged than can be"),
    pytest.param("risk_score", "score", "==0.55", "==0.3", "scoring policy", id="a risk of no weights"),
    pytest.param("missed_rate", "rate", ">1", ">0.9", "between 0 and 1", id="more missed than were made"),
    pytest.param("missed_rate", "rate", "==0.015", "==0.125", "at most 64 missed", id="a rate of too many"),
    pytest.param("days_in_stage", "days", "<0", "<1", "whole numbers", id="negative days in a stage"),
    pytest.param(DAYS, "days", "<0", "<=0", "whole numbers", id="negative days away"),
    pytest.param(DAYS, "days", "==1.5", "==1", "whole numbers", id="half a day away"),
]


@pytest.mark.parametrize(("trigger", "field", "never", "sometimes", "why"), UNREACHABLE)
def test_a_stage_whose_rule_can_never_hold_is_unreachable(trigger, field, never, sometimes, why):
    def made_of(condition):
        return few(stage("odd", 2, rule(trigger, **{field: condition}), kind="progress"))

    [(severity, pointer, stages, message)] = found(made_of(never), "unreachable_stage")
    assert (severity, pointer, stages) == ("error", "/1", ("odd",))
    assert message.startswith(f"Nobody ever gets into 'odd': `{trigger} {never}` can never hold: ")
    assert why in message
    assert lint(made_of(sometimes)).errors == ()


@pytest.mark.parametrize(
    ("never", "sometimes"),
    [({"call_duration": "<0"}, {"call_duration": "<1"}), ({"total_amount": "<0"}, {"total_amount": "<=0"})],
    ids=["a call that ends before it begins", "a negative amount"],
)
def test_a_rule_on_an_event_may_never_hold_either(never, sometimes):
    assert found(few(stage("odd", 2, rule("call_received", **never))), "unreachable_stage")
    assert lint(few(stage("odd", 2, rule("call_received", **sometimes)))).errors == ()


def test_a_negative_value_is_reached_where_refunds_count():
    odd = stage("odd", 2, rule("lifetime_value", value="<-20"))
    assert found(few(odd), "unreachable_stage")
    assert lint(few(odd, policy={"revenue_source": "payments"})).errors == ()


def test_conditions_on_the_same_field_may_contradict_each_other():
    def made_of(*conditions):
        count = [Condition(ConditionField.COUNT, sign, Decimal(number)) for sign, number in conditions]
        odd = Stage("odd", "odd", 2, StageKind.PROGRESS, (Rule(TRIGGERS["appointment_count"], tuple(count)),))
        start = Stage("start", "start", 1, StageKind.PROGRESS)
        return Rulebook(StageMap(1, (start, odd)), DEFAULT_POLICY)

    [(_, _, _, message)] = found(made_of((">=", 5), ("<", 5)), "unreachable_stage")
    assert (
        "`appointment_count >=5 and <5` can never hold: its conditions on 'count' contradict each" in message
    )
    assert lint(made_of((">=", 5), ("<", 6))).errors == ()


def test_nobody_lapses_who_never_came():
    [(_, _, _, message)] = found(few(risk=rule("appointment_count", count="<1")), "unreachable_stage")
    assert "only a customer with at least one completed appointment can lapse" in message
    assert found(few(risk=rule("appointment_count", count="<2")), "unreachable_stage") == []


def test_a_score_that_the_weights_do_not_reach_is_never_there():
    policy = {"scoring": {"very_inactive_weight": 0, "trend_weight": 0}}
    risky = rule("risk_score", score=">0.7")
    assert "scoring policy" in found(few(risk=risky, policy=policy), "unreachable_stage")[0][3]
    assert lint(few(risk=risky)).errors == ()


OUTRANKED = [
    pytest.param(
        few(stage("regular", 2, rule("appointment_count", count=">=5")),
            stage("vip", 3, rule("appointment_count", count=">=2"))),
        few(stage("regular", 2, rule("appointment_count", count=">=2")),
            stage("vip", 3, rule("appointment_count", count=">=5"))),
        "/1", ("regular",),
        "whenever `appointment_count >=5` holds, `appointment_count >=2` of 'vip' holds as well, and 'vip' takes",
        id="a higher progress stage asks for less",
    ),
    pytest.param(
        few(stage("called", 2, rule("call_received", call_duration=">60")), stage("heard", 3, rule("call_received"))),
        few(stage("called", 2, rule("call_received")), stage("heard", 3, rule("call_received", call_duration=">60"))),
        "/1", ("called",),
        "whenever `call_received with call_duration >60` holds, `call_received` of 'heard' holds as well",
        id="a higher stage takes every call",
    ),
    pytest.param(
        few(stage("customer", 2, rule("appointment_completed")),
            stage("regular", 3, rule("appointment_count", count=">=1"))),
        few(stage("customer", 2, rule("appointment_completed")),
            stage("regular", 3, rule("appointment_count", count=">=2"))),
        "/1", ("customer",),
        "whenever `appointment_completed` holds, `appointment_count >=1` of 'regular' holds as well",
        id="a first visit is a count of one",
    ),
    pytest.param(
        lapsing(away=rule(DAYS, days=">180"), lost=rule(DAYS, days=">90")),
        lapsing(away=rule(DAYS, days=">90"), lost=rule(DAYS, days=">180")),
        "/2", ("away",),
        "whenever `days_since_last_appointment >180` holds, `days_since_last_appointment >90` of 'lost' holds",
        id="a more severe risk stage asks for less",
    ),
    pytest.param(
        few(stage("asleep", 2, rule(DAYS, days=">120"), kind="progress")),
        few(stage("asleep", 2, rule(DAYS, days=">60"), kind="progress")),
        "/1", ("asleep",),
        "whenever `days_since_last_appointment >120` holds, `days_since_last_appointment >90` of 'at_risk' holds",
        id="the risk stage comes before a progress stage",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("flagged", "sound", "pointer", "stages", "why"), OUTRANKED)
def test_a_stage_whose_rule_another_one_always_forestalls_is_unreachable(
    flagged, sound, pointer, stages, why
):
    [(severity, *about, message)] = found(flagged, "unreachable_stage")
    assert (severity, *about) == ("error", pointer, stages)
    assert why in message
    assert found(sound, "unreachable_stage") == []


def test_a_milder_risk_stage_does_not_forestall_what_a_return_from_a_worse_one_leads_to():
    """Whoever comes back from `lost` is not kept by `watched`, which is milder."""
    stages = (
        stage("prospect", 1),
        stage("buyer", 2, rule("lifetime_value", value=">=10")),
        stage("watched", 10, rule("lifetime_value", value=">=5"), kind="risk"),
        stage("lost", 11, rule(DAYS, days=">90"), kind="risk"),
    )
    report = lint(company(*stages))
    assert "buyer" in report.witnesses
    assert not [finding for finding in report.findings if finding.code == "unreachable_stage"]
    assert [f.stages for f in lint(company(*stages[:3])).errors if f.code == "unreachable_stage"] == [
        ("buyer",)
    ]


def test_where_nothing_is_certain_it_is_told_what_was_seen():
    """Engagement is above 0.9 only after several visits, and then the higher stage has long claimed them."""
    flagged = few(
        stage("fond", 2, rule("engagement_score", score=">0.9")),
        stage("regular", 3, rule("appointment_count", count=">=2")),
    )
    [(_, _, _, message)] = found(flagged, "unreachable_stage")
    assert message == (
        "No history of events was found that leads into 'fond' by `engagement_score >0.9`: "
        "whenever that held, the customer was in 'regular' and stayed there."
    )
    assert lint(
        few(
            stage("fond", 2, rule("engagement_score", score=">0.9")),
            stage("regular", 3, rule("appointment_count", count=">=9")),
        )
    ).errors == ()  # fmt: skip


@pytest.mark.parametrize(
    ("days", "errors"), [(40, []), (None, ["unreachable_stage"])], ids=["replaced", "as written"]
)
def test_the_days_of_retention_replace_those_of_the_mildest_risk_stage(days, errors):
    """As written, `quiet` is always forestalled by `lost`; with the customer's 40 days it is not."""
    rulebook = company(
        stage("prospect", 1),
        stage("customer", 2, rule("appointment_completed"), retention_days=days),
        stage("quiet", 10, rule(DAYS, days=">90"), kind="risk"),
        stage("lost", 11, rule(DAYS, days=">60"), kind="risk"),
    )
    assert [finding.code for finding in lint(rulebook).errors] == errors


def test_the_start_stage_is_never_called_unreachable():
    impossible = rule("appointment_count", count="<0")
    assert lint(company(stage("prospect", 1, impossible), stage("at_risk", 2, LAPSED))).errors == ()


def test_an_archived_stage_is_not_looked_at():
    rulebook = few(
        stage("odd", 2, rule("appointment_count", count="<0"), is_active=False, remapped_to="prospect")
    )
    assert lint(rulebook).errors == ()


# ---- rules that never decide


SHADOWED = [
    pytest.param(
        any_of(rule("appointment_count", count=">=3"), rule("appointment_count", count=">=5")),
        any_of(rule("appointment_count", count=">=5"), rule("appointment_count", count=">=3")),
        1, ("regular",), "`appointment_count >=3` holds as well, and is asked before it",
        id="an earlier rule accepts all it accepts",
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
        id="a stage that takes precedence accepts all it accepts",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("flagged", "sound", "place", "stages", "why"), SHADOWED)
def test_a_rule_that_never_decides_is_shadowed(flagged, sound, place, stages, why):
    def with_rules(rules):
        return company(*defaults_with(regular={"auto_rules": rules}))

    [(severity, pointer, keys, message)] = found(with_rules(flagged), "shadowed_rule")
    assert (severity, pointer, keys) == ("warning", f"/3/auto_rules/any/{place}", stages)
    assert message.startswith("This rule of 'regular' never decides: ")
    assert why in message
    assert lint(with_rules(flagged)).errors == ()
    assert found(with_rules(sound), "shadowed_rule") == []


def test_an_unknown_length_of_a_call_is_accepted_by_no_condition_on_it():
    def made_of(first):
        rules = any_of(rule("call_received", **first), rule("call_received"))
        return few(stage("lead", 2, rules))

    assert found(made_of({"call_duration": ">=0"}), "shadowed_rule") == []
    assert [about[1] for about in found(made_of({"total_amount": ">=0"}), "shadowed_rule")] == [
        "/1/auto_rules/any/1"
    ]


# ---- back and forth


def test_a_risk_stage_that_takes_a_customer_back_at_once_is_a_flip_flop():
    def lapsing_by(condition):
        return lapsing(at_risk=any_of(LAPSED, rule("days_in_stage", days=condition)))

    [(severity, pointer, stages, message)] = found(lapsing_by("<5"), "flip_flop")[:1]
    assert (severity, pointer, stages) == ("error", "/2/auto_rules/any/1", ("at_risk", "customer"))
    assert message == (
        "A customer who leaves 'at_risk' for 'customer' is taken back to 'at_risk' at the same instant "
        "by `days_in_stage <5`, with nothing happening in between."
    )
    assert found(lapsing_by(">45"), "flip_flop") == []


def test_a_return_that_lasts_only_days_is_warned_of():
    def lapsing_by(condition):
        return lapsing(at_risk=any_of(LAPSED, rule("days_in_stage", days=condition)))

    [(severity, pointer, stages, message)] = found(lapsing_by(">=3"), "flip_flop")
    assert (severity, pointer, stages) == ("warning", "/2/auto_rules/any/1", ("at_risk", "customer"))
    assert "can be in 'at_risk' 3 days later by `days_in_stage >=3`" in message
    assert found(lapsing_by(">=8"), "flip_flop") == []


def test_a_milder_risk_stage_may_take_who_comes_back_from_a_worse_one():
    rushed = lapsing(at_risk=rule("appointment_count", count=">=1"), churned=rule(DAYS, days=">90"))
    assert ("warning", ("at_risk", "customer")) in [
        (about[0], about[2]) for about in found(rushed, "flip_flop")
    ]
    calm = lapsing(at_risk=rule(DAYS, days=">60"), churned=rule(DAYS, days=">90"))
    assert found(calm, "flip_flop") == []


def test_a_flip_flop_that_only_a_late_report_makes_is_a_warning():
    """A visit of 50 days ago lifts the customer to vip, who are at risk from the 21st day on."""

    def with_vip(days):
        return company(*defaults_with(customer={"retention_days": 120}, vip={"retention_days": days}))

    [(severity, _, stages, message)] = found(with_vip(20), "flip_flop")
    assert (severity, stages) == ("warning", ("at_risk", "vip"))
    assert "seen where a visit was reported late" in message
    assert found(with_vip(120), "flip_flop") == []


# ---- no way back


NO_WAY_BACK = [
    pytest.param(
        rule("appointment_count", count=">=1"),
        rule("appointment_count", count="==1"),
        id="every visit is one more",
    ),
    pytest.param(
        rule("lifetime_value", value=">=0"), rule("lifetime_value", value="<50"), id="all value is positive"
    ),
    pytest.param(
        rule("appointment_completed"),
        rule("appointment_completed", total_amount="<20"),
        id="the visit itself",
    ),
    pytest.param(
        rule("days_in_stage", days=">=0"), rule("days_in_stage", days=">=1"), id="any time in the stage"
    ),
]


@pytest.mark.parametrize(("flagged", "sound"), NO_WAY_BACK)
def test_a_risk_stage_that_no_visit_ever_leaves_has_no_way_back(flagged, sound):
    [(severity, pointer, stages, message)] = found(lapsing(stuck=flagged), "no_way_back")
    assert (severity, pointer, stages) == ("error", "/2", ("stuck",))
    conditions = "".join(f" with {k} {v}" for k, v in flagged["conditions"].items() if k == "total_amount")
    rest = "".join(f" {v}" for k, v in flagged["conditions"].items() if k != "total_amount")
    assert f"after every one that was tried, `{flagged['trigger']}{conditions}{rest}` still held" in message
    assert found(lapsing(stuck=sound), "no_way_back") == []


def test_a_worse_risk_stage_may_be_what_keeps_them():
    kept = lapsing(at_risk=rule(DAYS, days=">90"), gone=rule("days_in_stage", days=">=0"))
    stuck = {about[2]: about[3] for about in found(kept, "no_way_back")}
    assert ("gone",) in stuck


# ---- values that nobody claims


@pytest.mark.parametrize(
    ("trigger", "field", "low", "high", "near", "told"),
    [
        ("appointment_count", "count", "==1", ">=3", ">=2", "appointment_count 2 is"),
        ("appointment_count", "count", "==1", ">=5", ">=2", "appointment_count from 2 to 4 is"),
        ("lifetime_value", "value", "<=100", ">200", ">100", "lifetime_value from 100.01 to 200.00 is"),
        ("engagement_score", "score", "<=0.3", ">=0.5", ">=0.31", "engagement_score from 0.31 to 0.49 is"),
        ("missed_rate", "rate", "<0.25", ">0.5", ">=0.25", "missed_rate from 0.25 to 0.5 is"),
    ],
)
def test_values_between_what_two_stages_ask_for_are_a_gap(trigger, field, low, high, near, told):
    def made_of(condition):
        asked = [rule(trigger, **{field: text}) for text in (low, condition)]
        return few(stage("lower", 2, asked[0]), stage("upper", 3, asked[1]))

    [(severity, pointer, stages, message)] = found(made_of(high), "gap")
    assert (severity, pointer, stages) == ("warning", "/2/auto_rules", ("upper", "lower"))
    assert message.startswith(told)
    assert f"'lower' asks for `{trigger} {low}`, 'upper' for `{trigger} {high}`" in message
    assert found(made_of(near), "gap") == []


def test_risk_stages_have_gaps_of_their_own():
    def made_of(days):
        return lapsing(at_risk=rule(DAYS, days="==30"), churned=rule(DAYS, days=days))

    [(_, pointer, stages, message)] = found(made_of(">90"), "gap")
    assert (pointer, stages) == ("/3/auto_rules", ("churned", "at_risk"))
    assert "from 31 to 90 is claimed by no risk stage" in message
    assert found(made_of(">=31"), "gap") == []


def test_what_lies_between_the_stages_of_two_kinds_is_no_gap():
    split = few(
        stage("some", 2, rule("appointment_count", count="==1")), risk=rule("appointment_count", count=">=5")
    )
    assert found(split, "gap") == []


def test_a_single_rule_that_leaves_a_value_out_is_meant_so():
    assert found(few(stage("odd", 2, rule("appointment_count", count="!=3"))), "gap") == []
    assert found(few(stage("odd", 2, any_of(rule("appointment_count", count="<3"),
                                            rule("appointment_count", count=">3")))), "gap")  # fmt: skip


def test_scores_that_no_customer_can_have_are_no_gap():
    """Risk comes in tenths of these weights: nothing lies between 0.3 and 0.4."""
    rulebook = lapsing(a=rule("risk_score", score="==0.3"), b=rule("risk_score", score=">=0.4"))
    assert found(rulebook, "gap") == []
    assert found(lapsing(a=rule("risk_score", score="==0.3"), b=rule("risk_score", score=">=0.5")), "gap")


# ---- the map as a whole


def test_a_map_without_a_risk_stage_is_warned_of():
    visited = stage("customer", 2, rule("appointment_completed"))
    [(severity, pointer, stages, message)] = found(few(visited, risk=None), "no_risk_stage")
    assert (severity, pointer, stages) == ("warning", "", ())
    assert "nobody ever counts as at risk" in message
    assert found(few(visited), "no_risk_stage") == []


def test_a_stage_without_rules_is_for_people_to_use():
    [(severity, pointer, stages, message)] = found(few(stage("friends", 2)), "by_hand_only")
    assert (severity, pointer, stages) == ("warning", "/1", ("friends",))
    assert "only people move customers there" in message
    assert found(few(stage("friends", 2, rule("appointment_completed"))), "by_hand_only") == []


def test_the_number_of_stages_is_warned_of_in_the_maps_own_words():
    small = few(stage("customer", 2, rule("appointment_completed")))
    assert found(small, "stage_count") == [("warning", "", (), small.stage_map.warnings[0])]
    assert found(DEFAULT, "stage_count") == []


# ---- where and in which order


def test_findings_point_to_where_the_stages_are_written():
    rules = any_of(rule("lifetime_value", value=">=2000"), rule("appointment_count", count=">=3"))
    rulebook = company(*defaults_with(regular={"auto_rules": rules}, lead={"auto_rules": None}))
    places = {stage.key: f"/stages/{90 + stage.order}" for stage in rulebook.stage_map.stages}
    told = {finding.code: finding.pointer for finding in lint(rulebook, places=places).findings}
    assert told == {"by_hand_only": "/stages/92", "shadowed_rule": "/stages/94/auto_rules/any/0"}
    few_places = {"prospect": "/stages/0", "customer": "/stages/1"}
    bare = company(stage("prospect", 1), stage("customer", 2, rule("appointment_completed")))
    assert {f.pointer for f in lint(bare, places=few_places).findings} == {"/stages"}


def test_errors_come_first_and_then_the_order_of_the_map():
    rulebook = few(
        stage("friends", 2),
        stage("never", 3, rule("appointment_count", count="<0")),
        stage("nobody", 4, rule("appointment_count", count="<0")),
    )
    report = lint(rulebook)
    assert [(f.severity, f.stages) for f in report.findings] == [
        (FindingSeverity.ERROR, ("never",)),
        (FindingSeverity.ERROR, ("nobody",)),
        (FindingSeverity.WARNING, ("friends",)),
    ]
    assert report.errors == report.findings[:2]
    assert report.warnings == report.findings[2:]


# ---- numbers beyond all measure


ABSURD = {
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
@pytest.mark.parametrize(("trigger", "number"), [(t, n) for t, numbers in ABSURD.items() for n in numbers])
def test_absurd_thresholds_are_looked_over_like_any_other(trigger, number, sign):
    field = TRIGGERS[trigger].fields[0].label
    odd = rule(trigger, **{field: f"{sign}{number}"})
    for kind in StageKind:
        report = lint(company(stage("prospect", 1), stage("odd", 2, odd, kind=kind.value)))
        if sign in ("<", "<=", "!="):
            assert "odd" in report.witnesses
        for witness in report.witnesses.values():
            assert witness.until <= LATEST
            assert all(EARLIEST <= told.event.occurred_at <= told.at for told in witness.told)


@pytest.mark.parametrize(("number", "is_reached"), [("2147483647", True), ("2147483648", False)])
def test_a_count_beyond_what_is_kept_is_never_reached(number, is_reached):
    report = lint(few(stage("odd", 2, rule("appointment_count", count=f">={number}"))))
    assert ("odd" in report.witnesses) is is_reached


def test_a_value_beyond_what_is_kept_is_never_reached():
    def worth(cents):
        condition = Condition(ConditionField.VALUE, ">=", Decimal(cents) / 100)
        odd = Stage("odd", "odd", 2, StageKind.PROGRESS, (Rule(TRIGGERS["lifetime_value"], (condition,)),))
        return Rulebook(StageMap(1, (DEFAULT.stage_map.start, odd)), DEFAULT_POLICY)

    assert found(worth(10**14), "unreachable_stage")
    report = lint(worth(10**14 - 1))
    assert report.errors == ()
    assert report.witnesses["odd"].replay(worth(10**14 - 1)).relationship.current_stage == "odd"


def test_a_long_way_to_a_threshold_is_told_as_one_repeated_event():
    rulebook = few(stage("loyal", 2, rule("appointment_count", count=">=500")))
    witness = lint(rulebook).witnesses["loyal"]
    assert [told.times for told in witness.told] == [500]
    assert path(witness.replay(rulebook)) == ["prospect", "loyal"]


def test_rates_are_counted_by_their_rank():
    assert len(rates()) == len(set(rates()))
    assert list(rates()) == sorted(rates())
    for missed, asked in ((0, 1), (1, 3), (64, 128), (64, 65), (63, 127), (64, 64)):
        assert (
            rates()[rank(missed, asked)] == Decimal(missed) / asked
            or rates()[rank(missed, asked)] * asked == missed
        )


def test_one_set_of_values_is_within_another():
    assert is_within(((1, 3), (7, 9)), ((0, 3), (5, 12)))
    assert not is_within(((1, 4),), ((0, 3), (5, 12)))


# ---- other readings of the rules


def test_first_match_wins_makes_churned_unreachable_and_throws_regulars_back():
    report = lint(company(*STAGES), journeys=LiteralJourney)
    errors = {(finding.code, finding.stages): finding.message for finding in report.errors}
    assert {stages for code, stages in errors if code == "unreachable_stage"} == {("churned",)}
    assert "'at_risk' and stayed there" in errors["unreachable_stage", ("churned",)]
    assert ("flip_flop", ("regular", "customer")) in errors
    assert lint(company(*STAGES)).errors == ()


def test_as_the_guides_match_stands_nobody_becomes_a_lead_or_a_customer():
    errors = lint(company(*STAGES), journeys=ArmlessJourney).errors
    unreachable = {finding.stages for finding in errors if finding.code == "unreachable_stage"}
    assert unreachable == {("lead",), ("customer",), ("churned",)}


def test_a_reading_that_never_settles_is_found_out():
    """Two stages that each send a customer on to the other, for ever."""

    class Restless(Decision):
        def _choose(self):
            keys = ["here", "there"]
            other = keys[1 - keys.index(self._relationship.current_stage)]
            return next(q.move for s, qs in self._plan.rules_by_stage if s.key == other for q in qs)

        @property
        def reasons(self):
            return ()

    class RestlessJourney(Journey):
        decide = staticmethod(
            lambda relationship, rulebook, now, event=None: Restless(relationship, rulebook, now, event)
        )

    visited = rule("appointment_completed")
    rulebook = company(stage("here", 1, visited), stage("there", 2, visited))
    assert {finding.code for finding in lint(rulebook, journeys=RestlessJourney).errors} == {"flip_flop"}
    assert lint(rulebook).errors == ()


def test_the_policy_makes_a_difference():
    fond = few(stage("fond", 2, rule("engagement_score", score=">0.85")))
    assert lint(fond).errors == ()
    scoring = parse_policy({"scoring": {"engagement_frequency_weight": 0}})
    assert [f.code for f in lint(fond._replace(policy=scoring)).errors] == ["unreachable_stage"]
    assert lint(fond._replace(policy=replace(scoring, scoring=DEFAULT_POLICY.scoring))).errors == ()
