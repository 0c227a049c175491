"""Synthetic histories for the tests of the prediction."""

import numpy as np

from journey_service.prediction.visit_history import VisitHistories

TODAY = 738_000
Event = tuple[int, int, int, bool]
"""Customer, day, cents, and whether the appointment was completed."""


def histories(events: list[Event], customers: int | None = None) -> VisitHistories:
    """Returns the histories of events in any order."""
    columns = list(zip(*events, strict=True)) or [(), (), (), ()]
    count = customers if customers is not None else 1 + max(columns[0], default=-1)
    return VisitHistories.of(
        count,
        *(np.array(column, dtype=np.int64) for column in columns[:3]),
        np.array(columns[3], dtype=np.bool_),
    )


def regulars(customers: int, seed: int = 1) -> list[Event]:
    """Returns events of customers with gaps of their own, some of whom leave, and some missed appointments."""
    chance = np.random.default_rng(seed)
    events: list[Event] = []
    for customer in range(customers):
        day, gap = TODAY - int(chance.integers(30, 700)), float(chance.lognormal(3.4, 0.6))
        while day <= TODAY:
            events.append((customer, day, int(chance.integers(0, 9_000)), bool(chance.random() < 0.93)))
            if chance.random() < 0.12:
                break
            day += max(1, round(gap * float(chance.lognormal(0, 0.3))))
    return events
