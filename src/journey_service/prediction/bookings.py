"""Open bookings: which customers have one, and what it changes."""

from dataclasses import dataclass

import numpy as np

from journey_service.prediction.arrays import Bools, Floats, Ints
from journey_service.prediction.visit_history import VisitStates

MISSED_PRIOR = 6.0
"""Number of appointments at the company's rate of missed ones that are added to those of each customer."""
MAX_BOOKINGS = 4
"""Number of next booked days of a customer that are considered."""
LOOK_BACK_DAYS = 11
"""Length of the past period in which returns of customers without a booking are compared with expected ones."""
FACTOR_PRIOR = 5.0
"""Number of returns, observed as expected, that are added on both sides of that comparison."""


_MIN_RATE = 0.01


@dataclass(frozen=True, slots=True)
class BookingEffect:
    """How bookings change a company's curves.

    `unbooked_factor` is the ratio of observed and expected returns of customers without a booking: what remains of the
    intensity beside booked appointments. `missed_rate` is the share of the company's appointments that are missed.
    """

    unbooked_factor: float = 1.0
    missed_rate: float = 0.0


NO_BOOKING_EFFECT = BookingEffect()
"""The effect at a company whose bookings are not known."""


@dataclass(frozen=True, slots=True)
class OpenBookings:
    """Days of booked appointments ahead of a day, in order of customer and day."""

    customer: Ints
    day: Ints

    def days_ahead(self, customer: Ints, today: int) -> Floats:
        """Returns the next booked days of customers: a row each, ascending, infinite where there are fewer."""
        ahead = np.full((len(customer), MAX_BOOKINGS), np.inf)
        first = np.searchsorted(self.customer, customer)
        for column in range(MAX_BOOKINGS):
            row = first + column
            inside = np.flatnonzero(row < len(self.customer))
            own = inside[self.customer[row[inside]] == customer[inside]]
            ahead[own, column] = self.day[row[own]] - today
        return ahead[:, : int(np.count_nonzero(np.isfinite(ahead).any(axis=0)))]

    def has_booking(self, customer: Ints) -> Bools:
        """Returns which of the customers have an open booking."""
        return np.isin(customer, self.customer)


@dataclass(frozen=True, slots=True)
class BookingRecords:
    """Bookings as arrays: the customer, the day on which it was made, and the day of the appointment."""

    customer: Ints
    booked_on: Ints
    day: Ints

    def open_at(self, today: int) -> OpenBookings:
        """Returns the bookings that are known at the end of `today` and whose day is later."""
        is_open = (self.booked_on <= today) & (self.day > today)
        rows = np.unique(np.stack([self.customer[is_open], self.day[is_open]]), axis=1)
        return OpenBookings(rows[0], rows[1])


def hazard_of_booking(effect: BookingEffect, states: VisitStates) -> Floats:
    """Returns what a booked appointment adds to each customer's cumulative hazard: -log(chance to miss it)."""
    missed = states.missed + states.missed_after
    appointments = missed + states.visits + MISSED_PRIOR
    result: Floats = -np.log((missed + MISSED_PRIOR * max(effect.missed_rate, _MIN_RATE)) / appointments)
    return result


def unbooked_factor(expected: float, observed: float) -> float:
    """Returns the ratio of observed and expected returns, drawn towards 1 while both are few."""
    return (observed + FACTOR_PRIOR) / (expected + FACTOR_PRIOR)
