"""Unsubscribe links: GET asks, POST withdraws the consent, forged links do nothing."""

import re

import httpx
import pytest

from api.calls import API, NOON, audit_entries, fetch, problem, request_action, save_customer
from api.test_browsers import Page, directives, hash_of
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.customers.consents import BY_LINK
from journey_service.domain.events.values import parse_instant
from journey_service.services.actions import unsubscribe as unsubscribing
from journey_service.services.actions.delivery.outbound_messages import unsubscribe_token
from journey_service.services.actions.delivery.publisher import publish
from services.local_servers import dispatcher_for, run_local_servers
from services.local_servers import unsubscribe_token as token_in

UNSUBSCRIBE = f"{API}/unsubscribe"
NAME = "Salon <b>Lumière</b> & Söhne"


@pytest.fixture
async def shop(http, create_test_company):
    """A company whose name needs escaping, and two customers."""
    tenant = await create_test_company(name=NAME, test_clock=parse_instant(NOON, ""))
    for customer in (1, 2):
        await save_customer(http, tenant, customer)
    return tenant


@pytest.fixture
def sign(database, database_owner):
    """Signs links of customers."""

    async def signed(tenant, customer=1, channel=Channel.EMAIL):
        relationship = await database_owner.connection.fetchval(
            "SELECT id FROM customer_relationships WHERE company_id = $1 AND customer_id = $2",
            tenant.id,
            customer,
        )

        async def unit(uow):
            return unsubscribe_token(uow, relationship, channel)

        return await database.run(tenant.id, unit)

    return signed


@pytest.fixture
async def browser(api):
    """A browser: without a credential, and it accepts HTML."""
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False, client=("203.0.113.9", 4711))
    headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://journey.test", headers=headers
    ) as opened:
        yield opened


async def consent(http, tenant, customer=1):
    return (await fetch(http, tenant, f"/customers/{customer}"))["consents"]["email"]


async def test_opening_a_link_shows_a_question_and_changes_nothing(browser, shop, sign, database_owner):
    token = await sign(shop)
    before = await database_owner.rows(shop.id)

    for _ in range(3):
        answer = await browser.get(f"{UNSUBSCRIBE}/{token}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="en">' in answer.text
    assert re.findall("<form[^>]*>", answer.text) == ['<form method="post">'], (
        "which posts to the page itself"
    )
    assert await database_owner.rows(shop.id) == before


async def test_posting_a_link_withdraws_the_consent(http, browser, shop, sign):
    token = await sign(shop)

    answer = await browser.post(f"{UNSUBSCRIBE}/{token}")

    assert answer.status_code == 200
    assert "<form" not in answer.text
    assert "unsubscribed" in answer.text
    payload = await consent(http, shop)
    assert (payload["status"], payload["at"], payload["source"]) == ("withdrawn", NOON, BY_LINK)
    [change] = (await fetch(http, shop, "/customers/1/consents"))["items"]
    assert (change["channel"], change["previous_status"], change["status"]) == (
        "email",
        "unknown",
        "withdrawn",
    )
    assert (await consent(http, shop, 2))["status"] == "unknown"
    [row] = [row for row in await audit_entries(http, shop, "customer.update") if row["actor"] == BY_LINK]
    assert (row["customer_id"], row["address"], row["is_operator"]) == (1, "203.0.113.9", False)
    assert row["detail"] == {"fields": [], "consents": ["email"]}


async def test_posting_again_changes_nothing_and_the_page_confirms(browser, shop, sign, database_owner):
    token = await sign(shop)
    first = await browser.post(f"{UNSUBSCRIBE}/{token}")
    before = await database_owner.rows(shop.id)

    again = await browser.post(f"{UNSUBSCRIBE}/{token}")
    opened = await browser.get(f"{UNSUBSCRIBE}/{token}")

    assert again.text == first.text == opened.text
    assert await database_owner.rows(shop.id) == before


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {}),
        (b"List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"}),
        (
            b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
            {"Content-Type": "multipart/form-data; boundary=x"},
        ),
        (b"{nonsense", {"Content-Type": "application/json"}),
        (b"\xff" * 1_000, {"Content-Type": "nonsense"}),
        (b"", {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}),
        (b"", {"Origin": "null", "Cookie": "journey_session=1.x"}),
        (b"", {"Authorization": "Bearer letmein", "X-Company-Id": "x"}),
    ],
)
async def test_a_mail_program_unsubscribes_with_one_click_from_any_origin(http, shop, sign, content, headers):
    token = await sign(shop)

    answer = await http.post(f"{UNSUBSCRIBE}/{token}", content=content, headers=headers)

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert (await consent(http, shop))["status"] == "withdrawn"


async def test_the_page_names_the_company_escaped_and_no_customer(browser, shop, sign):
    token = await sign(shop)

    for answer in (
        await browser.get(f"{UNSUBSCRIBE}/{token}"),
        await browser.post(f"{UNSUBSCRIBE}/{token}"),
    ):
        assert "Salon &lt;b&gt;Lumière&lt;/b&gt; &amp; Söhne" in answer.text
        assert "<b>" not in answer.text
        assert not any(payload in answer.text for payload in ("Ada", "reader.example", token))


async def test_the_page_runs_nothing_fetches_nothing_and_may_post_to_its_own_origin(browser, shop, sign):
    token = await sign(shop)

    for path in (token, "nonsense"):
        answer = await browser.get(f"{UNSUBSCRIBE}/{path}")
        page = Page(answer.text)
        assert (page.own["script"], page.handlers, page.fetched) == ([], [], [])
        assert directives(answer) == {
            "default-src": ["'none'"],
            "style-src": [hash_of(style) for style in page.own["style"]],
            "form-action": ["'self'"],
            "base-uri": ["'none'"],
            "frame-ancestors": ["'none'"],
        }
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


# ---- forged links


ARABIC = {ord("0") + digit: 0x660 + digit for digit in range(10)}


@pytest.fixture
async def forged_links(create_test_company, http, shop, sign):
    """Forged links, each made from valid ones."""
    neighbour = await create_test_company()
    await save_customer(http, neighbour)
    own, other, theirs = await sign(shop), await sign(shop, 2), await sign(neighbour)
    company, relationship, channel, signature = own.split(".")
    return {
        "another customer's": f"{company}.{other.split('.')[1]}.{channel}.{signature}",
        "another company's": f"{neighbour.id}.{relationship}.{channel}.{signature}",
        "another company's row": f"{company}.{theirs.split('.')[1]}.{channel}.{theirs.split('.')[3]}",
        "altered": f"{own[:-1]}{'A' if own[-1] != 'A' else 'B'}",
        "cut off": own[:-1],
        "longer": f"{own}A",
        "another channel's": f"{company}.{relationship}.sms.{signature}",
        "a channel of its own": await sign(shop, channel=Channel.SMS),
        "with a zero before it": f"0{own}",
        "of a company that is not there": f"{10**17}.{relationship}.{channel}.{signature}",
        "unsigned": f"{company}.{relationship}.{channel}.",
        "nonsense": "nonsense",
        "in other digits": f"{company.translate(ARABIC)}.{relationship.translate(ARABIC)}.{channel}.{signature}",
        "NUL": "%00",
    }


async def test_forged_links_get_the_same_response_and_change_nothing(
    http, browser, shop, forged_links, database_owner
):
    before = await database_owner.rows(shop.id)
    seen, shown = set(), set()

    for token in forged_links.values():
        for method in ("GET", "POST"):
            answer = await http.request(method, f"{UNSUBSCRIBE}/{token}")
            problem(answer, 404, "invalid-link")
            seen.add(answer.content)
            page = await browser.request(method, f"{UNSUBSCRIBE}/{token}")
            assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
            shown.add(page.content)

    assert (len(seen), len(shown)) == (1, 1)
    assert await database_owner.rows(shop.id) == before


async def test_a_link_that_is_too_long_is_refused(http):
    problem(await http.get(f"{UNSUBSCRIBE}/{'1' * 101}"), 422, "invalid-input", "path/token")


async def test_without_the_signature_check_forged_links_would_work(http, shop, forged_links, monkeypatch):
    monkeypatch.setattr(unsubscribing, "_check", lambda *_: None)

    assert (await http.post(f"{UNSUBSCRIBE}/{forged_links['altered']}")).status_code == 200

    assert (await consent(http, shop))["status"] == "withdrawn"
    print("guard removed: detected")


async def test_the_link_of_an_erased_customer_has_no_effect_and_reveals_nothing(
    http, browser, shop, sign, database_owner
):
    token = await sign(shop)
    assert (await http.post(f"{API}/customers/1/anonymize", headers=shop.headers)).status_code == 200
    before = await database_owner.rows(shop.id)

    for method in ("GET", "POST"):
        answer = await browser.request(method, f"{UNSUBSCRIBE}/{token}")
        assert answer.status_code == 200
        assert "Ada" not in answer.text

    assert await database_owner.rows(shop.id) == before


# ---- end to end


async def test_the_link_of_an_email_stops_the_next_email(http, database, create_test_company):
    tenant = await create_test_company(policy={"quiet_from": None, "quiet_until": None})
    await save_customer(http, tenant)
    async with run_local_servers() as (mailbox, _, post):
        outbox_dispatcher = dispatcher_for(database, post, tenant.id)
        await request_action(http, tenant, "email")
        await outbox_dispatcher.drain()
        [email] = mailbox.emails
        assert email["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        waiting = await request_action(http, tenant, "email")

        answer = await http.post(f"{UNSUBSCRIBE}/{token_in(email)}")

        assert answer.status_code == 200
        await publish(database, tenant.id)
        await outbox_dispatcher.drain()
        assert len(mailbox.emails) == 1
    payload = await fetch(http, tenant, f"/actions/{waiting['id']}")
    assert (payload["state"], payload["reason"]) == ("cancelled", "no_consent")
    assert (await request_action(http, tenant, "email"))["reason"] == "no_consent"
