"""Operating a company: its clock, its scores, jobs and how far they are."""

import pytest

from api.calls import API, JSON, NOON, event, every_page, fetch, ingest, journey, problem, wait_until_ended
from journey_service.api.operations.schemas.jobs import JOB_KINDS
from journey_service.domain.events.values import parse_instant
from journey_service.services.job_registry import JOB_HANDLERS

AT_NOON = parse_instant(NOON, "")
DAYS_91 = "2026-05-31T11:00:00Z"
"""The instant from which a visit on March 1 at eleven is more than ninety days ago."""
DAYS_181 = "2026-08-29T11:00:00Z"


def test_the_contract_lists_every_kind_of_job():
    assert JOB_HANDLERS.keys() | {"import"} == JOB_KINDS


@pytest.fixture
async def neighbour(create_test_company):
    """Another company."""
    return await create_test_company(test_clock=AT_NOON)


async def _post(http, headers, path, body=None):
    return await http.post(f"{API}{path}", headers=headers, json=body)


async def _clock(http, tenant, **body):
    return await _post(http, tenant.headers, f"/admin/companies/{tenant.id}/clock", body)


async def _ended(http, tenant, job_id):
    """A job, once it has ended; the worker that does it is the one of the fixture."""
    return await wait_until_ended(http, tenant, f"/admin/jobs/{job_id}")


async def test_a_year_passes_in_one_call_and_every_move_is_dated_when_it_was_due(http, salon):
    await ingest(http, salon, "visit", customer_id=7)

    moved = await _clock(http, salon, advance_to="2027-03-01T12:00:00Z")

    assert moved.status_code == 200, moved.text
    body = moved.json()
    assert body["test_clock"] == body["now"] == "2027-03-01T12:00:00Z"
    assert (body["status"], body["nightly_runs"], body["transitions"]) == ("done", 365, 2)
    found = await fetch(http, salon, "/customers/7/transitions")
    assert [(move["to_stage"], move["transitioned_at"]) for move in found["items"]][:2] == [
        ("churned", DAYS_181),
        ("at_risk", DAYS_91),
    ]
    assert {move["trigger_event"] for move in found["items"][:2]} == {"days_since_last_appointment"}
    assert (await journey(http, salon, 7))["current_stage"] == "churned"
    job = await fetch(http, salon, f"/admin/jobs/{body['job_id']}")
    assert (job["kind"], job["status"], job["done"], job["total"]) == ("advance_clock", "done", 1, 1)
    assert job["actor"].startswith("key:")


async def test_just_before_the_instant_nothing_moves_and_at_it_the_customer_does(http, salon):
    await ingest(http, salon, "visit")

    await _clock(http, salon, advance_to="2026-05-31T10:59:59.999999Z")
    assert (await journey(http, salon))["current_stage"] == "customer"

    await _clock(http, salon, advance_to=DAYS_91)
    assert (await journey(http, salon))["current_stage"] == "at_risk"


async def test_lists_show_scores_as_of_the_last_night_on_the_way(http, salon):
    await ingest(http, salon, "visit")

    await _clock(http, salon, advance_to="2026-04-15T12:00:00Z")

    [item] = (await fetch(http, salon, "/customers"))["items"]
    assert item["journey"]["scored_at"] == "2026-04-15T02:00:00Z"
    # 44 whole days at that night: 0.3 x 1/3 + 0.3 x (1 - 44/180) + 0.2 x 2/3
    assert item["journey"]["engagement_score"] == pytest.approx(0.46)


async def test_the_clock_is_kept_by_the_company_itself_and_by_operators(http, salon, neighbour, operator):
    path = f"/admin/companies/{salon.id}/clock"
    body = {"advance_to": "2026-03-02T12:00:00Z"}

    problem(await _post(http, neighbour.headers, path, body), 404, "company-not-found")
    named = {**operator, "X-Company-Id": str(neighbour.id)}
    problem(await _post(http, named, path, body), 403, "forbidden")
    assert (await _post(http, operator, path, body)).json()["test_clock"] == "2026-03-02T12:00:00Z"
    named = {**operator, "X-Company-Id": str(salon.id)}
    assert (await _post(http, named, path, body)).status_code == 200
    missing = await _post(http, operator, f"/admin/companies/{2**40}/clock", body)
    problem(missing, 404, "company-not-found")


async def test_a_key_without_the_scope_moves_no_clock_and_starts_no_work(http, create_test_company):
    tenant = await create_test_company(test_clock=AT_NOON, scopes=("customers:write", "journeys:write"))

    problem(await _clock(http, tenant, advance_to="2026-03-02T12:00:00Z"), 403, "forbidden")
    for path in ("/admin/rescore", "/admin/evaluate-transitions"):
        problem(await _post(http, tenant.headers, path), 403, "forbidden")
    for path in ("/admin/jobs", "/admin/jobs/1", "/admin/schedule", "/admin/health"):
        problem(await http.get(f"{API}{path}", headers=tenant.headers), 403, "forbidden")


async def test_a_clock_goes_forwards_only(http, salon):
    refused = await _clock(http, salon, advance_to="2026-03-01T11:59:59Z")
    details = problem(refused, 422, "invalid-input", "/advance_to")
    assert "cannot go back" in details["errors"][0]["detail"]
    assert (await _clock(http, salon, advance_to=NOON)).json()["test_clock"] == NOON


async def test_real_time_is_nobodys_to_move(http, create_test_company):
    tenant = await create_test_company()
    problem(
        await _clock(http, tenant, advance_to="2999-01-01T00:00:00Z"), 422, "invalid-input", "/advance_to"
    )
    problem(await _clock(http, tenant, advance_to="2199-01-01T00:00:00Z"), 409, "no-test-clock")
    problem(await _clock(http, tenant, release=True), 409, "no-test-clock")


async def test_a_released_company_lives_in_real_time_and_what_lies_between_has_been_done(http, salon):
    await ingest(http, salon, "visit")

    released = await _clock(http, salon, release=True)

    body = released.json()
    assert (released.status_code, body["test_clock"], body["transitions"]) == (200, None, 2)
    assert (await journey(http, salon))["current_stage"] == "churned"
    problem(await _clock(http, salon, advance_to="2100-01-01T00:00:00Z"), 409, "no-test-clock")


async def test_a_clock_ahead_of_real_time_is_not_released(http, create_test_company):
    tenant = await create_test_company(test_clock=AT_NOON.replace(year=2150))
    details = problem(await _clock(http, tenant, release=True), 422, "invalid-input", "/release")
    assert "real time" in details["errors"][0]["detail"]


@pytest.mark.parametrize(
    "body",
    [{}, {"release": False}, {"release": True, "advance_to": NOON}, {"advance_to": None}],
    ids=["nothing", "no release", "both", "null"],
)
async def test_exactly_one_of_both_is_required(http, salon, body):
    problem(await _clock(http, salon, **body), 422, "invalid-input", "")


@pytest.mark.parametrize(
    "instant", ["tomorrow", "2026-03-02", 5, "2026-03-02T12:00:00", "1899-12-31T00:00:00Z"]
)
async def test_what_is_no_instant_is_refused(http, salon, instant):
    problem(await _clock(http, salon, advance_to=instant), 422, "invalid-input", "/advance_to")


async def test_all_customers_are_rescored_by_a_job_with_progress(http, salon):
    await http.post(
        f"{API}/events/batch", headers=salon.headers, json=[event(str(n), customer_id=n) for n in range(30)]
    )

    accepted = await _post(http, salon.headers, "/admin/rescore", {"batch_size": 7})

    assert accepted.status_code == 202
    job = await _ended(http, salon, accepted.json()["job_id"])
    assert (job["kind"], job["status"], job["done"], job["total"], job["error"]) == (
        "rescore",
        "done",
        30,
        30,
        None,
    )
    assert job["counts"] == {"evaluated": 0, "moved": 0, "scored": 30, "changed": 0}


async def test_rescoring_all_evaluates_due_customers_and_writes_changed_scores(http, salon, database_owner):
    await ingest(http, salon, "visit")
    await database_owner.set_clock(salon.id, "2026-06-10T12:00:00+00:00")  # no read since

    accepted = await _post(http, salon.headers, "/admin/rescore")

    job = await _ended(http, salon, accepted.json()["job_id"])
    assert (job["counts"]["moved"], job["counts"]["changed"]) == (1, 1)
    [item] = (await fetch(http, salon, "/customers"))["items"]
    assert (item["journey"]["current_stage"], item["journey"]["risk_score"]) == ("at_risk", 0.8)
    assert item["journey"]["scored_at"] == "2026-06-10T12:00:00Z"


async def test_some_customers_or_one_are_scored_and_the_others_left(http, salon, database_owner):
    for customer_id in (1, 2, 3):
        await ingest(http, salon, f"visit {customer_id}", customer_id=customer_id)
    await database_owner.set_clock(salon.id, "2026-05-10T12:00:00+00:00")

    for named in ([2], [1, 2]):
        accepted = await _post(http, salon.headers, "/admin/rescore", {"customer_ids": named})
        job = await _ended(http, salon, accepted.json()["job_id"])
        assert (job["done"], job["total"], job["counts"]["scored"]) == (len(named), len(named), len(named))

    items = (await fetch(http, salon, "/customers"))["items"]
    scored = {item["customer_id"]: item["journey"]["scored_at"] for item in items}
    assert scored == {1: "2026-05-10T12:00:00Z", 2: "2026-05-10T12:00:00Z", 3: NOON}


@pytest.mark.parametrize("path", ["/admin/rescore", "/admin/evaluate-transitions"])
async def test_unknown_customers_are_reported_and_nothing_starts(http, salon, path):
    await ingest(http, salon, "visit")

    problem(await _post(http, salon.headers, path, {"customer_ids": [404]}), 404, "customer-not-found")
    several = await _post(http, salon.headers, path, {"customer_ids": [404, 1, 405]})
    problem(several, 422, "invalid-input", "/customer_ids/0", "/customer_ids/2")
    for bad, pointer in (([], "/customer_ids"), ([-1], "/customer_ids/0"), ([1, "one"], "/customer_ids/1")):
        problem(await _post(http, salon.headers, path, {"customer_ids": bad}), 422, "invalid-input", pointer)
    problem(await _post(http, salon.headers, path, {"everybody": True}), 422, "invalid-input", "/everybody")
    assert (await fetch(http, salon, "/admin/jobs"))["items"] == []


async def test_all_customers_are_evaluated_by_a_job(http, salon, database_owner):
    for customer_id in range(5):
        await ingest(http, salon, f"visit {customer_id}", customer_id=customer_id)
    await database_owner.set_clock(salon.id, "2026-09-10T12:00:00+00:00")

    accepted = await _post(http, salon.headers, "/admin/evaluate-transitions")

    job = await _ended(http, salon, accepted.json()["job_id"])
    assert (job["kind"], job["status"], job["done"], job["total"]) == ("evaluate_transitions", "done", 5, 5)
    assert job["counts"] == {"evaluated": 5, "moved": 10, "suppressed": 0}
    found = await fetch(http, salon, "/customers/3/transitions")
    assert [move["transitioned_at"] for move in found["items"][:2]] == [DAYS_181, DAYS_91]


async def test_only_those_named_are_evaluated(http, salon, database_owner):
    for customer_id in (1, 2):
        await ingest(http, salon, f"visit {customer_id}", customer_id=customer_id)
    await database_owner.set_clock(salon.id, "2026-06-10T12:00:00+00:00")

    body = {"customer_ids": [2]}
    accepted = await _post(http, salon.headers, "/admin/evaluate-transitions", body)

    assert (await _ended(http, salon, accepted.json()["job_id"]))["counts"]["moved"] == 1
    stages = [(await journey(http, salon, customer_id))["current_stage"] for customer_id in (1, 2)]
    assert stages == ["customer", "at_risk"]


async def test_jobs_are_listed_newest_first_and_page_by_page(http, salon):
    body = [(await _post(http, salon.headers, "/admin/rescore")).json()["job_id"] for _ in range(5)]

    pages = await every_page(http, salon.headers, "/admin/jobs", limit=2)

    assert [[job["id"] for job in page] for page in pages] == [
        [body[4], body[3]],
        [body[2], body[1]],
        [body[0]],
    ]


async def test_anothers_job_is_answered_like_one_that_does_not_exist(http, salon, neighbour):
    foreign = (await _post(http, salon.headers, "/admin/rescore")).json()["job_id"]
    for job_id in (foreign, 2**40):
        answer = await http.get(f"{API}/admin/jobs/{job_id}", headers=neighbour.headers)
        details = problem(answer, 404, "job-not-found")
        assert details["detail"].replace(str(job_id), "N") == "There is no job N."


async def test_an_import_is_a_job_too_and_its_id_is_unique(http, salon):
    rescore = (await _post(http, salon.headers, "/admin/rescore")).json()["job_id"]
    headers = {**salon.headers, "content-type": "text/csv"}
    lines = b"customer_id,occurred_at,event_type,amount\n1,2026-02-01,appointment_completed,30\n"

    body = (await http.post(f"{API}/imports", headers=headers, content=lines)).json()

    assert body["job_id"] > rescore
    job = await _ended(http, salon, body["job_id"])
    assert (job["kind"], job["status"], job["done"], job["total"]) == ("import", "done", 1, 1)
    assert job["counts"] == {"applied": 1, "duplicates": 0, "failed": 0, "transitions": 2}


async def test_a_body_that_is_no_json_starts_nothing(http, salon):
    headers = {**salon.headers, "content-type": JSON}
    for path in ("/admin/rescore", "/admin/evaluate-transitions", f"/admin/companies/{salon.id}/clock"):
        problem(await http.post(f"{API}{path}", headers=headers, content=b"{"), 422, "malformed")
    assert (await fetch(http, salon, "/admin/jobs"))["items"] == []


async def test_the_schedule_shows_the_next_nightly_run_in_the_company_s_time_zone(http, create_test_company):
    tenant = await create_test_company(test_clock=AT_NOON, timezone="Europe/Berlin")

    body = await fetch(http, tenant, "/admin/schedule")
    assert (body["next_nightly_run_at"], body["next_nightly_run_local"]) == (
        "2026-03-02T01:00:00Z",
        "2026-03-02T02:00:00+01:00",
    )
    assert (body["nightly_runs"], body["scored_at"]) == ([], None)
    assert {each["name"] for each in body["polling_tasks"]} == {
        *("due_customers", "nightly_runs", "jobs", "outbound_events", "actions", "rollups", "imports")
    }

    await _clock(http, tenant, advance_to="2026-03-28T12:00:00Z")

    body = await fetch(http, tenant, "/admin/schedule")
    # The clocks are put forward that night: there is no two o'clock, and three comes instead.
    assert (body["next_nightly_run_at"], body["next_nightly_run_local"]) == (
        "2026-03-29T01:00:00Z",
        "2026-03-29T03:00:00+02:00",
    )
    assert [night["local_date"] for night in body["nightly_runs"]] == [
        f"2026-03-{day}" for day in range(28, 21, -1)
    ]
    assert {night["status"] for night in body["nightly_runs"]} == {"done"}
    assert body["scored_at"] == body["nightly_runs"][0]["due_at"] == "2026-03-28T01:00:00Z"


async def test_health_names_every_check_and_no_company(http, salon):
    body = await fetch(http, salon, "/admin/health")

    checks = {check["name"]: check for check in body["checks"]}
    assert checks.keys() >= {
        "database",
        "schema",
        "redis",
        "due_customers",
        "nightly_runs",
        "jobs",
        "imports",
    }
    assert checks["database"]["status"] == checks["schema"]["status"] == checks["redis"]["status"] == "ok"
    assert body["status"] in {check["status"] for check in body["checks"]}
    assert str(salon.id) not in str(body)
