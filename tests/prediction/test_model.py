"""Properties of the model: finite, monotone, between 0 and 1, and independent of order, for any histories."""

import json
import math
import random
from dataclasses import asdict, astuple, replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_service.domain.events.event import EARLIEST, LATEST
from journey_service.domain.journeys.rhythm import ratio_hundredths, ratio_reached_at, usual_log_gap
from journey_service.prediction import explanation, fitting, hazard_fit, hazard_model, purchase_model
from journey_service.prediction.bookings import BookingEffect, BookingRecords
from journey_service.prediction.parameters import ModelBasis, ModelParameters
from journey_service.prediction.quality import kaplan_meier, own_history
from journey_service.prediction.scoring import (
    MAX_FORECAST_DAYS,
    curves_at,
    predict,
)
from journey_service.prediction.visit_history import (
    EarlierVisits,
    VisitHistories,
    all_states,
    last_states,
    rhythm,
)
from prediction.datasets import TODAY, Event, histories, regulars
from profiles import examples

DATE = date.fromordinal(TODAY)

DAYS_OF_ALL_EVENTS = (LATEST - EARLIEST).days
events_of_few = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.one_of(st.integers(TODAY - 60, TODAY), st.sampled_from([1, TODAY - 20_000, TODAY])),
        st.sampled_from([0, 0, 1, 4_990, 10**12]),
        st.sampled_from([True, True, True, False]),
    ),
    max_size=60,
)


@pytest.fixture(scope="module")
def salon() -> VisitHistories:
    """The histories of 400 customers."""
    return histories(regulars(400))


@pytest.fixture(scope="module")
def fitted(salon) -> ModelParameters:
    """The model of the 400 customers."""
    return fitting.fit(salon, TODAY, DATE)


def check(parameters: ModelParameters, past: VisitHistories) -> None:
    states = last_states(past)
    records = BookingRecords(
        np.zeros(2, dtype=np.int64), np.full(2, TODAY - 1), np.array([TODAY + 3, TODAY + 40])
    )
    effect = replace(parameters, bookings=BookingEffect(0.6, 0.2))
    for model, bookings in ((parameters, None), (effect, records.open_at(TODAY))):
        curves = curves_at(model, states, TODAY, 400, bookings)
        survival = np.array([curves.survival(days) for days in range(401)])
        assert np.all(np.isfinite(survival))
        assert np.all((survival >= 0) & (survival <= 1))
        assert np.all(np.diff(survival, axis=0) <= 0)
        assert np.all(survival[0] == 1)
        found = predict(model, states, TODAY, churn_days=180, open_bookings=bookings)
        for name, values in asdict(found).items():
            assert len(values) == len(states), name
            if name != "forecast_churn_day":
                assert np.all(np.isfinite(values)), name
            if name.startswith("p_") or name.endswith("_probability"):
                assert np.all((values >= 0) & (values <= 1)), name
        assert np.all(found.p_return_30 <= found.p_return_90)
        assert np.all(found.next_visit_day > TODAY)
        likely = found.churn_probability >= 0.5
        assert np.array_equal(found.forecast_churn_day[likely], states.last_day[likely] + 181)
        foreseen = found.forecast_churn_day[~likely & np.isfinite(found.forecast_churn_day)]
        assert np.all((foreseen > TODAY + 180) & (foreseen <= TODAY + MAX_FORECAST_DAYS))
    assert np.all(np.isfinite(explanation.group_effects(parameters.hazard, states, TODAY - states.last_day)))


@settings(max_examples=examples(25))
@given(events_of_few)
def test_any_histories_give_finite_monotone_probabilities(events):
    past = histories(events, customers=8)
    check(fitting.fit(past, TODAY, DATE), past)


@pytest.mark.parametrize(
    ("events", "basis"),
    [
        ([], ModelBasis.PRIOR),
        ([(0, TODAY - 3, 0, False)], ModelBasis.PRIOR),
        ([(0, TODAY - 3, 0, True)], ModelBasis.PURCHASE_MODEL),
        ([(each, TODAY, 0, True) for each in range(30)], ModelBasis.PURCHASE_MODEL),
        ([(each, TODAY - 400, 0, True) for each in range(30)], ModelBasis.PURCHASE_MODEL),
        (regulars(30), ModelBasis.BLEND),
        ([(0, TODAY - 10 * each, 0, True) for each in range(90)], ModelBasis.BLEND),
        (
            [(each, TODAY - year * 7_000, 0, True) for each in range(30) for year in range(3)],
            ModelBasis.BLEND,
        ),
    ],
)
def test_little_or_strange_data_says_what_the_prediction_rests_on(events, basis):
    past = histories(events)
    parameters = fitting.fit(past, TODAY, DATE)
    assert parameters.basis == basis
    assert (parameters.hazard_share > 0) == (basis is ModelBasis.BLEND)
    check(parameters, past)


def test_without_data_a_first_visit_has_the_chance_of_the_prior():
    parameters = fitting.fit(histories([]), TODAY, DATE)
    states = last_states(histories([(0, TODAY, 0, True)]))
    assert curves_at(parameters, states, TODAY, 180).survival(180) == pytest.approx([0.40], abs=0.005)


def test_order_of_events_and_later_events_change_nothing(salon, fitted):
    events = regulars(400)
    random.Random(3).shuffle(events)
    future: list[Event] = [(each, TODAY + 1 + each % 50, 700, each % 3 > 0) for each in range(400)]
    shuffled = fitting.fit(histories(events), TODAY, DATE)
    leaking = fitting.fit(histories(events + future), TODAY, DATE)
    assert shuffled == leaking == fitted
    first = predict(fitted, last_states(salon), TODAY)
    second = predict(leaking, last_states(histories(events + future).until(TODAY)), TODAY)
    assert [part.tobytes() for part in astuple(first)] == [part.tobytes() for part in astuple(second)]


def test_parameters_survive_json(fitted):
    assert ModelParameters.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted
    with pytest.raises(ValueError, match="version 0"):
        ModelParameters.from_json(fitted.to_json() | {"version": 0})


def test_a_sample_has_whole_customers_and_does_not_depend_on_new_ones(salon):
    sampled = fitting.sample(salon, 500)
    visits = np.bincount(salon.visitor)
    assert 400 < len(sampled.visitor) <= 500
    assert set(np.bincount(sampled.visitor)) <= set(visits)
    assert fitting.fit(salon, TODAY, DATE, 500).sampled_visits == len(sampled.visitor)


def test_the_gradient_of_the_purchase_model_is_that_of_its_likelihood():
    rows = np.array([[0, 3, 1, 9], [0, 80, 20, 300], [40, 10, 100, 0]], dtype=np.float64)
    logs, counts = np.log([0.7, 30.0, 0.9, 2.5]), np.array([2.0, 1, 3, 1])
    _, gradient = purchase_model._negative_posterior(logs, rows, counts)
    for index in range(4):
        step = np.eye(4)[index] * 1e-6
        upper, _ = purchase_model._negative_posterior(logs + step, rows, counts)
        lower, _ = purchase_model._negative_posterior(logs - step, rows, counts)
        assert gradient[index] == pytest.approx((upper - lower) / 2e-6, rel=1e-5)


def test_pieces_cover_each_gap_once(salon):
    gaps = hazard_fit.gaps_of(all_states(salon), TODAY)
    rows = hazard_fit.person_periods(gaps)
    covered = np.bincount(rows.gap, rows.exposure, minlength=len(gaps.days))
    assert np.array_equal(covered, gaps.days)
    assert rows.visited.sum() == gaps.is_closed.sum()


@settings(max_examples=examples(40))
@given(events_of_few, st.floats(0, 6))
def test_the_rhythm_without_numpy_is_the_same(events, company):
    past = histories(events, customers=8)
    states = last_states(past)
    for row, customer in enumerate(states.customer):
        days = past.visit_day[past.visitor == customer].tolist()
        usual = usual_log_gap(days + days[:1], company)
        assert usual == rhythm(states, company)[row]
        away, gap = TODAY - days[-1], gap_seconds(days, company)
        reached = ratio_reached_at(EARLIEST, ratio_hundredths(away, gap), gap)
        if reached is None:
            assert away > DAYS_OF_ALL_EVENTS
            continue
        assert ratio_hundredths((reached - EARLIEST).days, gap) == ratio_hundredths(away, gap)
        assert (reached - EARLIEST).days <= away


def gap_seconds(days, company):
    """Returns the usual gap of a customer with visits on these days, in seconds."""
    return round(math.exp(usual_log_gap(days, company)) * 86_400)


def test_the_rhythm_is_the_customers_own_after_some_visits():
    weekly, yearly = [7 * each for each in range(9)], [182 * each for each in range(9)]
    company = math.log(40)
    assert ratio_hundredths(35, gap_seconds(weekly, company)) > 400
    assert ratio_hundredths(91, gap_seconds(yearly, company)) < 60
    assert math.exp(usual_log_gap([5], company)) == pytest.approx(40)


def test_visits_that_are_only_counted_give_the_same_state(salon):
    """A customer with all visits, and one with the newest only and counts of the others."""
    whole = last_states(salon)
    kept = salon.visit_day > TODAY - 200
    newest = replace(
        salon,
        visitor=salon.visitor[kept],
        visit_day=salon.visit_day[kept],
        visit_cents=np.zeros(int(kept.sum()), dtype=np.int64),
    )
    totals = np.bincount(salon.visitor, minlength=400)
    first = np.full(400, TODAY)
    np.minimum.at(first, salon.visitor, salon.visit_day)
    earlier = EarlierVisits(
        totals - np.bincount(newest.visitor, minlength=400),
        np.zeros(400, dtype=np.int64),
        np.bincount(salon.visitor, salon.visit_cents, minlength=400).astype(np.int64),
        first,
    )
    counted = last_states(newest, earlier)
    same = whole.rows(np.isin(whole.customer, counted.customer))
    for name in ("customer", "last_day", "first_day", "visits", "cents", "missed", "first_miss"):
        assert np.array_equal(getattr(counted, name), getattr(same, name)), name


def test_a_miss_counts_before_the_visit_or_after_it():
    past = histories(
        [(0, 10, 0, False), (0, 20, 500, True), (0, 20, 250, True), (0, 26, 0, False), (1, 5, 0, False)]
    )
    states = last_states(past)
    assert states.customer.tolist() == [0]
    assert (states.visits[0], states.cents[0]) == (1, 750)
    assert (states.missed[0], states.missed_after[0], states.first_miss[0]) == (1, 1, 6)


def test_groups_of_the_explanation_add_up_to_the_intensity(salon, fitted):
    states = last_states(salon)
    since = (TODAY - states.last_day).astype(np.float64)
    effects = explanation.group_effects(fitted.hazard, states, since)
    intensity = hazard_model.intensities(fitted.hazard, states, [since + explanation.AHEAD_DAYS])[:, 0]
    company = fitted.hazard.intercept - fitted.hazard.log_offset
    assert effects.sum(axis=1) == pytest.approx(np.log(intensity) - company)
    for row, groups in enumerate(explanation.explain(fitted.hazard, states, since)):
        sizes = [abs(group.effect) for group in groups]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] == np.abs(effects[row]).max()
        assert len({group.code for group in groups}) == explanation.SHOWN_GROUPS


def test_a_booking_raises_the_chance_on_its_day_only(salon, fitted):
    states = last_states(salon)
    effect = replace(fitted, bookings=BookingEffect(0.5, 0.2))
    customer = states.customer[5:6]
    records = BookingRecords(customer, np.array([TODAY]), np.array([TODAY + 10]))
    plain = curves_at(fitted, states, TODAY, 180)
    booked = curves_at(effect, states, TODAY, 180, records.open_at(TODAY))
    assert booked.cumulative(9.0) == pytest.approx(plain.cumulative(9.0) / 2)
    after = booked.cumulative(10.0) - plain.cumulative(10.0) / 2
    assert np.flatnonzero(after > 1e-9).tolist() == [5]
    found = predict(effect, states, TODAY, open_bookings=records.open_at(TODAY))
    assert found.next_visit_day[5] == TODAY + 10
    assert len(records.open_at(TODAY + 10).day) == len(records.open_at(TODAY - 1).day) == 0


def test_the_median_of_a_booked_curve_is_where_half_of_the_returns_are(salon, fitted):
    states = last_states(salon)
    chosen = states.customer[::3]
    ahead = np.tile([4, 33], len(chosen))
    records = BookingRecords(np.repeat(chosen, 2), np.full(len(ahead), TODAY), TODAY + ahead)
    effect = replace(fitted, bookings=BookingEffect(0.7, 0.5))
    curves = curves_at(effect, states, TODAY, 180, records.open_at(TODAY))
    median, half = curves.median_return(180), 0.5 * (1 - curves.survival(180))
    assert np.all(1 - curves.survival(median + 1e-9) >= half - 1e-9)
    assert np.all(1 - curves.survival(np.maximum(median - 1e-6, 0)) <= half + 1e-9)


def test_the_kaplan_meier_curve_is_the_product_of_shares():
    curve = kaplan_meier.fit(np.array([2, 3, 3, 5, 8]), np.array([True, True, False, True, False]))
    ahead = np.array([1.0, 2, 3, 4, 5, 50])
    assert curve.survival(np.zeros(6), ahead) == pytest.approx([1, 0.8, 0.6, 0.6, 0.3, 0.3])
    assert curve.survival(np.full(1, 3.0), np.full(1, 2.0)) == pytest.approx([0.5])


def test_a_company_learns_how_good_its_model_was(salon):
    quality = own_history.back_test(salon, TODAY, DATE)
    assert quality.is_shown == (quality.model.log_loss <= quality.kaplan_meier.log_loss)
    assert quality.model.roc_auc > quality.kaplan_meier.roc_auc
    assert not replace(quality, model=replace(quality.model, log_loss=9.0)).is_shown
    assert sum(part.customers for part in quality.bins) == quality.model.customers
    assert own_history.back_test(histories(regulars(20)), TODAY, DATE) is None
