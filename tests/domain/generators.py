"""Hypothesis strategies for companies, policies, events and operations of service and oracle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from domain.builders import DAY, INSTANT, T0
from journey_service.domain.companies.policy import CompanyPolicy, ScoringPolicy
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.errors import JourneyServiceError
from journey_service.domain.events.event import EVENT_TYPES, Event
from journey_service.domain.journeys.errors import NotPinnedError
from journey_service.domain.journeys.journey import Journey, check_pin_until
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.parsing import parse_stage_map
from oracle import literal

BOUNDARY_DAYS = (0, 1, 30, 59, 60, 61, 89, 90, 91, 92, 120, 179, 180, 181, 182, 270)
OPERATORS = (">", ">=", "<", "<=", "==", "!=")


def _limits(*usual: str, between: tuple[int, int], places: int = 0) -> st.SearchStrategy[str]:
    low, high = between
    drawn = st.decimals(low, high, places=places, allow_nan=False).map(lambda number: f"{number:f}")
    return st.one_of(st.sampled_from(usual), st.sampled_from(usual), drawn)


_DAYS = _limits("0", "1", "30", "60", "90", "90.5", "180", between=(0, 250))
_MONEY = _limits("0", "100", "99.99", "250", "-50", between=(-100, 400), places=2)
_SCORE = _limits("0", "0.2", "0.3", "0.5", "0.6", "0.7", "1", between=(0, 1), places=2)
LIMITS: Mapping[str, st.SearchStrategy[str]] = {
    "call_duration": _limits("30", "60", "60.5", "300", between=(0, 400)),
    "total_amount": _MONEY,
    "count": _limits("0", "1", "2", "3", "5", between=(0, 8)),
    "value": _MONEY,
    "days": _DAYS,
    "ratio": _limits("0", "0.5", "1", "2", "3.5", between=(0, 6), places=2),
    "score": _SCORE,
    "rate": _limits("0", "0.2", "0.333333", "0.5", "1", between=(0, 1), places=3),
}


@st.composite
def guide_rules(draw: st.DrawFn) -> dict[str, Any]:
    """Generates a rule with any trigger and valid conditions."""
    trigger = draw(st.sampled_from([*sorted(literal.EVENT_TRIGGERS), *literal.STATE_TRIGGERS]))
    if trigger in literal.STATE_TRIGGERS:
        fields = [literal.STATE_TRIGGERS[trigger]]
    else:
        fields = draw(st.lists(st.sampled_from(literal.EVENT_FACTS), max_size=2, unique=True))
    return {
        "trigger": trigger,
        "conditions": {name: draw(st.sampled_from(OPERATORS)) + draw(LIMITS[name]) for name in fields},
    }


_KEYS = ("lead", "at_risk", "prospect", "customer", "regular", "vip", "churned", "lost", "silent")


@st.composite
def stage_forms(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Generates a valid stage map as JSON with any triggers, kinds, order and retention days."""
    keys = draw(st.permutations(_KEYS))[: draw(st.integers(2, len(_KEYS)))]
    orders = draw(st.permutations(range(1, len(keys) + 1)))
    forms = []
    for key, order in zip(keys, orders, strict=True):
        drawn = draw(st.lists(guide_rules(), max_size=3))
        form: dict[str, Any] = {"key": key, "name": key, "order": order}
        form["auto_rules"] = drawn[0] if len(drawn) == 1 else {"any": drawn} if drawn else None
        form["kind"] = draw(st.sampled_from([None, None, "progress", "risk"]))
        form["retention_days"] = draw(st.one_of(st.none(), st.sampled_from([1, 20, 45, 60, 90, 120])))
        forms.append(form)
    try:
        parse_stage_map(forms, version=1, is_stored=True)
    except JourneyServiceError:
        forms[0]["kind"] = "progress"
        for form in forms:
            form["retention_days"] = None
    return forms


def default_forms() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Generates the default stages with retention days in any of the progress stages."""
    days = st.one_of(st.none(), st.none(), st.sampled_from([20, 60, 90, 120, 179]))

    def with_days(drawn: Sequence[int | None]) -> list[dict[str, Any]]:
        return [
            {**form, "retention_days": number}
            for form, number in zip(DEFAULT_STAGES, [*drawn, None, None], strict=True)
        ]

    return st.lists(days, min_size=5, max_size=5).map(with_days)


spans = st.one_of(
    st.just(timedelta(0)),
    st.sampled_from(BOUNDARY_DAYS).map(lambda days: days * DAY),
    st.sampled_from(BOUNDARY_DAYS[1:]).map(lambda days: days * DAY - INSTANT),
    st.integers(0, 40 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes)),
)
pins = st.one_of(spans, st.integers(1, 200).map(lambda days: days * DAY))
delays = st.one_of(st.just(timedelta(0)), st.just(timedelta(0)), spans, st.just(-timedelta(minutes=5)))


@dataclass(frozen=True)
class Company:
    """A company in the form of the service and of the oracle."""

    forms: list[dict[str, Any]]
    revenue_source: str
    manual_pin_days: int

    @property
    def rulebook(self) -> Rulebook:
        policy = {"revenue_source": self.revenue_source, "manual_pin_days": self.manual_pin_days}
        return Rulebook(parse_stage_map(self.forms, version=1, is_stored=True), parse_policy(policy))

    @property
    def oracle(self) -> literal.JourneyOracle:
        forms = [{**form, "rules": form["auto_rules"]} for form in self.forms]
        return literal.JourneyOracle(forms, self.revenue_source, self.manual_pin_days)


def companies(forms: st.SearchStrategy[list[dict[str, Any]]] | None = None) -> st.SearchStrategy[Company]:
    """Generates companies with any map and the default scoring policy."""
    return st.builds(
        Company,
        st.one_of(stage_forms(), default_forms()) if forms is None else forms,
        st.sampled_from(["appointments", "payments"]),
        st.sampled_from([1, 30, 90]),
    )


_weights = st.one_of(st.sampled_from(["0", "0.2", "0.3", "1"]).map(Decimal), st.decimals(0, 1, places=4))
_spans_of_days = st.one_of(st.sampled_from([1, 30, 60, 90, 180, 3650]), st.integers(1, 400))


def policies() -> st.SearchStrategy[CompanyPolicy]:
    """Generates policies with any weights, windows and thresholds."""
    scoring = st.builds(
        ScoringPolicy,
        engagement_frequency_weight=_weights,
        engagement_recency_weight=_weights,
        engagement_monetary_weight=_weights,
        engagement_quality_weight=_weights,
        frequency_window_days=_spans_of_days,
        frequency_target=st.integers(1, 7),
        recency_horizon_days=_spans_of_days,
        monetary_target=st.decimals("0.01", 2_000, places=2),
        quality_window_days=_spans_of_days,
        initial_engagement=_weights,
        initial_risk=_weights,
        inactive_days=_spans_of_days,
        inactive_weight=_weights,
        very_inactive_days=_spans_of_days,
        very_inactive_weight=_weights,
        missed_rate=_weights,
        missed_rate_weight=_weights,
        missed_window_days=_spans_of_days,
        trend=_weights.map(lambda weight: -weight),
        trend_weight=_weights,
        trend_window_days=_spans_of_days,
        tickets_weight=_weights,
        tickets_window_days=_spans_of_days,
    )
    return st.builds(
        CompanyPolicy,
        scoring=scoring,
        usual_gap_days=st.sampled_from([1, 20, 45, 400]),
        revenue_source=st.sampled_from(["appointments", "payments"]),
        manual_pin_days=st.sampled_from([1, 30, 90]),
    )


_EVENT_TYPES = (
    ("appointment_completed",) * 5
    + ("appointment_missed", "call_received", "ticket_opened") * 2
    + EVENT_TYPES
)


@st.composite
def literal_events(draw: st.DrawFn, now: datetime) -> literal.LiteralEvent:
    """Generates an event received at `now`: on time, late, or slightly in the future."""
    type_ = draw(st.sampled_from(_EVENT_TYPES))
    cents = draw(
        st.one_of(
            st.just(0), st.sampled_from([5_000, 9_999, 25_000, 50_000, 100_000]), st.integers(0, 60_000)
        )
    )
    return literal.LiteralEvent(
        type_,
        now - draw(delays),
        Decimal(cents) / 100,
        draw(st.sampled_from([None, 0, 30, 60, 61, 300])) if type_ != "ticket_opened" else None,
    )


@st.composite
def operations(draw: st.DrawFn, keys: Sequence[str], *, max_count: int = 10) -> list[literal.Operation]:
    """Generates events, manual moves and pins in chronological order; the first is an event."""
    now = T0
    drawn: list[literal.Operation] = []
    for _ in range(draw(st.integers(1, max_count))):
        kind = (
            draw(st.sampled_from(["event"] * 7 + ["move"] * 2 + ["pin"] * 2 + ["unpin"]))
            if drawn
            else "event"
        )
        match kind:
            case "event":
                drawn.append(literal.ApplyEvent(now, draw(literal_events(now))))
            case "move":
                until = draw(st.one_of(st.none(), pins.map(lambda span, now=now: now + span)))
                drawn.append(literal.ManualMove(now, draw(st.sampled_from([*keys, "nowhere"])), until))
            case "pin":
                drawn.append(literal.SetPin(now, now + draw(pins)))
            case _:
                drawn.append(literal.RemovePin(now))
        now += draw(spans)
    return drawn


def apply_operation(journey: Journey, operation: literal.Operation, number: int) -> None:
    """Applies an operation as the services do: due evaluations first; raises the same errors."""
    now = operation.now
    journey.advance_to(now)
    match operation:
        case literal.ApplyEvent(_, literal_event):
            journey.apply_event(as_event(literal_event, number), now)
        case literal.ManualMove(_, to_stage, until):
            if until is not None:
                check_pin_until(until, now, "/pin_until")
            journey.move(to_stage, now, actor="tests", key=str(number), pin_until=until)
        case literal.SetPin(_, until):
            check_pin_until(until, now, "/until")
            journey.pin(until, now)
        case literal.RemovePin(_):
            if not journey.relationship.is_pinned(now):
                raise NotPinnedError
            journey.unpin(now)


def run_operations(
    rulebook: Rulebook,
    steps: Sequence[literal.Operation],
    then: Callable[[Journey], None] = lambda _: None,
) -> tuple[Journey, list[int]]:
    """Applies all operations to a new journey; returns it and the indexes of refused operations.

    Calls `then` after each operation.
    """
    journey = Journey.open(7, rulebook, steps[0].now)
    refused = []
    for number, step in enumerate(steps):
        try:
            apply_operation(journey, step, number)
        except JourneyServiceError:
            refused.append(number)
        then(journey)
    return journey, refused


def as_event(literal_event: literal.LiteralEvent, number: int) -> Event:
    """Converts an event of the oracle."""
    return Event(
        source="tests",
        event_id=str(number),
        customer_id=7,
        type=literal_event.type,
        occurred_at=literal_event.occurred_at,
        amount_cents=int(literal_event.amount * 100),
        call_duration=literal_event.call_duration,
    )
