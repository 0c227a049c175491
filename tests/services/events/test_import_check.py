"""Dry runs of imports: what an import would do, without changing anything."""

from datetime import UTC, datetime

from dumps import dump
from journey_service.domain.access.actors import Actor
from journey_service.domain.events.event import Event
from journey_service.domain.events.records import ImportOptions
from journey_service.services.events.imports import replay as import_replay
from journey_service.services.events.imports.imports import check_import, get_import, run_import, stage_import
from journey_service.services.events.ingest import ingest

HEADER = "customer_id;occurred_at;event_type;amount;id;note\n"
FIRST = HEADER + "1;2020-01-01;appointment_completed;30;;\n1;2020-01-02;appointment_completed;30;;\n"
SECOND = HEADER + (
    "1;2020-01-01;appointment_completed;35;;the amount has changed\n"
    "1;2020-01-02;appointment_completed;30;;known\n"
    "2;2020-01-02;appointment_completed;30;;new\n"
    "2;2020-01-02;appointment_completed;30;;new: the second of its kind\n"
    "2;2020-01-02;payment_received;5;a;another content under a known id\n"
    f"3;10/11/2020;appointment_completed;{'9' * 90};;two errors\n"
    "x;2020-01-02;appointment_completed;1;;an error\n"
    "4;2020-03-02;appointment_completed;1;;after the end\n"
)
OPTIONS = ImportOptions(datetime(2020, 2, 1, tzinfo=UTC))


async def _chunks(text):
    yield text.encode()


async def test_a_dry_run_counts_what_the_import_then_does_and_writes_nothing(
    database, servers, tenant, monkeypatch
):
    monkeypatch.setattr(import_replay, "REPLAY_BATCH_SIZE", 3)
    event = Event("import", "a", 2, "payment_received", datetime(2020, 1, 1, tzinfo=UTC), 100)
    await ingest(database, tenant.id, [event], now=datetime(2020, 1, 1, tzinfo=UTC))
    by = Actor("tests")
    staged = await stage_import(database, tenant.id, _chunks(FIRST), actor=by, options=OPTIONS)
    await run_import(database, tenant.id, staged.id)
    before = sorted((await dump(servers, tenant.id)).splitlines())

    found = await check_import(database, tenant.id, _chunks(SECOND), actor=by, options=OPTIONS)

    assert sorted((await dump(servers, tenant.id)).splitlines()) == before
    assert (found.lines, found.new, found.known, found.changed, found.later) == (9, 2, 1, 1, 1)
    assert (found.failed, found.erased, found.customers_new, found.customers_known) == (3, 0, 1, 2)
    assert [name for name, field in found.columns if field is None] == ["note"]
    assert [(error.line, error.column, error.value) for error in found.errors] == [
        (2, None, None),
        (6, "id", "a"),
        (7, "amount", "9" * 59 + "\u2026"),
        (7, "occurred_at", "10/11/2020"),
        (8, "customer_id", "x"),
    ]

    staged = await stage_import(database, tenant.id, _chunks(SECOND), actor=by, options=OPTIONS)
    await run_import(database, tenant.id, staged.id)
    done = await get_import(database, tenant.id, staged.id)
    assert (done.applied, done.duplicates, done.changed, done.later, done.failed_lines) == (2, 1, 1, 1, 3)
