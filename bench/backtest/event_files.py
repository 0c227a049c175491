"""Reads event files: CSV, also compressed by gzip, with customer_id, occurred_at, event_type and amount."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from journey_service.prediction.bookings import BookingRecords
from journey_service.prediction.visit_history import VisitHistories

COMPLETED = "appointment_completed"
EVENT_TYPES = (COMPLETED, "appointment_missed")
MISSED = "missed"


@dataclass(frozen=True, slots=True)
class EventFile:
    """The customers of a file, in ascending order of their ids, and their visits by number of the day."""

    ids: tuple[str, ...]
    histories: VisitHistories


def read_events(path: Path) -> EventFile:
    """Returns the events of a file; other types of events are left out. Days are proleptic ordinals."""
    events = [
        (
            row["customer_id"],
            date.fromisoformat(row["occurred_at"][:10]).toordinal(),
            round(100 * float(row["amount"] or 0)),
            row["event_type"] == COMPLETED,
        )
        for row in _rows(path)
        if row["event_type"] in EVENT_TYPES
    ]
    ids = sorted_ids({event[0] for event in events})
    number = {customer_id: index for index, customer_id in enumerate(ids)}
    histories = VisitHistories.of(
        len(ids),
        np.array([number[event[0]] for event in events], dtype=np.int64),
        np.array([event[1] for event in events], dtype=np.int64),
        np.array([event[2] for event in events], dtype=np.int64),
        np.array([event[3] for event in events], dtype=np.bool_),
    )
    return EventFile(ids, histories)


def read_bookings(path: Path, ids: tuple[str, ...]) -> BookingRecords:
    """Returns the bookings of a file with customer_id, booked_at and scheduled_for."""
    number = {customer_id: index for index, customer_id in enumerate(ids)}
    rows = [row for row in _rows(path) if row["customer_id"] in number]
    return BookingRecords(
        np.array([number[row["customer_id"]] for row in rows], dtype=np.int64),
        np.array([date.fromisoformat(row["booked_at"]).toordinal() for row in rows], dtype=np.int64),
        np.array([date.fromisoformat(row["scheduled_for"]).toordinal() for row in rows], dtype=np.int64),
    )


def sorted_ids(ids: set[str]) -> tuple[str, ...]:
    """Returns ids in ascending order: whole numbers by value, then others."""
    return tuple(sorted(ids, key=lambda each: (0, int(each), "") if each.isdecimal() else (1, 0, each)))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    is_packed = path.suffix == ".gz"
    with gzip.open(path, "rt", encoding="utf-8") if is_packed else path.open(encoding="utf-8") as lines:
        yield from csv.DictReader(lines)
