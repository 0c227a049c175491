"""Alarms by a customer's own rhythm, against an alarm at a fixed number of days without a visit.

An alarm is raised in a gap between visits when its day comes before the next visit. It is right if the customer then
stays away until DEFAULT_CHURN_DAYS after the last visit. Gaps count if their visit is in the second half of the data
and their outcome is known at the end; the company's usual gap is that of the first half.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from journey_service.prediction import hazard_fit
from journey_service.prediction.arrays import Bools, Floats
from journey_service.prediction.scoring import DEFAULT_CHURN_DAYS
from journey_service.prediction.visit_history import VisitHistories, all_states, rhythm

PLAIN_DAYS = 90
RATIOS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)


@dataclass(frozen=True, slots=True)
class AlarmFigures:
    """Alarms of one rule: their number, how many were right, how many of the lost customers had one, and how early.

    `lead_days` is the median number of days between a right alarm and the day the customer counts as churned.
    """

    rule: str
    gaps: int
    lost: int
    alarms: int
    precision: float
    recall: float
    lead_days: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)


def mean_f1(figures: Iterable[AlarmFigures]) -> float:
    """Returns the mean of F1 over data sets: what the default ratio is chosen by."""
    return float(np.mean([each.f1 for each in figures]))


def measure(histories: VisitHistories) -> list[AlarmFigures]:
    """Returns the figures of the plain rule, then those of each ratio."""
    first, end = int(histories.visit_day.min()), int(histories.visit_day.max())
    middle = (first + end) // 2
    company = hazard_fit.company_log_gap(hazard_fit.gaps_of(all_states(histories.until(middle)), middle))
    gaps = hazard_fit.gaps_of(all_states(histories), end)
    chosen = (gaps.states.last_day > middle) & (gaps.states.last_day + DEFAULT_CHURN_DAYS <= end)
    days = gaps.days[chosen].astype(np.float64)
    usual = np.exp(rhythm(gaps.states.rows(chosen), company))
    lost = days > DEFAULT_CHURN_DAYS
    plain = _figures(f"{PLAIN_DAYS} days", np.full(len(days), PLAIN_DAYS + 1.0), days, lost)
    return [plain, *(_figures(f"ratio {ratio:g}", np.ceil(ratio * usual), days, lost) for ratio in RATIOS)]


def _figures(rule: str, alarm_after: Floats, days: Floats, lost: Bools) -> AlarmFigures:
    alarmed = (alarm_after < days) & (alarm_after <= DEFAULT_CHURN_DAYS)
    right = alarmed & lost
    lead = DEFAULT_CHURN_DAYS + 1 - alarm_after[right]
    return AlarmFigures(
        rule,
        len(days),
        int(lost.sum()),
        int(alarmed.sum()),
        float(right.sum() / max(alarmed.sum(), 1)),
        float(right.sum() / max(lost.sum(), 1)),
        float(np.median(lead)) if len(lead) else 0.0,
    )
