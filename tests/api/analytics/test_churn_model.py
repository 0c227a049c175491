"""The churn model in the service: fitted by a job, read by every endpoint, fresh after events, compared each month."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from api.calls import API, fetch, ingest, move
from domain.builders import rule, stage
from journey_service.domain.access.actors import Actor
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.prediction.curve import GRID
from journey_service.services.analytics.churn import fitting
from journey_service.services.analytics.churn.fitting import FIT_CHURN_MODEL_JOB, fit_churn_model
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.events.ingest import ingest as ingest_events
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import LEASE_SECONDS, JobRun, LeaseLostError, enqueue_job, run_inline
from journey_service.services.operations.test_clock import advance
from ledger import rows

T0 = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CUSTOMERS = 300
VISITORS = CUSTOMERS + 1
QUIET, FRESH, NEW, GONE = 1, 2, 901, 902
SAMPLES = (
    "SELECT month, count(*), min(probability), max(probability) FROM churn_samples"
    " WHERE company_id = :company GROUP BY 1"
)
SCORES = (
    "SELECT customer_id, churn_probability, churn_hazards, expected_loss_key, lifetime_value"
    " FROM customer_relationships WHERE company_id = :company ORDER BY customer_id"
)
LATEST = "SELECT parameters, quality FROM churn_models WHERE company_id = :company ORDER BY id DESC LIMIT 1"


def past() -> list[Event]:
    """Appointments of customers with gaps of their own, some of whom leave, and two quiet for a long time."""
    chance = random.Random(5)
    events: list[Event] = []
    for customer in range(1, CUSTOMERS + 1):
        days, gap = chance.uniform(60, 500), chance.lognormvariate(3.3, 0.7)
        type_ = "appointment_completed"
        while days > 0:
            cents = chance.randrange(1_000, 9_000) if type_ == "appointment_completed" else 0
            events.append(Event("till", f"e{len(events)}", customer, type_, T0 - days * DAY, cents))
            if customer == QUIET or chance.random() < 0.15:
                break
            days -= max(1.0, gap * chance.expovariate(1))
            type_ = "appointment_completed" if chance.random() < 0.93 else "appointment_missed"
    events.append(Event("till", "gone", GONE, "appointment_completed", T0 - 400 * DAY, 5_000))
    events.append(Event("till", "call", NEW, "call_received", T0 - DAY))
    return events


@pytest.fixture
async def salon(database, create_test_company):
    """A company with a year of appointments."""
    tenant = await create_test_company(test_clock=T0)
    await ingest_past(database, tenant.id)
    return tenant


async def ingest_past(database, company_id: int) -> None:
    """Ingests the appointments of a company in their order."""
    events = sorted(past(), key=lambda event: event.occurred_at)
    for start in range(0, len(events), 500):
        await ingest_events(database, company_id, events[start : start + 500])


BY_CHANCE = [
    stage("prospect", 1),
    stage("customer", 2, rule("appointment_completed")),
    stage("at_risk", 3, rule("churn_probability", probability=">=0.5"), kind="risk"),
    stage("churned", 4, rule("days_since_last_appointment", days=">180"), kind="risk"),
]
CHANCES = (
    "SELECT current_stage, max(churn_probability) FROM customer_relationships"
    " WHERE company_id = :company AND churn_probability IS NOT NULL GROUP BY 1"
)
MOVES = (
    "SELECT trigger_event, transitioned_at FROM journey_transitions"
    " WHERE company_id = :company AND to_stage = 'at_risk'"
)


async def fit(database, company_id: int):
    """Runs the job in this process, so that no worker takes it."""

    async def enqueue(uow):
        return await enqueue_job(
            uow, FIT_CHURN_MODEL_JOB, {}, actor="tests", is_inline=True, lease_seconds=LEASE_SECONDS
        )

    inline = await database.run(company_id, enqueue)
    job = await run_inline(
        database,
        company_id,
        inline,
        JOB_HANDLERS[FIT_CHURN_MODEL_JOB],
        lease_seconds=LEASE_SECONDS,
        timeout_seconds=None,
    )
    assert (job.status, job.error) == ("done", None)
    return job


async def test_the_model_from_its_fit_to_its_calibration(http, database, salon):
    path = f"/customers/{FRESH}/prediction"
    before = await fetch(http, salon, path)
    assert (before["unavailable_reason"], before["model"], before["curve"]) == ("no_model", None, [])
    assert before["churn_probability"] is before["next_visit_date"] is None
    assert (await fetch(http, salon, "/analytics/churn-model")) == {"model": None}

    job = await fit(database, salon.id)
    assert (job.counts["scored"], job.counts["changed"]) == (CUSTOMERS + 2, VISITORS)
    await everything_is_read(http, database, salon)
    assert (await fit(database, salon.id)).counts["changed"] == 0  # the same events give the same model
    await an_event_predicts_anew(http, database, salon)
    await a_worse_model_is_not_shown(http, database, salon, job)
    await fit(database, salon.id)
    await predictions_are_compared_after_their_horizon(http, database, salon)


async def everything_is_read(http, database, salon):
    found = await fetch(http, salon, f"/customers/{FRESH}/prediction")
    assert found["unavailable_reason"] is None
    assert 0 < found["p_return_30"] < found["p_return_90"] < 1
    points = [point["p_return"] for point in found["curve"]]
    assert [point["day"] for point in found["curve"]] == list(GRID)
    assert points == sorted(points)
    assert points[GRID.index(30)] == pytest.approx(found["p_return_30"], abs=1e-3)
    assert len(found["explanation"]) == 3
    assert all((group["ratio"] > 1) == (group["direction"] == "sooner") for group in found["explanation"])
    detail = (await fetch(http, salon, f"/customers/{FRESH}"))["prediction"]
    assert detail == {name: found[name] for name in detail}

    model = (await fetch(http, salon, "/analytics/churn-model"))["model"]
    assert (model["basis"], model["is_shown"], model["fitted_on"]) == ("blend", True, "2026-06-01")
    assert (model["customers"], model["sampled_customers"]) == (
        model["sampled_customers"],
        model["customers"],
    )
    test = model["back_test"]
    assert test["model"]["log_loss"] <= test["kaplan_meier"]["log_loss"]
    assert model["log_loss"] == pytest.approx(test["model"]["log_loss"], abs=1e-3)
    assert sum(each["customers"] for each in test["bins"]) == test["customers"]

    stored = {row[0]: row for row in await rows(database, salon.id, SCORES)}
    assert stored[NEW][1:3] == (None, None)
    assert stored[GONE][1] == 1
    assert len(stored[FRESH][2]["values"]) == len(GRID)
    assert float(stored[FRESH][1]) == pytest.approx(found["churn_probability"], abs=2e-3)
    for _, probability, _, key, value in stored.values():
        assert abs(key - 1000 * (probability or 0) * max(value, 0)) <= 1
    early = (await fetch(http, salon, "/customers", sort="-expected_loss", limit=200))["items"]
    losses = [stored[each["customer_id"]][3] for each in early]
    assert losses == sorted(losses, reverse=True)
    assert early[0]["churn_probability"] == float(stored[early[0]["customer_id"]][1])
    await the_churn_list_has_both_forecasts(http, salon)


async def the_churn_list_has_both_forecasts(http, salon):
    everyone = []
    cursor = None
    while True:
        page = await fetch(
            http,
            salon,
            "/analytics/churn-predictions",
            sort="-expected_loss",
            limit=20,
            **({} if cursor is None else {"cursor": cursor}),
        )
        everyone += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert everyone
    losses = [each["expected_loss"] for each in everyone]
    assert losses == sorted(losses, reverse=True)
    for each in everyone:
        loss = each["churn_probability"] * each["lifetime_value"]
        assert each["expected_loss"] == pytest.approx(loss, abs=0.1)
        assert each["forecast_churn_date"] > "2026-06"
    by_risk = (await fetch(http, salon, "/analytics/churn-predictions", limit=200))["items"]
    assert {each["customer_id"] for each in by_risk} == {each["customer_id"] for each in everyone}
    portal = await http.get("/portal/customers/at-risk?sort=-expected_loss", headers=salon.headers)
    assert portal.json()["items"][0]["churn_probability"] is not None


async def an_event_predicts_anew(http, database, salon):
    path = f"/customers/{QUIET}/prediction"
    before = await fetch(http, salon, path)
    at = T0.isoformat()
    await ingest(http, salon, "back", customer_id=QUIET, occurred_at=at, total_amount=30)
    after = await fetch(http, salon, path)
    assert after["churn_probability"] < before["churn_probability"]
    assert after["p_return_90"] > before["p_return_90"]
    (row,) = [row for row in await rows(database, salon.id, SCORES) if row[0] == QUIET]
    assert datetime.fromisoformat(row[2]["as_of"]) == T0
    assert float(row[1]) == pytest.approx(after["churn_probability"], abs=2e-3)

    booking = {"booking_id": "B1", "scheduled_for": (T0 + 7 * DAY).isoformat()}
    await ingest(http, salon, "booked", "appointment_booked", customer_id=QUIET, occurred_at=at, **booking)
    booked = await fetch(http, salon, path)
    assert booked["p_return_30"] > max(after["p_return_30"], 0.5)
    assert booked["churn_probability"] < after["churn_probability"]
    assert 7 in [point["day"] for point in booked["curve"]]
    hazards = {row[0]: row[2] for row in await rows(database, salon.id, SCORES)}[QUIET]["values"]
    assert hazards == sorted(hazards)

    await move(http, salon, "vip", QUIET)  # facts stay, and so does the prediction
    assert {row[0]: row[2] for row in await rows(database, salon.id, SCORES)}[QUIET]["values"] == hazards


async def a_worse_model_is_not_shown(http, database, salon, job):
    async def replace_by_worse(uow):
        (row,) = await rows(database, salon.id, LATEST)
        await uow.churn_models.insert(row.parameters, row.quality, is_shown=False, fitted_at=T0)
        await uow.companies.set_churn_model(None)

    await database.run(salon.id, replace_by_worse)
    found = await fetch(http, salon, f"/customers/{FRESH}/prediction")
    assert (found["unavailable_reason"], found["churn_probability"]) == ("worse_than_baseline", None)
    assert found["model"]["is_shown"] is False
    await ingest(http, salon, "again", customer_id=FRESH, occurred_at=T0.isoformat(), total_amount=30)
    stored = {row[0]: row for row in await rows(database, salon.id, SCORES)}
    assert stored[FRESH][1:3] == (None, None)
    assert stored[GONE][1] == 1
    page = await database.run(salon.id, lambda uow: fitting._score_page(uow, 0))
    assert page.counts["changed"] == VISITORS - 1
    assert {row[1] for row in await rows(database, salon.id, SCORES)} == {None}
    lost = JobRun(database, salon.id, job, "stale", 15, {"after": 0}, {})
    with pytest.raises(LeaseLostError):
        await fit_churn_model(lost)


async def predictions_are_compared_after_their_horizon(http, database, salon):
    ((month, number, least, most),) = await rows(database, salon.id, SAMPLES)
    assert (str(month), number) == ("2026-06-01", VISITORS)
    assert 0 < least < most < 1
    pending = await fetch(http, salon, "/analytics/calibration")
    assert [(each["month"], each["is_pending"], each["bins"]) for each in pending["items"]] == [
        ("2026-06", True, [])
    ]
    assert pending["back_test"]["bins"]
    await anonymize_customer(database, salon.id, GONE, by=Actor("tests"))

    later = T0 + 91 * DAY
    returning = range(1, CUSTOMERS, 2)
    await database.run(salon.id, lambda uow: uow.companies.set_clock(later))
    await ingest_events(
        database,
        salon.id,
        [
            Event("till", f"r{each}", each, "appointment_completed", T0 + (80 + each % 11 / 10) * DAY, 100)
            for each in returning
        ],
    )
    await fit(database, salon.id)
    report = await fetch(http, salon, "/analytics/calibration")
    august, june = report["items"]
    assert (august["month"], august["is_pending"]) == ("2026-08", True)
    assert (june["month"], june["is_pending"], june["customers"]) == ("2026-06", False, VISITORS)
    assert june["realised"] == pytest.approx(1 - len(returning) / (VISITORS), abs=1e-3)
    assert len(june["bins"]) == 10
    predicted = [each["predicted"] for each in june["bins"]]
    assert predicted == sorted(predicted)
    table = await http.get(f"{API}/analytics/calibration.csv", headers=salon.headers)
    assert table.text.splitlines()[2].startswith('"2026-06",301,"false",')


async def test_customers_move_when_their_chance_to_churn_reaches_the_threshold_of_a_rule(
    database, create_test_company
):
    tenant = await create_test_company(test_clock=T0, stages=BY_CHANCE)
    await ingest_past(database, tenant.id)
    await advance(database, tenant.id, T0 + DAY, actor=Actor("tests"), timeout_seconds=None)
    assert await rows(database, tenant.id, MOVES) == []  # no model, no chance, no move

    await fit(database, tenant.id)
    before = await rows(database, tenant.id, MOVES)
    await advance(database, tenant.id, T0 + 8 * DAY, actor=Actor("tests"), timeout_seconds=None)
    moves = await rows(database, tenant.id, MOVES)
    assert {trigger for trigger, _ in moves} == {"churn_probability"}
    assert len({at.date() for _, at in moves}) > 1  # each on the day of their own
    assert len(moves) > len(before)
    await fit(database, tenant.id)  # its chances are others, and their customers are due
    now = T0 + 8 * DAY + timedelta(seconds=1)
    await advance(database, tenant.id, now, actor=Actor("tests"), timeout_seconds=None)
    highest = dict(await rows(database, tenant.id, CHANCES))
    assert highest["customer"] < 0.5 <= highest["at_risk"]
