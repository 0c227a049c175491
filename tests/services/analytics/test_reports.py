"""Figures are what a literal reading of the ledgers says, and behind each number stand exactly that many customers."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from graphlib import TopologicalSorter
from zoneinfo import ZoneInfo

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.analytics.flows import acyclic_flows
from journey_service.domain.analytics.records import RISK_SORTS, PageRequest, RiskPageRequest
from journey_service.domain.analytics.risk_bands import BANDS
from journey_service.domain.analytics.rollups import reached_by
from journey_service.domain.errors import JourneyServiceError, UnavailableError
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.relationship import Activation, Motion
from journey_service.domain.stages.changes import build_draft
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.repositories.analytics.rollups import Rollups
from journey_service.services.analytics import automation, funnels, overview
from journey_service.services.analytics import cohorts as outcomes
from journey_service.services.analytics import drilldown as counted
from journey_service.services.analytics import overview as metrics
from journey_service.services.analytics import time_in_stage as visits
from journey_service.services.analytics.drilldown import Became, CohortStepAsked, Outcome
from journey_service.services.analytics.rollups import merge_rollups
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.ingest import ingest
from journey_service.services.journeys.manual_changes import ManualMove, move
from journey_service.services.operations.reconciliation import reconcile
from journey_service.services.operations.test_clock import advance
from journey_service.services.stages.stage_maps import MapChangeRequest, change_map
from ledger import rows
from oracle.metrics import MetricsOracle, percentile, share, tenths
from server_versions import first_on_both, newest_only
from services.oracle_rows import literal

T0 = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BY = Actor("tests")
TYPES = (
    *("appointment_completed",) * 6,
    *("appointment_missed", "call_received", "ticket_opened", "payment_received") * 2,
    "payment_refunded",
)
MONEY = ("appointment_completed", "payment_received", "payment_refunded")


def stages(*, without=(), **changes):
    return [
        {**form, **changes.get(str(form["key"]), {})} for form in DEFAULT_STAGES if form["key"] not in without
    ]


MAPS = {
    "reordered": (stages(regular={"order": 5}, vip={"order": 4}), {}),
    "back": (stages(), {}),
    "archived": (stages(without=("regular",)), {"regular": "customer"}),
    "fewer": (stages(without=("lead", "regular")), {"lead": "prospect"}),
    "risk archived": (stages(without=("lead", "regular", "at_risk")), {"at_risk": "churned"}),
}


class Story:
    """A company to which things happen by chance."""

    def __init__(self, database, company_id: int, seed: int, customers: int = 25) -> None:
        self.database, self.id, self.customers = database, company_id, customers
        self.chance = random.Random(seed)
        self.at = T0
        self._number = 0

    async def apply_event(self, steps: int) -> None:
        for _ in range(steps):
            what = self.chance.choices(
                (self.tell, self.manual_action, self.wait, self.erase), (6, 3, 4, 0.4)
            )[0]
            await what()

    async def tell(self) -> None:
        """Events of the last days, and some that come late."""
        told = []
        for _ in range(self.chance.randrange(1, 12)):
            self._number += 1
            late = self.chance.choice((0, 0, 0, 1, 5, 40, 200)) * DAY
            told.append(
                Event(
                    "tests",
                    str(self._number),
                    self.chance.randrange(1, self.customers + 1),
                    type_ := self.chance.choice(TYPES),
                    self.at - late - self.chance.randrange(2_000) * timedelta(minutes=1),
                    self.chance.choice((0, 1_999, 5_000, 25_000)),
                    90 if type_ == "call_received" else None,
                )
            )
        await ingest(self.database, self.id, told)

    async def manual_action(self) -> None:
        """Somebody is moved, wherever the map has stages."""
        found = await rows(
            self.database,
            self.id,
            "SELECT customer_id, version, current_stage FROM customer_relationships WHERE company_id = :company"
            " ORDER BY abs(customer_id)",
        )
        if not found:
            return
        one = self.chance.choice(found)
        known = await rows(
            self.database,
            self.id,
            "SELECT stage_key FROM customer_journey_stages WHERE company_id = :company AND is_active ORDER BY 1",
        )
        self._number += 1
        to_stage = self.chance.choice([row.stage_key for row in known])
        request = ManualMove(to_stage, one.version, BY, f"by hand {self._number}", is_repeatable=True)
        try:
            await move(self.database, self.id, one.customer_id, request)
        except JourneyServiceError:
            return  # there already, or moved on meanwhile

    async def wait(self) -> None:
        """Time passes, and what falls due happens."""
        self.at += self.chance.choice((HOUR, 11 * HOUR, DAY, 9 * DAY, 31 * DAY))
        await advance(self.database, self.id, self.at, actor=BY)

    async def erase(self) -> None:
        """A customer is forgotten."""
        customer = self.chance.randrange(1, self.customers + 1)
        try:
            await anonymize_customer(self.database, self.id, customer, by=BY)
        except JourneyServiceError:
            return  # never known

    async def redraw(self, name: str, activation: Activation) -> None:
        """The map is changed."""
        drawn, remap = MAPS[name]
        edit = partial(build_draft, raw=drawn, remap=remap, pointer="/stages")
        await change_map(self.database, self.id, edit, MapChangeRequest(None, activation, BY, None))


async def every(list_, **more):
    """All pages of a list of customers, a few at a time."""
    found, page = [], PageRequest(limit=3)
    while True:
        part = (await list_(page=page, **more)).customers
        found += part
        if len(part) < page.limit:
            return found
        page = PageRequest(part[-1].customer_id, page.limit)


async def every_visit(list_, **more):
    found, after = [], None
    while True:
        part = (await list_(after=after, limit=4, **more)).visits
        found += part
        if len(part) < 4:
            return found
        after = (part[-1].customer_id, part[-1].seq)


async def every_risk(list_, sort="-risk_score"):
    found, after, total = [], None, 0
    while True:
        page = await list_(page=RiskPageRequest(sort, after, 3))
        found += page.customers
        total = page.total
        if len(page.customers) < 3:
            return found, total
        after = page.customers[-1].found.key


def ids(customers):
    """Ids of customers, each once, in order."""
    found = [one.customer_id for one in customers]
    assert found == sorted(set(found))
    return set(found)


def ranges(told: MetricsOracle, chance: random.Random):
    """Ranges that end today and others, long and short."""
    first = min((told.day(move.at) for move in told.moves), default=told.today)
    paid = [one for one in told.events if one.amount and one.type in MONEY]
    first = min([first, *(told.day(event.at) for event in paid)])
    yield RequestedRange(Period.ALL), first, told.today
    for period, days in ((Period.WEEK, 7), (Period.MONTH, 30), (Period.YEAR, 365)):
        yield RequestedRange(period), told.today - (days - 1) * DAY, told.today
    span = (told.today - first).days + 1
    for _ in range(4):
        start = first + chance.randrange(span) * DAY
        end = start + chance.randrange((told.today - start).days + 1) * DAY
        yield RequestedRange(None, start, end), start, end
    moved = told.day(chance.choice(told.moves).at)
    yield RequestedRange(None, moved, moved), moved, moved


async def check(database, company_id: int, chance: random.Random, told: MetricsOracle | None = None) -> None:
    """Everything that is answered is what the literal reading says."""
    told = await literal(database, company_id) if told is None else told
    await check_now(database, company_id, told)
    await check_portal(database, company_id)
    for asked, first, last in ranges(told, chance):
        await check_overview(database, company_id, told, asked, first, last)
        await check_funnel(database, company_id, told, asked, first, last)
        await check_cohort(database, company_id, told, asked, first, last, chance.choice((1, 10, 90)))
        await check_flows(database, company_id, told, asked, first, last)
        await check_times(database, company_id, told, asked, first, last)
        await check_retention(database, company_id, told, asked, first, last)
        await check_automation(database, company_id, told, asked, first, last)


def unframed(found):
    """A figure without the instant of the database that it was told at."""
    return replace(found, query=None)


async def check_portal(database, company_id):
    """The dashboard is made of the same figures, and what it draws of the flows has no cycle."""
    for period in Period:
        found = await metrics.get_portal(database, company_id, period)
        asked = RequestedRange(period)
        assert unframed(found.overview) == unframed(await metrics.get_overview(database, company_id, asked))
        assert unframed(found.funnel) == unframed(await funnels.get_funnel(database, company_id, asked))
        assert unframed(found.flows) == unframed(await funnels.get_flows(database, company_id, asked))
        assert unframed(found.times) == unframed(await visits.get_time_in_stage(database, company_id, asked))
        links = acyclic_flows(found.flows.query.stage_map, found.flows.flows)
        assert [count for _, _, count in links] == [way.moves for way in found.flows.flows]
        graph: dict[str, set[str]] = {}
        for source, target, _ in links:
            graph.setdefault(target, set()).add(source)
        TopologicalSorter(graph).prepare()  # raises if there is one


async def check_now(database, company_id, told):
    in_stage = partial(counted.list_in_stage, database, company_id)
    past = told.now - 17 * DAY
    for as_of in (None, past):
        found = await overview.get_distribution(database, company_id, as_of)
        expected = told.distribution(as_of)
        assert {stage.key: number for stage, number in found.stages if number} == {
            key: len(customers) for key, customers in expected.items() if customers
        }
        for key in ("prospect", "customer", "at_risk", "churned", "nowhere"):
            assert ids(await every(in_stage, stage=key, as_of=as_of)) == expected.get(key, set())
    bands = (await metrics.get_risks(database, company_id)).bands
    assert [band for band, _ in bands] == list(BANDS)
    for band, number in bands:
        expected = told.band(str(Decimal(band.low) / 100), str(Decimal(band.high) / 100))
        assert number == len(expected)
        assert ids(await every(partial(counted.list_in_band, database, company_id), band=band)) == expected
    await check_risk_lists(database, company_id, told)


async def check_risk_lists(database, company_id, told):
    churning, _ = await every_risk(partial(counted.list_churning, database, company_id))
    assert [one.found.customer_id for one in churning] == told.churning()
    known = {one.customer: one for one in told.customers}
    for sort in RISK_SORTS:
        at_risk, total = await every_risk(partial(counted.list_at_risk, database, company_id), sort)
        found = [one.found.customer_id for one in at_risk]
        assert (len(set(found)), set(found), total) == (len(found), told.at_risk(), len(found))
        keys = {
            "risk_score": [known[one].risk for one in found],
            "lifetime_value": [known[one].lifetime_value for one in found],
            "days_inactive": [one.days_inactive if one.days_inactive is not None else -1 for one in at_risk],
        }[sort.removeprefix("-")]
        assert keys == sorted(keys, reverse=sort.startswith("-"))
        for one in [*at_risk, *churning]:
            row = known[one.found.customer_id]
            assert (one.predicted_churn_date, one.sample) == told.predicted(row)
            last = row.last_appointment_at
            assert one.days_inactive == (None if last is None else max(0, (told.now - last) // DAY))
            types = ["personal_call"] * (row.risk > Decimal("0.8"))
            types += ["special_offer"] * (one.days_inactive is not None and one.days_inactive > 60)
            assert [action.type for action in one.actions] == [*types, "email_campaign"]


async def check_overview(database, company_id, told, asked, first, last):
    found = await metrics.get_overview(database, company_id, asked)
    now = told.distribution()
    assert tuple(found.query.days) == (first, last)
    assert found.total == len(told.customers)
    assert found.at_risk == (len(now[told.risk[0].key]) if told.risk else 0)
    assert found.vips == len(now[told.progress[-1].key])
    assert Decimal(found.lifetime_cents) / 100 == sum(one.lifetime_value for one in told.customers)
    assert Decimal(found.revenue_cents) / 100 == told.revenue(first, last)
    for number, motion, counts in (
        (found.opened, Motion.OPENING, lambda move: move.from_stage is None),
        (found.moves, None, lambda move: move.from_stage is not None),
        (found.lapses, Motion.LAPSE, told.is_lapse),
        (found.returns, Motion.RETURN, told.is_return),
    ):
        expected = told.moved(first, last, counts)
        assert number == expected.total()
        list_ = partial(counted.list_moved, database, company_id, asked, motion, None)
        assert {one.customer_id: one.moves for one in await every(list_)} == expected


async def check_automation(database, company_id, told, asked, first, last):
    found = await automation.get_automation(database, company_id, asked)
    expected = told.automation(first, last)
    assert [each.name for each in found.actions] == sorted({name for name, _ in expected})
    for each in found.actions:
        for outcome, number in (
            (Became.DONE, each.done),
            (Became.DEAD, each.dead),
            (Became.CANCELLED, each.cancelled),
            (Became.PENDING, each.pending),
        ):
            customers = expected[each.name, outcome.value]
            assert number == customers.total()
            if number:
                list_ = partial(counted.list_acted_on, database, company_id, asked, each.name, outcome)
                assert {one.customer_id: one.moves for one in await every(list_)} == customers
        ended = each.done + each.dead
        assert (None if each.rate is None else float(each.rate)) == (
            share(each.done, ended) if ended else None
        )
    done = sum(customers.total() for (_, state), customers in expected.items() if state == "done")
    ended = done + sum(customers.total() for (_, state), customers in expected.items() if state == "dead")
    assert (None if found.rate is None else float(found.rate)) == (share(done, ended) if ended else None)


async def check_funnel(database, company_id, told, asked, first, last):
    found = await funnels.get_funnel(database, company_id, asked)
    expected, returned = told.reached(first, last), told.returned(first, last)
    sizes = [len(customers) for customers in expected]
    assert [(step.stage.key, step.customers) for step in found.steps] == [
        (stage.key, size) for stage, size in zip(told.progress, sizes, strict=True)
    ]
    assert [float(step.percentage) for step in found.steps] == [share(size, sizes[0]) for size in sizes]
    assert [float(step.conversion_rate) for step in found.steps] == [
        share(after, size) for size, after in zip(sizes, [*sizes[1:], 0], strict=True)
    ]
    assert [step.returned for step in found.steps] == [returned[stage.key] for stage in told.progress]
    for step in found.steps:
        list_ = partial(counted.list_moved, database, company_id, asked, Motion.RETURN, step.stage.key)
        assert {one.customer_id: one.moves for one in await every(list_)} == told.moved(
            first,
            last,
            lambda move, key=step.stage.key: told.is_return(move) and move.to_stage == key,
        )
    for step, customers in zip(found.steps, expected, strict=True):
        list_ = partial(counted.list_reached, database, company_id, asked, step.stage.key)
        assert ids(await every(list_)) == customers


async def check_cohort(database, company_id, told, asked, first, last, window):
    found = await funnels.get_cohort_funnel(database, company_id, asked, window_days=window)
    expected = told.cohort(first, last, window)
    assert len(found.steps) == len(expected)
    most = len(expected[0].customers)
    for place, (step, whole) in enumerate(zip(found.steps, expected, strict=True)):
        parts = (whole.customers, whole.converted, whole.pending, whole.dropped)
        assert (step.customers, step.converted, step.pending, step.dropped) == tuple(map(len, parts))
        assert float(step.percentage) == share(step.customers, most)
        assert float(step.conversion_rate) == share(step.converted, step.customers)
        if place < 3:
            for outcome, customers in zip((None, *Outcome), parts, strict=True):
                asked_for = CohortStepAsked(step.stage.key, window, outcome)
                list_ = partial(counted.list_of_cohort, database, company_id, asked, asked_for)
                assert ids(await every(list_)) == customers


async def check_flows(database, company_id, told, asked, first, last):
    found = await funnels.get_flows(database, company_id, asked)
    expected = told.flows(first, last)
    assert {(way.from_stage, way.to_stage): (way.moves, way.customers) for way in found.flows} == {
        way: (sum(customers.values()), len(customers)) for way, customers in expected.items()
    }
    for way, customers in list(expected.items())[:4]:
        shown = await every(partial(counted.list_went, database, company_id, asked, way))
        assert {one.customer_id: one.moves for one in shown} == customers
    opened = {
        move.customer for move in told.moves if not move.from_stage and told.in_range(move.at, first, last)
    }
    starts = {move.to_stage for move in told.moves if not move.from_stage}
    lists = [
        ids(await every(partial(counted.list_went, database, company_id, asked, (None, start))))
        for start in sorted(starts)
    ]
    assert set().union(*lists) == opened


async def check_times(database, company_id, told, asked, first, last):
    found = await visits.get_time_in_stage(database, company_id, asked)
    rates = await visits.get_conversions(database, company_id, asked)
    ended, going_on = told.ended(first, last), told.going_on()
    assert {each.stage.key for each in found.stages} >= ended.keys() | going_on.keys()
    for each in found.stages:
        stays, days = ended[each.stage.key], told.days(ended[each.stage.key])
        assert each.visits == len(days)
        expected = (
            (None, None, None)
            if not days
            else (
                tenths(sum(days, Fraction(0)) / len(days)),
                tenths(percentile(days, Fraction(1, 2))),
                tenths(percentile(days, Fraction(9, 10))),
            )
        )
        shown = (each.avg_days, each.median_days, each.p90_days)
        assert tuple(None if value is None else float(value) for value in shown) == expected
        ages = told.days(going_on[each.stage.key])
        assert each.open_count == len(ages)
        if ages:
            assert float(each.open_avg_days or 0) == tenths(sum(ages, Fraction(0)) / len(ages))
        list_ = partial(counted.list_ended, database, company_id, asked, each.stage.key)
        behind = await every_visit(list_)
        assert sorted((one.customer_id, one.seq, one.entered_at, one.left_at) for one in behind) == sorted(
            (one.customer, one.seq, one.entered_at, one.left_at) for one in stays
        )
        open_ = await every_visit(partial(counted.list_going_on, database, company_id, each.stage.key))
        assert {(one.customer_id, one.seq) for one in open_} == {
            (one.customer, one.seq) for one in going_on[each.stage.key]
        }
    for rate in rates.stages:
        stays = ended[rate.stage.key]
        converted = {(one.customer, one.seq) for one in stays if told.is_converted(one)}
        assert (rate.visits, rate.converted) == (len(stays), len(converted))
        assert (None if rate.rate is None else float(rate.rate)) == (
            share(len(converted), len(stays)) if stays else None
        )
        list_ = partial(counted.list_ended, database, company_id, asked, rate.stage.key, is_converted=True)
        assert {(one.customer_id, one.seq) for one in await every_visit(list_)} == converted


async def check_retention(database, company_id, told, asked, first, last):
    found = await outcomes.get_cohorts(database, company_id, asked)
    expected = told.retention()
    months = {month for month, _ in expected if f"{first:%Y-%m}" <= month <= f"{last:%Y-%m}"}
    shown = {f"{cohort.month // 12:04}-{cohort.month % 12 + 1:02}": cohort for cohort in found.cohorts}
    assert shown.keys() == months
    for name, cohort in list(shown.items())[:2]:
        for later, number in enumerate(cohort.came):
            customers = expected.get((name, later), set())
            assert number == len(customers)
            list_ = partial(counted.list_came_again, database, company_id, cohort.month, later)
            assert ids(await every(list_)) == customers


# ---- by chance


@pytest.mark.parametrize(
    ("seed", "zone", "source"),
    first_on_both(
        [
            (1, "UTC", "appointments"),
            (2, "America/New_York", "appointments"),
            (3, "Pacific/Kiritimati", "payments"),
            (4, "America/St_Johns", "appointments"),
        ]
    ),
)
async def test_figures_are_what_a_literal_reading_of_the_ledgers_says(
    database, found_tenant, seed, zone, source
):
    tenant = await found_tenant(test_clock=T0, timezone=zone, policy={"revenue_source": source})
    story = Story(database, tenant.id, seed)
    await story.apply_event(25)
    await check(database, tenant.id, story.chance)
    for name, activation in (
        ("reordered", Activation.FUTURE_ONLY),
        ("back", Activation.CURRENT_SILENT),
        ("archived", Activation.CURRENT_SILENT),
        ("fewer", Activation.FUTURE_ONLY),
    ):
        await story.redraw(name, activation)
        await story.apply_event(10)
    await check(database, tenant.id, story.chance)
    await merge_rollups(database, tenant.id)
    await story.redraw("risk archived", Activation.CURRENT_WITH_ACTIONS)
    await story.apply_event(8)
    await check(database, tenant.id, story.chance)


# ---- what the checks would not let pass


@pytest.fixture(scope="module")
async def busy(database, found_tenant):
    """A company where everything has happened, and nobody changes anything."""
    tenant = await found_tenant(test_clock=T0, timezone="Europe/Berlin")
    story = Story(database, tenant.id, 11)
    await story.apply_event(30)
    await check(database, tenant.id, random.Random(5))
    return tenant


def without_one(told: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """One customer's last move never happened."""
    last = chance.choice([moves[-1] for moves in told.by_customer().values() if len(moves) > 1])
    return replace(told, moves=[move for move in told.moves if move is not last])


def two_days_later(told: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """A customer's moves were two days later."""
    late = chance.choice(told.moves).customer
    moves = [
        replace(move, at=move.at + 2 * DAY)
        if move.customer == late and move.at < told.now - 3 * DAY
        else move
        for move in told.moves
    ]
    return replace(told, moves=moves)


def by_rules_alone(told: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """A move up was the service's own."""
    up = chance.choice([move for move in told.moves if move.from_stage and told.is_entry(move)])
    moves = [replace(move, trigger_type="system") if move is up else move for move in told.moves]
    return replace(told, moves=moves)


def one_visit_less(told: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """A paid visit never happened."""
    paid = chance.choice([one for one in told.events if one.type == "appointment_completed" and one.amount])
    return replace(told, events=[one for one in told.events if one is not paid])


def riskier(told: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """Somebody is at a higher risk."""
    calm = chance.choice([one for one in told.customers if one.risk < Decimal("0.3")])
    return replace(
        told,
        customers=[replace(one, risk=Decimal("0.8")) if one is calm else one for one in told.customers],
    )


def elsewhere(told: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """The days of the company are those of another place."""
    return replace(told, zone=ZoneInfo("Pacific/Kiritimati"))


@newest_only
@pytest.mark.parametrize(
    "changed", [without_one, two_days_later, by_rules_alone, one_visit_less, riskier, elsewhere]
)
async def test_a_ledger_that_is_not_quite_the_same_gives_other_figures(database, busy, changed):
    chance = random.Random(5)
    told = await literal(database, busy.id)

    with pytest.raises(AssertionError):
        await check(database, busy.id, random.Random(5), changed(told, chance))


@newest_only
@pytest.mark.parametrize("kind", ["flow", "last_flow", "reach", "revenue"])
async def test_sums_that_are_off_by_one_are_noticed(database, found_tenant, kind):
    tenant = await found_tenant(test_clock=T0)
    story = Story(database, tenant.id, 12)
    await story.apply_event(12)
    await check(database, tenant.id, random.Random(5))
    changed = await rows(
        database,
        tenant.id,
        "UPDATE journey_rollups SET number = number + 1, appointments = appointments + 1"
        " WHERE company_id = :company AND id IN (SELECT max(id) FROM journey_rollups"
        " WHERE company_id = :company AND kind = :kind) RETURNING id",
        kind=kind,
    )

    assert len(changed) == 1
    with pytest.raises(AssertionError):
        await check(database, tenant.id, random.Random(5))


# ---- what must not change, and what cannot be told


async def every_figure(database, company_id):
    """All that is told of a company, as comparable values."""
    asked = RequestedRange(Period.YEAR)
    overview = await metrics.get_overview(database, company_id, asked)
    cohort = await funnels.get_cohort_funnel(database, company_id, asked, window_days=30)
    return [
        unframed(overview),
        (await funnels.get_funnel(database, company_id, asked)).steps,
        cohort.steps,
        (await funnels.get_flows(database, company_id, asked)).flows,
        (await visits.get_time_in_stage(database, company_id, asked)).stages,
        (await visits.get_conversions(database, company_id, asked)).stages,
        (await metrics.get_risks(database, company_id)).bands,
        (await outcomes.get_cohorts(database, company_id, asked)).cohorts,
    ]


async def test_figures_stay_the_same_when_everybody_is_erased(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    story = Story(database, tenant.id, 21, customers=8)
    await story.apply_event(20)
    before = await every_figure(database, tenant.id)

    for row in await rows(
        database, tenant.id, "SELECT customer_id FROM customer_relationships WHERE company_id = :company"
    ):
        await anonymize_customer(database, tenant.id, row.customer_id, by=BY)

    assert await every_figure(database, tenant.id) == before
    await check(database, tenant.id, story.chance)


async def test_figures_stay_the_same_when_sums_are_added_up_or_counted_anew(database, found_tenant):
    tenant = await found_tenant(test_clock=T0, timezone="America/New_York")
    story = Story(database, tenant.id, 22)
    await story.apply_event(15)
    unmerged = await every_figure(database, tenant.id)

    await merge_rollups(database, tenant.id)
    tight = await every_figure(database, tenant.id)
    await recount(database, tenant.id)

    assert unmerged == tight == await every_figure(database, tenant.id)


async def recount(database, company_id):
    async def unit(uow):
        context = await uow.companies.get_context()
        await uow.rollups.rebuild(
            context.company.map_version, context.company.timezone, reached_by(context.rulebook.stage_map)
        )

    await database.run(company_id, unit)


@pytest.mark.parametrize(
    ("spoilt", "is_noticed"),
    [("numbers[1] = numbers[1] + 1", True), ("tenths[1] = tenths[1] + 30", False)],
    ids=["another number", "another length"],
)
async def test_percentiles_come_from_histograms_that_hold_as_many_visits_as_ended(
    database, found_tenant, spoilt, is_noticed
):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [Event("t", "1", 1, "appointment_completed", T0, 100)])
    await advance(database, tenant.id, T0 + 120 * DAY, actor=BY)
    asked = RequestedRange(None, T0.date(), (T0 + 119 * DAY).date())
    told = (await visits.get_time_in_stage(database, tenant.id, asked)).stages
    assert [each.stage.key for each in told if each.visits] == ["prospect", "customer"]

    assert await rows(
        database,
        tenant.id,
        f"UPDATE stage_visit_durations SET {spoilt} WHERE company_id = :company AND stage_key = 'customer' RETURNING day",
    )

    # As many as there were, or the ledger is asked.
    found = (await visits.get_time_in_stage(database, tenant.id, asked)).stages
    assert (found == told) == is_noticed
    assert not (await reconcile(database, tenant.id)).agrees


async def test_days_are_those_of_the_service_whatever_the_database_knows_of_time_zones(
    database, found_tenant
):
    # Vancouver has kept its summer time since 2026, and many a PostgreSQL has not heard of it.
    at = datetime(2026, 11, 2, 7, 30, tzinfo=UTC)
    tenant = await found_tenant(test_clock=at, timezone="America/Vancouver")
    await ingest(
        database, tenant.id, [Event("t", str(n), n, "appointment_completed", at, 100) for n in (1, 2)]
    )
    await check(database, tenant.id, random.Random(1))
    await advance(database, tenant.id, at + 3 * DAY, actor=BY)
    await check(database, tenant.id, random.Random(1))
    assert (await reconcile(database, tenant.id)).agrees
    before = await every_figure(database, tenant.id)

    async def anew(uow) -> None:
        context = await uow.companies.get_context()
        await uow.rollups.rebuild(1, "America/Vancouver", reached_by(context.rulebook.stage_map))

    await database.run(tenant.id, anew)

    assert await every_figure(database, tenant.id) == before
    assert (await reconcile(database, tenant.id)).agrees


@pytest.mark.parametrize("get", [metrics.get_overview, funnels.get_flows, visits.get_time_in_stage])
async def test_a_figure_is_of_one_instant_while_others_write(get, database, found_tenant, monkeypatch):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [Event("t", "1", 1, "appointment_completed", T0, 100)])
    told, original = await get(database, tenant.id, RequestedRange()), Rollups.list_moves

    async def moves(self, first, last):
        if self._company_id == tenant.id:
            await ingest(
                database, tenant.id, [Event("t", f"{chance.random()}", 2, "appointment_completed", T0, 100)]
            )
        return await original(self, first, last)

    chance = random.Random()
    monkeypatch.setattr(Rollups, "list_moves", moves)
    found = await get(database, tenant.id, RequestedRange())

    assert unframed(found) == unframed(told)
    assert unframed(await get(database, tenant.id, RequestedRange())) != unframed(told), "somebody wrote"


async def test_all_months_begin_with_the_first_visit_paid_or_not(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    visits_ = [
        Event("t", str(month), 1, "appointment_completed", datetime(2024, month, 1, 12, tzinfo=UTC), 0)
        for month in (5, 7)
    ]
    await ingest(database, tenant.id, visits_)

    found = await outcomes.get_cohorts(database, tenant.id, RequestedRange(Period.ALL))

    assert [(cohort.month, list(cohort.came)[:3]) for cohort in found.cohorts] == [(2024 * 12 + 4, [1, 0, 1])]


async def test_a_funnel_is_that_of_the_ledger_until_sums_are_counted_by_the_new_order(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await ingest(
        database, tenant.id, [Event("t", str(n), n, "appointment_completed", T0, 100) for n in (1, 2)]
    )
    told = await every_figure(database, tenant.id)
    spoilt = (
        "UPDATE journey_rollups SET number = 7 WHERE company_id = :company AND kind = 'reach' RETURNING id"
    )
    assert await rows(database, tenant.id, spoilt)
    assert await every_figure(database, tenant.id) != told

    await database.run(tenant.id, lambda uow: uow.rollups.set_version(2))

    assert await every_figure(database, tenant.id) == told


async def test_a_map_of_the_order_that_is_yet_to_be_counted_is_not_counted_either(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await put_customer(database, tenant.id, 1, {"name": "Ada"}, consents={}, by=BY)
    await database.run(tenant.id, lambda uow: uow.rollups.set_version(7))
    spoilt = (
        "UPDATE journey_rollups SET number = 7 WHERE company_id = :company AND kind = 'reach' RETURNING id"
    )
    assert await rows(database, tenant.id, spoilt)

    edit = partial(build_draft, raw=stages(lead={"name": "Caller"}), remap={}, pointer="/stages")
    await change_map(database, tenant.id, edit, MapChangeRequest(None, Activation.FUTURE_ONLY, BY, None))

    funnel = await funnels.get_funnel(database, tenant.id, RequestedRange())
    assert [step.customers for step in funnel.steps] == [1, 0, 0, 0, 0]


async def test_figures_are_not_told_from_sums_that_nobody_has_counted(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await put_customer(database, tenant.id, 1, {"name": "Ada"}, consents={}, by=BY)
    await database.run(tenant.id, lambda uow: uow.rollups.set_version(0))

    for get in (
        metrics.get_overview,
        funnels.get_funnel,
        funnels.get_flows,
        visits.get_time_in_stage,
        visits.get_conversions,
    ):
        with pytest.raises(UnavailableError, match="being computed"):
            await get(database, tenant.id, RequestedRange())
    with pytest.raises(UnavailableError, match="being computed"):
        await metrics.get_portal(database, tenant.id, Period.MONTH)
    [told] = [
        number
        for stage, number in (await overview.get_distribution(database, tenant.id, None)).stages
        if number
    ]
    assert told == 1, "where customers are is known without"
