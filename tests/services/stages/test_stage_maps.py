"""Changes of the stage map: in force at once, migrate the affected customers, and match their preview."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from journey_service.domain.access.actors import Actor
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import InvalidInputError, UnavailableError
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.operations.records import JobFilter
from journey_service.domain.stages.changes import archive, build_draft, edit_stage
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.errors import (
    MapVersionNotFoundError,
    RolloutPendingError,
    StageInUseError,
    StaleMapError,
)
from journey_service.repositories import database as database_module
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services import jobs
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, list_jobs, run_job
from journey_service.services.journeys import (
    manual_changes,
    map_history,
    reading,
    stage_map_rollout,
    transaction,
)
from journey_service.services.journeys.explanations import explain
from journey_service.services.journeys.sweep import sweep_batch
from journey_service.services.operations.test_clock import advance
from journey_service.services.stages import previews, stage_maps
from journey_service.services.stages.previews import preview
from journey_service.services.stages.stage_maps import MapChangeRequest, change_map, get_map
from ledger import find_violations, journeys, rows

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FUTURE, SILENT, ACTING = Activation.FUTURE_ONLY, Activation.CURRENT_SILENT, Activation.CURRENT_WITH_ACTIONS
TYPES = ("appointment_completed",) * 5 + ("appointment_missed", "call_received", "ticket_opened") * 2


def make_event(
    customer: int, id_: str, at: datetime, type_: str = "appointment_completed", cents: int = 4_000
) -> Event:
    return Event("tests", id_, customer, type_, at, cents, 90 if type_ == "call_received" else None)


def defaults(*, without: Sequence[str] = (), **changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**form, **changes.get(str(form["key"]), {})} for form in DEFAULT_STAGES if form["key"] not in without
    ]


def rule(trigger: str, **conditions: str) -> dict[str, Any]:
    return {"auto_rules": {"trigger": trigger, "conditions": conditions}}


EASY_VIP = defaults(vip=rule("lifetime_value", value=">=100"))
DRAFTS: dict[str, tuple[list[dict[str, Any]], dict[str, str]]] = {
    "a lower threshold": (EASY_VIP, {}),
    "an earlier alarm": (defaults(at_risk=rule("days_since_last_appointment", days=">45")), {}),
    "two stages fewer": (
        defaults(without=("lead", "regular"), vip=rule("appointment_count", count=">=4")),
        {"lead": "prospect", "regular": "customer"},
    ),
    "no churn, and a stage more": (
        [
            *defaults(without=("churned",), customer={"retention_days": 30}),
            {
                "key": "friend",
                "name": "Friend",
                "order": 9,
                **rule("days_in_stage", days=">=20"),
                "kind": "progress",
            },
        ],
        {"churned": "at_risk"},
    ),
}


def edit(name: str):
    stages, remap = DRAFTS[name]
    return partial(build_draft, raw=stages, remap=remap, pointer="/stages")


def change_request(activation: Activation, based_on: int | None = 1) -> MapChangeRequest:
    return MapChangeRequest(based_on, activation, Actor("key:tests"), "because")


async def populate(database, company_id: int, chance: random.Random, customers: int = 30) -> None:
    """Creates customers in every stage, some of them pinned; the clock ends 200 days later."""
    at = T0
    for step in range(8):
        events = [
            make_event(
                chance.randrange(1, customers + 1),
                f"{step}-{number}",
                at - timedelta(hours=chance.randrange(40)),
                chance.choice(TYPES),
                chance.choice((0, 2_000, 9_000, 40_000)),
            )
            for number in range(15)
        ]
        await ingest(database, company_id, events)
        at += 25 * DAY
        await advance(database, company_id, at, actor=Actor("tests"))
    for customer_id in range(1, customers, 7):
        try:
            view = await reading.get_journey(database, company_id, customer_id)
        except CustomerNotFoundError:
            continue
        await manual_changes.pin(
            database,
            company_id,
            customer_id,
            until=at + 25 * DAY,
            version=view.stored.relationship.version,
            by=Actor("tests"),
        )


async def relationships_of(database, company_id: int) -> list[tuple[object, ...]]:
    """Returns stage, version, next evaluation and pin of every customer."""
    result = await rows(
        database,
        company_id,
        "SELECT customer_id, current_stage, stage_entered_at, version, next_evaluation_at, pin_until, pin_state"
        " FROM customer_relationships WHERE company_id = :company ORDER BY 1",
    )
    return [tuple(row) for row in result]


async def map_moves(database, company_id: int) -> Counter[tuple[str, str]]:
    """Counts customers by the stages that the change of the map moved them from and to."""
    result = await rows(
        database,
        company_id,
        "SELECT relationship_id, (array_agg(from_stage ORDER BY seq))[1] AS a,"
        " (array_agg(to_stage ORDER BY seq DESC))[1] AS b FROM journey_transitions"
        " WHERE company_id = :company AND cause_kind = 'map' GROUP BY relationship_id",
    )
    return Counter((row.a, row.b) for row in result if row.a != row.b)


async def stages_now(database, company_id: int) -> dict[str, int]:
    async def unit(uow: UnitOfWork) -> dict[str, int]:
        return await uow.distribution.count_now()

    return await database.run(company_id, unit)


# ---- previews


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("name", DRAFTS)
async def test_activation_has_the_result_of_its_preview(database, create_test_company, name, activation):
    tenant = await create_test_company(test_clock=T0)
    await populate(database, tenant.id, random.Random(f"{name}/{activation}"))

    previewed = await preview(
        database, tenant.id, edit(name), based_on=1, activation=activation, actor=Actor("tests")
    )
    assert await map_moves(database, tenant.id) == {}, "a preview moves no customer"
    changed = await change_map(database, tenant.id, edit(name), change_request(activation))

    result = previewed.result
    matrix = {(cell["from_stage"], cell["to_stage"]): cell["customers"] for cell in result["moves"]}
    assert matrix == await map_moves(database, tenant.id)
    after = {stage["stage_key"]: stage["after"] for stage in result["stages"] if stage["after"]}
    assert after == await stages_now(database, tenant.id)
    assert result["customers"] == sum(after.values()) == sum(stage["before"] for stage in result["stages"])
    system = await rows(
        database,
        tenant.id,
        "SELECT count(*) FROM journey_transitions WHERE company_id = :company AND trigger_event = 'stage_archived'",
    )
    assert result["remapped"] == system[0][0]
    if activation is not FUTURE:
        assert matrix, "the draft must move customers"
        assert changed.job.status == "done"
    assert await find_violations(database, tenant.id) == []


async def test_the_samples_of_a_preview_are_customers_that_activation_moves(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await populate(database, tenant.id, random.Random(5))
    previewed = await preview(
        database, tenant.id, edit("a lower threshold"), based_on=1, activation=SILENT, actor=Actor("tests")
    )
    await change_map(database, tenant.id, edit("a lower threshold"), change_request(SILENT))

    histories = await journeys(database, tenant.id)
    named = [
        (sample["customer_id"], cell["from_stage"], cell["to_stage"], sample["trigger_event"])
        for cell in previewed.result["moves"]
        for sample in cell["samples"]
    ]
    assert named
    for customer_id, from_stage, to_stage, trigger in named:
        _, before, after, _, _, event = histories[customer_id][-1]
        assert (before, after, event) == (from_stage, to_stage, trigger)


async def test_a_preview_counts_messages_by_consent_address_and_cap(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    people = {
        1: ({"email": "a@example.org"}, {}),
        2: ({"email": "b@example.org"}, {"email": "withdrawn"}),
        3: ({}, {}),
    }
    for customer_id, (profile, consents) in people.items():
        await put_customer(
            database,
            tenant.id,
            customer_id,
            {"name": None, "email": None, "phone": None, **profile},
            consents=consents,
            by=Actor("tests"),
        )
        await ingest(database, tenant.id, [make_event(customer_id, f"v{customer_id}", T0, cents=20_000)])

    async def count(activation: Activation) -> dict[str, dict[str, int]]:
        job = await preview(
            database,
            tenant.id,
            edit("a lower threshold"),
            based_on=1,
            activation=activation,
            actor=Actor("tests"),
        )
        assert [cell["customers"] for cell in job.result["moves"]] == [3]
        return job.result["messages"]

    acting, silent = await count(ACTING), await count(SILENT)
    assert acting["email"] == {"sent": 1, "no_consent": 1, "no_address": 1, "capped": 0, "no_channel": 0}
    assert sum(acting["sms"].values()) == 0
    assert all(sum(decisions.values()) == 0 for decisions in silent.values())


async def test_a_preview_writes_nothing_but_its_job(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await populate(database, tenant.id, random.Random(6), customers=5)
    before = await relationships_of(database, tenant.id), await journeys(database, tenant.id)

    await preview(
        database, tenant.id, edit("two stages fewer"), based_on=1, activation=ACTING, actor=Actor("tests")
    )

    assert before == (await relationships_of(database, tenant.id), await journeys(database, tenant.id))
    assert (await get_map(database, tenant.id)).version.version == 1


async def test_an_interrupted_preview_is_resumed(database, create_test_company, monkeypatch):
    tenant = await create_test_company(test_clock=T0)
    await populate(database, tenant.id, random.Random(7))
    uninterrupted = await preview(
        database, tenant.id, edit("a lower threshold"), based_on=1, activation=SILENT, actor=Actor("tests")
    )
    monkeypatch.setattr(previews, "MAX_INLINE_CUSTOMERS", -1)
    monkeypatch.setattr(previews, "BATCH_SIZE", 4)
    queued = await preview(
        database, tenant.id, edit("a lower threshold"), based_on=1, activation=SILENT, actor=Actor("tests")
    )
    assert (queued.status, queued.result) == ("queued", None)

    def die(job) -> None:
        if job.done == 8:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run_job(database, tenant.id, queued.id, JOB_HANDLERS, on_progress=die)
    half = await get_job(database, tenant.id, queued.id)
    assert (half.status, half.done) == ("queued", 8)
    assert await run_job(database, tenant.id, queued.id, JOB_HANDLERS)

    done = await get_job(database, tenant.id, queued.id)
    assert done.result == uninterrupted.result
    assert done.done == done.total == uninterrupted.total


# ---- migration


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("name", ["an earlier alarm", "two stages fewer"])
async def test_customers_changed_before_their_page_are_migrated_as_of_the_activation(
    database, create_test_company, monkeypatch, name, activation
):
    at_once, later = await _two_companies(database, create_test_company, monkeypatch, name, activation)

    assert await journeys(database, later.id) == await journeys(database, at_once.id)
    assert await relationships_of(database, later.id) == await relationships_of(database, at_once.id)
    migrated = await rows(
        database, later.id, "SELECT map_version, migrated_version FROM companies WHERE id = :company"
    )
    assert tuple(migrated[0]) == (2, 2)
    assert await find_violations(database, later.id) == []


async def test_a_change_without_migrating_first_is_detected(database, create_test_company, monkeypatch):
    load_map_history, companies = map_history.load_map_history, []

    async def only_for_the_first(uow, context):
        companies.append(uow.company_id)
        if uow.company_id == companies[0]:
            return await load_map_history(uow, context)
        return map_history.MapVersionHistory(context.company.map_version)

    with monkeypatch.context() as removed:
        removed.setattr(transaction, "load_map_history", only_for_the_first)
        at_once, later = await _two_companies(
            database, create_test_company, monkeypatch, "two stages fewer", SILENT
        )

    assert await journeys(database, later.id) != await journeys(database, at_once.id)
    print("guard removed: detected")


async def _two_companies(database, create_test_company, monkeypatch, name, activation):
    """Returns two equal companies: one migrated inline, the other page by page during events and decisions."""
    at_once, later = [await create_test_company(test_clock=T0) for _ in range(2)]
    for company in (at_once, later):
        await populate(database, company.id, random.Random(f"{name}-{activation}"))
    await change_map(database, at_once.id, edit(name), change_request(activation))
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    changed = await change_map(database, later.id, edit(name), change_request(activation))
    assert changed.job is None or changed.job.status == "queued"
    for company in (at_once, later):
        chance = random.Random(8)
        now = T0 + 200 * DAY
        for step in range(6):
            customers = [chance.randrange(1, 34) for _ in range(4)]
            await ingest(
                database,
                company.id,
                [
                    make_event(customer, f"later-{step}-{customer}", now, chance.choice(TYPES))
                    for customer in {*customers}
                ],
            )
            await manual_changes.evaluate(database, company.id, customers[0], by=Actor("tests"))
            if step == 4 and changed.job is not None and company is later:
                await run_job(database, later.id, changed.job.id, JOB_HANDLERS)
            now += chance.randrange(1, 9) * DAY
            await advance(database, company.id, now, actor=Actor("tests"))
            while (await sweep_batch(database, company.id)).evaluated:
                pass
    return at_once, later


async def test_a_customer_not_yet_migrated_is_explained_as_if_migrated(
    database, create_test_company, monkeypatch
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [make_event(1, "a", T0, cents=20_000)])
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    await change_map(database, tenant.id, edit("a lower threshold"), change_request(SILENT))

    explained = await explain(database, tenant.id, 1)

    assert explained.relationship.current_stage == "vip"
    assert (explained.last.to_stage, explained.last.map_version) == ("vip", 2)
    assert await stages_now(database, tenant.id) == {"customer": 1}, "an explanation writes nothing"


async def test_pending_versions_are_applied_in_their_order(database, create_test_company, monkeypatch):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [make_event(1, "a", T0, cents=20_000)])
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    first = await change_map(database, tenant.id, edit("a lower threshold"), change_request(SILENT))
    await advance(database, tenant.id, T0 + DAY, actor=Actor("tests"))
    second = await change_map(
        database,
        tenant.id,
        partial(archive, key="vip", remap_to="regular"),
        change_request(FUTURE, based_on=2),
    )
    assert second.job is not None, (
        "customers not yet migrated to version 2 are migrated on the way to version 3"
    )

    await run_job(database, tenant.id, second.job.id, JOB_HANDLERS)

    moves = (await journeys(database, tenant.id))[1]
    assert [(to, at) for _, _, to, at, _, _ in moves[2:]] == [("vip", T0), ("regular", T0 + DAY)]
    await run_job(database, tenant.id, first.job.id, JOB_HANDLERS)
    assert (await journeys(database, tenant.id))[1] == moves
    [migrated] = await rows(database, tenant.id, "SELECT migrated_version FROM companies WHERE id = :company")
    assert migrated[0] == 3


async def test_an_interrupted_migration_is_resumed(database, create_test_company, monkeypatch):
    tenant = await create_test_company(test_clock=T0)
    events = [make_event(customer, f"e{customer}", T0, cents=20_000) for customer in range(1, 13)]
    await ingest(database, tenant.id, events)
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    monkeypatch.setattr(stage_map_rollout, "BATCH_SIZE", 5)
    changed = await change_map(database, tenant.id, edit("a lower threshold"), change_request(ACTING))

    def die(_: object) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run_job(database, tenant.id, changed.job.id, JOB_HANDLERS, on_progress=die)
    assert await stages_now(database, tenant.id) == {"vip": 5, "customer": 7}
    assert await run_job(database, tenant.id, changed.job.id, JOB_HANDLERS)

    assert await stages_now(database, tenant.id) == {"vip": 12}
    job = await get_job(database, tenant.id, changed.job.id)
    assert (job.status, job.done, job.total) == ("done", 12, 12)
    assert job.counts == {"migrated": 12, "moved": 12, "remapped": 0}


async def test_unaffected_customers_are_not_written(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(
        database, tenant.id, [make_event(1, "a", T0, cents=20_000), make_event(2, "b", T0, cents=1_000)]
    )
    sql = "SELECT customer_id, xmin::text FROM customer_relationships WHERE company_id = :company ORDER BY 1"
    before = [row.xmin for row in await rows(database, tenant.id, sql)]

    await change_map(database, tenant.id, edit("a lower threshold"), change_request(SILENT))

    after = [row.xmin for row in await rows(database, tenant.id, sql)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True]


# ---- concurrency


async def test_one_of_two_changes_based_on_the_same_version_is_rejected(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    answers = await asyncio.gather(
        *(change_map(database, tenant.id, edit(name), change_request(SILENT)) for name in list(DRAFTS)[:2]),
        return_exceptions=True,
    )

    errors = [answer for answer in answers if isinstance(answer, StaleMapError)]
    assert len(errors) == 1
    assert errors[0].current == 2
    assert (await get_map(database, tenant.id)).version.version == 2


async def test_no_change_of_any_current_version_is_lost(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    colours = {"prospect": "#000001", "lead": "#000002", "vip": "#000003"}
    await asyncio.gather(
        *(
            change_map(
                database,
                tenant.id,
                partial(edit_stage, key=key, fields={"color": color}),
                change_request(FUTURE, based_on=None),
            )
            for key, color in colours.items()
        )
    )

    view = await get_map(database, tenant.id)
    assert view.version.version == 4
    assert {key: view.stage_map.by_key[key].color for key in colours} == colours


async def test_a_change_waits_for_running_transactions(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    proceed, has_begun = asyncio.Event(), asyncio.Event()
    versions: list[int] = []

    async def read_twice(uow: UnitOfWork) -> None:
        versions.append((await uow.companies.get_context()).company.map_version)
        has_begun.set()
        await proceed.wait()
        versions.append((await uow.companies.get_context()).company.map_version)

    reader = asyncio.create_task(database.run(tenant.id, read_twice))
    await has_begun.wait()
    change = asyncio.create_task(
        change_map(database, tenant.id, edit("a lower threshold"), change_request(SILENT))
    )
    await _wait_for_blocked_lock(database, tenant.id)
    assert not change.done()
    proceed.set()
    await reader
    await change

    assert versions == [1, 1], "one transaction is evaluated with one version"


async def test_the_check_detects_a_change_that_is_not_exclusive(database, create_test_company, monkeypatch):
    tenant = await create_test_company(test_clock=T0)
    monkeypatch.setattr(database_module, "_BIND_EXCLUSIVE", database_module._BIND)
    versions: list[int] = []

    async def read_twice(uow: UnitOfWork) -> None:
        versions.append((await uow.companies.get_context()).company.map_version)
        await change_map(database, tenant.id, edit("a lower threshold"), change_request(FUTURE))
        versions.append((await uow.companies.get_context()).company.map_version)

    await database.run(tenant.id, read_twice)

    assert versions == [1, 2]
    print("guard removed: detected")


async def _wait_for_blocked_lock(database, company_id: int) -> None:
    async def unit(uow: UnitOfWork) -> int:
        return await uow._connection.scalar(
            text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = :id"),
            {"id": company_id},
        )

    async with asyncio.timeout(300):
        while not await database.run(company_id + 10**9, unit):
            pass


async def test_events_during_a_change_are_evaluated_with_the_former_or_the_new_version(
    database, create_test_company
):
    tenant = await create_test_company()
    customers = range(1, 41)
    is_over = asyncio.Event()

    async def send(sender: int) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            customer = customers[(number * 7 + sender) % len(customers)]
            at = (await get_company_context(database, tenant.id)).now - timedelta(seconds=1)
            await ingest(database, tenant.id, [make_event(customer, f"{sender}-{number}", at, cents=3_000)])

    senders = [asyncio.create_task(send(sender)) for sender in range(4)]
    changed = await change_map(database, tenant.id, edit("a lower threshold"), change_request(SILENT))
    is_over.set()
    await asyncio.gather(*senders)

    assert changed.job.status == "done"
    # The activation is one instant: everything evaluated with the former version was written before it.
    [late] = await rows(
        database,
        tenant.id,
        "SELECT count(*) FROM journey_transitions t WHERE t.company_id = :company AND t.map_version = 1"
        " AND t.recorded_at > (SELECT activated_at FROM stage_map_versions"
        " WHERE company_id = :company AND version = 2)",
    )
    assert late[0] == 0
    waiting = await rows(
        database,
        tenant.id,
        "SELECT customer_id FROM customer_relationships WHERE company_id = :company AND lifetime_value >= 100"
        " AND current_stage <> 'vip'",
    )
    assert waiting == []
    assert await find_violations(database, tenant.id) == []


# ---- stages that are archived


async def test_an_occupied_stage_is_archived_only_with_a_successor(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [make_event(1, "a", T0), make_event(2, "b", T0)])
    before = await journeys(database, tenant.id)

    with pytest.raises(StageInUseError) as error:
        await change_map(
            database, tenant.id, partial(archive, key="customer", remap_to=None), change_request(FUTURE)
        )
    assert error.value.customers == {"customer": 2}
    assert (await get_map(database, tenant.id)).version.version == 1

    changed = await change_map(
        database, tenant.id, partial(archive, key="customer", remap_to="lead"), change_request(FUTURE)
    )
    assert await stages_now(database, tenant.id) == {"lead": 2}
    assert changed.job.counts == {"migrated": 2, "moved": 2, "remapped": 2}
    assert (await journeys(database, tenant.id))[1][:2] == before[1], "past transitions are never changed"


async def test_an_empty_stage_is_archived_without_a_job(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [make_event(1, "a", T0)])

    changed = await change_map(
        database, tenant.id, partial(archive, key="lead", remap_to=None), change_request(FUTURE)
    )

    assert changed.job is None
    assert "lead" not in [stage.key for stage in changed.view.stage_map.active]


async def test_the_view_of_stages_shows_the_version_in_force(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await change_map(database, tenant.id, edit("two stages fewer"), change_request(FUTURE))

    result = await rows(
        database,
        tenant.id,
        "SELECT stage_key, is_active, auto_transition_rules AS rules FROM customer_journey_stages"
        " WHERE company_id = :company ORDER BY order_index",
    )
    assert [row.stage_key for row in result if row.is_active] == [
        "prospect",
        "customer",
        "vip",
        "at_risk",
        "churned",
    ]
    assert {row.stage_key for row in result if not row.is_active} == {"lead", "regular"}
    [rules] = [row.rules for row in result if row.stage_key == "vip"]
    assert rules == {"trigger": "appointment_count", "conditions": {"count": ">=4"}}


async def test_a_stage_cannot_be_archived_while_a_migration_can_move_customers_into_it(
    database, create_test_company, monkeypatch
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(
        database, tenant.id, [make_event(1, "a", T0, cents=20_000), make_event(2, "b", T0, cents=20_000)]
    )
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    first = await change_map(database, tenant.id, edit("a lower threshold"), change_request(SILENT))
    archive_vip = partial(archive, key="vip", remap_to=None)

    with pytest.raises(RolloutPendingError):
        await change_map(database, tenant.id, archive_vip, change_request(FUTURE, based_on=2))
    await run_job(database, tenant.id, first.job.id, JOB_HANDLERS)
    with pytest.raises(StageInUseError):
        await change_map(database, tenant.id, archive_vip, change_request(FUTURE, based_on=2))
    assert (await get_map(database, tenant.id)).version.version == 2


async def test_customers_due_for_an_archived_stage_move_to_the_next_of_its_kind(
    database, create_test_company
):
    for activation in Activation:
        tenant = await create_test_company(test_clock=T0)
        await ingest(database, tenant.id, [make_event(1, "a", T0)])
        # Due for at_risk, and not evaluated yet.
        await rows(
            database,
            tenant.id,
            "UPDATE companies SET clock_at = clock_at + interval '100 days' WHERE id = :company RETURNING id",
        )
        previewed = await preview(
            database,
            tenant.id,
            partial(build_draft, raw=defaults(without=("at_risk",)), pointer="/stages"),
            based_on=1,
            activation=activation,
            actor=Actor("tests"),
        )
        changed = await change_map(
            database, tenant.id, partial(archive, key="at_risk", remap_to=None), change_request(activation)
        )

        assert changed.job.status == "done"
        moves = (await journeys(database, tenant.id))[1]
        assert [(to, at) for _, _, to, at, _, _ in moves[2:]] == [
            ("at_risk", T0 + 91 * DAY),
            ("churned", T0 + 100 * DAY),
        ]
        assert previewed.result["overdue"] == 1
        assert {(cell["from_stage"], cell["to_stage"]) for cell in previewed.result["moves"]} == {
            ("at_risk", "churned")
        }


async def test_decisions_due_before_a_change_for_the_future_use_the_former_map(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [make_event(1, "a", T0)])
    await rows(
        database,
        tenant.id,
        "UPDATE companies SET clock_at = clock_at + interval '100 days' WHERE id = :company RETURNING id",
    )
    later = defaults(at_risk=rule("days_since_last_appointment", days=">120"))
    await change_map(
        database, tenant.id, partial(build_draft, raw=later, pointer="/stages"), change_request(FUTURE)
    )

    result = await rows(
        database,
        tenant.id,
        "SELECT to_stage, transitioned_at, map_version FROM journey_transitions WHERE company_id = :company"
        " ORDER BY seq",
    )
    assert tuple(result[-1]) == ("at_risk", T0 + 91 * DAY, 1)
    [migrated] = await rows(database, tenant.id, "SELECT migrated_version FROM companies WHERE id = :company")
    assert migrated[0] == 2


async def test_a_preview_rejects_what_activation_rejects(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [make_event(1, "a", T0)])
    without_successor = partial(build_draft, raw=defaults(without=("customer",)), pointer="/stages")

    with pytest.raises(StageInUseError):
        await preview(
            database, tenant.id, without_successor, based_on=1, activation=SILENT, actor=Actor("tests")
        )
    with pytest.raises(StageInUseError):
        await change_map(database, tenant.id, without_successor, change_request(SILENT))


async def test_a_change_retries_between_long_transactions(database, create_test_company, monkeypatch):
    tenant = await create_test_company(test_clock=T0)
    monkeypatch.setattr(jobs, "_EXCLUSIVE_PAUSE_SECONDS", 0.01)
    run, attempts = database.run, []

    async def busy(company_id, unit, *, is_exclusive=False, **options):
        attempts.append(is_exclusive)
        if is_exclusive and attempts.count(True) < 3:
            raise UnavailableError
        return await run(company_id, unit, is_exclusive=is_exclusive, **options)

    monkeypatch.setattr(database, "run", busy)
    changed = await change_map(database, tenant.id, edit("a lower threshold"), change_request(FUTURE))

    assert changed.view.version.version == 2
    assert attempts.count(True) == 3


# ---- validation and metadata


async def test_a_draft_with_a_lint_error_is_rejected_with_its_pointer(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    unreachable = partial(
        build_draft, raw=defaults(lead=rule("appointment_count", count=">=10")), pointer="/stages"
    )

    for attempt in (
        change_map(database, tenant.id, unreachable, change_request(SILENT)),
        preview(database, tenant.id, unreachable, based_on=1, activation=SILENT, actor=Actor("tests")),
    ):
        with pytest.raises(InvalidInputError) as error:
            await attempt
        assert [each.pointer for each in error.value.errors] == ["/stages/1"]
    assert (await get_map(database, tenant.id)).version.version == 1
    assert list(await list_jobs(database, tenant.id, JobFilter(10))) == []


async def test_a_company_cannot_be_created_with_a_lint_error(create_test_company):
    await create_test_company(stages=defaults(lead=rule("appointment_requested")), test_clock=T0)
    with pytest.raises(InvalidInputError) as error:
        await create_test_company(
            stages=defaults(lead=rule("appointment_count", count=">=10")), test_clock=T0
        )

    assert [each.pointer for each in error.value.errors] == ["/stages/1"]


async def test_a_version_has_the_author_time_activation_and_notes_of_its_change(
    database, create_test_company
):
    tenant = await create_test_company(test_clock=T0)
    await change_map(database, tenant.id, edit("a lower threshold"), change_request(SILENT))

    first, second = [await get_map(database, tenant.id, version) for version in (1, 2)]
    assert (first.version.author, first.version.activated_at, first.is_current) == ("tests", None, False)
    assert (second.version.author, second.version.activated_at) == ("key:tests", T0)
    assert (second.version.activation, second.version.notes, second.is_current) == (SILENT, "because", True)
    assert first.stage_map.by_key["vip"].rules != second.stage_map.by_key["vip"].rules
    with pytest.raises(MapVersionNotFoundError):
        await get_map(database, tenant.id, 3)


async def test_transitions_of_a_change_record_whether_they_run_actions(database, create_test_company):
    for activation in (SILENT, ACTING):
        tenant = await create_test_company(test_clock=T0)
        await ingest(database, tenant.id, [make_event(1, "a", T0, cents=20_000)])
        await change_map(database, tenant.id, edit("a lower threshold"), change_request(activation))

        result = await rows(
            database,
            tenant.id,
            "SELECT cause_kind, is_silent FROM journey_transitions WHERE company_id = :company ORDER BY seq",
        )
        assert [tuple(row) for row in result] == [
            ("start", False),
            ("event", False),
            ("map", activation is SILENT),
        ]
