"""Values that grow by the passing of time and depend on more than the days: the rhythm ratio, the churn probability.

Predictions are not simulated: after each completed appointment, a customer gets hazards with which the churn
probability rises from 0 to 1 until the customer counts as churned. So every value is reached by waiting, and an
appointment ends it.
"""

from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Final

from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys.churn_hazards import HAZARD_DAYS, churn_hundredths, churn_reached_at
from journey_service.domain.journeys.facts import DAY, Facts, days_since
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import ChurnHazards, Relationship, Rulebook
from journey_service.domain.journeys.rhythm import ratio_hundredths, ratio_reached_at, usual_gap_seconds
from journey_service.domain.simulation.linter.value_ranges import ValueScale
from journey_service.domain.stages.rules import CHURN

_EXAMPLE_HAZARD: Final = 5.0
"""Cumulative hazard until the customer counts as churned: the churn probability after an appointment is below 0.01."""
_MAX_TIMES: Final = 8
"""Times that are tried of each value."""
_MAX_DELAY_DAYS: Final = 1_000
"""Maximum delay of a report that is checked. A stage that only later reports leave counts as having no way back."""


class TimeValues:
    """The rhythm ratio and the churn probability of simulated customers; unknown ones if no rule reads them."""

    def __init__(self, rulebook: Rulebook, rhythm: ValueScale, churn: ValueScale) -> None:
        self._usual_gap_days = rulebook.policy.usual_gap_days
        self._churn_days = rulebook.stage_map.churn_days
        self._rhythm = rhythm
        self._churn = churn
        self.has_rhythm = bool(rhythm.breakpoints)

    def buckets(self, relationship: Relationship, now: datetime) -> Hashable:
        """Returns the buckets of the two values."""
        facts, last = relationship.facts, relationship.facts.last_appointment_at
        if last is None:
            return None
        ratio = churn = None
        if self.has_rhythm:
            ratio = ratio_hundredths(days_since(last, now), self._usual_gap(facts))
        if self._churn.breakpoints:
            churn = churn_hundredths(relationship.churn_hazards, last, self._churn_days, now)
        return self._rhythm.bucket(ratio), self._churn.bucket(churn)

    def gap_size(self, facts: Facts) -> int:
        """Returns the size of the usual gap in powers of two; 0 without a visit, or without a rule on it."""
        return self._usual_gap(facts).bit_length() if facts.completed and self.has_rhythm else 0

    def change_times(self, relationship: Relationship, now: datetime) -> Iterator[datetime]:
        """Yields times at which one of the values changes the result of a rule; some may be past."""
        facts, last = relationship.facts, relationship.facts.last_appointment_at
        if last is None:
            return
        times: list[datetime | None] = []
        if self.has_rhythm:
            gap = self._usual_gap(facts)
            times += [ratio_reached_at(last, point, gap) for point in self._rhythm.breakpoints[:_MAX_TIMES]]
        for point in self._churn.breakpoints[:_MAX_TIMES]:
            times.append(churn_reached_at(relationship.churn_hazards, last, self._churn_days, point, now))
        yield from (at for at in times if at is not None)

    def delays(self, facts: Facts, now: datetime) -> Iterator[int]:
        """Yields the days after an appointment at which the rhythm ratio changes the result of a rule.

        An appointment that is reported so many days late leads to the same ratio at once.
        """
        if self.has_rhythm:
            gap = self._usual_gap(facts)
            times = (ratio_reached_at(now, point, gap) for point in self._rhythm.breakpoints[:_MAX_TIMES])
            days = ((at - now) // DAY for at in times if at is not None)
            yield from (delay for delay in days if 0 < delay <= _MAX_DELAY_DAYS)

    def _usual_gap(self, facts: Facts) -> int:
        return usual_gap_seconds(facts.completed, self._usual_gap_days)


def predict(journey: Journey, event: Event, now: datetime) -> None:
    """Gives the customer example hazards after a completed appointment, if a rule of the map reads them."""
    stage_map = journey.rulebook.stage_map
    if event.type == EventType.APPOINTMENT_COMPLETED and CHURN in stage_map.triggers:
        rate = _EXAMPLE_HAZARD / stage_map.churn_days
        hazards = ChurnHazards(now, tuple(rate * day for day in HAZARD_DAYS))
        journey.apply_churn_hazards(hazards, now)
