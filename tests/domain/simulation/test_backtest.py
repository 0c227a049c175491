"""The past replayed: moves, alarms and lapses to the microsecond, and what they add up to."""

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
BY_CHEAP_VISIT = company(
    stage("customer", 1),
    stage("at_risk", 2, rule("appointment_completed", total_amount="<10"), kind="risk"),
)


def asked(
    since: datetime, until: datetime, *, lapse: float = 180, known: datetime | None = None
) -> BacktestSettings:
    return BacktestSettings(since, until, timedelta(days=lapse), known or max(until, day(1_000)), UTC_ZONE)


def replay(terms: BacktestSettings, *told, rulebook: Rulebook = DEFAULT, created_at: datetime | None = None):
    """One customer's replay; of what happens at the end of the range or later, only the first visit is told."""
    replayed = CustomerReplay(terms, rulebook, 7, told[0].occurred_at if created_at is None else created_at)
    came_back_at = None
    for each in told:
        if each.occurred_at < terms.until:
            replayed.tell(each)
        elif came_back_at is None and each.type == "appointment_completed":
            came_back_at = each.occurred_at if each.occurred_at <= terms.known_until else None
    return replayed.finish(came_back_at)


# ---- moves


def test_every_move_is_dated_when_the_rules_would_have_made_it():
    outcome = replay(asked(day(0), day(400)), *appointments(0, 10, 20), event("appointment_missed", day(300)))
    assert outcome == ReplayResult(
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
def test_a_move_at_exactly_the_end_is_outside(until, stage_then):
    outcome = replay(asked(day(0), until), *appointments(0))
    assert outcome.stage == stage_then
    assert len(outcome.alarms) == (stage_then == "at_risk")


@pytest.mark.parametrize(("since", "alarms"), [(day(91), 1), (day(91) + INSTANT, 0)])
def test_a_move_at_exactly_the_beginning_is_inside(since, alarms):
    terms = asked(since, day(100))
    outcome = replay(terms, *appointments(0))
    assert len(outcome.alarms) == alarms
    tally = BacktestTotals(terms, DEFAULT.stage_map)
    tally.add(outcome)
    assert (tally.metrics()["moves"], tally.metrics()["customers_moved"]) == (alarms, alarms)


def test_what_happens_from_the_end_on_moves_nobody():
    before, later = appointments(0), [*appointments(120), event("call_received", day(130), call=300)]
    assert (
        replay(asked(day(0), day(100)), *before, *later).moves
        == replay(asked(day(0), day(100)), *before).moves
    )


def test_a_journey_opens_with_the_first_event_or_the_relationship_whichever_comes_first():
    late = replay(asked(day(0), day(90)), *appointments(5), created_at=day(50))
    early = replay(asked(day(0), day(90)), *appointments(5), created_at=day(2))
    assert (late.opened_at, early.opened_at) == (day(5), day(2))
    assert (
        late.moves == early.moves == [ReplayedMove("prospect", "customer", day(5), "appointment_completed")]
    )


def test_time_passes_for_a_customer_to_whom_nothing_happens():
    rulebook = company(stage("new", 1), stage("old", 2, rule("days_in_stage", days=">=10")))
    outcome = replay(asked(day(0), day(100)), rulebook=rulebook, created_at=day(3))
    assert outcome.moves == [ReplayedMove("new", "old", day(13), "days_in_stage")]


def test_time_passes_between_the_opening_and_the_first_event():
    rulebook = company(stage("new", 1), stage("old", 2, rule("days_in_stage", days=">=10")))
    outcome = replay(asked(day(0), day(100)), *appointments(20), rulebook=rulebook, created_at=day(3))
    assert [move.at for move in outcome.moves] == [day(13)]


def test_nobody_is_replayed_whose_journey_opens_at_the_end_or_later():
    assert replay(asked(day(0), day(100)), *appointments(100)) is None
    assert replay(asked(day(0), day(100)), created_at=day(100) - INSTANT).moves == []


# ---- alarms: a visit on day 0, an alarm on day 91, a lapse on day 180; the range ends on day 120


@pytest.mark.parametrize(
    ("next_visit", "known", "verdict", "back_after"),
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
def test_an_alarm_is_judged_by_what_its_silence_came_to(next_visit, known, verdict, back_after):
    later = [] if next_visit is None else [event("appointment_completed", next_visit)]
    outcome = replay(asked(day(0), day(120), known=known), *appointments(0), *later)
    assert outcome.alarms == [RiskAlarm(day(91), verdict, back_after)]


def test_who_comes_a_microsecond_before_raises_no_alarm():
    assert (
        replay(
            asked(day(0), day(120)), *appointments(0), event("appointment_completed", day(91) - INSTANT)
        ).alarms
        == []
    )


def test_going_on_from_at_risk_to_churned_is_no_alarm_and_coming_back_begins_a_new_silence():
    outcome = replay(asked(day(0), day(400)), *appointments(0, 200))
    assert [move.to_stage for move in outcome.moves] == [
        *("customer", "at_risk", "churned", "customer", "at_risk", "churned"),
    ]
    assert [alarm.at for alarm in outcome.alarms] == [day(91), day(291)]


def test_an_alarm_after_the_silence_has_lapsed_is_late_and_no_use():
    outcome = replay(asked(day(0), day(120), lapse=60), *appointments(0, 110))
    assert outcome.alarms == [RiskAlarm(day(91), AlarmOutcome.LATE)]
    assert outcome.lapses == [CustomerLapse(day(60), None, was_at_risk=False)]


def test_an_alarm_at_the_very_lapse_is_in_time():
    outcome = replay(asked(day(0), day(120), lapse=91), *appointments(0))
    assert outcome.alarms == [RiskAlarm(day(91), AlarmOutcome.CONFIRMED)]
    assert outcome.lapses == [CustomerLapse(day(91), day(91), was_at_risk=False)]


def test_visit_lapse_and_alarm_at_one_instant_are_a_lapse_with_an_alarm_and_then_a_return():
    outcome = replay(asked(day(0), day(120), lapse=91), *appointments(0, 91))
    assert outcome.alarms == [RiskAlarm(day(91), AlarmOutcome.CONFIRMED)]
    assert outcome.lapses == [CustomerLapse(day(91), day(91), was_at_risk=False)]
    assert outcome.stage == "customer"


def test_an_alarm_raised_by_a_visit_belongs_to_the_silence_that_begins_with_it():
    told = [*appointments(0, amount="50"), *appointments(20, amount="5"), *appointments(70, amount="50")]
    outcome = replay(asked(day(0), day(300), lapse=100), *told, rulebook=BY_CHEAP_VISIT)
    assert outcome.alarms == [RiskAlarm(day(20), AlarmOutcome.RETURNED, 50 * DAY)]
    assert outcome.lapses == [CustomerLapse(day(170), None, was_at_risk=False)]


def test_of_two_visits_at_one_instant_the_alarm_between_them_is_returned_at_once():
    told = [*appointments(0, amount="50"), *appointments(20, amount="5"), *appointments(20, amount="50")]
    outcome = replay(asked(day(0), day(40), lapse=100), *told, rulebook=BY_CHEAP_VISIT)
    assert outcome.alarms == [RiskAlarm(day(20), AlarmOutcome.RETURNED, 0 * DAY)]


# ---- lapses: a visit on day 0, a lapse on day 180


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
    assert len(replay(asked(since, until), *appointments(0)).lapses) == lapses


@pytest.mark.parametrize(
    ("next_visit", "lapses"),
    [(day(180) - INSTANT, 0), (day(180), 1), (day(180) + INSTANT, 1)],
)
def test_whoever_comes_back_at_the_very_lapse_has_lapsed(next_visit, lapses):
    told = [*appointments(0), event("appointment_completed", next_visit)]
    assert len(replay(asked(day(0), day(200)), *told).lapses) == lapses


def test_an_alarm_before_the_range_is_had_when_the_customer_lapses_within_it():
    outcome = replay(asked(day(100), day(200)), *appointments(0))
    assert outcome.alarms == []
    assert outcome.lapses == [CustomerLapse(day(180), day(91), was_at_risk=False)]


def test_an_alarm_of_an_earlier_silence_is_not_had():
    outcome = replay(asked(day(0), day(400), lapse=60), *appointments(0, 92))
    assert outcome.lapses == [
        CustomerLapse(day(60), None, was_at_risk=False),
        CustomerLapse(day(152), None, was_at_risk=False),
    ]


def test_who_stays_at_risk_through_a_visit_lapses_without_an_alarm_and_is_told_apart():
    told = [
        *appointments(0),
        *(event("appointment_missed", day(number)) for number in (1, 2, 3)),
        *appointments(10),
    ]
    outcome = replay(asked(day(0), day(200), lapse=100), *told, rulebook=BY_MISSED_RATE)
    assert outcome.alarms == [RiskAlarm(day(1), AlarmOutcome.RETURNED, 9 * DAY)]
    assert outcome.lapses == [CustomerLapse(day(110), None, was_at_risk=True)]


def test_no_one_lapses_before_the_first_visit():
    outcome = replay(asked(day(0), day(400)), event("call_received", day(0), call=300))
    assert (outcome.alarms, outcome.lapses) == ([], [])


# ---- what it adds up to


def test_the_figures_of_a_few_customers():
    terms = asked(day(0), day(200))
    tally = BacktestTotals(terms, DEFAULT.stage_map)
    for told in (
        appointments(0),
        appointments(0, 100),
        appointments(0, 120),
        appointments(0, 10, 20),
        appointments(150),
    ):
        tally.add(replay(terms, *told))
    assert tally.customers == 5
    assert tally.metrics() == {
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
        "lapses": {"total": 1, "alarmed": 1, "at_risk_already": 0},
        "precision": 0.6,
        "recall": 1.0,
        "lead_time_days": {"median": 89.0, "p90": 89.0, "mean": 89.0},
        "return_days": {"median": 19.0},
    }


def test_without_anybody_there_are_no_rates_and_no_times():
    metrics = BacktestTotals(asked(day(0), day(40)), DEFAULT.stage_map, has_samples=True).metrics()
    assert (metrics["precision"], metrics["recall"]) == (None, None)
    assert metrics["lead_time_days"] == {"median": None, "p90": None, "mean": None}
    assert metrics["return_days"] == {"median": None}
    assert set(metrics["stages"].values()) == {0}
    assert (metrics["matrix"], metrics["samples"]) == ([], [])


def test_rates_are_rounded_half_up_to_four_decimals_and_late_alarms_count_for_precision_only():
    terms = asked(day(0), day(200), lapse=60)
    tally = BacktestTotals(terms, DEFAULT.stage_map)
    for told in (appointments(0), appointments(0), appointments(0, 95)):
        tally.add(replay(terms, *told))
    early = asked(day(0), day(200), lapse=120)
    other = BacktestTotals(early, DEFAULT.stage_map)
    for told in (appointments(0), appointments(0), appointments(0, 95, 96)):
        other.add(replay(early, *told))
    metrics = tally.metrics()
    assert metrics["alarms"] == {"raised": 4, "confirmed": 4, "late": 4, "returned": 0, "open": 0}
    assert (metrics["precision"], metrics["recall"]) == (1.0, 0.0)
    assert other.metrics()["alarms"] == {"raised": 4, "confirmed": 3, "late": 0, "returned": 1, "open": 0}
    assert (other.metrics()["precision"], other.metrics()["recall"]) == (0.75, 1.0)
    third = BacktestTotals(early, DEFAULT.stage_map)
    for told in (appointments(0), appointments(0, 95), appointments(0, 95)):
        third.add(replay(asked(day(0), day(150), lapse=120, known=day(180)), *told))
    assert third.metrics()["precision"] == 0.3333


def test_a_month_is_that_of_where_the_company_is():
    terms = BacktestSettings(day(0), day(90), 180 * DAY, day(90), ZoneInfo("America/Sao_Paulo"))
    tally = BacktestTotals(terms, DEFAULT.stage_map)
    for at in (datetime(2026, 2, 1, 2, 59, tzinfo=UTC), datetime(2026, 2, 1, 3, tzinfo=UTC)):
        tally.add(replay(terms, event("appointment_completed", at)))
    assert tally.metrics()["months"] == {
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
def test_every_month_that_the_range_touches_is_told(since, until, months):
    assert asked(since, until).months == months


def test_ten_years_have_at_most_a_hundred_and_twenty_one_months():
    assert len(asked(datetime(2010, 1, 31, tzinfo=UTC), datetime(2020, 1, 31, tzinfo=UTC)).months) == 121


def test_a_pair_of_stages_names_five_customers_each_once():
    terms = asked(day(0), day(500))
    tally = BacktestTotals(terms, DEFAULT.stage_map, has_samples=True)
    for number in range(8):
        outcome = replay(terms, *appointments(0, 100, 200 + number))
        tally.add(outcome._replace(customer_id=number))
    samples = [
        (sample["customer_id"], sample["at"], sample["trigger_event"])
        for sample in tally.metrics()["samples"]
        if (sample["from_stage"], sample["to_stage"]) == ("customer", "at_risk")
    ]
    assert samples == [(number, day(91).isoformat(), "days_since_last_appointment") for number in range(5)]


def test_a_tally_taken_down_and_restored_goes_on_as_if_nothing_had_happened():
    terms = asked(day(0), day(400), lapse=100)
    histories = [
        appointments(0),
        appointments(0, 95),
        appointments(0, 7, 120.5),
        appointments(3, 250),
        appointments(5, 99, 200),
    ]
    straight = BacktestTotals(terms, DEFAULT.stage_map, has_samples=True)
    resumed = BacktestTotals(terms, DEFAULT.stage_map, has_samples=True)
    for number, told in enumerate(histories):
        outcome = replay(terms, *told)._replace(customer_id=number)
        straight.add(outcome)
        resumed.add(outcome)
        known = json.loads(json.dumps(resumed.to_json()))
        resumed = BacktestTotals(terms, DEFAULT.stage_map, has_samples=True)
        resumed.restore(known)
    assert resumed.metrics() == straight.metrics()
    assert resumed.to_json() == straight.to_json()


# ---- spans of time


def spans(*days: float, lapse: float = 180) -> DurationHistogram:
    counted = DurationHistogram(timedelta(days=lapse))
    for each in days:
        counted.add(timedelta(days=each))
    return counted


@pytest.mark.parametrize(
    ("counted", "median", "p90", "mean"),
    [
        (spans(), None, None, None),
        (spans(0), 0.0, 0.0, 0.0),
        (spans(1, 2), 1.5, 1.9, 1.5),
        (spans(1, 2, 4, 8), 3.0, 6.8, 3.8),
        (spans(0.04, 0.05), 0.1, 0.1, 0.1),
        (spans(0.04, 0.04), 0.0, 0.0, 0.0),
        (spans(89, 89, 89), 89.0, 89.0, 89.0),
        (spans(10.3, 364, lapse=365), 187.2, 328.6, 187.2),
    ],
)
def test_percentiles_are_interpolated_between_tenths_of_a_day(counted, median, p90, mean):
    assert (counted.percentile(50), counted.percentile(90), counted.mean) == (median, p90, mean)


@pytest.mark.parametrize("lapse", [1, 180, 200, 201, 365, 1_999, 3_650])
def test_however_many_spans_there_are_the_buckets_stay_bounded(lapse):
    counted = spans(*(lapse * part / 50_000 for part in range(50_001)), lapse=lapse)
    assert len(counted.counts) <= 2_001
    assert counted.percentile(50) == pytest.approx(lapse / 2, abs=lapse / 4_000 + 0.1)


def test_a_tally_as_full_as_can_be_is_small():
    chance = random.Random(1)
    forms = [stage(f"s{n}", n + 1, kind="progress" if n < 10 else "risk") for n in range(20)]
    terms = asked(day(0), day(3_650), lapse=200, known=day(4_000))
    tally = BacktestTotals(terms, company(*forms).stage_map, has_samples=True)
    pairs = [(a, b) for a in range(20) for b in range(20) if (a < b if (a < 10) is (b < 10) else True)]
    for number in range(3_000):
        moves = [
            ReplayedMove(f"s{a}", f"s{b}", day(chance.randrange(3_650)), "days_since_last_appointment")
            for a, b in chance.sample(pairs, 60)
        ]
        back = [RiskAlarm(day(1), AlarmOutcome.RETURNED, chance.random() * 200 * DAY) for _ in range(8)]
        lapses = [CustomerLapse(day(200), day(chance.random() * 200), was_at_risk=False) for _ in range(8)]
        tally.add(ReplayResult(9 * 10**18 + number, day(0), "s1", moves, back, lapses))
    metrics = tally.metrics()
    assert len(metrics["matrix"]) == len(pairs) == 290
    assert len(metrics["samples"]) == 5 * 290
    assert len(tally._lead.counts) == len(tally._back.counts) == 2_001
    size = len(json.dumps(tally.to_json(), separators=(",", ":")))
    print(f"as full as can be, a tally is {size:,} bytes")
    assert size < 150_000


# ---- the comparison would notice


def test_an_end_that_counted_as_inside_would_be_noticed(monkeypatch):
    monkeypatch.setattr(BacktestSettings, "covers", lambda terms, at: terms.since <= at <= terms.until)
    with pytest.raises(AssertionError):
        test_a_lapse_counts_if_it_lies_within_the_range(day(0), day(180), 0)
    print("guard removed: detected")


def test_a_silence_that_forgot_its_first_visit_would_be_noticed(monkeypatch):
    tell = CustomerReplay.tell

    def forgetful(replayed: CustomerReplay, told) -> None:
        before = replayed._last_visit
        tell(replayed, told)
        replayed._last_visit = before or replayed._last_visit

    monkeypatch.setattr(CustomerReplay, "tell", forgetful)
    with pytest.raises(AssertionError):
        test_the_figures_of_a_few_customers()
    print("guard removed: detected")
