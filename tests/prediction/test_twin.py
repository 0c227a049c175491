"""The prediction of one customer without numpy is that of the package, and stays right as time passes."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from journey_service.domain.journeys.facts import MAX_KEPT_TIMES, Facts
from journey_service.domain.journeys.prediction.curve import GRID, survival_curve
from journey_service.domain.journeys.prediction.outlook import predict_hazards, predict_outlook
from journey_service.domain.journeys.prediction.parameters import ChurnModel, ChurnParameters
from journey_service.domain.journeys.prediction.quality import CalibrationMonth, calibration_bins
from journey_service.domain.journeys.prediction.score import churn_probability
from journey_service.domain.journeys.prediction.visit_state import visit_state
from journey_service.prediction import explanation
from journey_service.prediction import survival_curve as vectorised
from journey_service.prediction.bookings import OpenBookings
from journey_service.prediction.company_fit import CompanyHistory, fit_company
from journey_service.prediction.parameters import MODEL_VERSION, ModelParameters
from journey_service.prediction.scoring import curves_at, predict
from journey_service.prediction.visit_history import last_states
from prediction.datasets import TODAY, Event, histories, regulars

DATE = date.fromordinal(TODAY)
NOW = datetime(DATE.year, DATE.month, DATE.day, 15, tzinfo=UTC)
CUSTOMERS = 250
DAILY: list[Event] = [(CUSTOMERS, TODAY - 2 * number, 1_000, True) for number in range(MAX_KEPT_TIMES + 20)]
EVENTS = regulars(CUSTOMERS) + DAILY
BOOKED = [
    (customer, TODAY + 3 + customer % 40 + more) for customer in range(0, CUSTOMERS, 3) for more in (0, 9)
]
MADE = [(customer, TODAY - 30, day) for customer, day in BOOKED]


def at(day: int) -> datetime:
    return datetime.fromordinal(day).replace(hour=10, tzinfo=UTC)


def facts_of(customer: int, bookings: list[tuple[int, int]]) -> Facts:
    own = [event for event in EVENTS if event[0] == customer]
    visits = sorted(at(day) for _, day, _, is_completed in own if is_completed)
    misses = sorted(at(day) for _, day, _, is_completed in own if not is_completed)
    return Facts(
        total_appointments=len(visits),
        total_missed=len(misses),
        appointments_cents=sum(cents for _, _, cents, is_completed in own if is_completed),
        first_appointment_at=visits[0] if visits else None,
        last_appointment_at=visits[-1] if visits else None,
        completed=tuple(visits[-MAX_KEPT_TIMES:]),
        missed=tuple(misses[-MAX_KEPT_TIMES:]),
        open_bookings=tuple(sorted(at(day) for each, day in bookings if each == customer)),
    )


@pytest.mark.parametrize("bookings", [[], BOOKED], ids=["no bookings", "bookings"])
@pytest.mark.parametrize("churn_days", [180, 60, 500])
def test_one_customer_without_numpy_equals_the_package(bookings, churn_days):
    fitted = fit_company(CompanyHistory(CUSTOMERS + 1, DATE, EVENTS, MADE if bookings else []))
    parameters = ModelParameters.from_json(fitted.parameters)
    model = ChurnModel(1, ChurnParameters.from_json(fitted.parameters), UTC, churn_days, 100)
    assert model.parameters.basis == parameters.basis.value == "blend"
    states = last_states(histories(EVENTS))
    ahead = OpenBookings(*np.array(sorted(bookings)).T) if bookings else None
    found = predict(parameters, states, TODAY, churn_days=churn_days, open_bookings=ahead)
    hazards = curves_at(parameters, states, TODAY, 365, ahead)
    reasons = explanation.explain(parameters.hazard, states, (TODAY - states.last_day).astype(np.float64))
    foreseen = 0

    for row, customer in enumerate(found.customer):
        facts = facts_of(customer, bookings)
        if customer == CUSTOMERS:  # more visits than facts keep one by one
            assert visit_state(facts, UTC).visits == states.visits[row] == MAX_KEPT_TIMES + 20
        mine = predict_outlook(model, facts, NOW)
        for name in ("churn_probability", "p_return_30", "p_return_90", "still_customer_probability"):
            assert getattr(mine, name) == pytest.approx(getattr(found, name)[row], abs=1e-9), name
        assert abs(mine.next_visit_date.toordinal() - found.next_visit_day[row]) <= 1
        day = found.forecast_churn_day[row]
        assert (mine.forecast_churn_date is None) == bool(np.isnan(day))
        if mine.forecast_churn_date is not None:
            foreseen += 1
            assert abs(mine.forecast_churn_date.toordinal() - day) <= 1
        assert [(each.code, pytest.approx(each.effect)) for each in mine.explanation] == [
            (each.code, each.effect) for each in reasons[row]
        ]
        values = predict_hazards(model, facts, NOW)
        expected = [float(hazards.cumulative(day)[row]) for day in GRID]
        assert values == pytest.approx(expected, abs=1e-9)
        stored = churn_probability(model, facts, NOW, values, NOW)
        if churn_days <= GRID[-1] and not bookings:
            assert float(stored) == pytest.approx(mine.churn_probability, abs=1e-3)
    assert foreseen > CUSTOMERS / 2
    assert fitted.quality["model"]["customers"] > 100
    assert fitted.is_shown == (
        fitted.quality["model"]["log_loss"] <= fitted.quality["kaplan_meier"]["log_loss"]
    )


def test_without_a_visit_nothing_is_predicted_and_other_versions_are_not_read():
    empty = fit_company(CompanyHistory(0, DATE, []))
    parameters = ChurnParameters.from_json(empty.parameters)
    model = ChurnModel(1, parameters, UTC, 180, 100)
    assert (parameters.basis, empty.quality, empty.is_shown) == ("prior", None, True)
    assert predict_outlook(model, Facts(), NOW) is predict_hazards(model, Facts(), NOW) is None
    once = Facts(1, first_appointment_at=NOW, last_appointment_at=NOW, completed=(NOW,))
    assert predict_outlook(model, once, NOW).churn_probability == pytest.approx(0.4, abs=0.01)
    assert predict_outlook(model, once, NOW).explanation == ()
    assert ChurnParameters.from_json({**empty.parameters, "version": MODEL_VERSION + 1}) is None
    assert survival_curve(parameters, visit_state(once, UTC), 0, 400).grid == tuple(vectorised.grid_to(400))


def test_a_stored_curve_is_conditional_on_the_days_without_a_visit():
    """The stored chance rises from day to day to 1, as the curve computed on that day does."""
    model = ChurnModel(
        1,
        ChurnParameters.from_json(fit_company(CompanyHistory(CUSTOMERS + 1, DATE, EVENTS)).parameters),
        UTC,
        180,
        100,
    )
    facts = Facts(
        1, first_appointment_at=NOW, last_appointment_at=NOW, completed=(NOW,), appointments_cents=4_000
    )
    values = predict_hazards(model, facts, NOW)
    later = [NOW + timedelta(days=days) for days in (0, 30, 90, 150, 179, 180, 900)]
    chances = [float(churn_probability(model, facts, NOW, values, now)) for now in later]
    assert chances == sorted(chances)
    assert chances[-2:] == [1, 1]
    for now, chance in zip(later, chances, strict=True):
        assert chance == pytest.approx(predict_outlook(model, facts, now).churn_probability, abs=0.02)


def test_calibration_has_bins_of_equally_many_customers():
    predictions = [(number / 100, number >= 50) for number in range(100)]
    month = CalibrationMonth(DATE.replace(day=1), 100, calibration_bins(predictions[::-1]))
    assert [each.customers for each in month.bins] == [10] * 10
    assert (month.realised, month.is_pending) == (0.5, False)
    assert month.predicted == pytest.approx(0.495)
    assert month.calibration_error == pytest.approx(0.25)
    assert CalibrationMonth(DATE, 3).predicted is None
    assert [each.customers for each in calibration_bins(predictions[:3])] == [1, 1, 1]
