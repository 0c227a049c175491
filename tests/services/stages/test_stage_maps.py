"""The stage map is changed under way: at once, for whom it is to count, and as a preview had told."""

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
from journey_service.domain.stages.changes import archive, build_draft, edit_stage
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.errors import (
    AdoptionPendingError,
    MapVersionNotFoundError,
    StageOccupiedError,
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
from journey_service.services.journeys import manual_changes, map_history, reading
from journey_service.services.journeys import stage_map_rollout as adoption
from journey_service.services.journeys import transaction as desk_steps
from journey_service.services.journeys.explanations import explain
from journey_service.services.journeys.sweep import sweep_batch
from journey_service.services.operations.test_clock import advance
from journey_service.services.stages import previews, stage_maps
from journey_service.services.stages.previews import preview
from journey_service.services.stages.stage_maps import MapChangeRequest, change_map, get_map
from ledger import faults, journeys, rows
from server_versions import first_on_both

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FUTURE, SILENT, LOUD = Activation.FUTURE_ONLY, Activation.CURRENT_SILENT, Activation.CURRENT_WITH_ACTIONS
TYPES = ("appointment_completed",) * 5 + ("appointment_missed", "call_received", "ticket_opened") * 2


def told(
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


def asked(activation: Activation, based_on: int | None = 1) -> MapChangeRequest:
    return MapChangeRequest(based_on, activation, Actor("key:tests"), "because")


async def populate(database, company_id: int, chance: random.Random, customers: int = 30) -> None:
    """Customers in every stage, some of them pinned; the clock ends 200 days later."""
    at = T0
    for step in range(8):
        events = [
            told(
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
            seen = await reading.get_journey(database, company_id, customer_id)
        except CustomerNotFoundError:
            continue
        await manual_changes.pin(
            database,
            company_id,
            customer_id,
            until=at + 25 * DAY,
            version=seen.stored.relationship.version,
            by=Actor("tests"),
        )


async def stands(database, company_id: int) -> list[tuple[object, ...]]:
    """Where everybody stands, by which version, and when they are looked at next."""
    found = await rows(
        database,
        company_id,
        "SELECT customer_id, current_stage, stage_entered_at, version, next_evaluation_at, pin_until, pin_state"
        " FROM customer_relationships WHERE company_id = :company ORDER BY 1",
    )
    return [tuple(row) for row in found]


async def map_moves(database, company_id: int) -> Counter[tuple[str, str]]:
    """Customers by where the change of the map took them from and to."""
    found = await rows(
        database,
        company_id,
        "SELECT relationship_id, (array_agg(from_stage ORDER BY seq))[1] AS a,"
        " (array_agg(to_stage ORDER BY seq DESC))[1] AS b FROM journey_transitions"
        " WHERE company_id = :company AND cause_kind = 'map' GROUP BY relationship_id",
    )
    return Counter((row.a, row.b) for row in found if row.a != row.b)


async def stages_now(database, company_id: int) -> dict[str, int]:
    async def unit(uow: UnitOfWork) -> dict[str, int]:
        return await uow.distribution.count_now()

    return await database.run(company_id, unit)


# ---- the preview tells what activation then does


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("name", DRAFTS)
async def test_what_a_preview_tells_is_what_activation_then_does(database, found_tenant, name, activation):
    tenant = await found_tenant(test_clock=T0)
    await populate(database, tenant.id, random.Random(f"{name}/{activation}"))

    rehearsed = await preview(
        database, tenant.id, edit(name), based_on=1, activation=activation, actor=Actor("tests")
    )
    assert await map_moves(database, tenant.id) == {}, "a preview moves nobody"
    changed = await change_map(database, tenant.id, edit(name), asked(activation))

    result = rehearsed.result
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
        assert matrix, "a draft that moves nobody shows nothing"
        assert changed.job.status == "done"
    assert await faults(database, tenant.id) == []


async def test_the_samples_of_a_preview_are_customers_who_then_move_so(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await populate(database, tenant.id, random.Random(5))
    rehearsed = await preview(
        database, tenant.id, edit("a lower threshold"), based_on=1, activation=SILENT, actor=Actor("tests")
    )
    await change_map(database, tenant.id, edit("a lower threshold"), asked(SILENT))

    histories = await journeys(database, tenant.id)
    named = [
        (sample["customer_id"], cell["from_stage"], cell["to_stage"], sample["trigger_event"])
        for cell in rehearsed.result["moves"]
        for sample in cell["samples"]
    ]
    assert named
    for customer_id, from_stage, to_stage, trigger in named:
        _, before, after, _, _, event = histories[customer_id][-1]
        assert (before, after, event) == (from_stage, to_stage, trigger)


async def test_a_preview_counts_messages_after_consent_addresses_and_caps(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
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
        await ingest(database, tenant.id, [told(customer_id, f"v{customer_id}", T0, cents=20_000)])

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

    loud, silent = await count(LOUD), await count(SILENT)
    assert loud["email"] == {"sent": 1, "no_consent": 1, "no_address": 1, "capped": 0}
    assert sum(loud["sms"].values()) == 0
    assert all(sum(fates.values()) == 0 for fates in silent.values())


async def test_a_preview_leaves_nothing_but_its_job(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await populate(database, tenant.id, random.Random(6), customers=5)
    before = await stands(database, tenant.id), await journeys(database, tenant.id)

    await preview(
        database, tenant.id, edit("two stages fewer"), based_on=1, activation=LOUD, actor=Actor("tests")
    )

    assert before == (await stands(database, tenant.id), await journeys(database, tenant.id))
    assert (await get_map(database, tenant.id)).version.version == 1


async def test_a_preview_goes_on_where_it_was_when_its_runner_died(database, found_tenant, monkeypatch):
    tenant = await found_tenant(test_clock=T0)
    await populate(database, tenant.id, random.Random(7))
    whole = await preview(
        database, tenant.id, edit("a lower threshold"), based_on=1, activation=SILENT, actor=Actor("tests")
    )
    monkeypatch.setattr(previews, "MAX_INLINE_CUSTOMERS", -1)
    monkeypatch.setattr(previews, "CHUNK", 4)
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
    assert done.result == whole.result
    assert done.done == done.total == whole.total


# ---- in force at once, carried through meanwhile


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("name", first_on_both(["an earlier alarm", "two stages fewer"]))
async def test_whoever_is_touched_before_their_page_comes_goes_over_as_of_the_same_instant(
    database, found_tenant, monkeypatch, name, activation
):
    at_once, later = await _twins(database, found_tenant, monkeypatch, name, activation)

    assert await journeys(database, later.id) == await journeys(database, at_once.id)
    assert await stands(database, later.id) == await stands(database, at_once.id)
    adopted = await rows(
        database, later.id, "SELECT map_version, adopted_version FROM companies WHERE id = :company"
    )
    assert tuple(adopted[0]) == (2, 2)
    assert await faults(database, later.id) == []


async def test_without_going_over_first_the_twins_would_tell(database, found_tenant, monkeypatch):
    real, first = map_history.load_map_history, []

    async def only_of_the_first(uow, context):
        first.append(uow.company_id)
        if uow.company_id == first[0]:
            return await real(uow, context)
        return map_history.MapVersionHistory(context.company.map_version)

    with monkeypatch.context() as removed:
        removed.setattr(desk_steps, "load_map_history", only_of_the_first)
        at_once, later = await _twins(database, found_tenant, monkeypatch, "two stages fewer", SILENT)

    assert await journeys(database, later.id) != await journeys(database, at_once.id)
    print("guard removed: detected")


async def _twins(database, found_tenant, monkeypatch, name, activation):
    """Two companies alike: in one everybody goes over at once, in the other one while all sorts of things happen."""
    at_once, later = [await found_tenant(test_clock=T0) for _ in range(2)]
    for twin in (at_once, later):
        await populate(database, twin.id, random.Random(f"{name}-{activation}"))
    await change_map(database, at_once.id, edit(name), asked(activation))
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    changed = await change_map(database, later.id, edit(name), asked(activation))
    assert changed.job is None or changed.job.status == "queued"
    for twin in (at_once, later):
        chance = random.Random(8)
        now = T0 + 200 * DAY
        for step in range(6):
            customers = [chance.randrange(1, 34) for _ in range(4)]
            await ingest(
                database,
                twin.id,
                [
                    told(customer, f"later-{step}-{customer}", now, chance.choice(TYPES))
                    for customer in {*customers}
                ],
            )
            await manual_changes.evaluate(database, twin.id, customers[0], by=Actor("tests"))
            if step == 4 and changed.job is not None and twin is later:
                await run_job(database, later.id, changed.job.id, JOB_HANDLERS)
            now += chance.randrange(1, 9) * DAY
            await advance(database, twin.id, now, actor=Actor("tests"))
            while (await sweep_batch(database, twin.id)).decided:
                pass
    return at_once, later


async def test_whoever_has_yet_to_go_over_is_explained_as_if_they_had(database, found_tenant, monkeypatch):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [told(1, "a", T0, cents=20_000)])
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    await change_map(database, tenant.id, edit("a lower threshold"), asked(SILENT))

    explained = await explain(database, tenant.id, 1)

    assert explained.relationship.current_stage == "vip"
    assert (explained.last.to_stage, explained.last.map_version) == ("vip", 2)
    assert await stages_now(database, tenant.id) == {"customer": 1}, "an explanation writes nothing"


async def test_changes_that_follow_each_other_reach_a_customer_in_their_order(
    database, found_tenant, monkeypatch
):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [told(1, "a", T0, cents=20_000)])
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    first = await change_map(database, tenant.id, edit("a lower threshold"), asked(SILENT))
    await advance(database, tenant.id, T0 + DAY, actor=Actor("tests"))
    second = await change_map(
        database, tenant.id, partial(archive, key="vip", remap_to="regular"), asked(FUTURE, based_on=2)
    )
    assert second.job is not None, "whoever has not gone over to version 2 has to on the way to 3"

    await run_job(database, tenant.id, second.job.id, JOB_HANDLERS)

    moves = (await journeys(database, tenant.id))[1]
    assert [(to, at) for _, _, to, at, _, _ in moves[2:]] == [("vip", T0), ("regular", T0 + DAY)]
    await run_job(database, tenant.id, first.job.id, JOB_HANDLERS)
    assert (await journeys(database, tenant.id))[1] == moves
    [adopted] = await rows(database, tenant.id, "SELECT adopted_version FROM companies WHERE id = :company")
    assert adopted[0] == 3


async def test_a_change_that_was_half_carried_through_is_gone_on_with(database, found_tenant, monkeypatch):
    tenant = await found_tenant(test_clock=T0)
    events = [told(customer, f"e{customer}", T0, cents=20_000) for customer in range(1, 13)]
    await ingest(database, tenant.id, events)
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    monkeypatch.setattr(adoption, "CHUNK", 5)
    changed = await change_map(database, tenant.id, edit("a lower threshold"), asked(LOUD))

    def die(_: object) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run_job(database, tenant.id, changed.job.id, JOB_HANDLERS, on_progress=die)
    assert await stages_now(database, tenant.id) == {"vip": 5, "customer": 7}
    assert await run_job(database, tenant.id, changed.job.id, JOB_HANDLERS)

    assert await stages_now(database, tenant.id) == {"vip": 12}
    job = await get_job(database, tenant.id, changed.job.id)
    assert (job.status, job.done, job.total) == ("done", 12, 12)
    assert job.counts == {"adopted": 12, "moved": 12, "remapped": 0}


async def test_those_whom_a_change_does_not_concern_are_not_written(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [told(1, "a", T0, cents=20_000), told(2, "b", T0, cents=1_000)])
    sql = "SELECT customer_id, xmin::text FROM customer_relationships WHERE company_id = :company ORDER BY 1"
    before = [row.xmin for row in await rows(database, tenant.id, sql)]

    await change_map(database, tenant.id, edit("a lower threshold"), asked(SILENT))

    after = [row.xmin for row in await rows(database, tenant.id, sql)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True]


# ---- atomic, and never on stale ground


async def test_of_two_changes_based_on_the_same_version_one_is_refused(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    answers = await asyncio.gather(
        *(change_map(database, tenant.id, edit(name), asked(SILENT)) for name in list(DRAFTS)[:2]),
        return_exceptions=True,
    )

    refused = [answer for answer in answers if isinstance(answer, StaleMapError)]
    assert len(refused) == 1
    assert refused[0].current == 2
    assert (await get_map(database, tenant.id)).version.version == 2


async def test_of_many_changes_to_whatever_is_in_force_none_is_lost(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    colours = {"prospect": "#000001", "lead": "#000002", "vip": "#000003"}
    await asyncio.gather(
        *(
            change_map(
                database,
                tenant.id,
                partial(edit_stage, key=key, fields={"color": color}),
                asked(FUTURE, based_on=None),
            )
            for key, color in colours.items()
        )
    )

    view = await get_map(database, tenant.id)
    assert view.version.version == 4
    assert {key: view.stage_map.by_key[key].color for key in colours} == colours


async def test_a_change_waits_for_whatever_has_begun_and_everything_else_for_the_change(
    database, found_tenant
):
    tenant = await found_tenant(test_clock=T0)
    go_on, has_begun = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def work_by_the_map(uow: UnitOfWork) -> None:
        seen.append((await uow.companies.get_context()).company.map_version)
        has_begun.set()
        await go_on.wait()
        seen.append((await uow.companies.get_context()).company.map_version)

    at_work = asyncio.create_task(database.run(tenant.id, work_by_the_map))
    await has_begun.wait()
    change = asyncio.create_task(change_map(database, tenant.id, edit("a lower threshold"), asked(SILENT)))
    await _somebody_waits_for(database, tenant.id)
    assert not change.done()
    go_on.set()
    await at_work
    await change

    assert seen == [1, 1], "one transaction is decided by one version"


async def test_without_the_switch_being_alone_one_transaction_would_see_two_versions(
    database, found_tenant, monkeypatch
):
    tenant = await found_tenant(test_clock=T0)
    monkeypatch.setattr(database_module, "_BIND_EXCLUSIVE", database_module._BIND)
    seen: list[int] = []

    async def work_by_the_map(uow: UnitOfWork) -> None:
        seen.append((await uow.companies.get_context()).company.map_version)
        await change_map(database, tenant.id, edit("a lower threshold"), asked(FUTURE))
        seen.append((await uow.companies.get_context()).company.map_version)

    await database.run(tenant.id, work_by_the_map)

    assert seen == [1, 2]
    print("guard removed: detected")


async def _somebody_waits_for(database, company_id: int) -> None:
    async def unit(uow: UnitOfWork) -> int:
        return await uow._connection.scalar(
            text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = :id"),
            {"id": company_id},
        )

    async with asyncio.timeout(120):
        while not await database.run(company_id + 10**9, unit):
            pass


async def test_events_told_while_the_map_changes_are_all_decided_by_the_one_or_the_other(
    database, found_tenant
):
    tenant = await found_tenant()
    customers = range(1, 41)
    is_over = asyncio.Event()

    async def tell(teller: int) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            customer = customers[(number * 7 + teller) % len(customers)]
            at = (await get_company_context(database, tenant.id)).now - timedelta(seconds=1)
            await ingest(database, tenant.id, [told(customer, f"{teller}-{number}", at, cents=3_000)])

    tellers = [asyncio.create_task(tell(teller)) for teller in range(4)]
    changed = await change_map(database, tenant.id, edit("a lower threshold"), asked(SILENT))
    is_over.set()
    await asyncio.gather(*tellers)

    assert changed.job.status == "done"
    # The switch is one instant: what was written by the old version was written before it.
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
    assert await faults(database, tenant.id) == []


# ---- stages that are archived


async def test_a_stage_with_customers_in_it_is_archived_only_with_a_place_to_go(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [told(1, "a", T0), told(2, "b", T0)])
    before = await journeys(database, tenant.id)

    with pytest.raises(StageOccupiedError) as refused:
        await change_map(database, tenant.id, partial(archive, key="customer", remap_to=None), asked(FUTURE))
    assert refused.value.customers == {"customer": 2}
    assert (await get_map(database, tenant.id)).version.version == 1

    changed = await change_map(
        database, tenant.id, partial(archive, key="customer", remap_to="lead"), asked(FUTURE)
    )
    assert await stages_now(database, tenant.id) == {"lead": 2}
    assert changed.job.counts == {"adopted": 2, "moved": 2, "remapped": 2}
    assert (await journeys(database, tenant.id))[1][:2] == before[1], "history is never rewritten"


async def test_an_empty_stage_is_archived_without_more(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [told(1, "a", T0)])

    changed = await change_map(
        database, tenant.id, partial(archive, key="lead", remap_to=None), asked(FUTURE)
    )

    assert changed.job is None
    assert "lead" not in [stage.key for stage in changed.view.stage_map.active]


async def test_the_stages_of_the_company_are_those_of_the_version_in_force(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await change_map(database, tenant.id, edit("two stages fewer"), asked(FUTURE))

    found = await rows(
        database,
        tenant.id,
        "SELECT stage_key, is_active, auto_transition_rules AS rules FROM customer_journey_stages"
        " WHERE company_id = :company ORDER BY order_index",
    )
    assert [row.stage_key for row in found if row.is_active] == [
        "prospect",
        "customer",
        "vip",
        "at_risk",
        "churned",
    ]
    assert {row.stage_key for row in found if not row.is_active} == {"lead", "regular"}
    [rules] = [row.rules for row in found if row.stage_key == "vip"]
    assert rules == {"trigger": "appointment_count", "conditions": {"count": ">=4"}}


async def test_nobody_is_stranded_in_a_stage_that_is_archived_while_they_are_on_their_way(
    database, found_tenant, monkeypatch
):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [told(1, "a", T0, cents=20_000), told(2, "b", T0, cents=20_000)])
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    first = await change_map(database, tenant.id, edit("a lower threshold"), asked(SILENT))
    gone = partial(archive, key="vip", remap_to=None)

    with pytest.raises(AdoptionPendingError):
        await change_map(database, tenant.id, gone, asked(FUTURE, based_on=2))
    await run_job(database, tenant.id, first.job.id, JOB_HANDLERS)
    with pytest.raises(StageOccupiedError):
        await change_map(database, tenant.id, gone, asked(FUTURE, based_on=2))
    assert (await get_map(database, tenant.id)).version.version == 2


async def test_whoever_falls_due_into_an_archived_stage_goes_to_the_next_of_its_kind(database, found_tenant):
    for activation in Activation:
        tenant = await found_tenant(test_clock=T0)
        await ingest(database, tenant.id, [told(1, "a", T0)])
        # Due for at_risk, and not decided yet.
        await rows(
            database,
            tenant.id,
            "UPDATE companies SET clock_at = clock_at + interval '100 days' WHERE id = :company RETURNING id",
        )
        rehearsed = await preview(
            database,
            tenant.id,
            partial(build_draft, raw=defaults(without=("at_risk",)), pointer="/stages"),
            based_on=1,
            activation=activation,
            actor=Actor("tests"),
        )
        changed = await change_map(
            database, tenant.id, partial(archive, key="at_risk", remap_to=None), asked(activation)
        )

        assert changed.job.status == "done"
        moves = (await journeys(database, tenant.id))[1]
        assert [(to, at) for _, _, to, at, _, _ in moves[2:]] == [
            ("at_risk", T0 + 91 * DAY),
            ("churned", T0 + 100 * DAY),
        ]
        assert rehearsed.result["overdue"] == 1
        assert {(cell["from_stage"], cell["to_stage"]) for cell in rehearsed.result["moves"]} == {
            ("at_risk", "churned")
        }


async def test_what_was_due_before_a_change_for_the_future_is_decided_by_the_former_map(
    database, found_tenant
):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [told(1, "a", T0)])
    await rows(
        database,
        tenant.id,
        "UPDATE companies SET clock_at = clock_at + interval '100 days' WHERE id = :company RETURNING id",
    )
    later = defaults(at_risk=rule("days_since_last_appointment", days=">120"))
    await change_map(database, tenant.id, partial(build_draft, raw=later, pointer="/stages"), asked(FUTURE))

    found = await rows(
        database,
        tenant.id,
        "SELECT to_stage, transitioned_at, map_version FROM journey_transitions WHERE company_id = :company"
        " ORDER BY seq",
    )
    assert tuple(found[-1]) == ("at_risk", T0 + 91 * DAY, 1)
    [adopted] = await rows(database, tenant.id, "SELECT adopted_version FROM companies WHERE id = :company")
    assert adopted[0] == 2


async def test_a_preview_refuses_what_activation_would_refuse(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [told(1, "a", T0)])
    homeless = partial(build_draft, raw=defaults(without=("customer",)), pointer="/stages")

    with pytest.raises(StageOccupiedError):
        await preview(database, tenant.id, homeless, based_on=1, activation=SILENT, actor=Actor("tests"))
    with pytest.raises(StageOccupiedError):
        await change_map(database, tenant.id, homeless, asked(SILENT))


async def test_a_change_gives_way_to_long_transactions_and_comes_in_between_them(
    database, found_tenant, monkeypatch
):
    tenant = await found_tenant(test_clock=T0)
    monkeypatch.setattr(jobs, "_EXCLUSIVE_PAUSE_SECONDS", 0.01)
    real, tries = database.run, []

    async def busy(company_id, unit, *, is_exclusive=False, **how):
        tries.append(is_exclusive)
        if is_exclusive and tries.count(True) < 3:
            raise UnavailableError
        return await real(company_id, unit, is_exclusive=is_exclusive, **how)

    monkeypatch.setattr(database, "run", busy)
    changed = await change_map(database, tenant.id, edit("a lower threshold"), asked(FUTURE))

    assert changed.view.version.version == 2
    assert tries.count(True) == 3


# ---- what is refused, and what is kept


async def test_a_draft_with_an_error_of_the_linter_is_refused_with_its_place(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    unreachable = partial(
        build_draft, raw=defaults(lead=rule("appointment_count", count=">=10")), pointer="/stages"
    )

    for attempt in (
        change_map(database, tenant.id, unreachable, asked(SILENT)),
        preview(database, tenant.id, unreachable, based_on=1, activation=SILENT, actor=Actor("tests")),
    ):
        with pytest.raises(InvalidInputError) as refused:
            await attempt
        assert [fault.pointer for fault in refused.value.errors] == ["/stages/1"]
    assert (await get_map(database, tenant.id)).version.version == 1
    assert list(await list_jobs(database, tenant.id, before=None, limit=10)) == []


async def test_a_company_is_not_founded_with_a_map_that_would_be_refused(found_tenant):
    await found_tenant(stages=defaults(lead=rule("appointment_requested")), test_clock=T0)
    with pytest.raises(InvalidInputError) as refused:
        await found_tenant(stages=defaults(lead=rule("appointment_count", count=">=10")), test_clock=T0)

    assert [fault.pointer for fault in refused.value.errors] == ["/stages/1"]


async def test_a_version_tells_who_put_it_in_force_when_for_whom_and_why(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await change_map(database, tenant.id, edit("a lower threshold"), asked(SILENT))

    first, second = [await get_map(database, tenant.id, version) for version in (1, 2)]
    assert (first.version.author, first.version.activated_at, first.is_current) == ("tests", None, False)
    assert (second.version.author, second.version.activated_at) == ("key:tests", T0)
    assert (second.version.activation, second.version.notes, second.is_current) == (SILENT, "because", True)
    assert first.stage_map.by_key["vip"].rules != second.stage_map.by_key["vip"].rules
    with pytest.raises(MapVersionNotFoundError):
        await get_map(database, tenant.id, 3)


async def test_moves_of_a_change_say_whether_they_run_actions(database, found_tenant):
    for activation in (SILENT, LOUD):
        tenant = await found_tenant(test_clock=T0)
        await ingest(database, tenant.id, [told(1, "a", T0, cents=20_000)])
        await change_map(database, tenant.id, edit("a lower threshold"), asked(activation))

        found = await rows(
            database,
            tenant.id,
            "SELECT cause_kind, is_silent FROM journey_transitions WHERE company_id = :company ORDER BY seq",
        )
        assert [tuple(row) for row in found] == [
            ("start", False),
            ("event", False),
            ("map", activation is SILENT),
        ]
