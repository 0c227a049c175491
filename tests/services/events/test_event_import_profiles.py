"""Profiles in files of events: applied with the event, as of its time; faults name the line and the cell."""

import json
from datetime import UTC, datetime

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.events.errors import EventConflictError
from journey_service.domain.events.parsing import parse_event
from journey_service.domain.events.records import ImportOptions
from journey_service.services.customers.profiles import list_consents, patch_customer, put_customer
from journey_service.services.events.imports import replay
from journey_service.services.events.imports.imports import (
    check_import,
    get_import,
    list_line_errors,
    run_import,
    stage_import,
)
from journey_service.services.events.ingest import IngestStatus, ingest
from ledger import find_violations, rows

BY = Actor("tests")
HEADER = (
    "customer_id,occurred_at,type,id,customer_name,customer_email,customer_phone,customer_language,customer\n"
)
NAMES = (
    "SELECT customer_id, name, email, phone, language FROM customers WHERE company_id = :company ORDER BY 1"
)


async def _chunks(text):
    yield text.encode()


@pytest.fixture
def import_events(database, tenant):
    """Imports a file of events; returns the import and its errors."""

    async def run(text, **options):
        options = ImportOptions(**options)
        staged = await stage_import(database, tenant.id, _chunks(text), actor=BY, options=options)
        assert await run_import(database, tenant.id, staged.id)
        errors = await list_line_errors(database, tenant.id, staged.id, after=(0, ""), limit=100)
        done = await get_import(database, tenant.id, staged.id)
        return done, [(error.line, error.pointer) for error in errors]

    return run


@pytest.fixture
def names(database, tenant):
    async def read():
        return [tuple(row) for row in await rows(database, tenant.id, NAMES)]

    return read


@pytest.mark.parametrize("batch_size", [2, 1_000])
async def test_columns_of_the_customer_are_applied_as_of_the_time_of_the_event(
    database, tenant, import_events, names, monkeypatch, batch_size
):
    monkeypatch.setattr(replay, "REPLAY_BATCH_SIZE", batch_size)
    text = HEADER + (
        "1,2020-03-01,call_received,,Ada Keller,,,,\n"
        "1,2020-01-01,call_received,,Ada Lovelace,ada@old.example,,de_DE,\n"
        "1,2020-02-01,call_received,b,,ada@new.example,030 1,,\n"
        '2,2020-02-01,call_received,,,,,,"{""name"": ""Bob"", ""consents"": {""email"": ""granted""}}"\n'
    )
    check = await check_import(database, tenant.id, _chunks(text), actor=BY)
    assert (check.new, check.customers_new, check.errors) == (4, 2, [])
    assert check.profile_fields == {"name": 3, "email": 2, "phone": 1, "language": 1, "consents": 1}
    assert [name for name, field in check.columns if field is None] == []

    done, errors = await import_events(text)

    assert (done.applied, done.failed_lines, errors) == (4, 0, [])
    expected = [(1, "Ada Keller", "ada@new.example", "030 1", "de-de"), (2, "Bob", None, None, None)]
    assert await names() == expected
    (consent,) = await list_consents(database, tenant.id, 2)
    assert (consent.channel, consent.status, consent.source) == ("email", "granted", "import")
    assert consent.at == datetime(2020, 2, 1, tzinfo=UTC)
    # Known lines change nothing: what they said has been counted.
    await patch_customer(database, tenant.id, 1, {"name": "Eve"}, consents={}, by=BY)
    again, errors = await import_events(text)
    assert (again.duplicates, again.applied, errors) == (4, 0, [])
    assert (await names())[0][1] == "Eve"
    assert (await check_import(database, tenant.id, _chunks(text), actor=BY)).profile_fields == {}
    assert await find_violations(database, tenant.id) == []


async def test_lines_of_json_have_the_customer_of_a_single_event(database, tenant, import_events, names):
    values = {"customer_ref": "K-1", "type": "call_received", "source": "desk"}
    lines = [
        {**values, "id": "1", "occurred_at": "2020-01-01", "customer": {"name": "Ada", "phone": None}},
        {**values, "id": "2", "occurred_at": "2020-01-02", "data": {}, "customer": {"email": "a@b.example"}},
        {**values, "id": "3", "occurred_at": "2020-01-03", "customer_language": "de", "customer": None},
    ]
    done, errors = await import_events("\n".join(map(json.dumps, lines)))
    assert (done.applied, errors) == (3, [])
    ((number, *shown),) = await names()
    assert shown == ["Ada", "a@b.example", None, "de"]
    # The same events one by one are known, and those of another content are not.
    single = parse_event({**lines[0], "occurred_at": "2020-01-01T00:00:00Z"})
    other = single._replace(profile=single.profile._replace(fields={"name": "Eve"}))
    known, refused = await ingest(database, tenant.id, [single, other])
    assert known.status is IngestStatus.DUPLICATE
    assert isinstance(refused, EventConflictError)
    assert number == known.view.stored.relationship.customer_id


async def test_an_id_with_another_profile_is_known(database, tenant, import_events, names):
    """Exports have the present profile in every line: it changes from one export to the next."""
    line = "1,2020-01-01,call_received,a,{name},,,,\n"
    await import_events(HEADER + line.format(name="Ada"))
    for name in ("Eve", ""):
        text = HEADER + line.format(name=name)
        check = await check_import(database, tenant.id, _chunks(text), actor=BY)
        done, errors = await import_events(text)
        assert (check.known, check.failed, done.duplicates, errors) == (1, 0, 1, [])
    assert (await names())[0][1] == "Ada"
    other_type = HEADER + line.format(name="Ada").replace("call_received", "appointment_missed")
    done, errors = await import_events(other_type)
    assert (done.failed_lines, errors) == (1, [(2, "/id")])


async def test_what_was_changed_later_and_what_was_withdrawn_stays(database, tenant, import_events, names):
    await put_customer(database, tenant.id, 1, {"name": "Ada"}, consents={"email": "withdrawn"}, by=BY)
    text = HEADER + (
        "1,2020-01-01,call_received,,Old,old@b.example,,,\n"
        '1,2020-01-02,call_received,a,,,,,"{""consents"": {""email"": ""granted""}}"\n'
    )
    done, errors = await import_events(text)
    assert (done.applied, done.failed_lines, errors) == (2, 0, [(3, "/customer/consents/email")])
    assert (await names())[0][:3] == (1, "Ada", "old@b.example")
    assert [each.status for each in await list_consents(database, tenant.id, 1)] == ["withdrawn"]


async def test_faults_name_the_line_and_the_cell_and_repeat_no_name_of_the_line(
    database, tenant, import_events, names
):
    long = "x" * 256
    text = HEADER + (
        f"1,2020-01-01,call_received,,{long},,,,\n"
        "1,2020-01-02,call_received,,,,,nonsense!,\n"
        "1,2020-01-03,call_received,,,,,,Ada\n"
        '1,2020-01-04,call_received,,,,,,"{""Ada Keller"": 1}"\n'
        '1,2020-01-05,call_received,,Ada,,,,"{""name"": ""Ada""}"\n'
        '1,2020-01-06,call_received,,,,,,"{""consents"": {""email"": ""maybe""}}"\n'
        "1,2020-01-07,call_received,,Ada,,,,\n"
    )
    check = await check_import(database, tenant.id, _chunks(text), actor=BY)
    assert [(error.line, error.pointer, error.column, error.value) for error in check.errors] == [
        (2, "/customer_name", "customer_name", "x" * 59 + "\u2026"),
        (3, "/customer_language", "customer_language", "nonsense!"),
        (4, "/customer", "customer", "Ada"),
        (5, "/customer", "customer", '{"Ada Keller": 1}'),
        (6, "/customer_name", "customer_name", "Ada"),
        (7, "/customer/consents/email", "customer", '{"consents": {"email": "maybe"}}'),
    ]
    assert check.profile_fields == {"name": 1}
    done, errors = await import_events(text)
    assert (done.applied, done.failed_lines) == (1, 6)
    assert errors == [(error.line, error.pointer) for error in check.errors]
    assert await names() == [(1, "Ada", None, None, None)]
