"""The protocol: what is predicted at a cut date, for whom, and what happened.

Everything up to and including the day of the cut is visible, nothing after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np

from journey_service.prediction import fitting
from journey_service.prediction.arrays import Bools, Floats
from journey_service.prediction.parameters import ModelParameters
from journey_service.prediction.quality.metrics import Accuracy, accuracy
from journey_service.prediction.scoring import DEFAULT_CHURN_DAYS, curves_at
from journey_service.prediction.survival_curve import SurvivalCurves
from journey_service.prediction.visit_history import VisitHistories, VisitStates, last_states

ACTIVE_DAYS = 180


@dataclass(frozen=True, slots=True)
class Cell:
    """One prediction task: a data set, a cut date, a horizon in days or the rule, and a population."""

    dataset: str
    cut: date
    horizon: int
    target: str
    population: str

    @classmethod
    def of(cls, values: Mapping[str, object]) -> "Cell":
        """Returns a cell of targets.json."""
        return cls(
            str(values["dataset"]),
            date.fromisoformat(str(values["cut"])),
            int(str(values["horizon"])),
            str(values["target"]),
            str(values["population"]),
        )

    @property
    def label(self) -> str:
        """The horizon as the tables show it."""
        days = "rule" if self.target == "rule" else str(self.horizon)
        return f"{days} active" if self.population == "active" else days


@dataclass(frozen=True)
class Cut:
    """A data set at a cut date: what is known, and what happened later."""

    histories: VisitHistories
    day: date
    known: VisitHistories = field(init=False)
    states: VisitStates = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", self.histories.until(self.today))
        object.__setattr__(self, "states", last_states(self.known))

    @property
    def today(self) -> int:
        """The number of the day."""
        return self.day.toordinal()

    @property
    def since(self) -> Floats:
        """Days since the last visit."""
        return (self.today - self.states.last_day).astype(np.float64)

    @cached_property
    def next_visit_in(self) -> Floats:
        """Days to the next visit of each customer, infinite without one."""
        later = self.histories.visit_day > self.today
        following = np.full(self.histories.customers, np.inf)
        np.minimum.at(
            following, self.histories.visitor[later], self.histories.visit_day[later].astype(np.float64)
        )
        return following[self.states.customer] - self.today

    @cached_property
    def parameters(self) -> ModelParameters:
        """The model fitted on what is known."""
        return fitting.fit(self.known, self.today, self.day)

    @cached_property
    def curves(self) -> SurvivalCurves:
        """The curves of the model."""
        return curves_at(self.parameters, self.states, self.today, ACTIVE_DAYS)

    def horizons(self, cell: Cell) -> Floats:
        """Returns how many days ahead the cell asks for, one number per customer."""
        if cell.target == "rule":
            return np.maximum(DEFAULT_CHURN_DAYS - self.since, 0)
        return np.full(len(self.states), float(cell.horizon))

    def population(self, cell: Cell) -> Bools:
        """Returns which customers belong to the cell. The rule is asked while it has not been met."""
        if cell.target == "rule":
            return self.since < DEFAULT_CHURN_DAYS
        if cell.population == "active":
            return self.since <= ACTIVE_DAYS
        return np.ones(len(self.states), dtype=np.bool_)

    def stayed_away(self, cell: Cell) -> Bools:
        """Returns which customers did not come within the horizon."""
        return self.next_visit_in > self.horizons(cell)

    def judge(self, cell: Cell, predicted: Floats) -> Accuracy:
        """Returns the measures of predictions for all customers, over the population of the cell."""
        chosen = self.population(cell)
        return accuracy(predicted[chosen], self.stayed_away(cell)[chosen])
