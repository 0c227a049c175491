"""Routes of actions: the delivery log, retries of dead actions, manual actions."""

from uuid import uuid4

import pytest

from api.calls import (
    API,
    NOON,
    advance,
    audit_entries,
    every_page,
    fetch,
    ingest,
    key_of,
    move,
    problem,
    request_action,
    save_customer,
)
from journey_service.domain.access.actors import Actor
from journey_service.domain.events.values import parse_instant
from journey_service.services.actions import webhook_endpoints as endpoints
from journey_service.services.actions.delivery.publisher import publish
from server_versions import newest_only
from services.local_servers import body_of, dispatcher_for, run_local_servers

ACTION = {
    *(
        "id",
        "customer_id",
        "customer_ref",
        "customer_name",
        "channel",
        "name",
        "step",
        "stage",
        "transition_seq",
        "state",
        "reason",
    ),
    *("template", "offer", "note", "actor", "campaign_id", "endpoint_id", "task_id", "planned_at", "due_at"),
    *("finished_at", "next_attempt_at", "attempts", "last_status", "last_error", "created_at"),
}
NEVER_QUIET = {"quiet_from": None, "quiet_until": None}


@pytest.fixture
async def shop(http, create_test_company):
    """A company with a test clock that delivers nothing, and a customer who can be reached."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""), policy={"frequency_cap": 1_000})
    await save_customer(http, tenant)
    return tenant


class DatabaseOwner:
    """A company in real time with a mail server and a receiver of webhooks."""

    def __init__(self, database, tenant, mailbox, system, post):
        self.tenant, self.mailbox, self.system = tenant, mailbox, system
        self._database, self._post = database, post

    async def register(self, *types):
        """Registers the receiver for these types."""
        new = await endpoints.add_endpoint(
            self._database,
            self.tenant.id,
            url=f"{self.system.url}/hooks",
            events=types,
            description=None,
            by=Actor("tests"),
        )
        self.system.secrets.append(new.secret)

    async def deliver(self):
        """Delivers everything that is due."""
        await publish(self._database, self.tenant.id)
        await dispatcher_for(self._database, self._post, self.tenant.id).drain()


@pytest.fixture
async def live(http, database, create_test_company):
    """A company in real time with a mail server, and a customer who can be reached."""
    tenant = await create_test_company(policy=NEVER_QUIET)
    await save_customer(http, tenant)
    async with run_local_servers() as servers:
        yield DatabaseOwner(database, tenant, *servers)


@pytest.fixture
async def busy(http, shop, database, database_owner):
    """Actions of every kind and state for several customers, and outbound events for two endpoints."""
    for number in range(2):
        body = {"url": f"https://hooks.example/{number}", "events": ["stage.changed", "task.created"]}
        assert (
            await http.post(f"{API}/webhook-endpoints", headers=shop.headers, json=body)
        ).status_code == 201
    for customer in (1, 2, 3):
        await save_customer(http, shop, customer, consents={"offer": "withdrawn"} if customer == 2 else {})
        await move(http, shop, ("vip", "at_risk", "at_risk")[customer - 1], customer)
        await request_action(http, shop, "call", customer)
        await request_action(http, shop, "offer", customer)
    dead = await request_action(http, shop, "email", 3)
    leased = await request_action(http, shop, "email", 1)
    await database_owner.connection.execute(
        "UPDATE journey_actions SET state = 'dead' WHERE id = $1", dead["id"]
    )
    await database_owner.connection.execute(
        "UPDATE journey_actions SET state = 'leased', lease_token = 'x' WHERE id = $1", leased["id"]
    )
    await publish(database, shop.id)
    return shop


async def all_actions(http, tenant, **params):
    pages = await every_page(http, tenant.headers, "/actions", limit=200, **params)
    return [action for page in pages for action in page]


async def ask(http, tenant, customer_id=1, *, key=None, **body):
    headers = tenant.headers if key is None else {**tenant.headers, "Idempotency-Key": key}
    return await http.post(f"{API}/customers/{customer_id}/actions", headers=headers, json=body)


async def retry(http, tenant, action_id):
    return await http.post(f"{API}/actions/{action_id}/retry", headers=tenant.headers)


# ---- the delivery log


async def test_an_action_has_every_field(http, shop):
    await move(http, shop, "customer")

    found = await all_actions(http, shop)

    assert all(action.keys() == ACTION for action in found)
    assert sorted((action["name"], action["channel"], action["template"]) for action in found) == [
        ("create_feedback_request", "email", "feedback_request"),
        ("send_onboarding_sequence", "email", "onboarding"),
        ("send_onboarding_sequence", "email", "onboarding_day_10"),
        ("send_onboarding_sequence", "email", "onboarding_day_3"),
        ("update_crm_status", "crm", None),
    ]
    [payload] = [action for action in found if action["template"] == "onboarding"]
    assert (payload["stage"], payload["transition_seq"], payload["step"], payload["customer_id"]) == (
        "customer",
        2,
        0,
        1,
    )
    assert (payload["state"], payload["reason"], payload["attempts"], payload["actor"]) == (
        "done",
        None,
        0,
        None,
    )
    assert payload["planned_at"] == payload["due_at"] == payload["finished_at"] == NOON
    assert await fetch(http, shop, f"/actions/{payload['id']}") == {**payload, "log": []}


@pytest.mark.parametrize("limit", [1, 3, 200])
async def test_the_log_is_paged_newest_first_without_gaps_or_duplicates(http, busy, limit):
    expected = await all_actions(http, busy)
    keys = [(action["created_at"], action["id"]) for action in expected]
    assert [at for at, _ in keys] == sorted((at for at, _ in keys), reverse=True)
    assert len({id_ for _, id_ in keys}) == len(keys) > 15

    pages = await every_page(http, busy.headers, "/actions", limit=limit)

    assert [action for page in pages for action in page] == expected
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_page_continues_after_the_previous_one_despite_new_rows(http, busy):
    expected = [action["id"] for action in await all_actions(http, busy)]
    first = await fetch(http, busy, "/actions", limit=4)
    await request_action(http, busy, "call", 2)

    rest = await fetch(http, busy, "/actions", limit=200, cursor=first["next_cursor"])

    assert [action["id"] for action in (*first["items"], *rest["items"])] == expected


async def test_the_log_is_filtered_and_shows_webhooks_on_request(http, busy):
    everything = await all_actions(http, busy)
    outbound_events = await all_actions(http, busy, channel="webhook")
    campaign = (await fetch(http, busy, "/campaigns", customer_id=3))["items"][0]["id"]
    endpoint = (await fetch(http, busy, "/webhook-endpoints"))["items"][0]["id"]
    assert {action["channel"] for action in everything} >= {"email", "call", "offer", "sms", "task"}
    assert {action["channel"] for action in outbound_events} == {"webhook"}
    cases = {
        **{
            state: ({"state": state}, lambda action, state=state: action["state"] == state)
            for state in ("pending", "leased", "done", "cancelled", "dead")
        },
        "channel": ({"channel": "email"}, lambda action: action["channel"] == "email"),
        "states": (
            {"state": ["done", "dead"]},
            lambda action: action["state"] in ("done", "dead"),
        ),
        "channels": (
            {"channel": ["email", "call"]},
            lambda action: action["channel"] in ("email", "call"),
        ),
        "customer": ({"customer_id": 2}, lambda action: action["customer_id"] == 2),
        "campaign": ({"campaign_id": campaign}, lambda action: action["campaign_id"] == campaign),
        "several": (
            {"customer_id": 3, "channel": "call", "state": "done"},
            lambda action: (action["customer_id"], action["channel"], action["state"]) == (3, "call", "done"),
        ),
    }
    for name, (params, matches) in cases.items():
        expected = [action for action in everything if matches(action)]
        assert 0 < len(expected) < len(everything), name
        assert await all_actions(http, busy, **params) == expected, name
        pages = await every_page(http, busy.headers, "/actions", limit=1, **params)
        assert [action for page in pages for action in page] == expected, name
    of_one = await all_actions(http, busy, endpoint_id=endpoint)
    assert of_one == [action for action in outbound_events if action["endpoint_id"] == endpoint]
    assert 0 < len(of_one) < len(outbound_events)
    assert {action["name"] for action in of_one} == {"stage.changed", "task.created"}
    for params in ({"customer_id": 99}, {"campaign_id": 10**15}, {"endpoint_id": 10**15}):
        assert await all_actions(http, busy, **params) == []


@newest_only
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("state", value) for value in ("", "open")],
        *[("channel", value) for value in ("post", "EMAIL")],
        *[("customer_id", value) for value in ("x", str(2**63))],
        *[("campaign_id", value) for value in ("x", "0")],
        *[("endpoint_id", value) for value in ("x", str(2**63))],
        *[("limit", value) for value in ("0", "201")],
        *[
            ("cursor", value)
            for value in (
                "x",
                "WyJhY3Rpb25zIiwxLDFd",
                "WyJhY3Rpb25zIiwiMjAyNi0wMy0wMVQxMjowMDowMCswMDowMCIsIm5vbmUiXQ",
            )
        ],
    ],
)
async def test_an_invalid_filter_is_refused(http, shop, name, value):
    answer = await http.get(f"{API}/actions", headers=shop.headers, params={name: value})

    problem(answer, 422, "invalid-input", f"query/{name}")


@pytest.mark.parametrize("id_", ["1", "none", "0" * 31, "%00"])
async def test_an_invalid_action_id_is_refused(http, shop, id_):
    answer = await http.get(f"{API}/actions/{id_}", headers=shop.headers)

    problem(answer, 422, "invalid-input", "path/action_id")


# ---- attempts and dead actions


async def test_every_attempt_is_listed_with_its_response(http, live):
    requested = await request_action(http, live.tenant, "email", note="It was good to see you.")
    assert (requested["state"], requested["attempts"]) == ("pending", 0)
    assert requested["next_attempt_at"] == requested["due_at"] >= requested["planned_at"]

    await live.deliver()

    payload = await fetch(http, live.tenant, f"/actions/{requested['id']}")
    assert (payload["state"], payload["attempts"], payload["next_attempt_at"]) == ("done", 1, None)
    [attempt] = payload["log"]
    assert (attempt["number"], attempt["outcome"]) == (1, "done")
    assert attempt["started_at"] <= attempt["ended_at"]
    [email] = live.mailbox.emails
    assert "It was good to see you." in body_of(email)


async def test_a_dead_action_is_retried_and_keeps_its_attempts(http, live):
    live.mailbox.refusals["ada1@reader.example"] = "550 no such mailbox"
    requested = await request_action(http, live.tenant, "email")
    await live.deliver()
    [dead] = await all_actions(http, live.tenant, state="dead")
    assert (dead["id"], dead["attempts"]) == (requested["id"], 1)
    assert "550" in dead["last_error"]
    live.mailbox.refusals.clear()

    answer = await retry(http, live.tenant, requested["id"])

    assert answer.status_code == 200, answer.text
    payload = answer.json()
    assert (payload["state"], payload["attempts"], payload["finished_at"]) == ("pending", 0, None)
    [row] = await audit_entries(http, live.tenant, "action.retry")
    assert (row["target"], row["customer_id"]) == (f"action:{requested['id']}", 1)
    assert row["actor"] == key_of(live.tenant)
    await live.deliver()
    payload = await fetch(http, live.tenant, f"/actions/{requested['id']}")
    assert (payload["state"], payload["attempts"]) == ("done", 1)
    assert [(one["number"], one["outcome"]) for one in payload["log"]] == [(1, "refused"), (2, "done")]
    assert len(live.mailbox.emails) == 1


async def test_only_dead_actions_are_retried(http, busy, database_owner):
    before = await database_owner.rows(busy.id)
    for state in ("pending", "leased", "done", "cancelled"):
        [action, *_] = await all_actions(http, busy, state=state)

        payload = problem(await retry(http, busy, action["id"]), 409, "action-not-dead")

        assert f"is {state}" in payload["detail"]
    assert await database_owner.rows(busy.id) == before


# ---- manual actions


async def test_a_call_is_a_task_at_once(http, shop):
    answer = await ask(http, shop, type="call", title="Call her", assignee="ada", due_days=2, note="Soon.")

    assert answer.status_code == 201, answer.text
    payload = answer.json()
    assert payload.keys() == ACTION
    assert (payload["name"], payload["channel"], payload["state"]) == ("personal_call", "call", "done")
    assert (payload["actor"], payload["note"], payload["transition_seq"]) == (key_of(shop), "Soon.", None)
    task = await fetch(http, shop, f"/tasks/{payload['task_id']}")
    assert (task["title"], task["assignee"], task["note"]) == ("Call her", "ada", "Soon.")
    assert task["due_at"] == "2026-03-03T12:00:00Z"
    [row] = await audit_entries(http, shop, "action.request")
    assert (row["target"], row["customer_id"]) == (f"action:{payload['id']}", 1)
    assert row["detail"] == {"channel": "call", "state": "done"}


async def test_a_call_is_unassigned_and_due_tomorrow_by_default(http, shop):
    payload = (await ask(http, shop, type="call")).json()

    task = await fetch(http, shop, f"/tasks/{payload['task_id']}")
    assert (task["title"], task["assignee"], task["due_at"]) == (
        "Call this customer",
        None,
        "2026-03-02T12:00:00Z",
    )
    assert (await ask(http, shop, type="call", due_days=0)).json()["state"] == "done"


async def test_an_offer_is_sent_with_its_terms(http, live):
    offer = {"title": "Half the price", "description": "Of everything.", "code": "HALF", "valid_days": 7}
    await live.register("action.special_offer")

    payload = (await ask(http, live.tenant, type="offer", offer=offer, note="For you.")).json()

    assert (payload["state"], payload["offer"], payload["template"]) == ("pending", offer, "personal_offer")
    await live.deliver()
    [message] = live.system.received
    assert (message.type, message.data["action_id"]) == ("action.special_offer", payload["id"])
    assert message.data["offer"].items() >= {"title": "Half the price", "code": "HALF"}.items()
    assert "For you." in message.data["text"]
    assert (await fetch(http, live.tenant, f"/actions/{payload['id']}"))["state"] == "done"


async def test_an_offer_without_an_endpoint_is_cancelled(http, live):
    payload = await request_action(http, live.tenant, "offer")

    await live.deliver()

    payload = await fetch(http, live.tenant, f"/actions/{payload['id']}")
    assert (payload["state"], payload["reason"]) == ("cancelled", "no_channel")


async def test_an_email_uses_the_company_s_template_if_it_is_named(http, live):
    words = {"key": "spring", "channel": "email", "language": "en", "subject": "Spring, {{ customer.name }}"}
    text = {"text": "Spring is here. {{ note }} {{ unsubscribe_url }}"}
    made = await http.post(f"{API}/templates", headers=live.tenant.headers, json={**words, **text})
    assert made.status_code == 201, made.text

    payload = await request_action(http, live.tenant, "email", template="spring", note="Come and see.")

    assert payload["template"] == "spring"
    await live.deliver()
    [email] = live.mailbox.emails
    assert email["Subject"] == "Spring, Ada Keller"
    assert "Spring is here. Come and see." in body_of(email)


async def test_a_forbidden_action_is_returned_as_cancelled_with_the_reason(http, shop):
    await save_customer(http, shop, 2, consents={"email": "withdrawn"}, phone=None)
    await save_customer(http, shop, 3, email=None)

    payload = [
        (await ask(http, shop, customer, type=type_)).json()
        for customer, type_ in ((2, "email"), (2, "call"), (3, "email"), (2, "offer"))
    ]

    assert [(one["state"], one["reason"]) for one in payload] == [
        ("cancelled", "no_consent"),
        ("cancelled", "no_address"),
        ("cancelled", "no_address"),
        ("done", None),
    ]
    assert [one["task_id"] for one in payload] == [None] * 4
    assert {one["id"] for one in await all_actions(http, shop, state="cancelled")} == {
        one["id"] for one in payload[:3]
    }


async def test_the_cap_and_quiet_hours_apply_to_manual_actions(http, create_test_company):
    tenant = await create_test_company(
        test_clock=parse_instant("2026-03-01T23:00:00Z", ""), policy={"frequency_cap": 1}
    )
    await save_customer(http, tenant)

    first, second = await request_action(http, tenant, "email"), await request_action(http, tenant, "call")
    third = await request_action(http, tenant, "call")

    assert (first["state"], first["due_at"]) == ("pending", "2026-03-02T08:00:00Z")
    assert [(one["state"], one["reason"]) for one in (second, third)] == [
        ("done", None),
        ("cancelled", "capped"),
    ]
    await advance(http, tenant, "2026-03-02T09:00:00Z")
    payload = await fetch(http, tenant, f"/actions/{first['id']}")
    assert (payload["state"], payload["finished_at"]) == ("done", "2026-03-02T08:00:00Z")


async def test_due_moves_are_evaluated_first(http, shop):
    await ingest(http, shop, "v", occurred_at="2026-02-28T12:00:00Z")
    await request_action(http, shop, "call")
    stage = (await fetch(http, shop, "/customers/1/journey"))["current_stage"]

    [action] = await all_actions(http, shop, channel="call")

    assert action["stage"] == stage == "customer"


REQUESTS = {
    "a call": {"type": "call", "title": "Call her", "assignee": "ada", "due_days": 0, "note": "Soon."},
    "the least of a call": {"type": "call"},
    "an email": {"type": "email", "template": "welcome", "note": "Soon."},
    "an offer": {"type": "offer", "offer": {"valid_days": 3, "code": "C", "title": "T", "description": "D"}},
    "an empty offer": {"type": "offer", "offer": {}},
}


@pytest.mark.parametrize("body", REQUESTS.values(), ids=REQUESTS)
async def test_a_request_repeated_with_the_same_key_is_carried_out_once(http, shop, database_owner, body):
    first = await ask(http, shop, key="one", **body)
    assert first.status_code == 201, first.text
    before = await database_owner.rows(shop.id)

    again = await ask(http, shop, key="one", **body)

    assert (again.status_code, again.json()) == (201, first.json())
    assert await database_owner.rows(shop.id) == before
    other = await ask(http, shop, key="two", **body)
    assert other.json()["id"] != first.json()["id"]
    assert len(await all_actions(http, shop)) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"type": "email"},
        {"type": "call"},
        {"type": "call", "title": "Call her", "note": "Another."},
        {"type": "call", "title": "Call him", "note": "Soon."},
        {"type": "call", "title": "Call her", "note": "Soon.", "assignee": "ada"},
        {"type": "call", "title": "Call her", "note": "Soon.", "due_days": 1},
    ],
)
async def test_another_request_with_the_same_key_is_refused(http, shop, database_owner, body):
    await ask(http, shop, key="one", type="call", title="Call her", note="Soon.")
    before = await database_owner.rows(shop.id)

    problem(await ask(http, shop, key="one", **body), 422, "idempotency-key-reused")

    assert await database_owner.rows(shop.id) == before


async def test_keys_are_per_customer_and_optional(http, shop):
    await save_customer(http, shop, 2)
    ids = {
        (await ask(http, shop, customer, key=key, type="call")).json()["id"]
        for customer, key in ((1, "k"), (2, "k"), (1, None), (1, None))
    }

    assert len(ids) == 4


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "schlüssel".encode()])
async def test_an_invalid_key_is_refused(http, shop, key):
    headers = {**shop.headers, "Idempotency-Key": key}

    answer = await http.post(f"{API}/customers/1/actions", headers=headers, json={"type": "call"})

    problem(answer, 422, "invalid-input", "header/Idempotency-Key")


@newest_only
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/type"),
        ({"type": "sms"}, "/type"),
        ({"type": "call", "template": "welcome"}, "/template"),
        ({"type": "call", "offer": {"code": "C"}}, "/offer"),
        ({"type": "email", "title": "T"}, "/title"),
        ({"type": "email", "assignee": "ada"}, "/assignee"),
        ({"type": "email", "due_days": 0}, "/due_days"),
        ({"type": "email", "offer": {}}, "/offer"),
        ({"type": "offer", "due_days": 1}, "/due_days"),
        ({"type": "email", "template": "nowhere"}, "/template"),
        ({"type": "email", "template": "retention_sms"}, "/template"),
        ({"type": "email", "template": "a\x00"}, "/template"),
        ({"type": "email", "note": ""}, "/note"),
        ({"type": "email", "note": "x" * 2_001}, "/note"),
        ({"type": "email", "note": "a\x00"}, "/note"),
        ({"type": "call", "title": "a\nb"}, "/title"),
        ({"type": "call", "title": "x" * 256}, "/title"),
        ({"type": "call", "assignee": ""}, "/assignee"),
        ({"type": "call", "due_days": -1}, "/due_days"),
        ({"type": "call", "due_days": 366}, "/due_days"),
        ({"type": "call", "due_days": 1.5}, "/due_days"),
        ({"type": "offer", "offer": {"valid_days": 0}}, "/offer/valid_days"),
        ({"type": "offer", "offer": {"title": "a\tb"}}, "/offer/title"),
        ({"type": "offer", "offer": {"price": 1}}, "/offer/price"),
        ({"type": "call", "customer": 2}, "/customer"),
    ],
)
async def test_an_invalid_request_is_refused_with_a_pointer(http, shop, database_owner, body, pointer):
    before = await database_owner.rows(shop.id)

    problem(await ask(http, shop, **body), 422, "invalid-input", pointer)

    assert await database_owner.rows(shop.id) == before


async def test_the_longest_request_is_stored_and_returned_whole(http, shop):
    words = {"title": "ü" * 255, "assignee": "a" * 255, "due_days": 365, "note": "ü\n" * 1_000}

    payload = (await ask(http, shop, type="call", **words)).json()

    task = await fetch(http, shop, f"/tasks/{payload['task_id']}")
    assert (task["title"], task["assignee"], task["note"]) == (
        words["title"],
        words["assignee"],
        words["note"],
    )


# ---- other companies and erased customers


async def test_unknown_erased_and_foreign_customers_are_not_found(
    http, shop, create_test_company, database_owner
):
    neighbour = await create_test_company()
    await save_customer(http, shop, 2)
    await http.post(f"{API}/customers/2/anonymize", headers=shop.headers)
    before = await database_owner.rows(shop.id)

    for tenant, customer in ((shop, 99), (shop, 2), (neighbour, 1)):
        payload = problem(await ask(http, tenant, customer, type="call"), 404, "customer-not-found")
        assert payload["detail"] == f"There is no customer {customer}."
    problem(await ask(http, shop, -5, type="call"), 422, "invalid-input", "path/customer_id")

    assert await database_owner.rows(shop.id) == before


async def test_another_company_s_action_is_not_found(http, shop, create_test_company, database_owner):
    neighbour = await create_test_company()
    requested = await request_action(http, shop, "call")
    await database_owner.connection.execute(
        "UPDATE journey_actions SET state = 'dead' WHERE id = $1", requested["id"]
    )
    before = await database_owner.rows(shop.id)

    for id_ in (requested["id"], str(uuid4())):
        payload = problem(
            await http.get(f"{API}/actions/{id_}", headers=neighbour.headers), 404, "action-not-found"
        )
        assert payload["detail"] == f"There is no action '{id_}'."
        problem(await retry(http, neighbour, id_), 404, "action-not-found")

    assert await all_actions(http, neighbour) == []
    assert await database_owner.rows(shop.id) == before


async def test_actions_of_erased_customers_have_no_personal_data(http, shop):
    for type_ in ("call", "email", "offer"):
        await request_action(http, shop, type_, note="About Monday.")
    assert (await http.post(f"{API}/customers/1/anonymize", headers=shop.headers)).status_code == 200

    found = await all_actions(http, shop)

    assert sorted(action["channel"] for action in found) == ["call", "email", "offer"]
    for action in found:
        assert action["customer_id"] < 0
        assert (action["note"], action["template"], action["offer"]) == (None, None, None)
        assert "Monday" not in str(await fetch(http, shop, f"/actions/{action['id']}"))
