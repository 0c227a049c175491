"""Back-test of a company's model on the company itself: is it calibrated, and better than the simplest curve?"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from journey_service.prediction import fitting, hazard_fit
from journey_service.prediction.arrays import Bools
from journey_service.prediction.quality import kaplan_meier, metrics
from journey_service.prediction.quality.metrics import Accuracy, QuantileBin
from journey_service.prediction.scoring import curves_at
from journey_service.prediction.visit_history import VisitHistories, VisitStates, all_states, last_states

HORIZON_DAYS = 90
MIN_CUSTOMERS = 30


@dataclass(frozen=True, slots=True)
class OwnHistoryQuality:
    """How well a model fitted `horizon` days ago predicted which customers would not return until today."""

    horizon: int
    model: Accuracy
    kaplan_meier: Accuracy
    bins: tuple[QuantileBin, ...]

    @property
    def is_shown(self) -> bool:
        """Whether predictions are worth showing: at least as good as those of the Kaplan-Meier curve."""
        return self.model.log_loss <= self.kaplan_meier.log_loss


def back_test(
    histories: VisitHistories, today: int, date_of_today: date, horizon: int = HORIZON_DAYS
) -> OwnHistoryQuality | None:
    """Returns the quality of a model fitted `horizon` days ago; None with fewer than MIN_CUSTOMERS at that time."""
    cut = today - horizon
    known = histories.until(cut)
    states = last_states(known)
    if len(states) < MIN_CUSTOMERS:
        return None
    parameters = fitting.fit(known, cut, date_of_today - timedelta(days=horizon))
    stayed_away = no_visit_within(histories, states, cut, horizon)
    predicted = curves_at(parameters, states, cut, horizon).survival(horizon)
    gaps = hazard_fit.gaps_of(all_states(known), cut)
    simple = kaplan_meier.fit(gaps.days, gaps.is_closed).survival(
        (cut - states.last_day).astype(np.float64), np.full(len(states), float(horizon))
    )
    return OwnHistoryQuality(
        horizon,
        metrics.accuracy(predicted, stayed_away),
        metrics.accuracy(simple, stayed_away),
        metrics.calibration_bins(predicted, stayed_away),
    )


def no_visit_within(histories: VisitHistories, states: VisitStates, cut: int, horizon: int) -> Bools:
    """Returns which customers have no visit in the `horizon` days after `cut`."""
    inside = (histories.visit_day > cut) & (histories.visit_day <= cut + horizon)
    returned = np.zeros(histories.customers, dtype=np.bool_)
    returned[histories.visitor[inside]] = True
    return ~returned[states.customer]
