"""History of a customer's scores: the points of a range, computed from events and stages in chronological order."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final, NamedTuple

from journey_service.domain.calendar import instant_of, local_day
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import EARLIEST, Event
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.facts import NO_FACTS, apply_event_to_facts
from journey_service.domain.journeys.records import EnteredStage

MAX_POINTS: Final = 400
"""Points of a history; a longer range is refused."""
_ONE_DAY: Final = timedelta(days=1)


class HistoryStep(StrEnum):
    """Distance of the points of a history."""

    DAY = "day"
    WEEK = "week"


_DEFAULT_DAYS: Final = {HistoryStep.DAY: 90, HistoryStep.WEEK: 365}
"""Local days of a history whose first day is not given."""


class RequestedHistory(NamedTuple):
    """Requested range of local days, both included; None: the default."""

    first: date | None
    last: date | None
    step: HistoryStep


class HistoryPoint(NamedTuple):
    """Stage and scores (0 to 100) at an instant."""

    at: datetime
    stage_key: str
    risk: int
    engagement: int


def history_instants(requested: RequestedHistory, zone: tzinfo, now: datetime) -> list[datetime]:
    """Returns the instants of the points: the end of each local day, or of each Sunday and the last day.

    The instant of today is `now`. Raises InvalidInputError with every error.
    """
    today = local_day(now, zone)
    last = today if requested.last is None else requested.last
    length = _DEFAULT_DAYS[requested.step] - 1
    first = last - length * _ONE_DAY if requested.first is None else requested.first
    errors = []
    if last > today:
        errors.append(FieldError("query/to", "must not be after today"))
    if first > last:
        errors.append(FieldError("query/from", "must not be after `to`"))
    elif requested.first is not None and first < EARLIEST.date():
        errors.append(FieldError("query/from", f"must not be before {EARLIEST.date()}"))
    days = _days(first, last, requested.step)
    if len(days) > MAX_POINTS:
        errors.append(FieldError("query/from", f"must be later: a history has at most {MAX_POINTS} points"))
    if errors:
        raise InvalidInputError(errors)
    return [min(instant_of(day + _ONE_DAY, time.min, zone), now) for day in days]


def _days(first: date, last: date, step: HistoryStep) -> list[date]:
    if step is HistoryStep.DAY:
        return [first + number * _ONE_DAY for number in range((last - first).days + 1)]
    sunday = first + (6 - first.weekday()) * _ONE_DAY
    weeks = max((last - sunday).days + 6, 0) // 7
    return [*(sunday + 7 * number * _ONE_DAY for number in range(weeks)), *([last] if first <= last else [])]


def compute_history(
    instants: Sequence[datetime],
    stages: Sequence[EnteredStage],
    events: Sequence[Event],
    policy: CompanyPolicy,
) -> list[HistoryPoint]:
    """Returns the points at ascending instants. `stages` and `events` are in chronological order.

    Instants before the first stage are left out.
    """
    points = []
    facts, stage = NO_FACTS, None
    next_event = next_stage = 0
    for at in instants:
        while next_event < len(events) and events[next_event].occurred_at <= at:
            facts = apply_event_to_facts(facts, events[next_event], policy)
            next_event += 1
        while next_stage < len(stages) and stages[next_stage].transitioned_at <= at:
            stage = stages[next_stage].to_stage
            next_stage += 1
        if stage is not None:
            risk, engagement = scoring.risk(facts, policy, at), scoring.engagement(facts, policy, at)
            points.append(HistoryPoint(at, stage, risk, engagement))
    return points
