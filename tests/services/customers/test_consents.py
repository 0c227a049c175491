"""Consents: every change is stored with its former status, time and source."""

from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.customers.profiles import list_consents, put_customer
from ledger import rows

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
NO_PROFILE = {"name": None, "email": None, "phone": None}
BY = Actor("key:desk")


async def test_changed_consents_are_stored_and_unchanged_ones_are_not(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    for day, consents in enumerate(
        (
            {"email": "granted"},
            {"email": "granted", "sms": "withdrawn"},
            {},
            {"email": "withdrawn"},
            {"sms": "unknown"},  # does not replace a withdrawal
        )
    ):
        await put_customer(
            database, tenant.id, 1, NO_PROFILE, consents=consents, by=BY, now=T0 + timedelta(days=day)
        )

    changes = [
        (change.channel, change.previous_status, change.status, (change.at - T0).days, change.source)
        for change in await list_consents(database, tenant.id, 1)
    ]
    assert changes == [
        ("email", "unknown", "granted", 0, "key:desk"),
        ("sms", "unknown", "withdrawn", 1, "key:desk"),
        ("email", "granted", "withdrawn", 3, "key:desk"),
    ]


async def test_repeated_consents_are_neither_stored_nor_audited(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    for _ in range(3):
        await put_customer(database, tenant.id, 1, NO_PROFILE, consents={"email": "granted"}, by=BY)

    assert len(await list_consents(database, tenant.id, 1)) == 1
    audited = await rows(
        database,
        tenant.id,
        "SELECT detail FROM audit_log WHERE company_id = :company AND action = 'customer.update'",
    )
    assert [row[0]["consents"] for row in audited] == [["email"]]


async def test_an_erased_customer_s_changes_are_kept_under_a_random_id(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await put_customer(database, tenant.id, 1, NO_PROFILE, consents={"email": "granted"}, by=BY)
    await anonymize_customer(database, tenant.id, 1, by=BY)

    with pytest.raises(CustomerNotFoundError):
        await list_consents(database, tenant.id, 1)
    [row] = await rows(
        database, tenant.id, "SELECT customer_id FROM consent_changes WHERE company_id = :company"
    )
    assert row[0] < 0
    assert [change.status for change in await list_consents(database, tenant.id, row[0])] == ["granted"]


async def test_stored_changes_cannot_be_modified(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await put_customer(database, tenant.id, 1, NO_PROFILE, consents={"email": "granted"}, by=BY)

    for statement in ("UPDATE consent_changes SET status = 'withdrawn'", "DELETE FROM consent_changes"):
        with pytest.raises(Exception, match="42501"):
            await rows(database, tenant.id, statement)
