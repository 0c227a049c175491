"""A rehearsal tells what letting customers go over would do, and can be put away and taken up again."""

import json
from copy import copy

from hypothesis import given
from hypothesis import strategies as st

from domain.builders import DEFAULT, after, appointments, company, day, defaults_with, rule
from domain.generators import companies, operations, run_operations
from journey_service.domain.actions.stage_actions import Reachability
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Activation, Rulebook
from journey_service.domain.simulation.preview import MAX_SAMPLES, PreviewDraft, PreviewTotals
from journey_service.domain.stages.stage_map import StageMap

SILENT, LOUD = Activation.CURRENT_SILENT, Activation.CURRENT_WITH_ACTIONS
REACH = Reachability({}, has_email=True, has_phone=True)
EASY = company(*defaults_with(vip={"auto_rules": rule("lifetime_value", value=">=100")}), version=2)


def draft(activation=SILENT, rulebook=EASY, at=3):
    return PreviewDraft(rulebook, activation, day(at))


def test_who_would_move_is_counted_by_where_from_and_where_to():
    tally = PreviewTotals()
    for amount in ("10", "50", "60"):
        tally.preview_customer(after(*appointments(0, 1, amount=amount)), draft(), REACH)

    assert tally.moves == {("customer", "vip"): 2}
    assert (tally.customers, tally.before, tally.after) == (3, {"customer": 3}, {"customer": 1, "vip": 2})


def test_what_the_present_rules_are_about_to_do_is_told_apart():
    tally = PreviewTotals()
    tally.preview_customer(after(*appointments(0)), draft(at=100), REACH)

    assert (tally.overdue, tally.moves, tally.before) == (1, {}, {"at_risk": 1})


def test_whom_only_a_pin_keeps_is_counted():
    journey = after(*appointments(0, amount="500"))
    journey.pin(day(50), day(1))
    free = after(*appointments(0, amount="5"))
    free.pin(day(50), day(1))
    tally = PreviewTotals()
    tally.preview_customer(journey, draft(), REACH)
    tally.preview_customer(free, draft(), REACH)

    assert (tally.suppressed, tally.moves) == (1, {})


def test_only_moves_that_run_actions_send_messages():
    for activation, sent in ((SILENT, 0), (LOUD, 1)):
        tally = PreviewTotals()
        tally.preview_customer(after(*appointments(0, amount="500")), draft(activation), REACH)
        assert tally.messages["email"]["sent"] == sent


def test_a_few_of_each_kind_are_named():
    tally = PreviewTotals()
    for _ in range(MAX_SAMPLES + 3):
        tally.preview_customer(after(*appointments(0, amount="500")), draft(), REACH)

    [named] = tally.samples.values()
    assert named == [{"customer_id": 7, "trigger_event": "lifetime_value", "moves": 1}] * MAX_SAMPLES


def test_a_tally_is_put_away_as_json_and_taken_up_again():
    tally = PreviewTotals()
    tally.preview_customer(after(*appointments(0, amount="500")), draft(LOUD), REACH)
    again = PreviewTotals.from_json(json.loads(json.dumps(tally.to_json())))

    assert again == tally
    again.preview_customer(after(*appointments(0, amount="500")), draft(LOUD), REACH)
    assert again.moves == {("customer", "vip"): 2}
    assert again != tally


@given(companies(), companies(), st.sampled_from(Activation), st.data())
def test_a_rehearsal_on_a_copy_tells_what_going_over_then_does(present, other, activation, data):
    steps = data.draw(operations([form["key"] for form in present.forms]))
    journey, _ = run_operations(present.rulebook, steps)
    at = steps[-1].now
    keys = {stage.key for stage in other.rulebook.stage_map.stages}
    archived = [
        stage.__class__(stage.key, stage.name, 100 + index, stage.kind, is_active=False)
        for index, stage in enumerate(present.rulebook.stage_map.stages)
        if stage.key not in keys
    ]
    target = StageMap(2, (*other.rulebook.stage_map.stages, *archived))
    rulebook = Rulebook(target, present.rulebook.policy)
    tally = PreviewTotals()
    before = copy(journey.relationship)
    tally.preview_customer(
        Journey(copy(journey.relationship), present.rulebook), PreviewDraft(rulebook, activation, at), REACH
    )

    assert journey.relationship == before, "the customer is not touched"
    journey.advance_to(at)
    stood = journey.relationship.current_stage
    journey.apply_stage_map(rulebook, at, activation)
    ended = journey.relationship.current_stage
    assert tally.before == {stood: 1}
    assert tally.after == {ended: 1}
    assert tally.moves == ({(stood, ended): 1} if stood != ended else {})


def test_the_default_map_rehearsed_against_itself_moves_nobody():
    tally = PreviewTotals()
    tally.preview_customer(after(*appointments(0, 1, 2, amount="500")), draft(rulebook=DEFAULT), REACH)

    assert tally.moves == {}
