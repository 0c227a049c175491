"""The back-test under chance: its figures are those of a brute-force reading made of lists and exact fractions."""

import json
import math
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from domain.builders import DAY, INSTANT, T0
from domain.generators import Company, as_event, companies, default_forms, literal_events, spans
from journey_service.domain.simulation.backtest import (
    AlarmOutcome,
    BacktestSettings,
    CustomerReplay,
    ReplayResult,
)
from journey_service.domain.simulation.backtest_totals import BacktestTotals, DurationHistogram
from oracle import literal
from profiles import examples

UTC_ZONE = ZoneInfo("UTC")
gaps = st.integers(0, 200 * 24).map(lambda hours: timedelta(hours=hours))
DAYS = (1, 30, 60, 90, 91, 120, 180, 181, 365)


@dataclass(frozen=True)
class Story:
    """A company, its customers' events in order, and what is asked of their past."""

    company: Company
    customers: list[list[literal.LiteralEvent]]
    terms: BacktestSettings


@st.composite
def event_histories(draw: st.DrawFn) -> list[literal.LiteralEvent]:
    """One customer's events in the order they occurred, several at one instant among them."""
    at = T0 + draw(st.integers(0, 60)) * DAY
    told = []
    for _ in range(draw(st.integers(1, 9))):
        told.append(replace(draw(literal_events(at)), occurred_at=at))
        at += draw(st.one_of(spans, gaps))
    return told


@st.composite
def stories(draw: st.DrawFn, forms=None) -> Story:
    company = draw(companies(forms))
    customers = draw(st.lists(event_histories(), min_size=1, max_size=4))
    instants = sorted({event.occurred_at for told in customers for event in told})
    edges = st.one_of(
        st.sampled_from(instants).flatmap(lambda at: spans.map(lambda span: at + span)),
        st.integers(0, 700).map(lambda days: T0 + days * DAY),
    )
    since, until = sorted((draw(edges), draw(edges)))
    until = max(until, since + INSTANT)
    terms = BacktestSettings(
        since, until, draw(st.sampled_from(DAYS)) * DAY, until + draw(st.one_of(spans, spans)), UTC_ZONE
    )
    return Story(company, customers, terms)


def outcomes(story: Story) -> list[ReplayResult]:
    """What the service makes of it."""
    found = []
    rulebook = story.company.rulebook
    for number, told in enumerate(story.customers):
        replayed = CustomerReplay(story.terms, rulebook, number, told[0].occurred_at)
        for place, event in enumerate(told):
            if event.occurred_at < story.terms.until:
                replayed.tell(as_event(event, place))
        outcome = replayed.finish(_came_back(story.terms, told))
        if outcome is not None:
            found.append(outcome)
    return found


def _came_back(terms: BacktestSettings, told: list[literal.LiteralEvent]) -> datetime | None:
    later = [
        event.occurred_at
        for event in told
        if event.type == "appointment_completed" and terms.until <= event.occurred_at <= terms.known_until
    ]
    return min(later, default=None)


def tallied(story: Story) -> BacktestTotals:
    tally = BacktestTotals(story.terms, story.company.rulebook.stage_map, has_samples=True)
    for outcome in outcomes(story):
        tally.add(outcome)
    return tally


# ---- by brute force


@dataclass(frozen=True)
class Read:
    """One move as the oracle made it, and how many visits had been applied when it did."""

    customer: int
    move: literal.LiteralTransition
    visits: int


def read(story: Story, number: int) -> list[Read]:
    """Every move of a customer up to the end of the range, each with its silence.

    The oracle is asked again and again: with the first event, with the first two, ... each time up to the next
    one, so that what is new was moved after exactly so many events.
    """
    end = story.terms.until - INSTANT
    steps = [
        operation
        for operation in literal.import_operations(enumerate(story.customers[number]), end)
        if isinstance(operation, literal.ApplyEvent)
    ]
    found: list[Read] = []
    for count in range(1, len(steps) + 1):
        upto = steps[count].now if count < len(steps) else end
        made = story.company.oracle.run(steps[:count], upto).transitions
        visits = sum(step.event.type == "appointment_completed" for step in steps[:count])
        # A move made at the next event's own instant is made without it here, and stays made with it.
        found += [Read(number, move, visits) for move in made[len(found) :]]
    return found


def figures_by_brute_force(story: Story) -> dict[str, object]:
    """The figures, from lists."""
    terms, oracle_map = story.terms, story.company.oracle.map
    active = sorted(oracle_map.stages.values(), key=lambda stage: stage.order)
    is_risk = {stage.key: stage.kind == "risk" for stage in active}
    read_of = {number: read(story, number) for number in range(len(story.customers))}
    moves = [
        each
        for reads in read_of.values()
        for each in reads
        if each.move.from_stage is not None and terms.since <= each.move.at < terms.until
    ]
    pairs = [(each.move.from_stage, each.move.to_stage) for each in moves]
    order = {stage.key: stage.order for stage in active}
    verdicts: Counter[str] = Counter()
    lapses = alarmed = at_risk_already = 0
    leads: list[timedelta] = []
    backs: list[timedelta] = []
    for number, told in enumerate(story.customers):
        visits = [event.occurred_at for event in told if event.type == "appointment_completed"]
        visits = [at for at in visits if at <= terms.known_until]
        raised = [
            each
            for each in read_of[number]
            if each.move.from_stage is not None
            and is_risk[each.move.to_stage]
            and not is_risk[each.move.from_stage]
        ]
        for place, visit in enumerate(visits):
            if visit >= terms.until:
                break
            following = visits[place + 1] if place + 1 < len(visits) else None
            lapse = visit + terms.lapse
            last_occurrences = (terms.known_until if following is None else following) - visit
            here = [each.move.at for each in raised if each.visits == place + 1]
            for at in here:
                if not terms.since <= at < terms.until:
                    continue
                if last_occurrences >= terms.lapse:
                    verdicts["late" if at > lapse else "confirmed"] += 1
                elif following is None:
                    verdicts["open"] += 1
                else:
                    verdicts["returned"] += 1
                    backs.append(following - at)
            if last_occurrences >= terms.lapse and terms.since <= lapse < terms.until:
                lapses += 1
                in_time = [at for at in here if at <= lapse]
                if in_time:
                    alarmed += 1
                    leads.append(lapse - min(in_time))
                else:
                    before = [e for e in read_of[number] if e.visits <= place + 1 and e.move.at <= lapse]
                    at_risk_already += is_risk[before[-1].move.to_stage]
    confirmed = verdicts["confirmed"] + verdicts["late"]
    width = Fraction(max(1, math.ceil(Fraction(terms.lapse // DAY, 200))), 10)
    return {
        "customers_moved": len({each.customer for each in moves}),
        "moves": len(moves),
        "matrix": [
            {
                "from_stage": start,
                "to_stage": end,
                "moves": pairs.count((start, end)),
                "customers": len(
                    {e.customer for e, pair in zip(moves, pairs, strict=True) if pair == (start, end)}
                ),
            }
            for start, end in sorted(set(pairs), key=lambda pair: [order[key] for key in pair])
        ],
        "months": _months(terms, moves),
        "stages": {
            stage.key: sum(bool(reads) and reads[-1].move.to_stage == stage.key for reads in read_of.values())
            for stage in active
        },
        "alarms": {
            "raised": sum(verdicts.values()),
            "confirmed": confirmed,
            "late": verdicts["late"],
            "returned": verdicts["returned"],
            "open": verdicts["open"],
        },
        "lapses": {"total": lapses, "alarmed": alarmed, "at_risk_already": at_risk_already},
        "precision": _rounded(confirmed, confirmed + verdicts["returned"], 10_000),
        "recall": _rounded(alarmed, lapses, 10_000),
        "lead_time_days": {
            "median": _percentile(leads, width, Fraction(1, 2)),
            "p90": _percentile(leads, width, Fraction(9, 10)),
            "mean": _mean(leads, width),
        },
        "return_days": {"median": _percentile(backs, width, Fraction(1, 2))},
    }


def _months(terms: BacktestSettings, moves: list[Read]) -> dict[str, dict[str, int]]:
    at, months = terms.since, []
    while at < terms.until:
        months.append(f"{at:%Y-%m}")
        at += timedelta(days=1)
    months.append(f"{terms.until - INSTANT:%Y-%m}")
    return {
        month: dict(Counter(each.move.to_stage for each in moves if f"{each.move.at:%Y-%m}" == month))
        for month in dict.fromkeys(months)
    }


def _days(span: timedelta) -> Fraction:
    return Fraction(span // timedelta(microseconds=1), 86_400_000_000)


def _steps(listed: list[timedelta], width: Fraction) -> list[Fraction]:
    return sorted(math.floor(_days(span) / width + Fraction(1, 2)) * width for span in listed)


def _interpolated(ordered: list[Fraction], share: Fraction) -> Fraction:
    place = (len(ordered) - 1) * share
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def _percentile(listed: list[timedelta], width: Fraction, share: Fraction) -> float | None:
    return _half_up(_interpolated(_steps(listed, width), share), 10) if listed else None


def _mean(listed: list[timedelta], width: Fraction) -> float | None:
    steps = _steps(listed, width)
    return _half_up(sum(steps, Fraction(0)) / len(steps), 10) if steps else None


def _rounded(part: int, whole: int, units: int) -> float | None:
    return _half_up(Fraction(part, whole), units) if whole else None


def _half_up(value: Fraction, units: int) -> float:
    return math.floor(value * units + Fraction(1, 2)) / units


# ---- the properties


def assert_like_brute_force(story: Story) -> None:
    metrics = tallied(story).metrics()
    del metrics["samples"]
    assert metrics == figures_by_brute_force(story)


@settings(max_examples=examples(150))
@given(stories())
def test_the_figures_of_any_customers_under_any_map_are_those_of_a_reading_by_brute_force(story):
    assert_like_brute_force(story)


@settings(max_examples=examples(150))
@given(stories(default_forms()))
def test_the_figures_under_the_default_stages_are_those_of_a_reading_by_brute_force(story):
    assert_like_brute_force(story)


@settings(max_examples=examples(100))
@given(st.one_of(stories(), stories(default_forms())))
def test_a_replay_writes_the_moves_of_the_literal_reading_of_the_same_history(story):
    end = story.terms.until - INSTANT
    found = {outcome.customer_id: outcome for outcome in outcomes(story)}
    for number, told in enumerate(story.customers):
        steps = literal.import_operations(enumerate(told), end)
        assert bool(steps) == (number in found)
        if not steps:
            continue
        expected = story.company.oracle.run(steps, end)
        outcome = found[number]
        assert outcome.opened_at == expected.transitions[0].at
        assert [tuple(move) for move in outcome.moves] == [
            (move.from_stage, move.to_stage, move.at, move.trigger_event) for move in expected.transitions[1:]
        ]
        assert outcome.stage == expected.current_stage


@given(stories(), st.integers(0, 4))
def test_a_tally_taken_down_anywhere_goes_on_to_the_same_figures(story, place):
    found = outcomes(story)
    stage_map = story.company.rulebook.stage_map
    first, second = (BacktestTotals(story.terms, stage_map, has_samples=True) for _ in range(2))
    for outcome in found[:place]:
        first.add(outcome)
    second.restore(json.loads(json.dumps(first.to_json())))
    for outcome in found[place:]:
        second.add(outcome)
    assert second.metrics() == tallied(story).metrics()


@given(
    st.sampled_from([1, 30, 180, 200, 365, 3_650]),
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
)
def test_percentiles_and_mean_are_off_by_half_a_bucket_and_half_a_tenth_at_most(lapse, shares):
    listed = [timedelta(days=lapse * share) for share in shares]
    counted = DurationHistogram(timedelta(days=lapse))
    for span in listed:
        counted.add(span)
    exact = sorted(_days(span) for span in listed)
    allowed = Fraction(max(1, math.ceil(Fraction(lapse, 200))), 20) + Fraction(1, 20)
    for percent in (50, 90):
        found = Fraction(str(counted.percentile(percent)))
        assert abs(found - _interpolated(exact, Fraction(percent, 100))) <= allowed
    assert abs(Fraction(str(counted.mean)) - sum(exact) / len(exact)) <= allowed


# ---- the comparison would notice


def assert_noticed() -> None:
    quickly = settings(max_examples=2_000, database=None, print_blob=False, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        quickly(given(stories(default_forms()))(assert_like_brute_force))()


def test_a_lapse_told_an_instant_late_would_be_noticed(monkeypatch):
    end_silence = CustomerReplay._end_silence

    def late(replayed: CustomerReplay, next_visit: datetime | None) -> None:
        end_silence(replayed, None if next_visit is None else next_visit - INSTANT)

    monkeypatch.setattr(CustomerReplay, "_end_silence", late)
    assert_noticed()
    print("guard removed: detected")


def test_alarms_of_other_silences_counted_as_had_would_be_noticed(monkeypatch):
    tell = CustomerReplay.tell

    def mixed(replayed: CustomerReplay, event) -> None:
        raised = [*replayed._raised]
        tell(replayed, event)
        replayed._raised = sorted({*raised, *replayed._raised})

    monkeypatch.setattr(CustomerReplay, "tell", mixed)
    assert_noticed()
    print("guard removed: detected")


def test_the_stories_hold_every_verdict_and_lapses_of_every_kind():
    seen: Counter[str] = Counter()

    @settings(max_examples=400, database=None, derandomize=True)
    @given(st.one_of(stories(default_forms()), stories()))
    def collect(story: Story) -> None:
        for outcome in outcomes(story):
            seen.update(alarm.verdict.value for alarm in outcome.alarms)
            for lapse in outcome.lapses:
                seen["alarmed" if lapse.alarmed_at else "at risk" if lapse.was_at_risk else "missed"] += 1

    collect()
    assert {*AlarmOutcome, "alarmed", "at risk", "missed"} <= set(seen), seen
