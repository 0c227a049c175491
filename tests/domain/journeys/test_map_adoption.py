"""Migration of a customer to another version of the stage map: time, target stage, and actions."""

from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.builders import (
    DAY,
    DEFAULT,
    INSTANT,
    T0,
    after,
    appointments,
    company,
    dated,
    day,
    defaults_with,
    event,
    last,
    open_journey,
    path,
    rule,
    suppressed,
)
from domain.generators import companies, operations, run_operations, stage_forms
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Activation, Rulebook, TriggerType
from journey_service.domain.stages.changes import build_draft
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.parsing import parse_stage_map

FUTURE, SILENT, WITH_ACTIONS = (
    Activation.FUTURE_ONLY,
    Activation.CURRENT_SILENT,
    Activation.CURRENT_WITH_ACTIONS,
)
PRESENT = [SILENT, WITH_ACTIONS]


def vip_from(value):
    return company(*defaults_with(vip={"auto_rules": rule("lifetime_value", value=value)}), version=2)


def without(key, remap_to):
    forms = [form for form in DEFAULT_STAGES if form["key"] != key]
    return Rulebook(build_draft(DEFAULT.stage_map, forms, remap={key: remap_to}).stage_map, DEFAULT_POLICY)


def regular(amount="100"):
    return after(*appointments(0, 1, 2, amount=amount))


# ---- activations


def test_future_only_moves_a_customer_with_the_next_event():
    journey = regular()
    journey.apply_stage_map(vip_from(">=300"), day(3), FUTURE)

    assert path(journey)[-1] == "regular"
    journey.apply_event(event("call_received", day(4)), day(4))
    assert dated(journey)[-1] == ("vip", day(4))


def test_future_only_runs_scheduled_evaluations_with_the_new_rules():
    scheduled = regular().relationship.next_evaluation_at
    journey = regular()
    journey.apply_stage_map(
        company(
            *defaults_with(at_risk={"auto_rules": rule("days_since_last_appointment", days=">20")}), version=2
        ),
        day(3),
        FUTURE,
    )
    journey.advance_to(day(500))

    assert dated(journey)[3] == ("at_risk", scheduled)
    assert scheduled > day(2 + 21), "the new rule alone would have fallen due sooner"


@pytest.mark.parametrize("activation", PRESENT)
def test_present_customers_are_evaluated_immediately(activation):
    journey = regular()
    journey.apply_stage_map(vip_from(">=300"), day(3), activation)

    move = last(journey)
    assert (move.to_stage, move.transitioned_at, move.map_version) == ("vip", day(3), 2)
    assert (move.trigger_type, move.trigger_event) == (TriggerType.AUTOMATIC, "lifetime_value")
    assert move.cause == ("map", "2/4")
    assert move.reasons[-1].stage == "vip"
    assert move.is_silent is (activation is SILENT)


@pytest.mark.parametrize("activation", list(Activation))
def test_the_version_is_recorded_without_a_move(activation):
    journey = regular()
    journey.apply_stage_map(vip_from(">=5000"), day(3), activation)

    assert path(journey)[-1] == "regular"
    assert journey.relationship.map_version == 2


def test_a_customer_who_does_not_meet_the_new_rules_stays():
    journey = after(*appointments(0, 1, 2, amount="400"))
    journey.apply_stage_map(vip_from(">=5000"), day(3), SILENT)

    assert path(journey)[-1] == "vip", "progress is never taken back"


def test_the_next_evaluation_is_scheduled_by_the_new_rules():
    journey = regular()
    stricter = company(
        *defaults_with(at_risk={"auto_rules": rule("days_since_last_appointment", days=">20")}), version=2
    )
    journey.apply_stage_map(stricter, day(3), SILENT)
    journey.advance_to(day(2 + 21) - INSTANT)
    assert path(journey)[-1] == "regular"
    journey.advance_to(day(2 + 21))
    assert dated(journey)[-1] == ("at_risk", day(2 + 21))


@pytest.mark.parametrize("activation", list(Activation))
def test_evaluations_due_before_are_run_with_the_previous_rules(activation):
    journey = regular()
    journey.apply_stage_map(vip_from(">=300"), day(100), activation)

    # At risk since day 93 by the previous map; progress rules do not apply in a risk stage.
    assert dated(journey)[-1] == ("at_risk", day(2 + 91))
    assert last(journey).map_version == 1


def test_one_activation_may_move_a_customer_twice_with_different_causes():
    lapsing = company(
        *defaults_with(
            at_risk={"auto_rules": rule("lifetime_value", value=">=300")},
            churned={"auto_rules": rule("days_in_stage", days="<1")},
        ),
        version=2,
    )
    journey = regular()
    journey.apply_stage_map(lapsing, day(5), SILENT)

    assert dated(journey)[3:] == [("at_risk", day(5)), ("churned", day(5))]
    assert [move.cause.id for move in journey.new_transitions[3:]] == ["2/4", "2/5"]


# ---- archived stages


@pytest.mark.parametrize("activation", list(Activation))
def test_a_customer_in_an_archived_stage_is_moved_by_the_system_without_actions(activation):
    journey = regular()
    journey.apply_stage_map(without("regular", "customer"), day(3), activation)

    move = last(journey)
    assert (move.from_stage, move.to_stage, move.transitioned_at) == ("regular", "customer", day(3))
    assert (move.trigger_type, move.trigger_event) == (TriggerType.SYSTEM, "stage_archived")
    assert move.cause == ("map", "2")
    assert move.is_silent


def test_a_customer_in_another_stage_is_not_moved():
    journey = after(*appointments(0))
    journey.apply_stage_map(without("regular", "customer"), day(3), SILENT)

    assert path(journey) == ["prospect", "customer"]


@pytest.mark.parametrize("activation", list(Activation))
def test_a_customer_entering_an_archived_stage_without_a_successor_is_moved(activation):
    forms = [form for form in DEFAULT_STAGES if form["key"] != "at_risk"]
    draft = Rulebook(build_draft(DEFAULT.stage_map, forms).stage_map, DEFAULT_POLICY)
    assert draft.stage_map.find("at_risk") is None
    journey = regular()
    journey.apply_stage_map(draft, day(100), activation)

    assert dated(journey)[-2:] == [("at_risk", day(2 + 91)), ("churned", day(100))]


@pytest.mark.parametrize(
    ("archived", "successor"),
    [("regular", "customer"), ("prospect", "lead"), ("at_risk", "churned"), ("churned", "at_risk")],
)
def test_the_default_successor_is_the_nearest_stage_of_the_kind(archived, successor):
    forms = [form for form in DEFAULT_STAGES if form["key"] != archived]
    stage_map = build_draft(DEFAULT.stage_map, forms).stage_map

    assert stage_map.successor(archived).key == successor
    assert stage_map.successor(successor) is None
    assert stage_map.successor("unknown") is None


def test_without_another_risk_stage_the_successor_is_a_progress_stage():
    forms = [form for form in DEFAULT_STAGES if form["kind"] == "progress"]
    stage_map = build_draft(DEFAULT.stage_map, forms).stage_map

    assert stage_map.successor("churned").key == "vip"


@pytest.mark.parametrize(
    ("activation", "stages"), [(FUTURE, ["customer"]), (WITH_ACTIONS, ["customer", "vip"])]
)
def test_after_leaving_an_archived_stage_a_present_customer_is_evaluated(activation, stages):
    forms = [
        form
        for form in defaults_with(vip={"auto_rules": rule("lifetime_value", value=">=300")})
        if form["key"] != "regular"
    ]
    draft = Rulebook(
        build_draft(DEFAULT.stage_map, forms, remap={"regular": "customer"}).stage_map, DEFAULT_POLICY
    )
    journey = regular()
    journey.apply_stage_map(draft, day(3), activation)

    assert path(journey)[3:][-len(stages) :] == stages
    assert [move.is_silent for move in journey.new_transitions[-len(stages) :]] == [True, False][
        : len(stages)
    ]


def test_an_archived_stage_held_before_counts_as_its_successor():
    journey = after(*appointments(0, 1, 2, amount="400"), until=day(100))
    assert path(journey)[-2:] == ["vip", "at_risk"]
    journey.apply_stage_map(without("vip", "regular"), day(100), FUTURE)
    journey.apply_event(event("appointment_completed", day(101)), day(101))

    assert path(journey)[-1] == "regular"


# ---- pins


def test_a_pin_suppresses_moves_of_new_rules():
    journey = regular()
    journey.pin(day(30), day(3))
    journey.apply_stage_map(vip_from(">=300"), day(4), WITH_ACTIONS)
    assert path(journey)[-1] == "regular"
    assert suppressed(journey) == ["vip"]

    journey.advance_to(day(30))
    assert dated(journey)[-1] == ("vip", day(30))


def test_a_pin_does_not_keep_a_customer_in_an_archived_stage():
    journey = regular()
    journey.pin(day(30), day(3))
    journey.apply_stage_map(without("regular", "customer"), day(4), FUTURE)

    assert path(journey)[-1] == "customer"
    assert journey.relationship.pin_until == day(30)


# ---- time


def test_a_customer_is_not_migrated_before_their_last_transition():
    journey = regular()
    journey.apply_stage_map(vip_from(">=300"), day(1), SILENT)

    assert dated(journey)[-1] == ("vip", day(2))


@given(companies(), stage_forms(), st.data())
def test_after_the_migration_no_rule_decides_another_move(present, forms, data):
    steps = data.draw(operations([form["key"] for form in present.forms]))
    journey, _ = run_operations(present.rulebook, steps)
    at = steps[-1].now + data.draw(st.integers(0, 200)) * DAY
    keys = {form["key"] for form in forms}
    draft = Rulebook(
        parse_stage_map(
            [
                *forms,
                *(
                    {
                        "key": form["key"],
                        "name": form["name"],
                        "order": 100 + index,
                        "is_active": False,
                        "kind": present.rulebook.stage_map.by_key[form["key"]].kind.value,
                    }
                    for index, form in enumerate(present.forms)
                    if form["key"] not in keys
                ),
            ],
            version=2,
        ),
        present.rulebook.policy,
    )
    before = copy(journey.relationship)
    journey.apply_stage_map(draft, at, SILENT)

    here = journey.relationship
    decision = decide(here, draft, max(at, here.stage_entered_at))
    assert decision.move is None or decision.is_suppressed
    assert here.map_version == 2
    # Evaluating again at the same instant changes nothing.
    again = Journey(copy(here), draft)
    again.advance_to(max(at, before.stage_entered_at))
    assert again.new_transitions == []


def test_a_migration_applies_the_rules_of_the_new_map():
    journey = open_journey(at=T0)
    journey.apply_stage_map(vip_from(">=0"), day(1), SILENT)

    assert dated(journey)[-1] == ("vip", day(1))
