"""A stage map tried on the past: when each customer would have moved, and what its alarms would have been worth.

What is counted, and how:

- **Range** `[since, until)`. A customer's events before `until` are replayed in the order they occurred, each as
  if told when it occurred, from the first event or the creation of the relationship, whichever came first; then
  time passes up to `until`, exclusive. Moves by hand and pins of the past are not repeated: rules are tested.
- **Move**: a transition of the replay within the range; openings are none.
- **Visit**: a completed appointment. **Silence**: the time from a visit to the next one, or to the end of what is
  known. What happened from `until` on is used for one thing only: to learn who came back, and when.
- **Alarm**: an automatic move within the range from a progress stage into a risk stage, raised in the silence
  after the last visit applied before it.
- **Lapse**: the instant at which a silence becomes `lapse` long, if it lies within the range. At one instant time
  goes before visits, as everywhere: whoever comes back exactly then has lapsed.
- An alarm is **confirmed** if its silence becomes `lapse` long, **returned** (the customer came back without help)
  if the next visit comes sooner, **open** while neither is known. One raised after the silence has lapsed is
  **late**: counted among the confirmed, and of no use to recall and lead time.
- **precision** = confirmed / (confirmed + returned). **recall** = lapses with an alarm in the same silence at or
  before the lapse / lapses; an alarm before the range counts as had. A lapse of somebody whom the visit before had
  not brought out of a risk stage has no alarm of its own: it is counted apart too, as **at risk already**.
- **Lead time**: from such an alarm to the lapse. Days until they came back: from a returned alarm to the visit.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from journey_service.domain.calendar import local_day
from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys.journey import Journey, JourneyWithoutReasons
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.stages.stage_map import StageKind

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """What is asked of the past: the range, after how long a silence somebody is lost, how much is known.

    `known_until` is the end of what is known, not before `until`; `zone` tells in which month a move lies.
    """

    since: datetime
    until: datetime
    lapse: timedelta
    known_until: datetime
    zone: ZoneInfo

    def covers(self, at: datetime) -> bool:
        """Whether an instant lies within the range."""
        return self.since <= at < self.until

    @property
    def months(self) -> list[str]:
        """Every month of the range where the company is, as `2026-03`."""
        last = local_day(self.until - _MICROSECOND, self.zone)
        first = local_day(self.since, self.zone)
        count = (last.year - first.year) * 12 + last.month - first.month + 1
        months = (first.month - 1 + number for number in range(count))
        return [f"{first.year + month // 12:04}-{month % 12 + 1:02}" for month in months]


class ReplayedMove(NamedTuple):
    """One transition of a replay."""

    from_stage: str
    to_stage: str
    at: datetime
    trigger_event: str


class AlarmOutcome(StrEnum):
    """What became of an alarm."""

    CONFIRMED = "confirmed"
    LATE = "late"
    RETURNED = "returned"
    OPEN = "open"


class RiskAlarm(NamedTuple):
    """One alarm of the range. `back_after` is the time until the visit of a customer who returned, else None."""

    at: datetime
    verdict: AlarmOutcome
    back_after: timedelta | None = None


class CustomerLapse(NamedTuple):
    """One lapse of the range, and the alarm that had been raised in the same silence, if one had.

    `was_at_risk`: the customer had stayed in a risk stage at the visit before, so that none could be raised.
    """

    at: datetime
    alarmed_at: datetime | None
    was_at_risk: bool


class ReplayResult(NamedTuple):
    """What one customer's replay came to: every move up to `until`, and the alarms and lapses of the range."""

    customer_id: int
    opened_at: datetime
    stage: str
    moves: list[ReplayedMove]
    alarms: list[RiskAlarm]
    lapses: list[CustomerLapse]


class CustomerReplay:
    """One customer's past under a rulebook, event by event; memory grows with their moves, not their events."""

    def __init__(
        self, terms: BacktestSettings, rulebook: Rulebook, customer_id: int, created_at: datetime
    ) -> None:
        self._terms = terms
        self._rulebook = rulebook
        self._stages = rulebook.stage_map.by_key
        self._customer_id = customer_id
        self._created_at = created_at
        self._journey: Journey | None = None
        self._opened_at = created_at
        self._last_visit: datetime | None = None
        self._raised: list[datetime] = []
        self._was_at_risk = False
        self._moves: list[ReplayedMove] = []
        self._alarms: list[RiskAlarm] = []
        self._lapses: list[CustomerLapse] = []

    def tell(self, event: Event) -> None:
        """Let the next event happen: one before `until`, and not before the one told last."""
        at = event.occurred_at
        journey = self._journey or self._open(min(at, self._created_at), is_silent=self._created_at < at)
        journey.advance_to(at)
        self._note(journey)
        is_visit = event.type == EventType.APPOINTMENT_COMPLETED
        was_at_risk = self._is_at_risk(journey)
        if is_visit:
            self._end_silence(at)
        journey.apply_event(event, at)
        if is_visit:
            self._last_visit, self._raised = at, []
            self._was_at_risk = was_at_risk and self._is_at_risk(journey)
        self._note(journey)

    def finish(self, came_back_at: datetime | None) -> ReplayResult | None:
        """Everything before `until` is told; `came_back_at` is the first visit known from then on, None without.

        None if the customer's journey opens later than that.
        """
        journey = self._journey
        if journey is None:
            if self._created_at >= self._terms.until:
                return None
            journey = self._open(self._created_at, is_silent=True)
        journey.advance_to(self._terms.until - _MICROSECOND)
        self._note(journey)
        self._end_silence(came_back_at)
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

    def _note(self, journey: Journey) -> None:
        """Take over the transitions written since the last look, and let the journey forget them."""
        if not journey.new_transitions:
            return
        for new_transitions in journey.new_transitions:
            if new_transitions.from_stage is None:
                continue
            at = new_transitions.transitioned_at
            self._moves.append(
                ReplayedMove(
                    new_transitions.from_stage,
                    new_transitions.to_stage,
                    at,
                    new_transitions.trigger_event or "",
                )
            )
            kinds = self._stages[new_transitions.from_stage].kind, self._stages[new_transitions.to_stage].kind
            if kinds == (StageKind.PROGRESS, StageKind.RISK):
                self._raised.append(at)
        journey.new_transitions.clear()

    def _end_silence(self, next_visit: datetime | None) -> None:
        """Judge the alarms and the lapse of a silence that ended, or has no end in what is known."""
        if self._last_visit is None:
            return  # no rule raises an alarm before the first visit
        lapses_at = self._last_visit + self._terms.lapse
        has_lapsed = (self._terms.known_until if next_visit is None else next_visit) >= lapses_at
        for at in self._raised:
            if not self._terms.covers(at):
                continue
            if has_lapsed:
                self._alarms.append(
                    RiskAlarm(at, AlarmOutcome.LATE if at > lapses_at else AlarmOutcome.CONFIRMED)
                )
            elif next_visit is not None:
                self._alarms.append(RiskAlarm(at, AlarmOutcome.RETURNED, next_visit - at))
            else:
                self._alarms.append(RiskAlarm(at, AlarmOutcome.OPEN))
        if has_lapsed and self._terms.covers(lapses_at):
            in_time = next((at for at in self._raised if at <= lapses_at), None)
            self._lapses.append(CustomerLapse(lapses_at, in_time, self._was_at_risk))
