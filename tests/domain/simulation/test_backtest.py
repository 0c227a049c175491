"""Back-test: moves, alarms and lapses to the microsecond, and their totals."""

import json
import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.builders import DAY, DEFAULT, INSTANT, appointments, company, day, event, rule, stage
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.backtest import (
    AlarmOutcome,
    BacktestSettings,
    CustomerLapse,
    CustomerReplay,
    ReplayedMove,
    ReplayResult,
    RiskAlarm,
)
from journey_service.domain.simulation.backtest_totals import BacktestTotals, DurationHistogram

UTC_ZONE = ZoneInfo("UTC")
BY_MISSED_RATE = company(
    stage("customer", 1),
    stage("at_risk", 2, rule("missed_rate", rate=">=0.5"), kind="risk"),
)
BY_CHEAP_APPOINTMENT = company(
    stage("customer", 1),
    stage("at_risk", 2, rule("appointment_completed", total_amount="<10"), kind="risk"),
)


def new_settings(
    since: datetime, until: datetime, *, lapse: float = 180, known_until: datetime | None = None
) -> BacktestSettings:
    return BacktestSettings(
        since, until, timedelta(days=lapse), known_until or max(until, day(1_000)), UTC_ZONE
    )


def replay(
    settings: BacktestSettings, *events, rulebook: Rulebook = DEFAULT, created_at: datetime | None = None
):
    """Replays one customer; of the events from the end of the range on, only the first appointment matters."""
    replayed = CustomerReplay(
        settings, rulebook, 7, events[0].occurred_at if created_at is None else created_at
    )
    came_back_at = None
    for each in events:
        if each.occurred_at < settings.until:
            replayed.apply_event(each)
        elif came_back_at is None and each.type == "appointment_completed":
            came_back_at = each.occurred_at if each.occurred_at <= settings.known_until else None
    return replayed.finish(came_back_at)


# ---- moves


def test_moves_have_the_time_at_which_the_rules_would_have_made_them():
    result = replay(
        new_settings(day(0), day(400)), *appointments(0, 10, 20), event("appointment_missed", day(300))
    )
    assert result == ReplayResult(
        customer_id=7,
        opened_at=day(0),
        stage="churned",
        moves=[
            ReplayedMove("prospect", "customer", day(0), "appointment_completed"),
            ReplayedMove("customer", "regular", day(20), "appointment_count"),
            ReplayedMove("regular", "at_risk", day(111), "days_since_last_appointment"),
            ReplayedMove("at_risk", "churned", day(201), "days_since_last_appointment"),
        ],
        alarms=[RiskAlarm(day(111), AlarmOutcome.CONFIRMED)],
        lapses=[CustomerLapse(day(200), day(111), was_at_risk=False)],
    )


@pytest.mark.parametrize(
    ("until", "stage_then"),
    [(day(91), "customer"), (day(91) + INSTANT, "at_risk"), (day(91) - INSTANT, "customer")],
)
def test_a_move_at_the_end_of_the_range_is_excluded(until, stage_then):
    result = replay(new_settings(day(0), until), *appointments(0))
    assert result.stage == stage_then
    assert len(result.alarms) == (stage_then == "at_risk")


@pytest.mark.parametrize(("since", "alarms"), [(day(91), 1), (day(91) + INSTANT, 0)])
def test_a_move_at_the_beginning_of_the_range_is_included(since, alarms):
    settings = new_settings(since, day(100))
    result = replay(settings, *appointments(0))
    assert len(result.alarms) == alarms
    totals = BacktestTotals(settings, DEFAULT.stage_map)
    totals.add(result)
    assert (totals.metrics()["moves"], totals.metrics()["customers_moved"]) == (alarms, alarms)


def test_events_from_the_end_on_cause_no_moves():
    before, later = appointments(0), [*appointments(120), event("call_received", day(130), call=300)]
    assert (
        replay(new_settings(day(0), day(100)), *before, *later).moves
        == replay(new_settings(day(0), day(100)), *before).moves
    )


def test_a_journey_opens_with_the_first_event_or_the_relationship_whichever_comes_first():
    late = replay(new_settings(day(0), day(90)), *appointments(5), created_at=day(50))
    early = replay(new_settings(day(0), day(90)), *appointments(5), created_at=day(2))
    assert (late.opened_at, early.opened_at) == (day(5), day(2))
    assert (
        late.moves == early.moves == [ReplayedMove("prospect", "customer", day(5), "appointment_completed")]
    )


def test_time_advances_for_a_customer_without_events():
    rulebook = company(stage("new", 1), stage("old", 2, rule("days_in_stage", days=">=10")))
    result = replay(new_settings(day(0), day(100)), rulebook=rulebook, created_at=day(3))
    assert result.moves == [ReplayedMove("new", "old", day(13), "days_in_stage")]


def test_time_advances_between_the_opening_and_the_first_event():
    rulebook = company(stage("new", 1), stage("old", 2, rule("days_in_stage", days=">=10")))
    result = replay(new_settings(day(0), day(100)), *appointments(20), rulebook=rulebook, created_at=day(3))
    assert [move.at for move in result.moves] == [day(13)]


def test_a_journey_that_opens_at_the_end_or_later_is_not_replayed():
    assert replay(new_settings(day(0), day(100)), *appointments(100)) is None
    assert replay(new_settings(day(0), day(100)), created_at=day(100) - INSTANT).moves == []


# ---- alarms: an appointment on day 0, an alarm on day 91, a lapse on day 180; the range ends on day 120


@pytest.mark.parametrize(
    ("next_appointment", "known_until", "outcome", "returned_after"),
    [
        (day(91), day(500), AlarmOutcome.RETURNED, 0 * DAY),
        (day(100), day(500), AlarmOutcome.RETURNED, 9 * DAY),
        (day(120), day(500), AlarmOutcome.RETURNED, 29 * DAY),
        (day(150), day(500), AlarmOutcome.RETURNED, 59 * DAY),
        (day(180) - INSTANT, day(500), AlarmOutcome.RETURNED, 89 * DAY - INSTANT),
        (day(180), day(500), AlarmOutcome.CONFIRMED, None),
        (day(180) + INSTANT, day(500), AlarmOutcome.CONFIRMED, None),
        (None, day(500), AlarmOutcome.CONFIRMED, None),
        (None, day(180), AlarmOutcome.CONFIRMED, None),
        (None, day(180) - INSTANT, AlarmOutcome.OPEN, None),
        (None, day(120), AlarmOutcome.OPEN, None),
        (day(150), day(150), AlarmOutcome.RETURNED, 59 * DAY),
        (day(150), day(150) - INSTANT, AlarmOutcome.OPEN, None),
    ],
)
def test_the_outcome_of_an_alarm_depends_on_its_inactive_period(
    next_appointment, known_until, outcome, returned_after
):
    later = [] if next_appointment is None else [event("appointment_completed", next_appointment)]
    result = replay(new_settings(day(0), day(120), known_until=known_until), *appointments(0), *later)
    assert result.alarms == [RiskAlarm(day(91), outcome, returned_after)]


def test_an_appointment_a_microsecond_before_the_alarm_prevents_it():
    assert (
        replay(
            new_settings(day(0), day(120)),
            *appointments(0),
            event("appointment_completed", day(91) - INSTANT),
        ).alarms
        == []
    )


def test_a_move_from_at_risk_to_churned_is_no_alarm_and_a_return_starts_a_new_period():
    result = replay(new_settings(day(0), day(400)), *appointments(0, 200))
    assert [move.to_stage for move in result.moves] == [
        *("customer", "at_risk", "churned", "customer", "at_risk", "churned"),
    ]
    assert [alarm.at for alarm in result.alarms] == [day(91), day(291)]


def test_an_alarm_after_the_lapse_is_late():
    result = replay(new_settings(day(0), day(120), lapse=60), *appointments(0, 110))
    assert result.alarms == [RiskAlarm(day(91), AlarmOutcome.LATE)]
    assert result.lapses == [CustomerLapse(day(60), None, was_at_risk=False)]


def test_an_alarm_at_the_lapse_is_in_time():
    result = replay(new_settings(day(0), day(120), lapse=91), *appointments(0))
    assert result.alarms == [RiskAlarm(day(91), AlarmOutcome.CONFIRMED)]
    assert result.lapses == [CustomerLapse(day(91), day(91), was_at_risk=False)]


def test_appointment_lapse_and_alarm_at_one_instant_are_a_confirmed_alarm_and_then_a_returns():
    result = replay(new_settings(day(0), day(120), lapse=91), *appointments(0, 91))
    assert result.alarms == [RiskAlarm(day(91), AlarmOutcome.CONFIRMED)]
    assert result.lapses == [CustomerLapse(day(91), day(91), was_at_risk=False)]
    assert result.stage == "customer"


def test_an_alarm_raised_by_an_appointment_belongs_to_the_period_that_starts_with_it():
    events = [*appointments(0, amount="50"), *appointments(20, amount="5"), *appointments(70, amount="50")]
    result = replay(new_settings(day(0), day(300), lapse=100), *events, rulebook=BY_CHEAP_APPOINTMENT)
    assert result.alarms == [RiskAlarm(day(20), AlarmOutcome.RETURNED, 50 * DAY)]
    assert result.lapses == [CustomerLapse(day(170), None, was_at_risk=False)]


def test_an_alarm_between_two_appointments_at_one_instant_is_returned_at_once():
    events = [*appointments(0, amount="50"), *appointments(20, amount="5"), *appointments(20, amount="50")]
    result = replay(new_settings(day(0), day(40), lapse=100), *events, rulebook=BY_CHEAP_APPOINTMENT)
    assert result.alarms == [RiskAlarm(day(20), AlarmOutcome.RETURNED, 0 * DAY)]


# ---- lapses: an appointment on day 0, a lapse on day 180


@pytest.mark.parametrize(
    ("since", "until", "lapses"),
    [
        (day(180), day(200), 1),
        (day(180) + INSTANT, day(200), 0),
        (day(0), day(180), 0),
        (day(0), day(180) + INSTANT, 1),
    ],
)
def test_a_lapse_counts_if_it_lies_within_the_range(since, until, lapses):
    assert len(replay(new_settings(since, until), *appointments(0)).lapses) == lapses


@pytest.mark.parametrize(
    ("next_appointment", "lapses"),
    [(day(180) - INSTANT, 0), (day(180), 1), (day(180) + INSTANT, 1)],
)
def test_a_customer_who_returns_at_the_lapse_has_lapsed(next_appointment, lapses):
    events = [*appointments(0), event("appointment_completed", next_appointment)]
    assert len(replay(new_settings(day(0), day(200)), *events).lapses) == lapses


def test_an_alarm_before_the_range_counts_for_a_lapse_within_it():
    result = replay(new_settings(day(100), day(200)), *appointments(0))
    assert result.alarms == []
    assert result.lapses == [CustomerLapse(day(180), day(91), was_at_risk=False)]


def test_an_alarm_of_an_earlier_period_does_not_count():
    result = replay(new_settings(day(0), day(400), lapse=60), *appointments(0, 92))
    assert result.lapses == [
        CustomerLapse(day(60), None, was_at_risk=False),
        CustomerLapse(day(152), None, was_at_risk=False),
    ]


def test_a_customer_who_stays_at_risk_after_an_appointment_lapses_without_an_alarm():
    events = [
        *appointments(0),
        *(event("appointment_missed", day(number)) for number in (1, 2, 3)),
        *appointments(10),
    ]
    result = replay(new_settings(day(0), day(200), lapse=100), *events, rulebook=BY_MISSED_RATE)
    assert result.alarms == [RiskAlarm(day(1), AlarmOutcome.RETURNED, 9 * DAY)]
    assert result.lapses == [CustomerLapse(day(110), None, was_at_risk=True)]


def test_there_is_no_lapse_before_the_first_appointment():
    result = replay(new_settings(day(0), day(400)), event("call_received", day(0), call=300))
    assert (result.alarms, result.lapses) == ([], [])


# ---- totals


def test_the_metrics_of_a_few_customers():
    settings = new_settings(day(0), day(200))
    totals = BacktestTotals(settings, DEFAULT.stage_map)
    for events in (
        appointments(0),
        appointments(0, 100),
        appointments(0, 120),
        appointments(0, 10, 20),
        appointments(150),
    ):
        totals.add(replay(settings, *events))
    assert totals.customers == 5
    assert totals.metrics() == {
        "customers_moved": 5,
        "moves": 14,
        "matrix": [
            {"from_stage": "prospect", "to_stage": "customer", "moves": 5, "customers": 5},
            {"from_stage": "customer", "to_stage": "regular", "moves": 1, "customers": 1},
            {"from_stage": "customer", "to_stage": "at_risk", "moves": 4, "customers": 3},
            {"from_stage": "regular", "to_stage": "at_risk", "moves": 1, "customers": 1},
            {"from_stage": "at_risk", "to_stage": "customer", "moves": 2, "customers": 2},
            {"from_stage": "at_risk", "to_stage": "churned", "moves": 1, "customers": 1},
        ],
        "months": {
            "2026-01": {"customer": 4, "regular": 1},
            "2026-02": {},
            "2026-03": {},
            "2026-04": {"customer": 1, "at_risk": 4},
            "2026-05": {"customer": 2},
            "2026-06": {},
            "2026-07": {"at_risk": 1, "churned": 1},
        },
        "stages": {
            **dict.fromkeys(("prospect", "lead", "regular", "vip"), 0),
            "customer": 2,
            "at_risk": 2,
            "churned": 1,
        },
        "alarms": {"raised": 5, "confirmed": 3, "late": 0, "returned": 2, "open": 0},
        "lapses": {"total": 1, "alarmed": 1, "already_at_risk": 0},
        "precision": 0.6,
        "recall": 1.0,
        "lead_time_days": {"median": 89.0, "p90": 89.0, "mean": 89.0},
        "return_days": {"median": 19.0},
    }


def test_without_customers_there_are_no_rates_and_no_durations():
    metrics = BacktestTotals(new_settings(day(0), day(40)), DEFAULT.stage_map, has_samples=True).metrics()
    assert (metrics["precision"], metrics["recall"]) == (None, None)
    assert metrics["lead_time_days"] == {"median": None, "p90": None, "mean": None}
    assert metrics["return_days"] == {"median": None}
    assert set(metrics["stages"].values()) == {0}
    assert (metrics["matrix"], metrics["samples"]) == ([], [])


def test_rates_are_rounded_half_up_to_four_decimals_and_late_alarms_count_for_precision_only():
    settings = new_settings(day(0), day(200), lapse=60)
    totals = BacktestTotals(settings, DEFAULT.stage_map)
    for events in (appointments(0), appointments(0), appointments(0, 95)):
        totals.add(replay(settings, *events))
    early = new_settings(day(0), day(200), lapse=120)
    other = BacktestTotals(early, DEFAULT.stage_map)
    for events in (appointments(0), appointments(0), appointments(0, 95, 96)):
        other.add(replay(early, *events))
    metrics = totals.metrics()
    assert metrics["alarms"] == {"raised": 4, "confirmed": 4, "late": 4, "returned": 0, "open": 0}
    assert (metrics["precision"], metrics["recall"]) == (1.0, 0.0)
    assert other.metrics()["alarms"] == {"raised": 4, "confirmed": 3, "late": 0, "returned": 1, "open": 0}
    assert (other.metrics()["precision"], other.metrics()["recall"]) == (0.75, 1.0)
    third = BacktestTotals(early, DEFAULT.stage_map)
    for events in (appointments(0), appointments(0, 95), appointments(0, 95)):
        third.add(replay(new_settings(day(0), day(150), lapse=120, known_until=day(180)), *events))
    assert third.metrics()["precision"] == 0.3333


def test_months_are_those_of_the_company_s_time_zone():
    settings = BacktestSettings(day(0), day(90), 180 * DAY, day(90), ZoneInfo("America/Sao_Paulo"))
    totals = BacktestTotals(settings, DEFAULT.stage_map)
    for at in (datetime(2026, 2, 1, 2, 59, tzinfo=UTC), datetime(2026, 2, 1, 3, tzinfo=UTC)):
        totals.add(replay(settings, event("appointment_completed", at)))
    assert totals.metrics()["months"] == {
        "2026-01": {"customer": 1},
        "2026-02": {"customer": 1},
        "2026-03": {},
        "2026-04": {},
    }


@pytest.mark.parametrize(
    ("since", "until", "months"),
    [
        (datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), ["2025-12"]),
        (
            datetime(2025, 11, 30, tzinfo=UTC),
            datetime(2026, 1, 1, 0, 0, 0, 1, UTC),
            ["2025-11", "2025-12", "2026-01"],
        ),
    ],
)
def test_every_month_that_overlaps_the_range_is_listed(since, until, months):
    assert new_settings(since, until).months == months


def test_ten_years_have_at_most_a_hundred_and_twenty_one_months():
    assert (
        len(new_settings(datetime(2010, 1, 31, tzinfo=UTC), datetime(2020, 1, 31, tzinfo=UTC)).months) == 121
    )


def test_a_pair_of_stages_lists_five_distinct_customers():
    settings = new_settings(day(0), day(500))
    totals = BacktestTotals(settings, DEFAULT.stage_map, has_samples=True)
    for number in range(8):
        result = replay(settings, *appointments(0, 100, 200 + number))
        totals.add(result._replace(customer_id=number))
    samples = [
        (sample["customer_id"], sample["at"], sample["trigger_event"])
        for sample in totals.metrics()["samples"]
        if (sample["from_stage"], sample["to_stage"]) == ("customer", "at_risk")
    ]
    assert samples == [(number, day(91).isoformat(), "days_since_last_appointment") for number in range(5)]


def test_restored_totals_continue_unchanged():
    settings = new_settings(day(0), day(400), lapse=100)
    histories = [
        appointments(0),
        appointments(0, 95),
        appointments(0, 7, 120.5),
        appointments(3, 250),
        appointments(5, 99, 200),
    ]
    uninterrupted = BacktestTotals(settings, DEFAULT.stage_map, has_samples=True)
    resumed = BacktestTotals(settings, DEFAULT.stage_map, has_samples=True)
    for number, events in enumerate(histories):
        result = replay(settings, *events)._replace(customer_id=number)
        uninterrupted.add(result)
        resumed.add(result)
        stored = json.loads(json.dumps(resumed.to_json()))
        resumed = BacktestTotals(settings, DEFAULT.stage_map, has_samples=True)
        resumed.restore(stored)
    assert resumed.metrics() == uninterrupted.metrics()
    assert resumed.to_json() == uninterrupted.to_json()


# ---- histograms


def histogram_of(*days: float, lapse: float = 180) -> DurationHistogram:
    histogram = DurationHistogram(timedelta(days=lapse))
    for each in days:
        histogram.add(timedelta(days=each))
    return histogram


@pytest.mark.parametrize(
    ("histogram", "median", "p90", "mean"),
    [
        (histogram_of(), None, None, None),
        (histogram_of(0), 0.0, 0.0, 0.0),
        (histogram_of(1, 2), 1.5, 1.9, 1.5),
        (histogram_of(1, 2, 4, 8), 3.0, 6.8, 3.8),
        (histogram_of(0.04, 0.05), 0.1, 0.1, 0.1),
        (histogram_of(0.04, 0.04), 0.0, 0.0, 0.0),
        (histogram_of(89, 89, 89), 89.0, 89.0, 89.0),
        (histogram_of(10.3, 364, lapse=365), 187.2, 328.6, 187.2),
    ],
)
def test_percentiles_are_interpolated_between_tenths_of_a_day(histogram, median, p90, mean):
    assert (histogram.percentile(50), histogram.percentile(90), histogram.mean) == (median, p90, mean)


@pytest.mark.parametrize("lapse", [1, 180, 200, 201, 365, 1_999, 3_650])
def test_the_number_of_buckets_is_bounded(lapse):
    histogram = histogram_of(*(lapse * part / 50_000 for part in range(50_001)), lapse=lapse)
    assert len(histogram.counts) <= 2_001
    assert histogram.percentile(50) == pytest.approx(lapse / 2, abs=lapse / 4_000 + 0.1)


def test_full_totals_are_small():
    rng = random.Random(1)
    definitions = [stage(f"s{n}", n + 1, kind="progress" if n < 10 else "risk") for n in range(20)]
    settings = new_settings(day(0), day(3_650), lapse=200, known_until=day(4_000))
    totals = BacktestTotals(settings, company(*definitions).stage_map, has_samples=True)
    pairs = [(a, b) for a in range(20) for b in range(20) if (a < b if (a < 10) is (b < 10) else True)]
    for number in range(3_000):
        moves = [
            ReplayedMove(f"s{a}", f"s{b}", day(rng.randrange(3_650)), "days_since_last_appointment")
            for a, b in rng.sample(pairs, 60)
        ]
        back = [RiskAlarm(day(1), AlarmOutcome.RETURNED, rng.random() * 200 * DAY) for _ in range(8)]
        lapses = [CustomerLapse(day(200), day(rng.random() * 200), was_at_risk=False) for _ in range(8)]
        totals.add(ReplayResult(9 * 10**18 + number, day(0), "s1", moves, back, lapses))
    metrics = totals.metrics()
    assert len(metrics["matrix"]) == len(pairs) == 290
    assert len(metrics["samples"]) == 5 * 290
    assert len(totals._lead.counts) == len(totals._returns.counts) == 2_001
    size = len(json.dumps(totals.to_json(), separators=(",", ":")))
    print(f"full totals: {size:,} bytes")
    assert size < 150_000


# ---- defects are detected


def test_including_the_end_of_the_range_would_be_detected(monkeypatch):
    monkeypatch.setattr(
        BacktestSettings, "covers", lambda settings, at: settings.since <= at <= settings.until
    )
    with pytest.raises(AssertionError):
        test_a_lapse_counts_if_it_lies_within_the_range(day(0), day(180), 0)
    print("guard removed: detected")


def test_keeping_the_first_appointment_would_be_detected(monkeypatch):
    apply_event = CustomerReplay.apply_event

    def forgetful(replayed: CustomerReplay, event) -> None:
        before = replayed._last_appointment
        apply_event(replayed, event)
        replayed._last_appointment = before or replayed._last_appointment

    monkeypatch.setattr(CustomerReplay, "apply_event", forgetful)
    with pytest.raises(AssertionError):
        test_the_metrics_of_a_few_customers()
    print("guard removed: detected")
