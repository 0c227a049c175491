"""Merge of two customers in memory: what counts of both, and the silent decision about the survivor."""

import pytest

from domain.builders import DEFAULT, HOUR, after, appointments, day, event, last, path, suppressed
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import MAX_SUM_CENTS
from journey_service.domain.journeys.facts import NO_FACTS, fold_facts
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.merging import merge_events
from journey_service.domain.journeys.relationship import Motion, TriggerType
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.parsing import parse_stage_map
from journey_service.domain.stages.stage_map import MERGED_STAGE


def absorbed(own, other, at):
    """Returns the journey of a customer at an instant, after the events of another one were merged into it."""
    journey = after(*own, until=at)
    journey.new_transitions.clear()
    merged = merge_events(own, other, DEFAULT_POLICY)
    journey.absorb(merged.facts, merged.newest, at, key="8")
    return journey


def test_what_counts_is_decided_anew_for_the_events_of_both():
    visit, earlier = appointments(1, 0, amount="10")
    booked = visit._replace(booking_id="B")
    missed = event("appointment_missed", day(2))._replace(booking_id="B")
    retraction = event("event_retracted", day(3))._replace(retracts=earlier.key)
    merged = merge_events([booked, earlier], [missed, retraction], DEFAULT_POLICY)
    assert (merged.added, set(merged.removed)) == ((), {booked, earlier})
    assert (merged.facts.total_appointments, merged.facts.total_missed, merged.newest) == (0, 1, None)
    assert merged.facts == fold_facts([retraction, missed, earlier, booked], DEFAULT_POLICY)
    # An order of arrival that lets the visit count: it was reported after the miss.
    reported = booked._replace(reported_at=day(4))
    merged = merge_events([reported], [missed], DEFAULT_POLICY)
    assert (merged.added, merged.removed, merged.newest) == ((), (missed,), reported)
    # A cancellation retracted by an event of the other customer: the visit counts since.
    cancelled = event("appointment_cancelled", day(5))._replace(booking_id="B")
    lifted = event("event_retracted", day(6))._replace(retracts=cancelled.key)
    merged = merge_events([booked, cancelled], [lifted], DEFAULT_POLICY)
    assert (merged.added, merged.removed, merged.newest) == ((booked,), (cancelled,), booked)


@pytest.mark.parametrize(
    ("own", "other", "at", "expected"),
    [
        pytest.param([0], [1, 2, 3], 10, "regular", id="up to the highest stage of both"),
        pytest.param([0, 1, 2, 3, 4], [1], 10, None, id="where the survivor is already"),
        pytest.param([0], [95], 100, "customer", id="back by a recent appointment of the other one"),
        pytest.param([0, 1, 2, 3], [95], 100, "regular", id="back to the highest stage held"),
        pytest.param([0], [2], 100, None, id="no return by an old appointment"),
        pytest.param([0], [2], 400, None, id="churned as before"),
    ],
)
def test_the_survivor_is_decided_as_if_the_newest_appointment_were_being_applied(own, other, at, expected):
    journey = absorbed(appointments(*own), appointments(*other), day(at))
    assert path(journey) == ([] if expected is None else [expected])
    assert all(each.is_silent and each.cause.kind == "merge" for each in journey.new_transitions)
    following = journey.relationship.next_evaluation_at
    assert following is None or following > day(at)


def test_without_an_appointment_the_rules_on_the_state_decide():
    journey = absorbed(
        [event("call_received", day(0), call=90)], [event("appointment_missed", day(1))], day(2)
    )
    assert (path(journey), journey.relationship.current_stage) == ([], "lead")
    assert journey.relationship.facts.total_missed == 1


def test_a_pin_holds_and_remembers_the_appointment():
    own, at = appointments(0), day(100)
    journey = after(*own, until=at)
    journey.pin(at + 5 * HOUR, at)
    merged = merge_events(own, appointments(95), DEFAULT_POLICY)
    journey.absorb(merged.facts, merged.newest, at, key="8")
    assert (journey.relationship.current_stage, suppressed(journey)[-1]) == ("at_risk", "customer")
    journey.advance_to(at + 5 * HOUR)
    assert journey.relationship.current_stage == "customer"


def test_sums_beyond_the_largest_are_refused_before_anything_changes():
    large = [event("appointment_completed", day(0))._replace(amount_cents=MAX_SUM_CENTS)]
    journey = after(*large)
    before = journey.relationship.facts
    merged = merge_events(large, appointments(1, amount="0.01"), DEFAULT_POLICY)
    with pytest.raises(InvalidInputError):
        journey.absorb(merged.facts, merged.newest, day(1), key="8")
    assert journey.relationship.facts == before


def test_the_merged_journey_ends_in_a_stage_that_no_map_has():
    journey = after(*appointments(0, 1), until=day(100))
    journey.pin(day(200), day(100))
    came_from, version = journey.relationship.current_stage, journey.relationship.version
    journey.close_as_merged(day(101), actor="key:console", key="7")
    transition = last(journey)
    assert (transition.from_stage, transition.to_stage, transition.seq) == (
        came_from,
        MERGED_STAGE,
        version + 1,
    )
    assert (transition.trigger_type, transition.motion) == (TriggerType.SYSTEM, Motion.REMAP)
    assert (transition.trigger_event, transition.actor) == ("merged", "key:console")
    relationship = journey.relationship
    assert (relationship.facts, relationship.next_evaluation_at) == (NO_FACTS, None)
    assert not relationship.is_pinned(day(101))
    later = Journey(relationship, DEFAULT)
    later.advance_to(day(900))
    assert later.new_transitions == []

    stages = [*DEFAULT_STAGES, {"key": MERGED_STAGE, "name": "Merged", "order": 99}]
    with pytest.raises(InvalidInputError, match="must not be merged"):
        parse_stage_map(stages, version=1)
