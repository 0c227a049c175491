"""Builders of rules, stage maps, events and journeys for tests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from journey_service.domain.companies.policy import DEFAULT_POLICY, CompanyPolicy
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook, Transition
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.parsing import parse_stage_map

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)

DEFAULT_MAP = parse_stage_map(DEFAULT_STAGES, version=1)
DEFAULT = Rulebook(DEFAULT_MAP, DEFAULT_POLICY)

_numbers = count(1)


def day(number: float) -> datetime:
    """Returns the instant a number of days of 24 hours after T0."""
    return T0 + number * DAY


def rule(trigger: str, **conditions: str) -> dict[str, object]:
    """Returns a rule in the form of the guide."""
    return {"trigger": trigger, "conditions": conditions}


def any_of(*rules: Mapping[str, object]) -> dict[str, object]:
    """Returns a list of rules, one of which must hold."""
    return {"any": list(rules)}


def stage(key: str, order: int, rules: object = None, **more: object) -> dict[str, object]:
    """Returns a stage as JSON."""
    return {"key": key, "name": key.title(), "order": order, "auto_rules": rules, **more}


def company(
    *stages: Mapping[str, object], policy: Mapping[str, object] | None = None, version: int = 1
) -> Rulebook:
    """Returns the rulebook of a company with these stages (by default the default stages) and policy."""
    stage_map = parse_stage_map(stages, version=version, is_stored=True) if stages else DEFAULT_MAP
    return Rulebook(stage_map, DEFAULT_POLICY if policy is None else parse_policy(policy))


def defaults_with(**changes: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    """Returns the default stages with changes, such as `lead={"retention_days": 30}`."""
    return [{**form, **changes.get(str(form["key"]), {})} for form in DEFAULT_STAGES]


def event(
    type_: str,
    at: datetime = T0,
    *,
    amount: str = "0",
    call: int | None = None,
    id_: str | None = None,
    source: str = "tests",
) -> Event:
    """Returns an event of customer 7."""
    return Event(
        source=source,
        event_id=f"e{next(_numbers)}" if id_ is None else id_,
        customer_id=7,
        type=type_,
        occurred_at=at,
        amount_cents=int(Decimal(amount) * 100),
        call_duration=call,
    )


def open_journey(rulebook: Rulebook = DEFAULT, at: datetime = T0) -> Journey:
    """Creates a journey without events."""
    journey = Journey.open(7, rulebook, at)
    journey.schedule_first_evaluation(at)
    return journey


def apply_events(journey: Journey, *events: Event, late: datetime | None = None) -> Journey:
    """Applies events, each as of its own instant, or all of them as of `late`."""
    for each in events:
        journey.apply_event(each, each.occurred_at if late is None else late)
    return journey


def appointments(*days: float, amount: str = "0") -> list[Event]:
    """Returns completed appointments on these days."""
    return [event("appointment_completed", day(number), amount=amount) for number in days]


def after(*events: Event, rulebook: Rulebook = DEFAULT, until: datetime | None = None) -> Journey:
    """Returns a journey with these events, advanced to `until`."""
    journey = (
        apply_events(Journey.open(7, rulebook, events[0].occurred_at), *events)
        if events
        else open_journey(rulebook)
    )
    if until is not None:
        journey.advance_to(until)
    return journey


def path(journey: Journey) -> list[str]:
    """Returns the stages entered, in order."""
    return [transition.to_stage for transition in journey.new_transitions]


def last(journey: Journey) -> Transition:
    """Returns the newest transition."""
    return journey.new_transitions[-1]


def dated(journey: Journey) -> list[tuple[str, datetime]]:
    """Returns the stages entered, each with its instant."""
    return [(transition.to_stage, transition.transitioned_at) for transition in journey.new_transitions]


def suppressed(journey: Journey) -> list[str]:
    """Returns the target stages of suppressed moves."""
    return [move.to_stage for move in journey.relationship.pin_state.suppressed]


def payments() -> CompanyPolicy:
    """Returns the policy of a company whose revenue is its payments."""
    return parse_policy({"revenue_source": "payments"})
