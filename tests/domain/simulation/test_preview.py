"""Preview of a draft map: moves, messages, and agreement with the migration."""

import json
from copy import copy

from hypothesis import given
from hypothesis import strategies as st

from domain.builders import DEFAULT, after, appointments, company, day, defaults_with, rule
from domain.generators import companies, operations, run_operations
from journey_service.domain.actions.contact_policy import Reachability
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Activation, Rulebook
from journey_service.domain.simulation.preview import MAX_SAMPLES, PreviewDraft, PreviewTotals
from journey_service.domain.stages.stage_map import StageMap

SILENT, WITH_ACTIONS = Activation.CURRENT_SILENT, Activation.CURRENT_WITH_ACTIONS
REACHABLE = Reachability({}, has_email=True, has_phone=True)
LOWER_VIP_THRESHOLD = company(
    *defaults_with(vip={"auto_rules": rule("lifetime_value", value=">=100")}), version=2
)


def draft(activation=SILENT, rulebook=LOWER_VIP_THRESHOLD, at=3):
    return PreviewDraft(rulebook, activation, day(at))


def test_moves_are_counted_by_pair_of_stages():
    totals = PreviewTotals()
    for amount in ("10", "50", "60"):
        totals.preview_customer(after(*appointments(0, 1, amount=amount)), draft(), REACHABLE)

    assert totals.moves == {("customer", "vip"): 2}
    assert (totals.customers, totals.before, totals.after) == (3, {"customer": 3}, {"customer": 1, "vip": 2})


def test_moves_due_under_the_current_rules_are_counted_as_overdue():
    totals = PreviewTotals()
    totals.preview_customer(after(*appointments(0)), draft(at=100), REACHABLE)

    assert (totals.overdue, totals.moves, totals.before) == (1, {}, {"at_risk": 1})


def test_customers_kept_by_a_pin_are_counted_as_suppressed():
    journey = after(*appointments(0, amount="500"))
    journey.pin(day(50), day(1))
    free = after(*appointments(0, amount="5"))
    free.pin(day(50), day(1))
    totals = PreviewTotals()
    totals.preview_customer(journey, draft(), REACHABLE)
    totals.preview_customer(free, draft(), REACHABLE)

    assert (totals.suppressed, totals.moves) == (1, {})


def test_only_moves_that_run_actions_send_messages():
    for activation, sent in ((SILENT, 0), (WITH_ACTIONS, 1)):
        totals = PreviewTotals()
        totals.preview_customer(after(*appointments(0, amount="500")), draft(activation), REACHABLE)
        assert totals.messages["email"]["sent"] == sent


def test_the_samples_of_a_pair_are_limited():
    totals = PreviewTotals()
    for _ in range(MAX_SAMPLES + 3):
        totals.preview_customer(after(*appointments(0, amount="500")), draft(), REACHABLE)

    [samples] = totals.samples.values()
    assert samples == [{"customer_id": 7, "trigger_event": "lifetime_value", "moves": 1}] * MAX_SAMPLES


def test_totals_survive_a_round_trip_through_json():
    totals = PreviewTotals()
    totals.preview_customer(after(*appointments(0, amount="500")), draft(WITH_ACTIONS), REACHABLE)
    restored = PreviewTotals.from_json(json.loads(json.dumps(totals.to_json())))

    assert restored == totals
    restored.preview_customer(after(*appointments(0, amount="500")), draft(WITH_ACTIONS), REACHABLE)
    assert restored.moves == {("customer", "vip"): 2}
    assert restored != totals


@given(companies(), companies(), st.sampled_from(Activation), st.data())
def test_a_preview_on_a_copy_agrees_with_the_migration(current, other, activation, data):
    steps = data.draw(operations([form["key"] for form in current.forms]))
    journey, _ = run_operations(current.rulebook, steps)
    at = steps[-1].now
    keys = {stage.key for stage in other.rulebook.stage_map.stages}
    archived = [
        stage.__class__(stage.key, stage.name, 100 + index, stage.kind, is_active=False)
        for index, stage in enumerate(current.rulebook.stage_map.stages)
        if stage.key not in keys
    ]
    target = StageMap(2, (*other.rulebook.stage_map.stages, *archived))
    rulebook = Rulebook(target, current.rulebook.policy)
    totals = PreviewTotals()
    before = copy(journey.relationship)
    totals.preview_customer(
        Journey(copy(journey.relationship), current.rulebook),
        PreviewDraft(rulebook, activation, at),
        REACHABLE,
    )

    assert journey.relationship == before, "the customer is unchanged"
    journey.advance_to(at)
    stage_before = journey.relationship.current_stage
    journey.apply_stage_map(rulebook, at, activation)
    stage_after = journey.relationship.current_stage
    assert totals.before == {stage_before: 1}
    assert totals.after == {stage_after: 1}
    assert totals.moves == ({(stage_before, stage_after): 1} if stage_before != stage_after else {})


def test_previewing_the_default_map_against_itself_moves_no_customers():
    totals = PreviewTotals()
    totals.preview_customer(after(*appointments(0, 1, 2, amount="500")), draft(rulebook=DEFAULT), REACHABLE)

    assert totals.moves == {}
