"""Visits of customers as sorted arrays, and the state of a customer after a visit.

Days are whole numbers on any common scale. A customer has at most one visit per day. States are sums and counts, so
they do not depend on the order in which events arrive.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from journey_service.domain.journeys.rhythm import MAX_RHYTHM_GAPS, RHYTHM_PRIOR_WEIGHT
from journey_service.prediction.arrays import Bools, Floats, Ints

HUNDRED = 100


@dataclass(frozen=True, slots=True)
class VisitHistories:
    """Visits and missed appointments of customers 0 to `customers` - 1, each in order of customer and day."""

    customers: int
    visitor: Ints
    visit_day: Ints
    visit_cents: Ints
    misser: Ints
    miss_day: Ints

    @classmethod
    def of(cls, customers: int, customer: Ints, day: Ints, cents: Ints, is_completed: Bools) -> Self:
        """Sorts events; the amounts of visits of a customer on the same day are added."""
        order = np.lexsort((day, customer))
        customer, day, cents = customer[order], day[order], cents[order]
        is_completed = is_completed[order]
        visitor, visit_day, visit_cents = _one_per_day(
            customer[is_completed], day[is_completed], cents[is_completed]
        )
        misser, miss_day, _ = _one_per_day(customer[~is_completed], day[~is_completed], cents[~is_completed])
        return cls(customers, visitor, visit_day, visit_cents, misser, miss_day)

    def until(self, today: int) -> Self:
        """Returns the same customers with what is known at the end of `today`."""
        visits, misses = self.visit_day <= today, self.miss_day <= today
        return type(self)(
            self.customers,
            self.visitor[visits],
            self.visit_day[visits],
            self.visit_cents[visits],
            self.misser[misses],
            self.miss_day[misses],
        )

    def selected(self, chosen: Bools) -> Self:
        """Returns the histories of the selected customers, renumbered from 0 in the same order."""
        number = np.cumsum(chosen) - 1
        visits, misses = chosen[self.visitor], chosen[self.misser]
        return type(self)(
            int(np.count_nonzero(chosen)),
            number[self.visitor[visits]],
            self.visit_day[visits],
            self.visit_cents[visits],
            number[self.misser[misses]],
            self.miss_day[misses],
        )


@dataclass(frozen=True, slots=True)
class EarlierVisits:
    """What is known of each customer in addition to the visits of the histories; arrays by customer.

    `first_day` is the day of the customer's first visit. Amounts of visits without an amount each are in `cents`.
    """

    visits: Ints
    missed: Ints
    cents: Ints
    first_day: Ints


@dataclass(frozen=True, slots=True)
class VisitStates:
    """States of customers just after a visit, as arrays of one length.

    `recent_gaps` and `recent_log_gaps` are the sums of 1 and of the logarithm of each gap, the weight halving from gap
    to gap backwards. `missed` counts missed appointments up to the visit, `missed_after` those between it and the next
    visit; `first_miss` is the number of days to the first of those, infinite without one.
    """

    customer: Ints
    last_day: Ints
    first_day: Ints
    visits: Ints
    recent_gaps: Floats
    recent_log_gaps: Floats
    cents: Ints
    missed: Ints
    missed_after: Ints
    first_miss: Floats

    def __len__(self) -> int:
        """The number of states."""
        return len(self.customer)

    def rows(self, chosen: slice | Ints | Bools) -> "VisitStates":
        """Returns the chosen states."""
        return VisitStates(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @property
    def repeats(self) -> Ints:
        """The number of visits after the first."""
        return self.visits - 1

    @property
    def span(self) -> Ints:
        """The number of days between the first and the last visit."""
        return self.last_day - self.first_day

    @property
    def log_spend(self) -> Floats:
        """The logarithm of 1 + the mean amount of a visit."""
        spend: Floats = np.log1p(np.maximum(self.cents, 0) / HUNDRED / self.visits)
        return spend


def last_states(histories: VisitHistories, earlier: EarlierVisits | None = None) -> VisitStates:
    """Returns the state after the last visit of each customer who has one."""
    visitor = histories.visitor
    is_last = np.ones(len(visitor), dtype=np.bool_)
    is_last[:-1] = visitor[1:] != visitor[:-1]
    return _states(histories, np.flatnonzero(is_last), earlier)


def all_states(histories: VisitHistories) -> VisitStates:
    """Returns the state after every visit, in order of customer and day."""
    return _states(histories, np.arange(len(histories.visitor)), None)


def rhythm(states: VisitStates, company_log_gap: float) -> Floats:
    """Returns the logarithm of each customer's usual gap in days, shrunk towards that of the company.

    Equal to `journey_service.domain.journeys.rhythm.usual_log_gap`.
    """
    from_company = RHYTHM_PRIOR_WEIGHT * company_log_gap
    shrunk: Floats = (from_company + states.recent_log_gaps) / (RHYTHM_PRIOR_WEIGHT + states.recent_gaps)
    return shrunk


def _one_per_day(customer: Ints, day: Ints, cents: Ints) -> tuple[Ints, Ints, Ints]:
    if len(day) == 0:
        return customer, day, cents
    is_first = np.ones(len(day), dtype=np.bool_)
    is_first[1:] = (customer[1:] != customer[:-1]) | (day[1:] != day[:-1])
    starts = np.flatnonzero(is_first)
    return customer[starts], day[starts], np.add.reduceat(cents, starts)


def _states(histories: VisitHistories, rows: Ints, earlier: EarlierVisits | None) -> VisitStates:
    visitor, day = histories.visitor, histories.visit_day
    first_row = np.searchsorted(visitor, visitor[rows])
    number = rows - first_row
    customer = visitor[rows]
    paid = np.concatenate(([0], np.cumsum(histories.visit_cents)))
    recent_gaps, recent_log_gaps = _recent_gaps(day, rows, number)
    before, after, first_miss = _misses(histories, rows)
    visits, cents, first_day = number + 1, paid[rows + 1] - paid[first_row], day[first_row]
    if earlier is not None:
        visits, cents = visits + earlier.visits[customer], cents + earlier.cents[customer]
        before, first_day = before + earlier.missed[customer], earlier.first_day[customer]
    return VisitStates(
        customer, day[rows], first_day, visits, recent_gaps, recent_log_gaps, cents, before, after, first_miss
    )


def _recent_gaps(day: Ints, rows: Ints, number: Ints) -> tuple[Floats, Floats]:
    """Returns the weighted count and sum of logarithms of the gaps before visits, the newest first."""
    log_gap = np.zeros(len(day))
    log_gap[1:] = np.log(np.maximum(np.diff(day), 1))
    count, total = np.zeros(len(rows)), np.zeros(len(rows))
    weight = 1.0
    for back in range(MAX_RHYTHM_GAPS):
        has_gap = np.flatnonzero(number > back)
        if len(has_gap) == 0:
            break
        count[has_gap] += weight
        total[has_gap] += weight * log_gap[rows[has_gap] - back]
        weight /= 2
    return count, total


def _misses(histories: VisitHistories, rows: Ints) -> tuple[Ints, Ints, Floats]:
    """Returns the misses up to each visit, those until the next visit, and the days to the first of those."""
    visitor, day = histories.visitor, histories.visit_day
    if len(histories.misser) == 0:
        none = np.zeros(len(rows), dtype=np.int64)
        return none, none, np.full(len(rows), np.inf)
    scale = int(max(day.max(initial=0), histories.miss_day.max(initial=0))) + 2
    base = int(min(day.min(initial=0), histories.miss_day.min(initial=0)))
    scale -= base
    misses = histories.misser * scale + (histories.miss_day - base)
    customer = visitor[rows]
    start = np.searchsorted(misses, customer * scale)
    upto = np.searchsorted(misses, customer * scale + (day[rows] - base), side="right")
    following = np.minimum(rows + 1, len(day) - 1)
    has_next = (rows + 1 < len(day)) & (visitor[following] == customer)
    limit = np.where(has_next, day[following] - base, scale - 1)
    until = np.searchsorted(misses, customer * scale + limit, side="right")
    first = histories.miss_day[np.minimum(upto, len(misses) - 1)] - day[rows]
    return upto - start, until - upto, np.where(until > upto, first, np.inf)
