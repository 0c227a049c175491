"""Routes of tasks: listing, completing, reassigning, postponing; closed tasks cannot be changed."""

import asyncio
import base64
import json

import pytest

from api.calls import (
    API,
    NOON,
    advance,
    audit_entries,
    every_page,
    fetch,
    key_of,
    move,
    problem,
    request_action,
    save_customer,
)
from journey_service.domain.events.values import parse_instant
from journey_service.services.actions.delivery.publisher import publish
from server_versions import each_has_its_sql, newest_only

TASK = {
    *(
        "id",
        "customer_id",
        "customer_ref",
        "customer_name",
        "channel",
        "name",
        "title",
        "stage",
        "assignee",
        "note",
    ),
    *("due_at", "status", "reason", "outcome", "closed_by", "closed_at", "action_id", "campaign_id"),
    *("created_at", "version"),
}


def _cursor(*parts):
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.fixture
async def shop(http, create_test_company):
    """A company without a frequency cap, and three customers."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""), policy={"frequency_cap": 1_000})
    for customer in (1, 2, 3):
        await save_customer(http, tenant, customer)
    return tenant


@pytest.fixture
async def busy(http, shop):
    """Tasks of every kind for several customers, with and without assignee, some due at the same time."""
    for number in range(6):
        payload = {"due_days": number // 2, "title": f"Call {number}"}
        payload |= {"assignee": ("ada", "ben")[number % 2]} if number < 4 else {}
        await request_action(http, shop, "call", 1 + number % 3, **payload)
    await move(http, shop, "vip", 1)
    await move(http, shop, "at_risk", 2)
    tasks = await all_tasks(http, shop)
    for task, status in ((tasks[0], "done"), (tasks[3], "dismissed")):
        answer = await patch(http, shop, task["id"], status=status, outcome="Not needed.")
        assert answer.status_code == 200
    await move(http, shop, "lead", 2)
    return shop


async def patch(http, tenant, task_id, *, version=None, **body):
    """Changes a task, by default in its current version."""
    if version is None:
        version = (await http.get(f"{API}/tasks/{task_id}", headers=tenant.headers)).json().get("version", 1)
    headers = {**tenant.headers, "If-Match": f'"{version}"'}
    return await http.patch(f"{API}/tasks/{task_id}", headers=headers, json=body)


async def all_tasks(http, tenant, **params):
    pages = await every_page(http, tenant.headers, "/tasks", limit=200, **params)
    return [task for page in pages for task in page]


@pytest.fixture
async def task(http, shop):
    """An unassigned task."""
    return (await request_action(http, shop, "call", title="Call her", note="About Monday."))["task_id"]


async def create(http, tenant, *, key=None, **body):
    headers = tenant.headers if key is None else {**tenant.headers, "Idempotency-Key": key}
    body = {"title": "Order new towels", "due_at": "2026-03-04T12:00:00Z", **body}
    return await http.post(f"{API}/tasks", headers=headers, json=body)


# ---- free tasks


async def test_a_person_creates_tasks_about_a_customer_or_about_none(http, shop, database):
    created = await create(http, shop, assignee="ada", note="The grey ones.")
    about = await create(http, shop, customer_id=2, title="Send her the photos")

    assert (created.status_code, created.headers["etag"]) == (201, '"1"'), created.text
    task = created.json()
    assert task == {
        **dict.fromkeys(TASK),
        "id": task["id"],
        "channel": "task",
        "name": "personal_task",
        "title": "Order new towels",
        "note": "The grey ones.",
        "assignee": "ada",
        "due_at": "2026-03-04T12:00:00Z",
        "status": "open",
        "created_at": NOON,
        "version": 1,
    }
    fields = ("customer_id", "customer_name", "stage", "assignee")
    assert [about.json()[name] for name in fields] == [2, "Ada Keller", "prospect", None]
    listed = (await fetch(http, shop, "/tasks", count="true"))["items"]
    assert [each["id"] for each in listed] == [task["id"], about.json()["id"]]
    assert (await fetch(http, shop, "/tasks", customer_id=2))["items"] == [about.json()]
    assert (await fetch(http, shop, "/today"))["tasks"]["unassigned"] == 1
    assert "ada" in [each["name"] for each in (await fetch(http, shop, "/people"))["items"]]
    entries = await audit_entries(http, shop, "task.create")
    assert [entry["customer_id"] for entry in entries] == [2, None]
    await patch(http, shop, task["id"], status="done")
    await publish(database, shop.id)
    headers, params = shop.headers, {"last_event_id": 0, "types": ["task.created", "task.changed"]}
    stream = (await http.get(f"{API}/stream", headers=headers, params=params)).text
    sent = [json.loads(line[5:])["data"] for line in stream.split("\n") if line.startswith("data:")]
    assert [(each["task_id"], each["customer_id"], each["stage"]) for each in sent] == [
        (task["id"], None, None),
        (about.json()["id"], 2, "prospect"),
        (task["id"], None, None),
    ]


async def test_a_task_is_created_once_for_each_key(http, shop, database_owner):
    first = await create(http, shop, key="towels", customer_id=1)
    await patch(http, shop, first.json()["id"], assignee="ben")
    before = await database_owner.rows(shop.id)

    second = await create(http, shop, key="towels", customer_id=1)
    assert (second.status_code, second.json()["id"]) == (201, first.json()["id"])
    assert second.json()["assignee"] == "ben", "in its present state"
    other = await create(http, shop, key="towels", customer_id=1, title="Order soap")
    problem(other, 422, "idempotency-key-reused")
    assert await database_owner.rows(shop.id) == before


@pytest.mark.parametrize(
    "body",
    [
        {"title": ""},
        {"title": "a\nb"},
        {"title": "t" * 256},
        {"due_at": None},
        {"due_at": "tomorrow"},
        {"channel": "call"},
    ],
    ids=str,
)
@newest_only
async def test_an_invalid_task_is_refused(http, shop, database_owner, body):
    before = await database_owner.rows(shop.id)
    [field] = body

    problem(await create(http, shop, **body), 422, "invalid-input", f"/{field}")
    problem(await create(http, shop, customer_id=99), 404, "customer-not-found")
    assert await database_owner.rows(shop.id) == before


async def test_a_task_that_a_person_has_ended_is_reopened(http, shop, task):
    for status in ("done", "dismissed"):
        await patch(http, shop, task, status=status, outcome="She comes on Monday.")
        answer = await patch(http, shop, task, status="open", assignee="ben")

        assert answer.status_code == 200, answer.text
        fields = ("status", "assignee", "closed_at", "closed_by", "outcome")
        payload = [answer.json()[name] for name in fields]
        assert payload == ["open", "ben", None, None, "She comes on Monday."]
    assert (await fetch(http, shop, "/tasks"))["items"][0]["id"] == task
    entry = (await audit_entries(http, shop, "task.update"))[0]
    assert entry["detail"]["status"] == "open"


async def test_a_task_that_the_service_has_closed_is_not_reopened(http, shop, task):
    await patch(http, shop, task, status="done")
    await http.post(f"{API}/customers/1/anonymize", headers=shop.headers, json={})
    problem(await patch(http, shop, task, status="open"), 409, "task-closed")

    await move(http, shop, "at_risk", 2)
    [check_in] = [each for each in await all_tasks(http, shop) if each["name"] == "schedule_check_in_call"]
    await move(http, shop, "lead", 2)
    problem(await patch(http, shop, check_in["id"], status="open"), 409, "task-closed")


# ---- read


async def test_a_task_has_every_field(http, shop):
    requested = await request_action(
        http, shop, "call", 2, title="Call her", note="About Monday.", assignee="ada", due_days=3
    )

    payload = await fetch(http, shop, f"/tasks/{requested['task_id']}")

    assert payload.keys() == TASK
    assert payload == {
        **dict.fromkeys(("reason", "outcome", "closed_by", "closed_at", "campaign_id")),
        "id": requested["task_id"],
        "action_id": requested["id"],
        "customer_id": 2,
        "customer_ref": None,
        "customer_name": "Ada Keller",
        "channel": "call",
        "name": "personal_call",
        "title": "Call her",
        "note": "About Monday.",
        "stage": "prospect",
        "assignee": "ada",
        "due_at": "2026-03-04T12:00:00Z",
        "status": "open",
        "created_at": NOON,
        "version": 1,
    }
    assert (await fetch(http, shop, "/tasks"))["items"] == [payload]


async def test_open_tasks_are_listed_by_due_date_by_default(http, busy):
    found = await all_tasks(http, busy)

    keys = [(task["due_at"], task["id"]) for task in found]
    assert keys == sorted(keys)
    assert {task["status"] for task in found} == {"open"}
    everything = await all_tasks(http, busy, status="any")
    assert {task["status"] for task in everything} == {"open", "done", "dismissed", "closed"}
    assert len({task["id"] for task in everything}) == len(everything) > len(found) > 4


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
async def test_tasks_are_paged_without_gaps_or_duplicates(http, busy, limit):
    expected = await all_tasks(http, busy, status="any")
    assert len({task["due_at"] for task in expected}) < len(expected), "some are due at the same time"

    pages = await every_page(http, busy.headers, "/tasks", status="any", limit=limit)

    assert [task for page in pages for task in page] == expected
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_page_continues_after_the_previous_one_despite_completed_tasks(http, busy):
    expected = [task["id"] for task in await all_tasks(http, busy)]
    first = await fetch(http, busy, "/tasks", limit=2)
    await patch(http, busy, expected[0], status="done")

    rest = await fetch(http, busy, "/tasks", limit=200, cursor=first["next_cursor"])

    assert [task["id"] for task in (*first["items"], *rest["items"])] == expected


async def test_tasks_are_filtered(http, busy):
    everything = await all_tasks(http, busy, status="any")
    due = sorted(task["due_at"] for task in everything)[len(everything) // 2]
    cases = {
        "open": ({"status": "open"}, lambda task: task["status"] == "open"),
        "done": ({"status": "done"}, lambda task: task["status"] == "done"),
        "dismissed": ({"status": "dismissed"}, lambda task: task["status"] == "dismissed"),
        "closed": ({"status": "closed"}, lambda task: task["status"] == "closed"),
        "statuses": ({"status": ["done", "closed"]}, lambda task: task["status"] in ("done", "closed")),
        "assigned": ({"assignee": "ada"}, lambda task: task["assignee"] == "ada"),
        "unassigned": ({"unassigned": True}, lambda task: task["assignee"] is None),
        "due": ({"due_before": due}, lambda task: task["due_at"] < due),
        "due later": ({"due_after": due}, lambda task: task["due_at"] >= due),
        "of a stage": ({"stage": "vip"}, lambda task: task["stage"] == "vip"),
        "of stages": ({"stage": ["vip", "at_risk"]}, lambda task: task["stage"] in ("vip", "at_risk")),
        "of a customer": ({"customer_id": 2}, lambda task: task["customer_id"] == 2),
        "calls": ({"channel": "call"}, lambda task: task["channel"] == "call"),
        "others": ({"channel": "task"}, lambda task: task["channel"] == "task"),
        "several": (
            {"customer_id": 3, "channel": "call", "status": "open"},
            lambda task: (task["customer_id"], task["channel"], task["status"]) == (3, "call", "open"),
        ),
    }
    for name, (params, matches) in cases.items():
        expected = [task for task in everything if matches(task)]
        assert 0 < len(expected) < len(everything), name
        parameters = {"status": "any", **params}
        assert await all_tasks(http, busy, **parameters) == expected, name
        pages = await every_page(http, busy.headers, "/tasks", limit=1, **parameters)
        assert [task for page in pages for task in page] == expected, name
    assert await all_tasks(http, busy, status="any", channel=["call", "task"]) == everything
    for params in ({"assignee": "ADA"}, {"customer_id": 99}, {"stage": "nowhere"}, {"due_before": NOON}):
        assert await all_tasks(http, busy, status="any", **params) == [], params


@newest_only
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("status", value) for value in ("", "OPEN", "all")],
        *[("assignee", value) for value in ("a\x00", "x" * 256)],
        *[("unassigned", value) for value in ("maybe",)],
        *[
            (name, value)
            for name in ("due_before", "due_after")
            for value in ("tomorrow", "2026-03-01", "2026-03-01T12:00:00")
        ],
        *[("sort", value) for value in ("", "id", "--due_at", "+due_at")],
        *[("stage", value) for value in ("VIP", "x" * 51)],
        *[("customer_id", value) for value in ("x", str(2**63))],
        *[("channel", value) for value in ("email", "webhook")],
        *[("limit", value) for value in ("0", "201")],
        *[
            ("cursor", value)
            for value in (
                "x",
                _cursor("tasks", "due_at", 1, 1),
                _cursor("tasks", "-due_at", "2026-03-01T12:00:00+00:00", 1),
                _cursor("tasks", "due_at", "2026-03-01T12:00:00", 1),
                _cursor("tasks", "due_at", "2026-03-01T12:00:00+00:00", "1"),
                _cursor("tasks", "due_at", "0001-01-01T00:00:00+14:00", 1),
            )
        ],
    ],
)
async def test_an_invalid_filter_is_refused(http, shop, name, value):
    answer = await http.get(f"{API}/tasks", headers=shop.headers, params={name: value})

    problem(answer, 422, "invalid-input", f"query/{name}")


# ---- updates


async def test_a_task_is_completed_with_its_outcome(http, shop, task):
    await advance(http, shop, "2026-03-01T15:00:00Z")
    answer = await patch(http, shop, task, status="done", outcome="She comes on Monday.\nAt ten.")

    assert answer.status_code == 200, answer.text
    payload = answer.json()
    assert (payload["status"], payload["outcome"]) == ("done", "She comes on Monday.\nAt ten.")
    assert (payload["closed_by"], payload["closed_at"]) == (key_of(shop), "2026-03-01T15:00:00Z")
    assert await fetch(http, shop, f"/tasks/{task}") == payload
    assert await all_tasks(http, shop) == []
    [row] = await audit_entries(http, shop, "task.update")
    assert (row["target"], row["customer_id"], row["actor"]) == (f"task:{task}", 1, key_of(shop))
    assert row["detail"]["status"] == "done"
    assert "Monday" not in str(row)


async def test_a_task_is_reassigned_postponed_and_dismissed(http, shop, task):
    payload = (await patch(http, shop, task, assignee="ada", due_at="2026-04-01T10:00:00+02:00")).json()
    assert (payload["assignee"], payload["due_at"], payload["status"]) == (
        "ada",
        "2026-04-01T08:00:00Z",
        "open",
    )
    assert (payload["closed_at"], payload["version"]) == (None, 2)

    assert (await patch(http, shop, task, assignee=None)).json()["assignee"] is None
    assert (await patch(http, shop, task, outcome="No answer yet.")).json()["status"] == "open"
    problem(await patch(http, shop, task, status="dismissed"), 422, "invalid-input", "/outcome")
    payload = (await patch(http, shop, task, status="dismissed", outcome="She has moved away.")).json()
    assert (payload["status"], payload["outcome"], payload["due_at"], payload["version"]) == (
        "dismissed",
        "She has moved away.",
        "2026-04-01T08:00:00Z",
        5,
    )


async def test_a_repeated_update_changes_nothing(http, shop, task, database_owner):
    body = {"status": "done", "outcome": "Well.", "assignee": "ada"}
    first = await patch(http, shop, task, **body)
    before = await database_owner.rows(shop.id)

    for again in (body, {"status": "done"}, {"assignee": "ada", "due_at": first.json()["due_at"]}):
        answer = await patch(http, shop, task, **again)
        assert (answer.status_code, answer.json()) == (200, first.json())

    assert await database_owner.rows(shop.id) == before


@pytest.mark.parametrize(
    "change",
    [{"status": "dismissed", "outcome": "Not needed."}, {"assignee": "ben"}, {"outcome": "Not so well."}],
)
async def test_a_task_that_is_not_open_cannot_be_changed(http, shop, task, database_owner, change):
    await patch(http, shop, task, status="done", outcome="Well.")
    before = await database_owner.rows(shop.id)

    problem(await patch(http, shop, task, **change), 409, "task-closed")

    assert await database_owner.rows(shop.id) == before


async def test_a_task_closed_by_the_service_cannot_be_changed_and_has_a_reason(http, shop):
    await move(http, shop, "at_risk")
    [task, *_] = await all_tasks(http, shop)
    await move(http, shop, "vip")

    problem(await patch(http, shop, task["id"], status="done"), 409, "task-closed")

    payload = await fetch(http, shop, f"/tasks/{task['id']}")
    assert (payload["status"], payload["reason"], payload["closed_by"]) == ("closed", "left_stage", None)


@newest_only
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ([], ""),
        ({"status": "closed"}, "/status"),
        ({"status": None}, "/status"),
        ({"status": "dismissed"}, "/outcome"),
        ({"outcome": None}, "/outcome"),
        ({"outcome": ""}, "/outcome"),
        ({"outcome": "x" * 2_001}, "/outcome"),
        ({"outcome": "a\x00"}, "/outcome"),
        ({"assignee": ""}, "/assignee"),
        ({"assignee": "a\nb"}, "/assignee"),
        ({"assignee": "x" * 256}, "/assignee"),
        ({"due_at": None}, "/due_at"),
        ({"due_at": "2026-04-01"}, "/due_at"),
        ({"title": "Another"}, "/title"),
    ],
)
async def test_an_invalid_update_is_refused_with_a_pointer(http, shop, task, database_owner, body, pointer):
    before = await database_owner.rows(shop.id)

    headers = {**shop.headers, "If-Match": '"1"'}
    answer = await http.patch(f"{API}/tasks/{task}", headers=headers, json=body)

    problem(answer, 422, "invalid-input", pointer)
    assert await database_owner.rows(shop.id) == before


async def test_the_longest_outcome_is_stored_whole(http, shop, task):
    assert (await patch(http, shop, task, outcome="ü" * 2_000)).json()["outcome"] == "ü" * 2_000


# ---- versions


async def test_the_etag_of_a_task_is_its_version(http, shop, task):
    read = await http.get(f"{API}/tasks/{task}", headers=shop.headers)
    changed = await patch(http, shop, task, assignee="ada")

    assert (read.headers["etag"], read.json()["version"]) == ('"1"', 1)
    assert (changed.headers["etag"], changed.json()["version"]) == ('"2"', 2)
    assert (await http.get(f"{API}/tasks/{task}", headers=shop.headers)).headers["etag"] == '"2"'


async def test_a_change_of_an_old_version_is_refused_with_what_has_changed(http, shop, task, database_owner):
    await patch(http, shop, task, assignee="ada")
    await patch(http, shop, task, due_at="2026-04-01T08:00:00Z", outcome="No answer yet.")
    before = await database_owner.rows(shop.id)

    first = problem(await patch(http, shop, task, version=1, assignee="ben"), 412, "stale-task")
    second = problem(await patch(http, shop, task, version=2, assignee="ben"), 412, "stale-task")

    since_second = {"due_at": "2026-04-01T08:00:00Z", "outcome": "No answer yet."}
    assert (first["current_version"], second["current_version"]) == (3, 3)
    assert first["changed"] == {"assignee": "ada", **since_second}
    assert second["changed"] == since_second
    assert await database_owner.rows(shop.id) == before
    assert (await patch(http, shop, task, version=3, assignee="ben")).json()["version"] == 4


async def test_a_task_that_the_service_has_closed_is_stale(http, shop):
    await move(http, shop, "at_risk")
    [task, *_] = await all_tasks(http, shop)
    await move(http, shop, "vip")

    body = problem(await patch(http, shop, task["id"], version=1, status="done"), 412, "stale-task")

    assert body["current_version"] == 2
    assert body["changed"] == {"closed_at": NOON, "reason": "left_stage", "status": "closed"}


async def test_an_update_without_a_version_is_refused(http, shop, task, database_owner):
    before = await database_owner.rows(shop.id)
    path = f"{API}/tasks/{task}"

    missing = await http.patch(path, headers=shop.headers, json={"status": "done"})
    invalid = await http.patch(path, headers={**shop.headers, "If-Match": "x"}, json={"status": "done"})

    problem(missing, 428, "precondition-required")
    problem(invalid, 422, "invalid-input", "header/If-Match")
    assert await database_owner.rows(shop.id) == before


async def test_a_repeated_update_is_accepted_with_the_version_that_it_was_made_with(http, shop, task):
    first = await patch(http, shop, task, version=1, status="done", outcome="Well.")

    again = await patch(http, shop, task, version=1, status="done", outcome="Well.")

    assert (again.status_code, again.json(), again.headers["etag"]) == (200, first.json(), '"2"')


async def test_of_concurrent_updates_of_one_version_one_is_made(http, shop, task):
    answers = await asyncio.gather(
        *(patch(http, shop, task, version=1, assignee=name) for name in ("ada", "ben", "cy", "dot"))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    assert (await fetch(http, shop, f"/tasks/{task}"))["version"] == 2


# ---- orders


@each_has_its_sql
@pytest.mark.parametrize("sort", ["due_at", "-due_at", "created_at", "-created_at"])
async def test_tasks_are_sorted(http, busy, sort):
    field = sort.removeprefix("-")
    everything = await all_tasks(http, busy, status="any")
    expected = sorted(everything, key=lambda task: (task[field], task["id"]), reverse=sort.startswith("-"))

    pages = await every_page(http, busy.headers, "/tasks", status="any", sort=sort, limit=2)

    assert [task for page in pages for task in page] == expected


# ---- people


async def test_tasks_of_the_caller_are_those_under_the_name_of_me(http, shop):
    me = (await fetch(http, shop, "/people"))["me"]
    assert f"key:{me}" == key_of(shop)
    mine = await request_action(http, shop, "call", 1, assignee=me)
    await request_action(http, shop, "call", 2, assignee="ada")

    found = await all_tasks(http, shop, assignee="me")

    assert [task["id"] for task in found] == [mine["task_id"]]


async def test_people_are_assignees_owners_and_users_who_have_signed_in(http, shop):
    await request_action(http, shop, "call", 1, assignee="Zoe")
    await request_action(http, shop, "call", 2, assignee="ada")
    await request_action(http, shop, "call", 3, assignee="ada")
    steps = [{"channel": "assignment", "assignees": ["ben"]}]
    body = {"actions": [{"name": "assign", "steps": steps}]}
    answer = await http.put(f"{API}/stages/vip/actions", headers=shop.headers, json=body)
    assert answer.status_code == 200, answer.text
    await move(http, shop, "vip", 1)
    assert (await http.post(f"{API}/session", headers=shop.headers)).status_code == 201
    http.cookies.clear()

    found = await fetch(http, shop, "/people")

    names = [person["name"] for person in found["items"]]
    assert names == sorted(["ada", "ben", "Zoe", found["me"]], key=str.casefold)
    assert all(person.keys() == {"name"} for person in found["items"])


async def test_people_of_another_company_are_not_listed(http, shop, tenant):
    await request_action(http, shop, "call", 1, assignee="ada")

    assert (await fetch(http, tenant, "/people"))["items"] == []


# ---- other companies and erased customers


async def test_another_company_s_task_is_not_found(http, shop, task, create_test_company, database_owner):
    neighbour = await create_test_company()
    before = await database_owner.rows(shop.id)

    for id_ in (task, 10**15):
        payload = problem(
            await http.get(f"{API}/tasks/{id_}", headers=neighbour.headers), 404, "task-not-found"
        )
        assert payload["detail"] == f"There is no task {id_}."
        problem(await patch(http, neighbour, id_, status="done"), 404, "task-not-found")

    assert await all_tasks(http, neighbour, status="any") == []
    cursor = (await fetch(http, shop, "/tasks", limit=1))["next_cursor"]
    assert cursor is None
    assert await database_owner.rows(shop.id) == before


async def test_tasks_of_erased_customers_have_no_personal_data(http, shop, task):
    assert (await http.post(f"{API}/customers/1/anonymize", headers=shop.headers)).status_code == 200

    [payload] = await all_tasks(http, shop, status="any")

    assert (payload["id"], payload["status"], payload["reason"]) == (task, "closed", "erased")
    assert payload["customer_id"] < 0
    assert (payload["customer_name"], payload["note"], payload["title"]) == (None, None, "personal_call")
    assert await all_tasks(http, shop, status="any", customer_id=payload["customer_id"]) == [payload]
