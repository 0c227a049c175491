"""Routes of webhook endpoints: creating, updating, deleting, testing, rotating the secret."""

import base64

import httpx
import pytest

from api.calls import (
    API,
    NOON,
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
from journey_service.main import create_app
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.actions.webhook_endpoints import (
    ACTION_TYPES,
    MAX_ENDPOINTS,
    OUTBOUND_EVENT_TYPES,
)
from services.local_servers import always, dispatcher_for, run_local_servers

ENDPOINTS = f"{API}/webhook-endpoints"
ENDPOINT = {
    *("id", "url", "description", "events", "is_enabled", "disabled_reason", "failing_since"),
    *("last_disabled_at", "previous_secret_expires_at", "created_at", "updated_at"),
}
HOOK = {"url": "https://hooks.company.com/journey", "events": ["stage.changed"]}


@pytest.fixture
async def shop(http, create_test_company):
    """A company with a test clock that delivers what falls due."""
    return await create_test_company(test_clock=parse_instant(NOON, ""), deliver=True)


async def add(http, tenant, **values):
    return await http.post(ENDPOINTS, headers=tenant.headers, json={**HOOK, **values})


async def patch(http, tenant, endpoint_id, **body):
    return await http.patch(f"{ENDPOINTS}/{endpoint_id}", headers=tenant.headers, json=body)


async def rotate(http, tenant, endpoint_id, **body):
    path = f"{ENDPOINTS}/{endpoint_id}/rotate"
    return await http.post(path, headers=tenant.headers, json=body or None)


async def dry_run(http, tenant, endpoint_id):
    return await http.post(f"{ENDPOINTS}/{endpoint_id}/test", headers=tenant.headers)


async def list_all(http, tenant):
    pages = await every_page(http, tenant.headers, "/webhook-endpoints", limit=200)
    return [endpoint for page in pages for endpoint in page]


@pytest.fixture
async def endpoint(http, shop):
    """An endpoint that receives transitions."""
    return (await add(http, shop)).json()


# ---- created


async def test_an_endpoint_is_created_and_its_secret_is_shown_once(http, shop):
    answer = await add(
        http, shop, events=["task.created", "stage.changed", "task.created"], description="Ours"
    )

    assert answer.status_code == 201, answer.text
    payload = answer.json()
    secret = payload.pop("secret")
    assert payload.keys() == ENDPOINT
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert (payload["url"], payload["description"]) == (HOOK["url"], "Ours")
    assert payload["events"] == ["stage.changed", "task.created"]
    assert (payload["is_enabled"], payload["disabled_reason"], payload["failing_since"]) == (True, None, None)
    assert await fetch(http, shop, f"/webhook-endpoints/{payload['id']}") == payload
    assert await list_all(http, shop) == [payload]
    [row] = await audit_entries(http, shop, "endpoint.create")
    assert (row["target"], row["actor"]) == (f"endpoint:{payload['id']}", key_of(shop))
    assert secret not in str(row)


async def test_every_type_can_be_requested_and_secrets_differ(http, shop):
    first = await add(http, shop, events=[*OUTBOUND_EVENT_TYPES, *ACTION_TYPES])
    second = await add(http, shop, events=[*OUTBOUND_EVENT_TYPES])

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["events"] == sorted((*OUTBOUND_EVENT_TYPES, *ACTION_TYPES))
    assert first.json()["secret"] != second.json()["secret"]


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.company.com/", "ftp://hooks.company.com/", "file:///etc/passwd", "hooks.company.com"),
        *(
            "https://",
            "https:///x",
            "https://user:secret@hooks.company.com/",
            "https://hooks.company.com:80/",
        ),
        *("https://hooks.company.com:6379/", "https://127.0.0.1/", "https://10.0.0.1/x", "https://[::1]/"),
        *(
            "https://169.254.169.254/latest/meta-data",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
        ),
        *("https://[::ffff:10.0.0.1]/", "https://127.0.0.1./", "https://[fe80::1%25eth0]/", "https://0/"),
        *("https://a b.com/", f"https://hooks.company.com/{'x' * 2_048}", "", "a\x00b", None, 7),
    ],
)
async def test_a_url_that_may_not_be_called_is_refused_at_once(http, shop, endpoint, database_owner, url):
    before = await database_owner.rows(shop.id)

    problem(await add(http, shop, url=url), 422, "invalid-input", "/url")
    problem(await patch(http, shop, endpoint["id"], url=url), 422, "invalid-input", "/url")

    assert await database_owner.rows(shop.id) == before


@pytest.mark.parametrize(
    "url",
    ["https://hooks.company.com:8443/a?b=c", "https://93.184.215.14/", "https://xn--bcher-kva.example/"],
)
async def test_a_url_is_accepted_without_resolving_it(http, shop, url):
    assert (await add(http, shop, url=url)).json()["url"] == url


@pytest.mark.parametrize(
    ("changed", "pointers"),
    [
        ({"events": []}, ["/events"]),
        ({"events": ["stage.changed", "stage.entered"]}, ["/events/1"]),
        ({"events": ["action.call", 7]}, ["/events/1"]),
        ({"events": ["", "webhook.test"]}, ["/events/0", "/events/1"]),
        ({"events": ["stage.changed"] * 101}, ["/events"]),
        ({"events": "stage.changed"}, ["/events"]),
        ({"events": None}, ["/events"]),
        ({"description": ""}, ["/description"]),
        ({"description": "a\nb"}, ["/description"]),
        ({"secret": "whsec_x"}, ["/secret"]),
    ],
)
async def test_an_invalid_endpoint_is_refused_with_a_pointer(
    http, shop, endpoint, database_owner, changed, pointers
):
    before = await database_owner.rows(shop.id)

    problem(await add(http, shop, **changed), 422, "invalid-input", *pointers)
    problem(await patch(http, shop, endpoint["id"], **changed), 422, "invalid-input", *pointers)

    assert await database_owner.rows(shop.id) == before


async def test_a_company_has_a_maximum_number_of_endpoints(http, shop):
    for _ in range(MAX_ENDPOINTS):
        assert (await add(http, shop)).status_code == 201

    problem(await add(http, shop), 422, "invalid-input", "/url")

    found = await list_all(http, shop)
    assert len(found) == MAX_ENDPOINTS
    pages = await every_page(http, shop.headers, "/webhook-endpoints", limit=7)
    assert [endpoint for page in pages for endpoint in page] == found
    ids = [endpoint["id"] for endpoint in found]
    assert ids == sorted(set(ids))
    assert all(len(page) == 7 for page in pages[:-1])
    problem(
        await http.get(ENDPOINTS, headers=shop.headers, params={"cursor": "x"}),
        422,
        "invalid-input",
        "query/cursor",
    )


# ---- action types


@pytest.mark.parametrize("type_", ACTION_TYPES)
async def test_an_action_type_has_one_endpoint(http, shop, database_owner, type_):
    first = (await add(http, shop, events=[type_, "stage.changed"])).json()
    other = (await add(http, shop)).json()
    before = await database_owner.rows(shop.id)

    for answer in (
        await add(http, shop, events=[type_]),
        await patch(http, shop, other["id"], events=["stage.changed", type_]),
    ):
        payload = problem(answer, 409, "event-type-conflict")
        assert payload["detail"].startswith(f"Endpoint {first['id']} already receives {type_}")
    assert await database_owner.rows(shop.id) == before


async def test_an_event_type_may_have_several_endpoints(http, shop):
    for _ in range(3):
        assert (await add(http, shop, events=[*OUTBOUND_EVENT_TYPES])).status_code == 201


async def test_a_disabled_endpoint_releases_its_action_types(http, shop):
    first = (await add(http, shop, events=["action.sms"])).json()
    assert (await patch(http, shop, first["id"], is_enabled=False)).status_code == 200
    second = (await add(http, shop, events=["action.sms"])).json()

    problem(await patch(http, shop, first["id"], is_enabled=True), 409, "event-type-conflict")

    assert (await patch(http, shop, second["id"], events=["stage.changed"])).status_code == 200
    assert (await patch(http, shop, first["id"], is_enabled=True)).json()["is_enabled"] is True


# ---- updated


async def test_given_fields_of_an_endpoint_are_updated(http, shop, endpoint):
    payload = (
        await patch(http, shop, endpoint["id"], url="https://new.company.com/", description="New")
    ).json()
    assert (payload["url"], payload["description"], payload["events"]) == (
        "https://new.company.com/",
        "New",
        ["stage.changed"],
    )
    payload = (await patch(http, shop, endpoint["id"], events=["task.created"], description=None)).json()
    assert (payload["events"], payload["description"], payload["url"]) == (
        ["task.created"],
        None,
        "https://new.company.com/",
    )
    assert await fetch(http, shop, f"/webhook-endpoints/{endpoint['id']}") == payload
    rows = await audit_entries(http, shop, "endpoint.update")
    assert [row["detail"] for row in rows] == [
        {"fields": ["description", "events"]},
        {"fields": ["description", "url"]},
    ]


async def test_a_repeated_update_changes_nothing(http, shop, endpoint, database_owner):
    events = ["task.created", "stage.changed"]
    first = (await patch(http, shop, endpoint["id"], events=events)).json()
    before = await database_owner.rows(shop.id)

    again = await patch(
        http, shop, endpoint["id"], events=[*events, *events], url=endpoint["url"], is_enabled=True
    )

    assert (again.status_code, again.json()) == (200, first)
    assert await database_owner.rows(shop.id) == before


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, ""), ({"is_enabled": None}, "/is_enabled"), ({"is_enabled": "yes"}, "/is_enabled")],
)
async def test_an_invalid_update_is_refused(http, shop, endpoint, body, pointer):
    problem(await patch(http, shop, endpoint["id"], **body), 422, "invalid-input", pointer)


async def test_disabling_an_endpoint_cancels_its_waiting_messages(http, shop, endpoint, database):
    await save_customer(http, shop)
    await move(http, shop, "vip")
    await publish(database, shop.id)
    waiting = (await fetch(http, shop, "/actions", endpoint_id=endpoint["id"]))["items"]
    assert {action["state"] for action in waiting} == {"pending"}

    payload = (await patch(http, shop, endpoint["id"], is_enabled=False)).json()

    assert (payload["is_enabled"], payload["disabled_reason"]) == (False, None)
    after = (await fetch(http, shop, "/actions", endpoint_id=endpoint["id"]))["items"]
    assert {(action["state"], action["reason"]) for action in after} == {("cancelled", "endpoint_disabled")}
    assert len(after) == len(waiting) == 2


# ---- deleted


async def test_an_unused_endpoint_is_deleted(http, shop, endpoint):
    answer = await http.delete(f"{ENDPOINTS}/{endpoint['id']}", headers=shop.headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert await list_all(http, shop) == []
    problem(
        await http.delete(f"{ENDPOINTS}/{endpoint['id']}", headers=shop.headers), 404, "endpoint-not-found"
    )
    [row] = await audit_entries(http, shop, "endpoint.delete")
    assert row["target"] == f"endpoint:{endpoint['id']}"


async def test_an_endpoint_in_the_delivery_log_is_not_deleted(http, shop, endpoint, database, database_owner):
    await save_customer(http, shop)
    await publish(database, shop.id)
    before = await database_owner.rows(shop.id)

    problem(await http.delete(f"{ENDPOINTS}/{endpoint['id']}", headers=shop.headers), 409, "endpoint-in-use")

    assert await database_owner.rows(shop.id) == before


# ---- tests and secrets


@pytest.fixture
async def receivers():
    """A mail server and a receiver of webhooks on this machine."""
    async with run_local_servers() as found:
        yield found


@pytest.fixture
async def trusting_http(settings, receivers):
    """The application, configured to trust that receiver."""
    _, system, _ = receivers
    app = create_app(settings.model_copy(update={"trusted_origins": (system.url,)}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
            yield client


async def test_an_endpoint_is_tested_with_a_test_message(trusting_http, shop, receivers):
    _, system, _ = receivers
    made = (await add(trusting_http, shop, url=f"{system.url}/hooks?of=ours")).json()
    system.secrets.append(made["secret"])

    answer = await dry_run(trusting_http, shop, made["id"])

    assert answer.status_code == 200, answer.text
    assert answer.json() == {"is_delivered": True, "status": 200, "response": ""}
    [payload] = system.received
    assert (payload.type, payload.data) == (
        "webhook.test",
        {"company_id": shop.id, "endpoint_id": made["id"]},
    )
    [row] = await audit_entries(trusting_http, shop, "endpoint.test")
    assert row["target"] == f"endpoint:{made['id']}"


async def test_a_failed_test_is_reported_and_disables_nothing(trusting_http, shop, receivers):
    _, system, _ = receivers
    made = (await add(trusting_http, shop, url=f"{system.url}/hooks")).json()

    unsigned = (await dry_run(trusting_http, shop, made["id"])).json()
    system.secrets.append(made["secret"])
    seen = {}
    for status in (204, 302, 410, 500):
        system.answer = always(status)
        seen[status] = (await dry_run(trusting_http, shop, made["id"])).json()

    assert (unsigned["is_delivered"], unsigned["status"]) == (False, 401)
    assert {status: payload["is_delivered"] for status, payload in seen.items()} == {
        204: True,
        302: False,
        410: False,
        500: False,
    }
    assert all(payload["status"] == status for status, payload in seen.items())
    assert (await list_all(trusting_http, shop))[0]["is_enabled"] is True


async def test_a_name_that_comes_to_resolve_to_a_private_address_is_not_called(http, shop, api, monkeypatch):
    async def resolve(host, port):
        return ["127.0.0.1"]

    made = (await add(http, shop, url="https://hooks.example/hooks")).json()
    monkeypatch.setattr(api.state.app_state.outgoing_for_webhooks, "_resolve", resolve)

    payload = (await dry_run(http, shop, made["id"])).json()

    assert (payload["is_delivered"], payload["status"]) == (False, None)
    assert "not a public address" in payload["response"]


async def test_during_the_overlap_both_secrets_sign_and_then_only_the_new_one(
    trusting_http, shop, receivers, database
):
    _, system, post = receivers
    made = (await add(trusting_http, shop, url=f"{system.url}/hooks")).json()
    answer = await rotate(trusting_http, shop, made["id"], overlap_seconds=3_600)
    assert answer.status_code == 200, answer.text
    payload = answer.json()
    assert payload.keys() == {*ENDPOINT, "secret"}
    assert payload["secret"] != made["secret"]
    assert payload["previous_secret_expires_at"] is not None

    async def is_taken(*secrets):
        system.secrets = [*secrets]
        outcome = await dry_run(trusting_http, shop, made["id"])
        return outcome.json()["is_delivered"]

    assert await is_taken(made["secret"])
    assert await is_taken(payload["secret"])
    last = (await rotate(trusting_http, shop, made["id"], overlap_seconds=0)).json()
    assert not await is_taken(made["secret"])
    assert not await is_taken(payload["secret"])
    assert await is_taken(last["secret"])
    assert len(await audit_entries(trusting_http, shop, "endpoint.rotate")) == 2
    # Messages of actions are signed in the same way.
    await save_customer(trusting_http, shop)
    await publish(database, shop.id)
    await dispatcher_for(database, post, shop.id).drain()
    assert [one.type for one in system.of_type("stage.changed")] == ["stage.changed"]


async def test_the_default_overlap_is_one_day(http, shop, endpoint, database_owner):
    payload = (await rotate(http, shop, endpoint["id"])).json()

    seconds = await database_owner.connection.fetchval(
        "SELECT extract(epoch FROM previous_expires_at - updated_at)::int FROM webhook_endpoints WHERE id = $1",
        endpoint["id"],
    )
    assert seconds == 86_400
    assert "secret" not in await fetch(http, shop, f"/webhook-endpoints/{payload['id']}")


@pytest.mark.parametrize("seconds", [-1, 604_801, 1.5, "60", None])
async def test_an_invalid_overlap_is_refused(http, shop, endpoint, database_owner, seconds):
    before = await database_owner.rows(shop.id)

    answer = await rotate(http, shop, endpoint["id"], overlap_seconds=seconds)

    problem(answer, 422, "invalid-input", "/overlap_seconds")
    assert await database_owner.rows(shop.id) == before


# ---- replays


async def test_missed_events_are_sent_again_once_for_each_key(http, shop, endpoint, database):
    await patch(http, shop, endpoint["id"], is_enabled=False)
    await save_customer(http, shop)
    await publish(database, shop.id)
    path, body = f"{ENDPOINTS}/{endpoint['id']}/replay", {"since": "2026-01-01T00:00:00Z"}
    problem(await http.post(path, headers=shop.headers, json=body), 409, "endpoint-disabled")
    enabled = (await patch(http, shop, endpoint["id"], is_enabled=True)).json()
    assert enabled["last_disabled_at"] is not None

    headers = {**shop.headers, "Idempotency-Key": "replay-1"}
    first, second = [await http.post(path, headers=headers, json=body) for _ in range(2)]
    other = await http.post(path, headers=headers, json={**body, "include_delivered": True})

    assert first.status_code == 200, first.text
    assert first.json() == second.json()
    job_id = first.json()["job_id"]
    assert first.json() == {"job_id": job_id, "status": "done", "replayed": 1, "next_since": None}
    assert (await fetch(http, shop, f"/admin/jobs/{job_id}"))["counts"] == {"replayed": 1}
    problem(other, 422, "idempotency-key-reused")
    sent = (await fetch(http, shop, "/actions", endpoint_id=endpoint["id"]))["items"]
    assert [(action["name"], action["state"]) for action in sent] == [("stage.changed", "pending")]
    for since in ("yesterday", None, 5):
        answer = await http.post(path, headers=shop.headers, json={"since": since})
        problem(answer, 422, "invalid-input", "/since")


# ---- other companies


async def test_another_company_s_endpoint_is_not_found(
    http, shop, endpoint, create_test_company, database_owner
):
    neighbour = await create_test_company()
    before = await database_owner.rows(shop.id)

    for id_ in (endpoint["id"], 10**15):
        path = f"{ENDPOINTS}/{id_}"
        for answer in (
            await http.get(path, headers=neighbour.headers),
            await patch(http, neighbour, id_, is_enabled=False),
            await http.delete(path, headers=neighbour.headers),
            await rotate(http, neighbour, id_),
            await dry_run(http, neighbour, id_),
            await http.post(f"{path}/replay", headers=neighbour.headers, json={"since": NOON}),
        ):
            assert (
                problem(answer, 404, "endpoint-not-found")["detail"] == f"There is no webhook endpoint {id_}."
            )

    assert await list_all(http, neighbour) == []
    assert (await add(http, neighbour, events=["action.sms"])).status_code == 201
    assert await database_owner.rows(shop.id) == before


async def test_events_are_sent_only_to_endpoints_of_their_company(
    http, shop, endpoint, create_test_company, database
):
    neighbour = await create_test_company(test_clock=parse_instant(NOON, ""))
    theirs = (await add(http, neighbour, events=[*OUTBOUND_EVENT_TYPES])).json()
    await save_customer(http, shop)
    await request_action(http, shop, "call")
    for tenant in (shop, neighbour):
        await publish(database, tenant.id)

    payload = (await fetch(http, shop, "/actions", channel="webhook"))["items"]

    assert {action["endpoint_id"] for action in payload} == {endpoint["id"]}
    assert (await fetch(http, neighbour, "/actions", endpoint_id=theirs["id"]))["items"] == []
