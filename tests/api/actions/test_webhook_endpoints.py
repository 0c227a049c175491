"""A company's own systems that take webhooks: registered, changed, tried out, and told their secret once."""

import base64

import httpx
import pytest

from api.calls import API, NOON, act, audited, every_page, key_of, look, meet, move, problem
from journey_service.domain.events.parsing import parse_instant
from journey_service.main import create_app
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.actions.webhook_endpoints import (
    ACTION_TYPES,
    MAX_ENDPOINTS,
    OUTBOUND_EVENT_TYPES,
)
from services.local_servers import always, dispatcher_for, surroundings

ENDPOINTS = f"{API}/webhook-endpoints"
ENDPOINT = {
    *("id", "url", "description", "events", "is_enabled", "disabled_reason", "failing_since"),
    *("former_secret_until", "created_at", "updated_at"),
}
HOOK = {"url": "https://hooks.company.com/journey", "events": ["stage.changed"]}


@pytest.fixture
async def shop(http, found_tenant):
    """A company whose clock stands still, and from which what falls due leaves the house."""
    return await found_tenant(test_clock=parse_instant(NOON, ""), deliver=True)


async def add(http, tenant, **told):
    return await http.post(ENDPOINTS, headers=tenant.headers, json={**HOOK, **told})


async def patch(http, tenant, endpoint_id, **body):
    return await http.patch(f"{ENDPOINTS}/{endpoint_id}", headers=tenant.headers, json=body)


async def rotate(http, tenant, endpoint_id, **body):
    path = f"{ENDPOINTS}/{endpoint_id}/rotate"
    return await http.post(path, headers=tenant.headers, json=body or None)


async def dry_run(http, tenant, endpoint_id):
    return await http.post(f"{ENDPOINTS}/{endpoint_id}/test", headers=tenant.headers)


async def listed(http, tenant):
    pages = await every_page(http, tenant.headers, "/webhook-endpoints", limit=200)
    return [endpoint for page in pages for endpoint in page]


@pytest.fixture
async def endpoint(http, shop):
    """An endpoint that is told of moves."""
    return (await add(http, shop)).json()


# ---- registered


async def test_an_endpoint_is_registered_and_its_secret_is_shown_this_once(http, shop):
    answer = await add(
        http, shop, events=["task.created", "stage.changed", "task.created"], description="Ours"
    )

    assert answer.status_code == 201, answer.text
    told = answer.json()
    secret = told.pop("secret")
    assert told.keys() == ENDPOINT
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert (told["url"], told["description"]) == (HOOK["url"], "Ours")
    assert told["events"] == ["stage.changed", "task.created"]
    assert (told["is_enabled"], told["disabled_reason"], told["failing_since"]) == (True, None, None)
    assert await look(http, shop, f"/webhook-endpoints/{told['id']}") == told
    assert await listed(http, shop) == [told]
    [row] = await audited(http, shop, "endpoint.add")
    assert (row["target"], row["actor"]) == (f"endpoint:{told['id']}", key_of(shop))
    assert secret not in str(row)


async def test_every_type_can_be_asked_for_and_secrets_differ(http, shop):
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
async def test_an_address_that_could_never_be_called_is_refused_at_once(http, shop, endpoint, outside, url):
    before = await outside.rows(shop.id)

    problem(await add(http, shop, url=url), 422, "invalid-input", "/url")
    problem(await patch(http, shop, endpoint["id"], url=url), 422, "invalid-input", "/url")

    assert await outside.rows(shop.id) == before


@pytest.mark.parametrize(
    "url",
    ["https://hooks.company.com:8443/a?b=c", "https://93.184.215.14/", "https://xn--bcher-kva.example/"],
)
async def test_an_address_that_can_be_called_is_taken_without_asking_where_it_is(http, shop, url):
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
async def test_what_makes_no_sense_is_refused_with_its_place(
    http, shop, endpoint, outside, changed, pointers
):
    before = await outside.rows(shop.id)

    problem(await add(http, shop, **changed), 422, "invalid-input", *pointers)
    problem(await patch(http, shop, endpoint["id"], **changed), 422, "invalid-input", *pointers)

    assert await outside.rows(shop.id) == before


async def test_a_company_has_so_many_endpoints_and_no_more(http, shop):
    for _ in range(MAX_ENDPOINTS):
        assert (await add(http, shop)).status_code == 201

    problem(await add(http, shop), 422, "invalid-input", "/url")

    found = await listed(http, shop)
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


# ---- one receiver of what is to be acted on


@pytest.mark.parametrize("type_", ACTION_TYPES)
async def test_what_is_to_be_acted_on_is_told_to_one_endpoint_alone(http, shop, outside, type_):
    first = (await add(http, shop, events=[type_, "stage.changed"])).json()
    other = (await add(http, shop)).json()
    before = await outside.rows(shop.id)

    for answer in (
        await add(http, shop, events=[type_]),
        await patch(http, shop, other["id"], events=["stage.changed", type_]),
    ):
        told = problem(answer, 409, "endpoint-taken")
        assert told["detail"].startswith(f"Endpoint {first['id']} takes {type_} already")
    assert await outside.rows(shop.id) == before


async def test_news_are_told_to_as_many_as_like(http, shop):
    for _ in range(3):
        assert (await add(http, shop, events=[*OUTBOUND_EVENT_TYPES])).status_code == 201


async def test_one_that_is_disabled_leaves_its_place_to_another_and_does_not_get_it_back(http, shop):
    first = (await add(http, shop, events=["action.sms"])).json()
    assert (await patch(http, shop, first["id"], is_enabled=False)).status_code == 200
    second = (await add(http, shop, events=["action.sms"])).json()

    problem(await patch(http, shop, first["id"], is_enabled=True), 409, "endpoint-taken")

    assert (await patch(http, shop, second["id"], events=["stage.changed"])).status_code == 200
    assert (await patch(http, shop, first["id"], is_enabled=True)).json()["is_enabled"] is True


# ---- changed


async def test_an_endpoint_is_changed_in_what_is_given(http, shop, endpoint):
    told = (await patch(http, shop, endpoint["id"], url="https://new.company.com/", description="New")).json()
    assert (told["url"], told["description"], told["events"]) == (
        "https://new.company.com/",
        "New",
        ["stage.changed"],
    )
    told = (await patch(http, shop, endpoint["id"], events=["task.created"], description=None)).json()
    assert (told["events"], told["description"], told["url"]) == (
        ["task.created"],
        None,
        "https://new.company.com/",
    )
    assert await look(http, shop, f"/webhook-endpoints/{endpoint['id']}") == told
    rows = await audited(http, shop, "endpoint.change")
    assert [row["detail"] for row in rows] == [
        {"fields": ["description", "events"]},
        {"fields": ["description", "url"]},
    ]


async def test_saying_the_same_again_changes_nothing(http, shop, endpoint, outside):
    events = ["task.created", "stage.changed"]
    first = (await patch(http, shop, endpoint["id"], events=events)).json()
    before = await outside.rows(shop.id)

    again = await patch(
        http, shop, endpoint["id"], events=[*events, *events], url=endpoint["url"], is_enabled=True
    )

    assert (again.status_code, again.json()) == (200, first)
    assert await outside.rows(shop.id) == before


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, ""), ({"is_enabled": None}, "/is_enabled"), ({"is_enabled": "yes"}, "/is_enabled")],
)
async def test_a_change_that_is_none_is_refused(http, shop, endpoint, body, pointer):
    problem(await patch(http, shop, endpoint["id"], **body), 422, "invalid-input", pointer)


async def test_what_waits_for_an_endpoint_is_dropped_when_it_is_disabled(http, shop, endpoint, database):
    await meet(http, shop)
    await move(http, shop, "vip")
    await publish(database, shop.id)
    waiting = (await look(http, shop, "/actions", endpoint_id=endpoint["id"]))["items"]
    assert {action["state"] for action in waiting} == {"pending"}

    told = (await patch(http, shop, endpoint["id"], is_enabled=False)).json()

    assert (told["is_enabled"], told["disabled_reason"]) == (False, None)
    after = (await look(http, shop, "/actions", endpoint_id=endpoint["id"]))["items"]
    assert {(action["state"], action["reason"]) for action in after} == {("cancelled", "endpoint_disabled")}
    assert len(after) == len(waiting) == 2


# ---- taken away


async def test_an_endpoint_that_was_never_told_anything_is_taken_away(http, shop, endpoint):
    answer = await http.delete(f"{ENDPOINTS}/{endpoint['id']}", headers=shop.headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert await listed(http, shop) == []
    problem(
        await http.delete(f"{ENDPOINTS}/{endpoint['id']}", headers=shop.headers), 404, "endpoint-not-found"
    )
    [row] = await audited(http, shop, "endpoint.remove")
    assert row["target"] == f"endpoint:{endpoint['id']}"


async def test_one_that_the_log_names_is_not_taken_away(http, shop, endpoint, database, outside):
    await meet(http, shop)
    await publish(database, shop.id)
    before = await outside.rows(shop.id)

    problem(await http.delete(f"{ENDPOINTS}/{endpoint['id']}", headers=shop.headers), 409, "endpoint-in-use")

    assert await outside.rows(shop.id) == before


# ---- signed, and tried out


@pytest.fixture
async def around():
    """A system of this machine."""
    async with surroundings() as found:
        yield found


@pytest.fixture
async def trusting(settings, around):
    """The application, whose operator lets that system be called."""
    _, system, _ = around
    app = create_app(settings.model_copy(update={"trusted_origins": (system.url,)}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
            yield client


async def test_an_endpoint_is_tried_out_with_a_message_that_means_nothing(trusting, shop, around):
    _, system, _ = around
    made = (await add(trusting, shop, url=f"{system.url}/hooks?of=ours")).json()
    system.secrets.append(made["secret"])

    answer = await dry_run(trusting, shop, made["id"])

    assert answer.status_code == 200, answer.text
    assert answer.json() == {"is_delivered": True, "status": 200, "answer": ""}
    [told] = system.told
    assert (told.type, told.data) == ("webhook.test", {"endpoint_id": made["id"]})
    [row] = await audited(trusting, shop, "endpoint.test")
    assert row["target"] == f"endpoint:{made['id']}"


async def test_what_comes_of_trying_is_told_and_disables_nothing(trusting, shop, around):
    _, system, _ = around
    made = (await add(trusting, shop, url=f"{system.url}/hooks")).json()

    unsigned = (await dry_run(trusting, shop, made["id"])).json()
    system.secrets.append(made["secret"])
    seen = {}
    for status in (204, 302, 410, 500):
        system.answer = always(status)
        seen[status] = (await dry_run(trusting, shop, made["id"])).json()

    assert (unsigned["is_delivered"], unsigned["status"]) == (False, 401)
    assert {status: told["is_delivered"] for status, told in seen.items()} == {
        204: True,
        302: False,
        410: False,
        500: False,
    }
    assert all(told["status"] == status for status, told in seen.items())
    assert (await listed(trusting, shop))[0]["is_enabled"] is True


async def test_an_address_that_leads_inside_is_not_called_whatever_it_is_called(http, shop):
    made = (await add(http, shop, url="https://localhost/hooks")).json()

    told = (await dry_run(http, shop, made["id"])).json()

    assert (told["is_delivered"], told["status"]) == (False, None)
    assert "not a public address" in told["answer"]


async def test_while_a_secret_is_replaced_both_sign_and_then_the_new_one_alone(
    trusting, shop, around, database
):
    _, system, post = around
    made = (await add(trusting, shop, url=f"{system.url}/hooks")).json()
    answer = await rotate(trusting, shop, made["id"], overlap_seconds=3_600)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told.keys() == {*ENDPOINT, "secret"}
    assert told["secret"] != made["secret"]
    assert told["former_secret_until"] is not None

    async def is_taken(*secrets):
        system.secrets = [*secrets]
        outcome = await dry_run(trusting, shop, made["id"])
        return outcome.json()["is_delivered"]

    assert await is_taken(made["secret"])
    assert await is_taken(told["secret"])
    last = (await rotate(trusting, shop, made["id"], overlap_seconds=0)).json()
    assert not await is_taken(made["secret"])
    assert not await is_taken(told["secret"])
    assert await is_taken(last["secret"])
    assert len(await audited(trusting, shop, "endpoint.rotate")) == 2
    # What stages call for is signed alike.
    await meet(trusting, shop)
    await publish(database, shop.id)
    await dispatcher_for(database, post, shop.id).drain()
    assert [one.type for one in system.of_type("stage.changed")] == ["stage.changed"]


async def test_a_secret_is_replaced_for_a_day_unless_something_else_is_said(http, shop, endpoint, outside):
    told = (await rotate(http, shop, endpoint["id"])).json()

    seconds = await outside.connection.fetchval(
        "SELECT extract(epoch FROM former_until - updated_at)::int FROM webhook_endpoints WHERE id = $1",
        endpoint["id"],
    )
    assert seconds == 86_400
    assert "secret" not in await look(http, shop, f"/webhook-endpoints/{told['id']}")


@pytest.mark.parametrize("seconds", [-1, 604_801, 1.5, "60", None])
async def test_an_overlap_that_is_none_is_refused(http, shop, endpoint, outside, seconds):
    before = await outside.rows(shop.id)

    answer = await rotate(http, shop, endpoint["id"], overlap_seconds=seconds)

    problem(answer, 422, "invalid-input", "/overlap_seconds")
    assert await outside.rows(shop.id) == before


# ---- whose they are


async def test_another_company_s_endpoint_is_answered_like_one_that_is_not_there(
    http, shop, endpoint, found_tenant, outside
):
    neighbour = await found_tenant()
    before = await outside.rows(shop.id)

    for id_ in (endpoint["id"], 10**15):
        path = f"{ENDPOINTS}/{id_}"
        for answer in (
            await http.get(path, headers=neighbour.headers),
            await patch(http, neighbour, id_, is_enabled=False),
            await http.delete(path, headers=neighbour.headers),
            await rotate(http, neighbour, id_),
            await dry_run(http, neighbour, id_),
        ):
            assert problem(answer, 404, "endpoint-not-found")["detail"] == f"There is no webhook endpoint {id_}."

    assert await listed(http, neighbour) == []
    assert (await add(http, neighbour, events=["action.sms"])).status_code == 201
    assert await outside.rows(shop.id) == before


async def test_news_of_a_company_are_told_to_its_own_endpoints_alone(
    http, shop, endpoint, found_tenant, database
):
    neighbour = await found_tenant(test_clock=parse_instant(NOON, ""))
    theirs = (await add(http, neighbour, events=[*OUTBOUND_EVENT_TYPES])).json()
    await meet(http, shop)
    await act(http, shop, "call")
    for tenant in (shop, neighbour):
        await publish(database, tenant.id)

    told = (await look(http, shop, "/actions", channel="webhook"))["items"]

    assert {action["endpoint_id"] for action in told} == {endpoint["id"]}
    assert (await look(http, neighbour, "/actions", endpoint_id=theirs["id"]))["items"] == []
