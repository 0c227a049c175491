"""Kaplan-Meier curve of the gaps between visits: the simplest prediction, which a model has to beat."""

from dataclasses import dataclass

import numpy as np

from journey_service.prediction.arrays import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class GapCurve:
    """The share of gaps longer than each of `days`, ascending."""

    days: Ints
    share: Floats

    def survival(self, days_since_last: Floats, ahead: Floats) -> Floats:
        """Returns the chance of no visit in the next `ahead` days, given the days since the last one."""
        now, later = self._at(days_since_last), self._at(days_since_last + ahead)
        return np.divide(later, now, out=np.ones_like(now), where=now > 0)

    def _at(self, days: Floats) -> Floats:
        index = np.searchsorted(self.days, days, side="right")
        return np.concatenate(([1.0], self.share))[index]


def fit(gap_days: Ints, is_closed: Bools) -> GapCurve:
    """Returns the curve of gaps, of which those that are not closed have lasted `gap_days` so far."""
    ordered = np.sort(gap_days)
    days, visits = np.unique(gap_days[is_closed], return_counts=True)
    at_risk = len(ordered) - np.searchsorted(ordered, days)
    share: Floats = np.cumprod(1 - visits / np.maximum(at_risk, 1), dtype=np.float64)
    return GapCurve(days, share)
