"""Reports: metrics equal a literal computation from the ledgers, and every drill-down list has as many rows."""

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
from journey_service.services.analytics import (
    automation,
    cohorts,
    drilldown,
    funnels,
    overview,
    risk_list,
    time_in_stage,
)
from journey_service.services.analytics.drilldown import ActionOutcome, CohortOutcome, CohortStepRequest
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
from profiles import examples
from server_versions import newest_only
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


class RandomCompany:
    """Random changes to a company, one step after another."""

    def __init__(self, database, company_id: int, seed: int, customers: int = 25) -> None:
        self.database, self.id, self.customers = database, company_id, customers
        self.random = random.Random(seed)
        self.at = T0
        self._number = 0

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            step = self.random.choices(
                (self.ingest_events, self.move, self.wait, self.erase), (6, 3, 4, 0.4)
            )[0]
            await step()

    async def ingest_events(self) -> None:
        """Ingests events of the last days, some of them late."""
        events = []
        for _ in range(self.random.randrange(1, 12)):
            self._number += 1
            late = self.random.choice((0, 0, 0, 1, 5, 40, 200)) * DAY
            events.append(
                Event(
                    "tests",
                    str(self._number),
                    self.random.randrange(1, self.customers + 1),
                    type_ := self.random.choice(TYPES),
                    self.at - late - self.random.randrange(2_000) * timedelta(minutes=1),
                    self.random.choice((0, 1_999, 5_000, 25_000)),
                    90 if type_ == "call_received" else None,
                )
            )
        await ingest(self.database, self.id, events)

    async def move(self) -> None:
        """Moves a customer to any stage of the map."""
        found = await rows(
            self.database,
            self.id,
            "SELECT customer_id, version, current_stage FROM customer_relationships WHERE company_id = :company"
            " ORDER BY abs(customer_id)",
        )
        if not found:
            return
        row = self.random.choice(found)
        known = await rows(
            self.database,
            self.id,
            "SELECT stage_key FROM customer_journey_stages WHERE company_id = :company AND is_active ORDER BY 1",
        )
        self._number += 1
        to_stage = self.random.choice([row.stage_key for row in known])
        request = ManualMove(to_stage, row.version, BY, f"manual {self._number}", is_repeatable=True)
        try:
            await move(self.database, self.id, row.customer_id, request)
        except JourneyServiceError:
            return  # the customer is in the stage already

    async def wait(self) -> None:
        """Advances the test clock."""
        self.at += self.random.choice((HOUR, 11 * HOUR, DAY, 9 * DAY, 31 * DAY))
        await advance(self.database, self.id, self.at, actor=BY)

    async def erase(self) -> None:
        """Erases a customer."""
        customer = self.random.randrange(1, self.customers + 1)
        try:
            await anonymize_customer(self.database, self.id, customer, by=BY)
        except JourneyServiceError:
            return  # unknown customer

    async def change_map(self, name: str, activation: Activation) -> None:
        """Activates another stage map."""
        new_stages, remap = MAPS[name]
        edit = partial(build_draft, raw=new_stages, remap=remap, pointer="/stages")
        await change_map(self.database, self.id, edit, MapChangeRequest(None, activation, BY, None))


async def list_all(list_, **more):
    """Reads all pages of a list of customers."""
    found, page = [], PageRequest(limit=3)
    while True:
        part = (await list_(page=page, **more)).customers
        found += part
        if len(part) < page.limit:
            return found
        page = PageRequest(part[-1].customer_id, page.limit)


async def list_all_visits(list_, **more):
    found, after = [], None
    while True:
        part = (await list_(after=after, limit=4, **more)).visits
        found += part
        if len(part) < 4:
            return found
        after = (part[-1].customer_id, part[-1].seq)


async def list_all_risks(list_, sort="-risk_score"):
    found, after, total = [], None, 0
    while True:
        page = await list_(page=RiskPageRequest(sort, after, 3))
        found += page.customers
        total = page.total
        if len(page.customers) < 3:
            return found, total
        after = page.customers[-1].found.key


def ids(customers):
    """Returns the ids of customers, which must be unique and sorted."""
    found = [one.customer_id for one in customers]
    assert found == sorted(set(found))
    return set(found)


def ranges(oracle: MetricsOracle, chance: random.Random):
    """Yields date ranges of several lengths, some of which end today."""
    first = min((oracle.day(move.at) for move in oracle.moves), default=oracle.today)
    paid = [one for one in oracle.events if one.amount and one.type in MONEY]
    first = min([first, *(oracle.day(event.at) for event in paid)])
    yield RequestedRange(Period.ALL), first, oracle.today
    for period, days in ((Period.WEEK, 7), (Period.MONTH, 30), (Period.YEAR, 365)):
        yield RequestedRange(period), oracle.today - (days - 1) * DAY, oracle.today
    span = (oracle.today - first).days + 1
    for _ in range(4):
        start = first + chance.randrange(span) * DAY
        end = start + chance.randrange((oracle.today - start).days + 1) * DAY
        yield RequestedRange(None, start, end), start, end
    moved = oracle.day(chance.choice(oracle.moves).at)
    yield RequestedRange(None, moved, moved), moved, moved


async def check(
    database, company_id: int, chance: random.Random, oracle: MetricsOracle | None = None
) -> None:
    """Checks every report and its drill-down lists against the literal computation."""
    oracle = await literal(database, company_id) if oracle is None else oracle
    await check_now(database, company_id, oracle)
    await check_portal(database, company_id)
    for requested, first, last in ranges(oracle, chance):
        await check_overview(database, company_id, oracle, requested, first, last)
        await check_funnel(database, company_id, oracle, requested, first, last)
        await check_cohort(database, company_id, oracle, requested, first, last, chance.choice((1, 10, 90)))
        await check_flows(database, company_id, oracle, requested, first, last)
        await check_times(database, company_id, oracle, requested, first, last)
        await check_retention(database, company_id, oracle, requested, first, last)
        await check_automation(database, company_id, oracle, requested, first, last)


def without_context(found):
    """A report without its query context, which contains the current time."""
    return replace(found, query=None)


async def check_portal(database, company_id):
    """The dashboard contains the same reports, and its flow diagram has no cycle."""
    for period in Period:
        found = await overview.get_portal(database, company_id, period)
        requested = RequestedRange(period)
        assert without_context(found.overview) == without_context(
            await overview.get_overview(database, company_id, requested)
        )
        assert without_context(found.funnel) == without_context(
            await funnels.get_funnel(database, company_id, requested)
        )
        assert without_context(found.flows) == without_context(
            await funnels.get_flows(database, company_id, requested)
        )
        assert without_context(found.times) == without_context(
            await time_in_stage.get_time_in_stage(database, company_id, requested)
        )
        links = acyclic_flows(found.flows.query.stage_map, found.flows.flows)
        assert [count for _, _, count in links] == [flow.moves for flow in found.flows.flows]
        graph: dict[str, set[str]] = {}
        for source, target, _ in links:
            graph.setdefault(target, set()).add(source)
        TopologicalSorter(graph).prepare()  # raises CycleError


async def check_now(database, company_id, oracle):
    in_stage = partial(drilldown.list_in_stage, database, company_id)
    past = oracle.now - 17 * DAY
    for as_of in (None, past):
        found = await overview.get_distribution(database, company_id, as_of)
        expected = oracle.distribution(as_of)
        assert {stage.key: number for stage, number in found.stages if number} == {
            key: len(customers) for key, customers in expected.items() if customers
        }
        for key in ("prospect", "customer", "at_risk", "churned", "nowhere"):
            assert ids(await list_all(in_stage, stage=key, as_of=as_of)) == expected.get(key, set())
    bands = (await overview.get_risks(database, company_id)).bands
    assert [band for band, _ in bands] == list(BANDS)
    for band, number in bands:
        expected = oracle.band(str(Decimal(band.low) / 100), str(Decimal(band.high) / 100))
        assert number == len(expected)
        assert (
            ids(await list_all(partial(drilldown.list_in_band, database, company_id), band=band)) == expected
        )
    await check_risk_lists(database, company_id, oracle)


async def check_risk_lists(database, company_id, oracle):
    churning, _ = await list_all_risks(partial(risk_list.list_churning, database, company_id))
    assert [one.found.customer_id for one in churning] == oracle.churning()
    known = {one.customer: one for one in oracle.customers}
    for sort in RISK_SORTS:
        at_risk, total = await list_all_risks(partial(risk_list.list_at_risk, database, company_id), sort)
        found = [one.found.customer_id for one in at_risk]
        assert (len(set(found)), set(found), total) == (len(found), oracle.at_risk(), len(found))
        keys = {
            "risk_score": [known[one].risk for one in found],
            "lifetime_value": [known[one].lifetime_value for one in found],
            # No model is fitted, so nobody has a prediction; these customers are in the order of their ids.
            "expected_loss": [0 if one.expected_loss is None else one.expected_loss for one in at_risk],
            "days_inactive": [one.days_inactive if one.days_inactive is not None else -1 for one in at_risk],
        }[sort.removeprefix("-")]
        assert keys == sorted(keys, reverse=sort.startswith("-"))
        for one in [*at_risk, *churning]:
            row = known[one.found.customer_id]
            assert (one.predicted_churn_date, one.sample) == oracle.predicted(row)
            last = row.last_appointment_at
            assert one.days_inactive == (None if last is None else max(0, (oracle.now - last) // DAY))
            types = ["personal_call"] * (row.risk > Decimal("0.8"))
            types += ["special_offer"] * (one.days_inactive is not None and one.days_inactive > 60)
            assert [action.type for action in one.recommended] == [*types, "email_campaign"]


async def check_overview(database, company_id, oracle, requested, first, last):
    found = await overview.get_overview(database, company_id, requested)
    now = oracle.distribution()
    assert tuple(found.query.days) == (first, last)
    assert found.total == len(oracle.customers)
    assert found.at_risk == (len(now[oracle.risk[0].key]) if oracle.risk else 0)
    assert found.vips == len(now[oracle.progress[-1].key])
    assert found.lifetime_value == sum(one.lifetime_value for one in oracle.customers)
    assert found.revenue == oracle.revenue(first, last)
    for number, motion, counts in (
        (found.opened, Motion.OPENING, lambda move: move.from_stage is None),
        (found.moves, None, lambda move: move.from_stage is not None),
        (found.lapses, Motion.LAPSE, oracle.is_lapse),
        (found.returns, Motion.RETURN, oracle.is_return),
    ):
        expected = oracle.moved(first, last, counts)
        assert number == expected.total()
        list_ = partial(drilldown.list_moved, database, company_id, requested, [motion] if motion else [], [])
        assert {one.customer_id: one.moves for one in await list_all(list_)} == expected


async def check_automation(database, company_id, oracle, requested, first, last):
    found = await automation.get_automation(database, company_id, requested)
    expected = oracle.automation(first, last)
    assert [each.name for each in found.actions] == sorted({name for name, _ in expected})
    for each in found.actions:
        for outcome, number in (
            (ActionOutcome.DONE, each.done),
            (ActionOutcome.DEAD, each.dead),
            (ActionOutcome.CANCELLED, each.cancelled),
            (ActionOutcome.SKIPPED, each.skipped),
            (ActionOutcome.PENDING, each.pending),
        ):
            customers = expected[each.name, outcome.value]
            assert number == customers.total()
            if number:
                list_ = partial(
                    drilldown.list_with_action, database, company_id, requested, each.name, outcome
                )
                assert {one.customer_id: one.moves for one in await list_all(list_)} == customers
        ended = each.done + each.dead
        assert (None if each.rate is None else float(each.rate)) == (
            share(each.done, ended) if ended else None
        )
    done = sum(customers.total() for (_, state), customers in expected.items() if state == "done")
    ended = done + sum(customers.total() for (_, state), customers in expected.items() if state == "dead")
    assert (None if found.rate is None else float(found.rate)) == (share(done, ended) if ended else None)


async def check_funnel(database, company_id, oracle, requested, first, last):
    found = await funnels.get_funnel(database, company_id, requested)
    expected, returned = oracle.reached(first, last), oracle.returned(first, last)
    sizes = [len(customers) for customers in expected]
    assert [(step.stage.key, step.customers) for step in found.steps] == [
        (stage.key, size) for stage, size in zip(oracle.progress, sizes, strict=True)
    ]
    assert [float(step.percentage) for step in found.steps] == [share(size, sizes[0]) for size in sizes]
    assert [float(step.conversion_rate) for step in found.steps] == [
        share(after, size) for size, after in zip(sizes, [*sizes[1:], 0], strict=True)
    ]
    assert [step.returned for step in found.steps] == [returned[stage.key] for stage in oracle.progress]
    for step in found.steps:
        list_ = partial(
            drilldown.list_moved, database, company_id, requested, [Motion.RETURN], [step.stage.key]
        )
        assert {one.customer_id: one.moves for one in await list_all(list_)} == oracle.moved(
            first,
            last,
            lambda move, key=step.stage.key: oracle.is_return(move) and move.to_stage == key,
        )
    for step, customers in zip(found.steps, expected, strict=True):
        list_ = partial(drilldown.list_reached, database, company_id, requested, step.stage.key)
        assert ids(await list_all(list_)) == customers


async def check_cohort(database, company_id, oracle, requested, first, last, window):
    found = await funnels.get_cohort_funnel(database, company_id, requested, window_days=window)
    expected = oracle.cohort(first, last, window)
    assert len(found.steps) == len(expected)
    most = len(expected[0].customers)
    for index, (step, whole) in enumerate(zip(found.steps, expected, strict=True)):
        parts = (whole.customers, whole.converted, whole.pending, whole.dropped)
        assert (step.customers, step.converted, step.pending, step.dropped) == tuple(map(len, parts))
        assert float(step.percentage) == share(step.customers, most)
        assert float(step.conversion_rate) == share(step.converted, step.customers)
        if index < 3:
            for outcome, customers in zip((None, *CohortOutcome), parts, strict=True):
                step_request = CohortStepRequest(step.stage.key, window, outcome)
                list_ = partial(drilldown.list_cohort_step, database, company_id, requested, step_request)
                assert ids(await list_all(list_)) == customers


async def check_flows(database, company_id, oracle, requested, first, last):
    found = await funnels.get_flows(database, company_id, requested)
    expected = oracle.flows(first, last)
    assert {(flow.from_stage, flow.to_stage): (flow.moves, flow.customers) for flow in found.flows} == {
        flow: (sum(customers.values()), len(customers)) for flow, customers in expected.items()
    }
    for flow, customers in list(expected.items())[:4]:
        shown = await list_all(partial(drilldown.list_flow, database, company_id, requested, flow))
        assert {one.customer_id: one.moves for one in shown} == customers
    opened = {
        move.customer
        for move in oracle.moves
        if not move.from_stage and oracle.in_range(move.at, first, last)
    }
    starts = {move.to_stage for move in oracle.moves if not move.from_stage}
    lists = [
        ids(await list_all(partial(drilldown.list_flow, database, company_id, requested, (None, start))))
        for start in sorted(starts)
    ]
    assert set().union(*lists) == opened


async def check_times(database, company_id, oracle, requested, first, last):
    found = await time_in_stage.get_time_in_stage(database, company_id, requested)
    rates = await time_in_stage.get_conversions(database, company_id, requested)
    ended, going_on = oracle.ended(first, last), oracle.going_on()
    assert {each.stage.key for each in found.stages} >= ended.keys() | going_on.keys()
    for each in found.stages:
        stays, days = ended[each.stage.key], oracle.days(ended[each.stage.key])
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
        ages = oracle.days(going_on[each.stage.key])
        assert each.open_count == len(ages)
        if ages:
            assert float(each.open_avg_days or 0) == tenths(sum(ages, Fraction(0)) / len(ages))
        list_ = partial(drilldown.list_ended_visits, database, company_id, requested, each.stage.key)
        behind = await list_all_visits(list_)
        assert sorted((one.customer_id, one.seq, one.entered_at, one.left_at) for one in behind) == sorted(
            (one.customer, one.seq, one.entered_at, one.left_at) for one in stays
        )
        open_ = await list_all_visits(
            partial(drilldown.list_open_visits, database, company_id, each.stage.key)
        )
        assert {(one.customer_id, one.seq) for one in open_} == {
            (one.customer, one.seq) for one in going_on[each.stage.key]
        }
    for rate in rates.stages:
        stays = ended[rate.stage.key]
        converted = {(one.customer, one.seq) for one in stays if oracle.is_converted(one)}
        assert (rate.visits, rate.converted) == (len(stays), len(converted))
        assert (None if rate.rate is None else float(rate.rate)) == (
            share(len(converted), len(stays)) if stays else None
        )
        list_ = partial(
            drilldown.list_ended_visits, database, company_id, requested, rate.stage.key, is_converted=True
        )
        assert {(one.customer_id, one.seq) for one in await list_all_visits(list_)} == converted


async def check_retention(database, company_id, oracle, requested, first, last):
    found = await cohorts.get_cohorts(database, company_id, requested)
    expected = oracle.retention()
    months = {month for month, _ in expected if f"{first:%Y-%m}" <= month <= f"{last:%Y-%m}"}
    shown = {f"{cohort.month // 12:04}-{cohort.month % 12 + 1:02}": cohort for cohort in found.cohorts}
    assert shown.keys() == months
    for name, cohort in list(shown.items())[:2]:
        for later, number in enumerate(cohort.customers_by_month):
            customers = expected.get((name, later), set())
            assert number == len(customers)
            list_ = partial(drilldown.list_retained, database, company_id, cohort.month, later)
            assert ids(await list_all(list_)) == customers


# ---- random companies


@pytest.mark.parametrize(
    ("seed", "zone", "source"),
    [
        (2, "America/New_York", "appointments"),
        (3, "Pacific/Kiritimati", "payments"),
        (4, "America/St_Johns", "appointments"),
        (1, "UTC", "appointments"),
    ][: examples(2)],
)
async def test_metrics_equal_a_literal_computation_from_the_ledgers(
    database, create_test_company, seed, zone, source
):
    tenant = await create_test_company(test_clock=T0, timezone=zone, policy={"revenue_source": source})
    random_company = RandomCompany(database, tenant.id, seed)
    await random_company.run(25)
    await check(database, tenant.id, random_company.random)
    for name, activation in (
        ("reordered", Activation.FUTURE_ONLY),
        ("back", Activation.CURRENT_SILENT),
        ("archived", Activation.CURRENT_SILENT),
        ("fewer", Activation.FUTURE_ONLY),
    ):
        await random_company.change_map(name, activation)
        await random_company.run(10)
    await check(database, tenant.id, random_company.random)
    await merge_rollups(database, tenant.id)
    await random_company.change_map("risk archived", Activation.CURRENT_WITH_ACTIONS)
    await random_company.run(8)
    await check(database, tenant.id, random_company.random)


# ---- the checks detect differences


@pytest.fixture(scope="module")
async def busy(database, create_test_company):
    """A company with random changes, which tests do not change further."""
    tenant = await create_test_company(test_clock=T0, timezone="Europe/Berlin")
    random_company = RandomCompany(database, tenant.id, 11)
    await random_company.run(30)
    await check(database, tenant.id, random.Random(5))
    return tenant


def without_one(oracle: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """Removes one customer's last move."""
    last = chance.choice([moves[-1] for moves in oracle.by_customer().values() if len(moves) > 1])
    return replace(oracle, moves=[move for move in oracle.moves if move is not last])


def two_days_later(oracle: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """Shifts one customer's moves by two days."""
    before = oracle.now - 3 * DAY
    late = chance.choice(sorted({move.customer for move in oracle.moves if move.at < before}))
    moves = [
        replace(move, at=move.at + 2 * DAY) if move.customer == late and move.at < before else move
        for move in oracle.moves
    ]
    return replace(oracle, moves=moves)


def with_system_move(oracle: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """Turns one entry into a system move."""
    up = chance.choice([move for move in oracle.moves if move.from_stage and oracle.is_entry(move)])
    moves = [replace(move, trigger_type="system") if move is up else move for move in oracle.moves]
    return replace(oracle, moves=moves)


def without_one_appointment(oracle: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """Removes one paid appointment."""
    paid = chance.choice([one for one in oracle.events if one.type == "appointment_completed" and one.amount])
    return replace(oracle, events=[one for one in oracle.events if one is not paid])


def with_higher_risk(oracle: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """Raises one customer's risk score."""
    calm = chance.choice([one for one in oracle.customers if one.risk < Decimal("0.3")])
    return replace(
        oracle,
        customers=[replace(one, risk=Decimal("0.8")) if one is calm else one for one in oracle.customers],
    )


def in_another_zone(oracle: MetricsOracle, chance: random.Random) -> MetricsOracle:
    """Computes local days in another time zone."""
    return replace(oracle, zone=ZoneInfo("Pacific/Kiritimati"))


@newest_only
@pytest.mark.parametrize(
    "changed",
    [
        without_one,
        two_days_later,
        with_system_move,
        without_one_appointment,
        with_higher_risk,
        in_another_zone,
    ],
)
async def test_a_slightly_different_ledger_gives_other_metrics(database, busy, changed):
    chance = random.Random(5)
    oracle = await literal(database, busy.id)

    with pytest.raises(AssertionError):
        await check(database, busy.id, random.Random(5), changed(oracle, chance))


@newest_only
@pytest.mark.parametrize("kind", ["flow", "last_flow", "stage_reached", "revenue"])
async def test_rollups_that_are_off_by_one_are_detected(database, create_test_company, kind):
    tenant = await create_test_company(test_clock=T0)
    random_company = RandomCompany(database, tenant.id, 12)
    await random_company.run(12)
    await check(database, tenant.id, random.Random(5))
    changed = await rows(
        database,
        tenant.id,
        "UPDATE journey_rollups SET total = total + 1, appointments = appointments + 1"
        " WHERE company_id = :company AND id IN (SELECT max(id) FROM journey_rollups"
        " WHERE company_id = :company AND kind = :kind) RETURNING id",
        kind=kind,
    )

    assert len(changed) == 1
    with pytest.raises(AssertionError):
        await check(database, tenant.id, random.Random(5))


# ---- invariants


async def all_reports(database, company_id):
    """Returns all reports of a company as comparable values."""
    requested = RequestedRange(Period.YEAR)
    found = await overview.get_overview(database, company_id, requested)
    cohort = await funnels.get_cohort_funnel(database, company_id, requested, window_days=30)
    return [
        without_context(found),
        (await funnels.get_funnel(database, company_id, requested)).steps,
        cohort.steps,
        (await funnels.get_flows(database, company_id, requested)).flows,
        (await time_in_stage.get_time_in_stage(database, company_id, requested)).stages,
        (await time_in_stage.get_conversions(database, company_id, requested)).stages,
        (await overview.get_risks(database, company_id)).bands,
        (await cohorts.get_cohorts(database, company_id, requested)).cohorts,
    ]


@newest_only
async def test_metrics_stay_the_same_when_all_customers_are_erased(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    random_company = RandomCompany(database, tenant.id, 21, customers=8)
    await random_company.run(20)
    before = await all_reports(database, tenant.id)

    for row in await rows(
        database, tenant.id, "SELECT customer_id FROM customer_relationships WHERE company_id = :company"
    ):
        await anonymize_customer(database, tenant.id, row.customer_id, by=BY)

    assert await all_reports(database, tenant.id) == before
    await check(database, tenant.id, random_company.random)


async def test_metrics_stay_the_same_when_rollups_are_merged_or_rebuilt(database, create_test_company):
    tenant = await create_test_company(test_clock=T0, timezone="America/New_York")
    random_company = RandomCompany(database, tenant.id, 22)
    await random_company.run(15)
    unmerged = await all_reports(database, tenant.id)

    await merge_rollups(database, tenant.id)
    merged = await all_reports(database, tenant.id)
    await rebuild(database, tenant.id)

    assert unmerged == merged == await all_reports(database, tenant.id)


async def rebuild(database, company_id):
    async def unit(uow):
        context = await uow.companies.get_context()
        await uow.rollups.rebuild(
            context.company.map_version, context.company.zone, reached_by(context.rulebook.stage_map)
        )

    await database.run(company_id, unit)


@pytest.mark.parametrize(
    ("change", "is_detected"),
    [
        ("cumulative_counts[1] = cumulative_counts[1] + 1", True),
        ("duration_tenths[1] = duration_tenths[1] + 30", False),
    ],
    ids=["another number", "another duration"],
)
async def test_percentiles_come_from_histograms_that_hold_as_many_visits_as_ended(
    database, create_test_company, change, is_detected
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [Event("t", "1", 1, "appointment_completed", T0, 100)])
    await advance(database, tenant.id, T0 + 120 * DAY, actor=BY)
    requested = RequestedRange(None, T0.date(), (T0 + 119 * DAY).date())
    before = (await time_in_stage.get_time_in_stage(database, tenant.id, requested)).stages
    assert [each.stage.key for each in before if each.visits] == ["prospect", "customer"]

    assert await rows(
        database,
        tenant.id,
        f"UPDATE stage_visit_durations SET {change} WHERE company_id = :company AND stage_key = 'customer'"
        " RETURNING day",
    )

    # If the numbers of visits differ, the ledger is queried instead.
    found = (await time_in_stage.get_time_in_stage(database, tenant.id, requested)).stages
    assert (found == before) == is_detected
    assert not (await reconcile(database, tenant.id)).agrees


@newest_only
async def test_local_days_are_computed_by_the_service_not_by_the_database(database, create_test_company):
    # Vancouver keeps summer time since 2026, which the time zone data of many PostgreSQL servers lacks.
    at = datetime(2026, 11, 2, 7, 30, tzinfo=UTC)
    tenant = await create_test_company(test_clock=at, timezone="America/Vancouver")
    await ingest(
        database, tenant.id, [Event("t", str(n), n, "appointment_completed", at, 100) for n in (1, 2)]
    )
    await check(database, tenant.id, random.Random(1))
    await advance(database, tenant.id, at + 3 * DAY, actor=BY)
    await check(database, tenant.id, random.Random(1))
    assert (await reconcile(database, tenant.id)).agrees
    before = await all_reports(database, tenant.id)

    async def rebuild_directly(uow) -> None:
        context = await uow.companies.get_context()
        await uow.rollups.rebuild(1, context.company.zone, reached_by(context.rulebook.stage_map))

    await database.run(tenant.id, rebuild_directly)

    assert await all_reports(database, tenant.id) == before
    assert (await reconcile(database, tenant.id)).agrees


@pytest.mark.parametrize("get", [overview.get_overview, funnels.get_flows, time_in_stage.get_time_in_stage])
async def test_a_report_is_of_one_time_during_concurrent_writes(
    get, database, create_test_company, monkeypatch
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [Event("t", "1", 1, "appointment_completed", T0, 100)])
    before, original = await get(database, tenant.id, RequestedRange()), Rollups.list_moves

    async def moves(self, first, last):
        if self._company_id == tenant.id:
            await ingest(
                database, tenant.id, [Event("t", f"{chance.random()}", 2, "appointment_completed", T0, 100)]
            )
        return await original(self, first, last)

    chance = random.Random()
    monkeypatch.setattr(Rollups, "list_moves", moves)
    found = await get(database, tenant.id, RequestedRange())

    assert without_context(found) == without_context(before)
    assert without_context(await get(database, tenant.id, RequestedRange())) != without_context(before), (
        "nothing was written"
    )


async def test_cohorts_begin_with_the_first_appointment_even_if_unpaid(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    events = [
        Event("t", str(month), 1, "appointment_completed", datetime(2024, month, 1, 12, tzinfo=UTC), 0)
        for month in (5, 7)
    ]
    await ingest(database, tenant.id, events)

    found = await cohorts.get_cohorts(database, tenant.id, RequestedRange(Period.ALL))

    assert [(cohort.month, list(cohort.customers_by_month)[:3]) for cohort in found.cohorts] == [
        (2024 * 12 + 4, [1, 0, 1])
    ]


async def test_a_funnel_is_read_from_the_ledger_until_rollups_are_built_for_the_new_order(
    database, create_test_company
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(
        database, tenant.id, [Event("t", str(n), n, "appointment_completed", T0, 100) for n in (1, 2)]
    )
    before = await all_reports(database, tenant.id)
    corruption = (
        "UPDATE journey_rollups SET total = 7 WHERE company_id = :company"
        " AND kind = 'stage_reached' RETURNING id"
    )
    assert await rows(database, tenant.id, corruption)
    assert await all_reports(database, tenant.id) != before

    await database.run(tenant.id, lambda uow: uow.rollups.set_version(2))

    assert await all_reports(database, tenant.id) == before


async def test_a_map_with_the_same_order_as_one_whose_rollups_are_pending_is_pending_too(
    database, create_test_company
):
    tenant = await create_test_company(test_clock=T0)
    await put_customer(database, tenant.id, 1, {"name": "Ada"}, consents={}, by=BY)
    await database.run(tenant.id, lambda uow: uow.rollups.set_version(7))
    corruption = (
        "UPDATE journey_rollups SET total = 7 WHERE company_id = :company"
        " AND kind = 'stage_reached' RETURNING id"
    )
    assert await rows(database, tenant.id, corruption)

    edit = partial(build_draft, raw=stages(lead={"name": "Caller"}), remap={}, pointer="/stages")
    await change_map(database, tenant.id, edit, MapChangeRequest(None, Activation.FUTURE_ONLY, BY, None))

    funnel = await funnels.get_funnel(database, tenant.id, RequestedRange())
    assert [step.customers for step in funnel.steps] == [1, 0, 0, 0, 0]


async def test_reports_are_unavailable_until_rollups_are_built(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await put_customer(database, tenant.id, 1, {"name": "Ada"}, consents={}, by=BY)
    await database.run(tenant.id, lambda uow: uow.rollups.set_version(0))

    for get in (
        overview.get_overview,
        funnels.get_funnel,
        funnels.get_flows,
        time_in_stage.get_time_in_stage,
        time_in_stage.get_conversions,
    ):
        with pytest.raises(UnavailableError, match="being computed"):
            await get(database, tenant.id, RequestedRange())
    with pytest.raises(UnavailableError, match="being computed"):
        await overview.get_portal(database, tenant.id, Period.MONTH)
    [customers] = [
        number
        for stage, number in (await overview.get_distribution(database, tenant.id, None)).stages
        if number
    ]
    assert customers == 1, "the distribution needs no rollups"
