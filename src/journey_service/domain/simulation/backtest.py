"""Back-test of a stage map: replays past events, and evaluates the moves and alarms that result.

Definitions:

- **Range** `[since, until)`. The events of a customer before `until` are replayed in order of occurrence, each received
  when it occurred, from the first event or the creation of the relationship, whichever is earlier; then time advances
  to `until`, exclusive. Manual transitions and pins of the past are not repeated: only the rules are tested.
- **Move**: a transition of the replay within the range, except openings.
- **Inactive period**: the time from a completed appointment to the next one, or to the end of the known events. Events
  from `until` on serve one purpose only: to find out which customers returned, and when.
- **Alarm**: an automatic transition within the range from a progress stage into a risk stage. It belongs to the
  inactive period that began with the last appointment applied before it.
- **Lapse**: the time at which an inactive period becomes `lapse` long, if it is within the range. At one instant, time
  advances before appointments are applied, as everywhere: a customer who returns exactly then has lapsed.
- An alarm is **confirmed** if its inactive period becomes `lapse` long, **returned** if the next appointment comes
  sooner, and **open** while neither is known. An alarm raised after the lapse is **late**: it counts as confirmed, but
  not for recall and lead time.
- **precision** = confirmed / (confirmed + returned). **recall** = lapses with an alarm in the same inactive period at
  or before the lapse / lapses; an alarm before the range counts. If the appointment at the start of the period did not
  return the customer from a risk stage, the lapse has no alarm of its own: it is also counted as **at risk already**.
- **Lead time**: from such an alarm to the lapse. **Return days**: from a returned alarm to the appointment.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final, NamedTuple

from journey_service.domain.calendar import local_day
from journey_service.domain.events.bookings import BOOKING_TYPES
from journey_service.domain.events.counting import EventCount
from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys.facts import (
    MAX_KEPT_TIMES,
    Facts,
    apply_change_to_facts,
    apply_event_to_facts,
)
from journey_service.domain.journeys.journey import Journey, JourneyWithoutReasons
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.stages.stage_map import StageKind

_MICROSECOND: Final = timedelta(microseconds=1)
_ALARM_KINDS: Final = (StageKind.PROGRESS, StageKind.RISK)
"""Kinds of the stages left and entered by a transition that raises an alarm."""


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """Settings of a back-test: the range, and the length of an inactive period that counts as a lapse.

    `known_until` is the end of the known events, not before `until`; `zone` assigns moves to months.
    """

    since: datetime
    until: datetime
    lapse: timedelta
    known_until: datetime
    zone: tzinfo

    def covers(self, at: datetime) -> bool:
        """Returns whether a time lies within the range."""
        return self.since <= at < self.until

    @property
    def months(self) -> list[str]:
        """Every month of the range in the company's time zone, as `2026-03`."""
        last = local_day(self.until - _MICROSECOND, self.zone)
        first = local_day(self.since, self.zone)
        count = (last.year - first.year) * 12 + last.month - first.month + 1
        months = (first.month - 1 + number for number in range(count))
        return [f"{first.year + month // 12:04}-{month % 12 + 1:02}" for month in months]


class ReplayedMove(NamedTuple):
    """Transition of a replay."""

    from_stage: str
    to_stage: str
    at: datetime
    trigger_event: str


class AlarmOutcome(StrEnum):
    """Outcome of an alarm."""

    CONFIRMED = "confirmed"
    LATE = "late"
    RETURNED = "returned"
    OPEN = "open"


class RiskAlarm(NamedTuple):
    """Alarm within the range. `returned_after`: time until the customer returned; None if they did not."""

    at: datetime
    outcome: AlarmOutcome
    returned_after: timedelta | None = None


class CustomerLapse(NamedTuple):
    """Lapse within the range, and the first alarm at or before it in the same inactive period.

    `was_at_risk`: the customer stayed in a risk stage at the last appointment, so that no alarm could be raised.
    """

    at: datetime
    alarmed_at: datetime | None
    was_at_risk: bool


class ReplayResult(NamedTuple):
    """Result of one customer's replay: moves before `until`, and alarms and lapses within the range."""

    customer_id: int
    opened_at: datetime
    stage: str
    moves: list[ReplayedMove]
    alarms: list[RiskAlarm]
    lapses: list[CustomerLapse]


class CustomerReplay:
    """Replay of one customer's events under a rulebook. Memory grows with moves and bookings, not with all events."""

    def __init__(
        self, settings: BacktestSettings, rulebook: Rulebook, customer_id: int, created_at: datetime
    ) -> None:
        self._settings = settings
        self._rulebook = rulebook
        self._stages = rulebook.stage_map.by_key
        self._customer_id = customer_id
        self._created_at = created_at
        self._journey: Journey | None = None
        self._opened_at = created_at
        self._last_appointment: datetime | None = None
        self._raised: list[datetime] = []
        self._was_at_risk = False
        self._moves: list[ReplayedMove] = []
        self._alarms: list[RiskAlarm] = []
        self._lapses: list[CustomerLapse] = []
        self._bookings = EventCount()

    def apply_event(self, event: Event) -> None:
        """Applies the next event, which is before `until` and not before the last one applied."""
        at = event.occurred_at
        journey = self._journey or self._open(min(at, self._created_at), is_silent=self._created_at < at)
        journey.advance_to(at)
        self._collect_moves(journey)
        is_appointment = event.type == EventType.APPOINTMENT_COMPLETED
        was_at_risk = self._is_at_risk(journey)
        if is_appointment:
            self._end_inactive_period(at)
        journey.apply_event(event, at, facts=self._facts(journey, event))
        if is_appointment:
            self._last_appointment, self._raised = at, []
            self._was_at_risk = was_at_risk and self._is_at_risk(journey)
        self._collect_moves(journey)

    def _facts(self, journey: Journey, event: Event) -> Facts | None:
        """Returns the facts after an event of a booking, which may open or close it; None for any other event."""
        if event.booking_id is None or event.type not in BOOKING_TYPES:
            return None
        facts, policy = journey.relationship.facts, self._rulebook.policy
        changed = apply_change_to_facts(facts, self._bookings.add(event), policy)
        if changed is not None:
            return changed
        times = tuple(self._bookings.open_times()[-MAX_KEPT_TIMES:])
        return apply_event_to_facts(facts, event, policy)._replace(open_bookings=times)

    def finish(self, came_back_at: datetime | None) -> ReplayResult | None:
        """Returns the result after the last event before `until`; None if the journey opens later.

        `came_back_at` is the first known appointment from `until` on.
        """
        journey = self._journey
        if journey is None:
            if self._created_at >= self._settings.until:
                return None
            journey = self._open(self._created_at, is_silent=True)
        journey.advance_to(self._settings.until - _MICROSECOND)
        self._collect_moves(journey)
        self._end_inactive_period(came_back_at)
        stage = journey.relationship.current_stage
        return ReplayResult(
            self._customer_id, self._opened_at, stage, self._moves, self._alarms, self._lapses
        )

    def _open(self, at: datetime, *, is_silent: bool) -> Journey:
        self._opened_at = at
        self._journey = journey = JourneyWithoutReasons.open(self._customer_id, self._rulebook, at)
        if is_silent:
            journey.schedule_first_evaluation(at)
        return journey

    def _is_at_risk(self, journey: Journey) -> bool:
        return self._stages[journey.relationship.current_stage].kind is StageKind.RISK

    def _collect_moves(self, journey: Journey) -> None:
        """Moves the new transitions of the journey into the result."""
        if not journey.new_transitions:
            return
        for transition in journey.new_transitions:
            from_stage, to_stage = transition.from_stage, transition.to_stage
            if from_stage is None:
                continue
            at = transition.transitioned_at
            self._moves.append(ReplayedMove(from_stage, to_stage, at, transition.trigger_event or ""))
            if (self._stages[from_stage].kind, self._stages[to_stage].kind) == _ALARM_KINDS:
                self._raised.append(at)
        journey.new_transitions.clear()

    def _end_inactive_period(self, next_appointment: datetime | None) -> None:
        """Evaluates the alarms and the lapse of the current inactive period.

        `next_appointment` is None if no appointment ends the period before the end of the known events.
        """
        if self._last_appointment is None:
            return  # no rule raises an alarm before the first appointment
        lapses_at = self._last_appointment + self._settings.lapse
        has_lapsed = (
            self._settings.known_until if next_appointment is None else next_appointment
        ) >= lapses_at
        for at in self._raised:
            if not self._settings.covers(at):
                continue
            if has_lapsed:
                self._alarms.append(
                    RiskAlarm(at, AlarmOutcome.LATE if at > lapses_at else AlarmOutcome.CONFIRMED)
                )
            elif next_appointment is not None:
                self._alarms.append(RiskAlarm(at, AlarmOutcome.RETURNED, next_appointment - at))
            else:
                self._alarms.append(RiskAlarm(at, AlarmOutcome.OPEN))
        if has_lapsed and self._settings.covers(lapses_at):
            in_time = next((at for at in self._raised if at <= lapses_at), None)
            self._lapses.append(CustomerLapse(lapses_at, in_time, self._was_at_risk))
