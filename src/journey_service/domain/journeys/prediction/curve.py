"""The survival curve of one customer: the chance of no visit in the coming days.

The same functions as those of the package `prediction`, for one customer and without numpy.
"""

from bisect import bisect_right
from math import exp, expm1, log, log1p
from typing import Final, NamedTuple

from journey_service.domain.journeys.prediction.parameters import (
    ChurnParameters,
    PurchaseModel,
    RhythmHazard,
)
from journey_service.domain.journeys.prediction.visit_state import VisitState

GRID: Final = (0, 2, 5, 10, 15, 21, 30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 365)
"""Days ahead at which the cumulative hazard is computed; it is linear in between."""
MISSED_PRIOR: Final = 6.0
_MIN_MISSED_RATE: Final = 0.01
_LOG_14: Final = log(14.0)
_LOG_60: Final = log(60.0)
_LATENESS_HINGES: Final = (log(0.7), log(1.3), log(2.5))
_MIN_LATENESS: Final = -3.0
_MAX_REPEATS: Final = 30
_MISS_PRIOR: Final = 3.0


class SurvivalCurve(NamedTuple):
    """Cumulative hazards at the days of `grid`; booked appointments add `booked_hazard` each, on their days.

    The chance of no visit in the next t days is exp(-cumulative(t)).
    """

    grid: tuple[int, ...]
    hazards: tuple[float, ...]
    booked_days: tuple[int, ...] = ()
    booked_hazard: float = 0.0

    def cumulative(self, days: float) -> float:
        """Returns the cumulative hazard at `days` ahead."""
        return interpolated(self.grid, self.hazards, days) + self._booked_until(days)

    def survival(self, days: float) -> float:
        """Returns the chance of no visit in the next `days`."""
        return exp(-self.cumulative(days))

    def median_return(self, window: float) -> float:
        """Returns the days ahead by which half of the returns within `window` days have happened."""
        target = -log1p(0.5 * expm1(-self.cumulative(window)))
        reached = window
        for number in range(len(self.booked_days) + 1):
            reached = self._reached(target - number * self.booked_hazard)
            if number:
                reached = max(reached, self.booked_days[number - 1])
            if number == len(self.booked_days) or reached < self.booked_days[number]:
                break
        return min(reached, window)

    def on_grid(self) -> tuple[float, ...]:
        """Returns the cumulative hazards at the days of GRID, with booked appointments until each of them."""
        return tuple(
            hazard + self._booked_until(day) for day, hazard in zip(GRID, self.hazards, strict=False)
        )

    def _booked_until(self, days: float) -> float:
        return bisect_right(self.booked_days, days) * self.booked_hazard

    def _reached(self, target: float) -> float:
        grid, hazards = self.grid, self.hazards
        below = sum(hazard < target for hazard in hazards)
        column = min(max(below, 1), len(grid) - 1)
        low, high = hazards[column - 1], hazards[column]
        share = (target - low) / (high - low if high > low else 1.0)
        return grid[column - 1] + min(max(share, 0.0), 1.0) * (grid[column] - grid[column - 1])


def interpolated(grid: tuple[int, ...], hazards: tuple[float, ...], days: float) -> float:
    """Returns the cumulative hazard at `days`, linear between the days of the grid and beyond the last one."""
    column = min(max(bisect_right(grid, days) - 1, 0), len(grid) - 2)
    low, high = hazards[column], hazards[column + 1]
    return low + (high - low) * (days - grid[column]) / (grid[column + 1] - grid[column])


def survival_curve(
    parameters: ChurnParameters, state: VisitState, days_since_last: int, longest: int
) -> SurvivalCurve:
    """Returns the curve by the last visit, without bookings, for at least `longest` days ahead."""
    grid = _grid_to(longest)
    purchase = parameters.purchase
    left = purchase.leave_a / (purchase.leave_a + purchase.leave_b + state.repeats)
    shape, scale = purchase.rate_shape + state.repeats, purchase.rate_scale + state.span
    none = [log(left + (1 - left) * exp(-shape * log1p((days_since_last + ahead) / scale))) for ahead in grid]
    hazards = [none[0] - each for each in none]
    share = parameters.hazard_share
    if share > 0:
        intensity = Intensity(parameters.hazard, state)
        total = 0.0
        hazards[0] *= 1 - share
        for column in range(1, len(grid)):
            low, high = grid[column - 1], grid[column]
            total += intensity.at(days_since_last + (low + high) / 2) * (high - low)
            hazards[column] = (1 - share) * hazards[column] + share * total
    return SurvivalCurve(grid, tuple(hazards))


def with_bookings(
    parameters: ChurnParameters, state: VisitState, curve: SurvivalCurve, booked: tuple[int, ...]
) -> SurvivalCurve:
    """Returns the curve with open bookings, as days ahead, and with the company's share of unbooked returns."""
    factor = parameters.unbooked_factor
    missed = state.missed + state.missed_after
    chance = (missed + MISSED_PRIOR * max(parameters.missed_rate, _MIN_MISSED_RATE)) / (
        missed + state.visits + MISSED_PRIOR
    )
    return SurvivalCurve(curve.grid, tuple(factor * hazard for hazard in curve.hazards), booked, -log(chance))


def still_customer(purchase: PurchaseModel, state: VisitState, days_since_last: int) -> float:
    """Returns the chance that the customer has not left for good."""
    left = purchase.leave_a / (purchase.leave_a + purchase.leave_b + state.repeats)
    idle = (1 - left) * exp(_log_idle(purchase, state, days_since_last))
    return idle / (left + idle)


class Intensity:
    """The intensity of the next visit per day, by the days since the last one."""

    def __init__(self, hazard: RhythmHazard, state: VisitState) -> None:
        self._hazard, self._state = hazard, state
        self._rhythm = state.usual_log_gap(hazard.log_gap)
        self._repeated = float(state.repeats > 0)
        self._fixed = (
            self._repeated,
            self._repeated * (self._rhythm - hazard.log_gap),
            log1p(min(state.repeats, _MAX_REPEATS)),
            log1p(max(state.cents, 0) / 100 / state.visits),
            state.missed / (state.missed + state.repeats + _MISS_PRIOR),
        )
        slopes = (*hazard.slopes[3:5], *hazard.slopes[9:12])
        self._constant = hazard.centre + sum(
            slope * value for slope, value in zip(slopes, self._fixed, strict=True)
        )

    def at(self, days: float) -> float:
        """Returns the intensity at `days` since the last visit."""
        slope = self._hazard.slopes
        log_days, above_14, above_60, late, above_0_7, above_1_3, above_2_5, missed = self._changing(days)
        return exp(
            self._constant
            - log(days + self._hazard.usual_gap)
            + slope[0] * log_days
            + slope[1] * above_14
            + slope[2] * above_60
            + slope[5] * late
            + slope[6] * above_0_7
            + slope[7] * above_1_3
            + slope[8] * above_2_5
            + slope[12] * missed
        )

    def features(self, days: float) -> tuple[float, ...]:
        """Returns the 13 features, in the order of the slopes."""
        changing = self._changing(days)
        return (*changing[:3], *self._fixed[:2], *changing[3:7], *self._fixed[2:], changing[7])

    def _changing(self, days: float) -> tuple[float, float, float, float, float, float, float, float]:
        """Returns the features that change with the days: of time, of lateness, and of a miss since."""
        hazard = self._hazard
        present = log(days) if days > 1 else 0.0
        log_days = min(present, log(hazard.max_days))
        above_14, above_60 = max(log_days - _LOG_14, 0.0), max(log_days - _LOG_60, 0.0)
        missed = 1.0 if self._state.first_miss <= days else 0.0
        if not self._repeated:
            return log_days, above_14, above_60, 0.0, 0.0, 0.0, 0.0, missed
        late = min(max(present - self._rhythm, _MIN_LATENESS), hazard.max_lateness)
        return (
            log_days,
            above_14,
            above_60,
            late,
            max(late - _LATENESS_HINGES[0], 0.0),
            max(late - _LATENESS_HINGES[1], 0.0),
            max(late - _LATENESS_HINGES[2], 0.0),
            missed,
        )


def _grid_to(days: int) -> tuple[int, ...]:
    grid: tuple[int, ...] = GRID
    while grid[-1] < days:
        grid = (*grid, grid[-1] * 5 // 4)
    return grid


def _log_idle(purchase: PurchaseModel, state: VisitState, days_since_last: float) -> float:
    return -(purchase.rate_shape + state.repeats) * log1p(
        days_since_last / (purchase.rate_scale + state.span)
    )
