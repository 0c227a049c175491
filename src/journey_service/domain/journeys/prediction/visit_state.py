"""What a prediction depends on: a customer's visits by local day, as sums and counts."""

from datetime import date, tzinfo
from itertools import pairwise
from math import inf, log
from typing import NamedTuple

from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.rhythm import MAX_RHYTHM_GAPS, RHYTHM_PRIOR_WEIGHT


class VisitState(NamedTuple):
    """State after the last visit; days are ordinals of local days, and several visits on a day are one.

    `recent_gaps` and `recent_log_gaps` are the sums of 1 and of the logarithm of each gap, the weight halving from gap
    to gap backwards. `missed` counts missed appointments up to the last visit, `missed_after` those since; `first_miss`
    is the number of days from the visit to the first of those, infinite without one.
    """

    last_day: int
    first_day: int
    visits: int
    recent_gaps: float
    recent_log_gaps: float
    cents: int
    missed: int = 0
    missed_after: int = 0
    first_miss: float = inf

    @property
    def repeats(self) -> int:
        """The number of visits after the first."""
        return self.visits - 1

    @property
    def span(self) -> int:
        """The number of days between the first and the last visit."""
        return self.last_day - self.first_day

    def usual_log_gap(self, company_log_gap: float) -> float:
        """Returns the logarithm of the usual gap in days, shrunk towards that of the company."""
        total = RHYTHM_PRIOR_WEIGHT * company_log_gap + self.recent_log_gaps
        return total / (RHYTHM_PRIOR_WEIGHT + self.recent_gaps)

    def after_visit(self, gap: int) -> "VisitState":
        """Returns the state just after another visit, `gap` days after the last one, with the usual amount."""
        return VisitState(
            self.last_day + gap,
            self.first_day,
            self.visits + 1,
            1 + self.recent_gaps / 2,
            log(max(gap, 1)) + self.recent_log_gaps / 2,
            self.cents + self.cents // self.visits,
            self.missed + self.missed_after,
        )


def has_same_visits(facts: Facts, other: Facts) -> bool:
    """Returns whether predictions from both facts are the same at any time."""
    return (
        facts.completed == other.completed
        and facts.missed == other.missed
        and facts.open_bookings == other.open_bookings
        and facts.total_appointments == other.total_appointments
        and facts.total_missed == other.total_missed
        and facts.appointments_cents == other.appointments_cents
    )


def visit_state(facts: Facts, zone: tzinfo) -> VisitState | None:
    """Returns the state of a customer; None without a visit.

    Visits older than the kept ones each have a day of their own.
    """
    if not facts.completed:
        return None
    days = sorted({at.astimezone(zone).toordinal() for at in facts.completed})
    misses = sorted({at.astimezone(zone).toordinal() for at in facts.missed})
    count = total = 0.0
    weight = 1.0
    for earlier, later in reversed(list(pairwise(days[-MAX_RHYTHM_GAPS - 1 :]))):
        count += weight
        total += weight * log(later - earlier)
        weight /= 2
    last = days[-1]
    after = [day for day in misses if day > last]
    first = facts.first_appointment_at
    return VisitState(
        last,
        days[0] if first is None else first.astimezone(zone).toordinal(),
        facts.total_appointments - len(facts.completed) + len(days),
        count,
        total,
        facts.appointments_cents,
        facts.total_missed - len(facts.missed) + len(misses) - len(after),
        len(after),
        after[0] - last if after else inf,
    )


def booked_days(facts: Facts, zone: tzinfo, today: date, limit: int) -> tuple[int, ...]:
    """Returns the next local days with an open booking, as days after `today`, ascending, each once."""
    number = today.toordinal()
    days = {at.astimezone(zone).toordinal() - number for at in facts.open_bookings}
    return tuple(sorted(day for day in days if day > 0)[:limit])
