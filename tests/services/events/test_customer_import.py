"""Imports of customers: the fields that a line names, and nothing else; a withdrawn consent stays withdrawn."""

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.customers.attributes import AttributeChanges
from journey_service.domain.events.records import ImportOptions
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.customers.profiles import list_consents, put_customer
from journey_service.services.events.imports import customers as customer_import
from journey_service.services.events.imports.imports import (
    check_import,
    get_import,
    list_line_errors,
    run_import,
    stage_import,
)
from ledger import find_violations, rows

BY = Actor("tests")
OPTIONS = ImportOptions(kind="customers")


async def _chunks(text):
    yield text.encode()


@pytest.fixture
def import_customers(database, tenant):
    """Imports a file of customers; returns the import and its errors."""

    async def run(text):
        staged = await stage_import(database, tenant.id, _chunks(text), actor=BY, options=OPTIONS)
        assert await run_import(database, tenant.id, staged.id)
        errors = await list_line_errors(database, tenant.id, staged.id, after=(0, ""), limit=100)
        done = await get_import(database, tenant.id, staged.id)
        return done, [(error.line, error.pointer) for error in errors]

    return run


async def test_lines_of_customers_change_what_they_name(database, tenant, import_customers, monkeypatch):
    monkeypatch.setattr(customer_import, "CUSTOMERS_BATCH_SIZE", 2)
    await put_customer(
        database,
        tenant.id,
        1,
        {"name": "Ada", "email": "ada@example.com", "phone": "1", "language": None},
        consents={"email": "withdrawn", "sms": "granted"},
        by=BY,
    )
    await put_customer(database, tenant.id, 3, dict.fromkeys(("name",), "Eve"), consents={}, by=BY)
    await anonymize_customer(database, tenant.id, 3, by=BY)
    text = (
        (
            "Customer ID;Name;E-Mail;email;language;consent_email;consents;Telefon\n"
            "1;Ada Keller;;;de-DE;granted;{"
            "sms"
            ": "
            "withdrawn"
            "};\n"
            "2.0;Bob;;bob@example.com;pt_BR;Granted;;030\n"
            "3;Eve;;eve@example.com;;;;\n"
            "00123;Zoe;;;;;;\n"
            "4;Dan;;;nonsense!;;;\n"
            "5;Kim;;;;maybe;{"
            "fax"
            ": "
            "granted"
            "};\n"
            "2;;;bob@example.org;;;;\n"
        )
        .replace("{sms: withdrawn}", '"{""sms"": ""withdrawn""}"')
        .replace("{fax: granted}", '"{""fax"": ""granted""}"')
    )
    check = await check_import(database, tenant.id, _chunks(text), actor=BY, options=OPTIONS)
    assert (check.new, check.known, check.erased, check.failed) == (2, 1, 1, 3)
    assert (check.customers_new, check.customers_known) == (1, 1)

    done, errors = await import_customers(text)

    assert (done.applied, done.duplicates, done.erased, done.failed_lines) == (3, 0, 1, 3)
    assert list(done.ignored_columns) == ["E-Mail", "Telefon"]
    assert errors == [
        (2, "/consents/email"),
        (5, "/customer_id"),
        (6, "/language"),
        (7, "/consent_email"),
        (7, "/consents"),
    ]
    found = await rows(
        database,
        tenant.id,
        "SELECT customer_id, name, email, phone, language, consents -> 'email' ->> 'status',"
        " consents -> 'sms' ->> 'status' FROM customers WHERE company_id = :company AND customer_id > 0 ORDER BY 1",
    )
    assert [tuple(row) for row in found] == [
        (1, "Ada Keller", "ada@example.com", "1", "de-de", "withdrawn", "withdrawn"),
        (2, "Bob", "bob@example.org", None, "pt-br", "granted", None),
    ]
    changes = await list_consents(database, tenant.id, 2)
    assert [(change.channel, change.status, change.source) for change in changes] == [
        ("email", "granted", "tests")
    ]
    assert await find_violations(database, tenant.id) == []

    again, errors = await import_customers(text)
    # The two lines of customer 2 differ in the address: it is changed there and back.
    assert (again.duplicates, again.transitions, len(errors)) == (1, 0, 5)


async def test_objects_of_customers_are_read_line_by_line(database, tenant, import_customers):
    text = '{"customer_id": 7, "name": "Ann", "consents": {"sms": "granted"}}\n{"customer_id": 8, "nickname": "x"}\n'
    done, errors = await import_customers(text)
    assert (done.applied, done.failed_lines, errors) == (1, 1, [(2, "")])


async def test_columns_of_attributes_merge_into_those_of_the_customer(database, tenant, import_customers):
    full = {f"a{number}": number for number in range(49)}
    await put_customer(
        database,
        tenant.id,
        1,
        {},
        consents={},
        attributes=AttributeChanges({"plan": "gold", "old": 1}),
        by=BY,
    )
    await put_customer(database, tenant.id, 2, {}, consents={}, attributes=AttributeChanges(full), by=BY)
    text = (
        "customer_id;name;attributes.plan;Attributes.Last Visit;attributes.rate;attributes.2nd\n"
        "1;;silver;31.01.2026;12,5;x\n"
        "2;Bob;silver;2026-01-31;;\n"
        "3;;0049;;-1;\n"
        "3;;;2026-02-30;;\n"
        "1;;silver;;12,5;\n"
    )

    done, errors = await import_customers(text)

    assert (done.applied, done.duplicates, done.failed_lines) == (3, 1, 1)
    assert list(done.ignored_columns) == ["attributes.2nd"]
    assert errors == [(3, "/attributes"), (5, "/attributes.last_visit")]
    found = await rows(
        database,
        tenant.id,
        "SELECT name, attributes FROM customers WHERE company_id = :company ORDER BY customer_id",
    )
    assert [tuple(row) for row in found] == [
        (None, {"plan": "silver", "old": 1, "last_visit": "2026-01-31", "rate": 12.5}),
        ("Bob", full),
        (None, {"plan": "0049", "rate": -1}),
    ]
    assert await find_violations(database, tenant.id) == []
