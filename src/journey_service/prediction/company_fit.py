"""Fit of one company from plain values: parameters, and the back-test on the company itself, as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np

from journey_service.prediction import fitting
from journey_service.prediction.bookings import BookingRecords
from journey_service.prediction.quality.own_history import OwnHistoryQuality, back_test
from journey_service.prediction.visit_history import VisitHistories


@dataclass(slots=True)
class CompanyHistory:
    """Events of customers by number, from 0; days are numbers of local days.

    `events` are (customer, day, cents, is completed) of completed and missed appointments, `bookings` are (customer,
    day on which it was made, day of the appointment).
    """

    customers: int
    today: date
    events: Sequence[tuple[int, int, int, bool]]
    bookings: Sequence[tuple[int, int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FittedCompany:
    """Parameters and quality as JSON; without quality, the company has too few customers for a back-test."""

    parameters: dict[str, Any]
    quality: dict[str, Any] | None
    is_shown: bool


def fit_company(history: CompanyHistory) -> FittedCompany:
    """Fits the model as of `today`, and tests one fitted 90 days before."""
    columns = np.array(history.events, dtype=np.int64).reshape(-1, 4).T
    today = history.today.toordinal()
    histories = VisitHistories.of(
        history.customers, columns[0], columns[1], columns[2], columns[3].astype(np.bool_)
    )
    parameters = fitting.fit(histories, today, history.today)
    if history.bookings:
        records = BookingRecords(*np.array(history.bookings, dtype=np.int64).T)
        parameters = fitting.with_bookings(parameters, histories, records, today)
    quality = back_test(histories, today, history.today)
    return FittedCompany(
        parameters.to_json(),
        None if quality is None else _to_json(quality),
        quality is None or quality.is_shown,
    )


def _to_json(quality: OwnHistoryQuality) -> dict[str, Any]:
    return {
        "horizon": quality.horizon,
        "model": asdict(quality.model),
        "kaplan_meier": asdict(quality.kaplan_meier),
        "bins": [asdict(each) for each in quality.bins],
    }
