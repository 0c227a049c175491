"""Unsubscribed mailboxes: every customer with the address, present and future, and what lifts the withdrawal."""

import pytest

from api.calls import API, NOON, fetch
from journey_service.domain.actions.stage_actions import Channel
from journey_service.services.actions.delivery.outbound_messages import unsubscribe_token

LATER = "2026-03-02T12:00:00+00:00"


@pytest.fixture
def unsubscribe(http, database, database_owner):
    """Unsubscribes a customer with the link of an email."""

    async def run(tenant, customer=1):
        relationship = await database_owner.connection.fetchval(
            "SELECT id FROM customer_relationships WHERE company_id = $1 AND customer_id = $2",
            tenant.id,
            customer,
        )

        async def unit(uow):
            return unsubscribe_token(uow, relationship, Channel.EMAIL)

        token = await database.run(tenant.id, unit)
        answer = await http.post(f"{API}/unsubscribe/{token}", headers={"Accept": "text/html"})
        assert answer.status_code == 200

    return run


async def put(http, tenant, customer, email, **profile):
    answer = await http.put(
        f"{API}/customers/{customer}", headers=tenant.headers, json={"email": email, **profile}
    )
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def statuses(http, tenant, *customers):
    found = []
    for customer in customers:
        shown = await fetch(http, tenant, f"/customers/{customer}")
        assert (shown["reach"]["email"] == "no_consent") is (
            shown["consents"]["email"]["status"] == "withdrawn"
        )
        found.append(shown["consents"]["email"]["status"])
    return found


async def test_a_mailbox_unsubscribes_for_all_its_customers_now_and_later(http, salon, unsubscribe):
    await put(http, salon, 1, "ada@example.com", consents={"email": "granted"})
    await put(http, salon, 2, "ADA@example.com ", consents={"email": "granted"})
    await put(http, salon, 3, "grace@example.com", consents={"email": "granted"})

    await unsubscribe(salon)

    assert await statuses(http, salon, 1, 2, 3) == ["withdrawn", "withdrawn", "granted"]
    withdrawn = await fetch(http, salon, "/customers", consent_channel="email", consent_status="withdrawn")
    assert [each["customer_id"] for each in withdrawn["items"]] == [1, 2]
    await put(http, salon, 4, "Ada@Example.com")
    moved = await put(http, salon, 3, "ada@example.com")
    assert moved["consents"]["sms"]["status"] == "unknown"
    assert await statuses(http, salon, 3, 4) == ["withdrawn", "withdrawn"]

    await http.post(f"{API}/customers/1/anonymize", headers=salon.headers)
    new = await put(http, salon, 5, "ADA@EXAMPLE.COM", name="Ada", consents={"email": "granted"})
    assert (new["name"], new["consents"]["email"]["status"]) == ("Ada", "withdrawn")
    [warning] = new["warnings"]
    assert "email" in warning


async def test_a_withdrawal_by_the_person_is_lifted_by_a_later_grant_for_that_customer_alone(
    http, salon, unsubscribe, database_owner
):
    await put(http, salon, 1, "ada@example.com")
    await put(http, salon, 2, "ada@example.com")
    await unsubscribe(salon)
    await database_owner.set_clock(salon.id, LATER)

    for consent in (
        "unknown",
        "granted",
        {"status": "granted", "method": "form"},
        {"status": "granted", "method": "form", "granted_at": NOON},
        {"status": "granted", "method": "form", "granted_at": "2026-03-02T12:00:01Z"},
    ):
        answer = await put(http, salon, 1, "ada@example.com", name="Ada", consents={"email": consent})
        assert (answer["consents"]["email"]["status"], len(answer["warnings"])) == ("withdrawn", 1), consent
        assert answer["name"] == "Ada"

    grant = {"status": "granted", "method": "in_person", "granted_at": "2026-03-02T09:00:00Z"}
    answer = await put(http, salon, 1, "ada@example.com", consents={"email": grant})
    assert (answer["consents"]["email"]["status"], answer["warnings"]) == ("granted", [])
    assert answer["consents"]["email"]["granted_at"] == grant["granted_at"]
    await put(http, salon, 1, "ADA@example.com")
    await put(http, salon, 3, "ada@example.com")
    assert await statuses(http, salon, 1, 2, 3) == ["granted", "withdrawn", "withdrawn"]
    [*_, last] = (await fetch(http, salon, "/customers/1/consents"))["items"]
    assert (last["status"], last["method"], last["granted_at"]) == (
        "granted",
        "in_person",
        grant["granted_at"],
    )

    await database_owner.set_clock(salon.id, "2026-03-03T12:00:00+00:00")
    await unsubscribe(salon, 1)
    assert await statuses(http, salon, 1) == ["withdrawn"]


async def test_other_companies_do_not_know_of_a_withdrawal(http, salon, create_test_company, unsubscribe):
    other = await create_test_company()
    await put(http, salon, 1, "ada@example.com")
    await unsubscribe(salon)

    answer = await put(http, other, 1, "ada@example.com", consents={"email": "granted"})

    assert (answer["consents"]["email"]["status"], answer["warnings"]) == ("granted", [])
