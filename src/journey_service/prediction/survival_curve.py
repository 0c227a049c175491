"""The survival curve of customers: the chance of no visit in the coming days."""

from dataclasses import dataclass

import numpy as np

from journey_service.domain.journeys.churn_hazards import HAZARD_DAYS
from journey_service.prediction import hazard_model, purchase_model
from journey_service.prediction.arrays import Floats
from journey_service.prediction.parameters import ModelParameters
from journey_service.prediction.visit_history import VisitStates

GRID = HAZARD_DAYS
"""Days ahead at which the cumulative hazard is computed; it is linear in between."""


def grid_to(days: int) -> Floats:
    """Returns GRID, continued in steps of a quarter to at least `days`."""
    grid = list(GRID)
    while grid[-1] < days:
        grid.append(grid[-1] * 5 // 4)
    return np.array(grid, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class SurvivalCurves:
    """Cumulative hazards: `hazard` has a row per customer and a column per day of `grid`.

    The chance of no visit in the next t days is exp(-hazard(t)). Booked appointments add to the hazard on their days:
    `booked_days` has a row per customer with days ahead in ascending order, infinite where there are fewer, and
    `booked_hazard` is what each of them adds.
    """

    grid: Floats
    hazard: Floats
    booked_days: Floats
    booked_hazard: Floats

    def cumulative(self, days: Floats | float) -> Floats:
        """Returns the cumulative hazard at `days` ahead, one number for all customers or one for each."""
        ahead = np.broadcast_to(np.asarray(days, dtype=np.float64), len(self.hazard))
        booked = np.count_nonzero(self.booked_days <= ahead[:, None], axis=1) * self.booked_hazard
        result: Floats = self._smooth(ahead) + booked
        return result

    def survival(self, days: Floats | float) -> Floats:
        """Returns the chance of no visit in the next `days`."""
        chance: Floats = np.exp(-self.cumulative(days))
        return chance

    def median_return(self, window: float) -> Floats:
        """Returns the days ahead by which half of the returns within `window` days have happened."""
        returning = -np.expm1(-self.cumulative(window))
        return self._reached(-np.log1p(-0.5 * returning), window)

    def _smooth(self, ahead: Floats) -> Floats:
        grid = self.grid
        column = np.clip(np.searchsorted(grid, ahead, side="right") - 1, 0, len(grid) - 2)
        row = np.arange(len(self.hazard))
        low, high = self.hazard[row, column], self.hazard[row, column + 1]
        result: Floats = low + (high - low) * (ahead - grid[column]) / (grid[column + 1] - grid[column])
        return result

    def _reached(self, target: Floats, window: float) -> Floats:
        """Returns the first days ahead, at most `window`, at which the cumulative hazard is at least `target`."""
        found = np.full(len(target), window)
        is_open = np.ones(len(target), dtype=np.bool_)
        for column in range(self.booked_days.shape[1] + 1):
            reached = self._smooth_reached(target - column * self.booked_hazard)
            if column:
                reached = np.maximum(reached, self.booked_days[:, column - 1])
            before_next = np.ones(len(target), dtype=np.bool_)
            if column < self.booked_days.shape[1]:
                before_next = reached < self.booked_days[:, column]
            found = np.where(is_open & before_next, np.minimum(reached, window), found)
            is_open &= ~before_next
        return found

    def _smooth_reached(self, target: Floats) -> Floats:
        grid, hazard = self.grid, self.hazard
        column = np.clip(np.count_nonzero(hazard < target[:, None], axis=1), 1, len(grid) - 1)
        row = np.arange(len(hazard))
        low, high = hazard[row, column - 1], hazard[row, column]
        rise = np.where(high > low, high - low, 1.0)
        share = np.clip((target - low) / rise, 0, 1)
        result: Floats = grid[column - 1] + share * (grid[column] - grid[column - 1])
        return result


def curves(
    parameters: ModelParameters, states: VisitStates, days_since_last: Floats, longest: int
) -> SurvivalCurves:
    """Returns the curves of customers by their last visit, without bookings, for at least `longest` days ahead."""
    grid = grid_to(longest)
    repeats, span = states.repeats.astype(np.float64), states.span.astype(np.float64)
    ahead = days_since_last[:, None] + grid[None, :]
    log_none = purchase_model.log_no_visit(parameters.purchase, repeats[:, None], span[:, None], ahead)
    hazard = log_none[:, :1] - log_none
    share = parameters.hazard_share
    if share > 0:
        middles = [days_since_last + middle for middle in (grid[1:] + grid[:-1]) / 2]
        pieces = hazard_model.intensities(parameters.hazard, states, middles) * np.diff(grid)
        hazard *= 1 - share
        hazard[:, 1:] += share * np.cumsum(pieces, axis=1)
    return SurvivalCurves(grid, hazard, np.empty((len(states), 0)), np.zeros(len(states)))
