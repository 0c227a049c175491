"""Fits the model of one company on a sample of its customers."""

from dataclasses import replace
from datetime import date

import numpy as np

from journey_service.prediction import bookings, hazard_fit, purchase_model
from journey_service.prediction.arrays import scattered_order
from journey_service.prediction.bookings import BookingEffect, BookingRecords
from journey_service.prediction.parameters import MODEL_VERSION, ModelParameters
from journey_service.prediction.survival_curve import curves
from journey_service.prediction.visit_history import VisitHistories, all_states, last_states

SAMPLE_VISITS = 60_000
"""Number of visits at which the sample of whole customers ends."""


def sample(histories: VisitHistories, max_visits: int = SAMPLE_VISITS) -> VisitHistories:
    """Returns whole customers in a fixed pseudo-random order with at most `max_visits` visits, but one at least."""
    visits = np.bincount(histories.visitor, minlength=histories.customers)
    if int(visits.sum()) <= max_visits:
        return histories.selected(visits > 0)
    order = scattered_order(histories.customers)
    order = order[visits[order] > 0]
    total = np.cumsum(visits[order])
    chosen = np.zeros(histories.customers, dtype=np.bool_)
    chosen[order[: max(1, int(np.searchsorted(total, max_visits, side="right")))]] = True
    return histories.selected(chosen)


def fit(
    histories: VisitHistories, today: int, fitted_on: date, max_visits: int = SAMPLE_VISITS
) -> ModelParameters:
    """Returns the model fitted on what is known at the end of the day number `today`, which is `fitted_on`."""
    known = histories.until(today)
    sampled = sample(known, max_visits)
    latest, gaps = last_states(sampled), hazard_fit.gaps_of(all_states(sampled), today)
    purchase = purchase_model.fit(
        latest.repeats.astype(np.float64),
        latest.span.astype(np.float64),
        (today - latest.last_day).astype(np.float64),
    )
    return ModelParameters(
        MODEL_VERSION,
        fitted_on,
        int(np.count_nonzero(np.bincount(known.visitor, minlength=1))),
        sampled.customers,
        len(sampled.visitor),
        int(np.count_nonzero(gaps.is_closed)),
        purchase,
        hazard_fit.fit(gaps),
    )


def with_bookings(
    parameters: ModelParameters, histories: VisitHistories, records: BookingRecords, today: int
) -> ModelParameters:
    """Returns the parameters with the effect of bookings, measured over the last LOOK_BACK_DAYS before `today`.

    Compares how many of the customers without a booking returned with how many the curves expected.
    """
    known, start = histories.until(today), today - bookings.LOOK_BACK_DAYS
    states = last_states(known.until(start))
    states = states.rows(~records.open_at(start).has_booking(states.customer))
    curve = curves(parameters, states, (start - states.last_day).astype(np.float64), bookings.LOOK_BACK_DAYS)
    returned = np.isin(states.customer, known.visitor[known.visit_day > start])
    factor = bookings.unbooked_factor(
        float(np.sum(1 - curve.survival(bookings.LOOK_BACK_DAYS))), int(np.count_nonzero(returned))
    )
    missed = len(known.misser) / max(len(known.misser) + len(known.visitor), 1)
    return replace(parameters, bookings=BookingEffect(factor, missed))
