"""Imports: replay in order, resumable, idempotent, in constant memory; an invalid line affects no other."""

import asyncio
import gzip
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.errors import InvalidInputError, MalformedError
from journey_service.domain.events.event import Event
from journey_service.domain.events.records import ImportOptions
from journey_service.services.events.imports import replay as import_replay
from journey_service.services.events.imports.imports import (
    get_import,
    list_line_errors,
    run_import,
    stage_import,
)
from journey_service.services.events.ingest import ingest
from journey_service.services.journeys import reading
from ledger import find_violations, journeys, rows
from server_versions import newest_only

HEADER = "customer_id,occurred_at,event_type,amount\n"


async def _chunks(data: bytes, size: int = 1_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _stage(database, company_id, text: str | bytes, **options):
    data = text.encode() if isinstance(text, str) else text
    return await stage_import(database, company_id, _chunks(data), actor=Actor("tests"), **options)


async def _import(database, company_id, text: str | bytes, **options):
    queued = await _stage(database, company_id, text, **options)
    assert await run_import(database, company_id, queued.id)
    return await get_import(database, company_id, queued.id)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def test_imported_transitions_are_dated_at_their_events_and_due_instants(database, tenant):
    text = HEADER + "1,2020-01-01,appointment_completed,50\n1,2020-07-29,appointment_completed,50\n"
    done = await _import(database, tenant.id, text, options=ImportOptions(_at("2020-08-01")))
    assert (done.applied, done.transitions, done.failed_lines) == (2, 5, 0)
    assert [(move[1], move[2], move[3], move[5]) for move in (await journeys(database, tenant.id))[1]] == [
        (None, "prospect", _at("2020-01-01"), "journey_started"),
        ("prospect", "customer", _at("2020-01-01"), "appointment_completed"),
        ("customer", "at_risk", _at("2020-04-01"), "days_since_last_appointment"),
        ("at_risk", "churned", _at("2020-06-30"), "days_since_last_appointment"),
        ("churned", "customer", _at("2020-07-29"), "appointment_completed"),
    ]


@newest_only
async def test_lines_are_applied_in_order_of_time(database, create_test_company):
    lines = [
        f"{n % 7},{_at('2020-01-01') + timedelta(days=13 * n):%Y-%m-%d},appointment_completed,{n}.5"
        for n in range(60)
    ]
    sorted_company, shuffled_company = await create_test_company(), await create_test_company()
    shuffled = lines.copy()
    random.Random(1).shuffle(shuffled)
    assert shuffled != lines
    for company, order in ((sorted_company, lines), (shuffled_company, shuffled)):
        done = await _import(
            database, company.id, HEADER + "\n".join(order), options=ImportOptions(_at("2023-01-01"))
        )
        assert done.applied == 60
    assert await journeys(database, sorted_company.id) == await journeys(database, shuffled_company.id)


@newest_only
async def test_a_date_without_time_is_midnight_in_the_company_s_time_zone(database, create_test_company):
    tenant = await create_test_company(timezone="America/Sao_Paulo")
    await _import(
        database,
        tenant.id,
        HEADER + "1,2016-05-01,appointment_completed,0\n",
        options=ImportOptions(_at("2016-06-01")),
    )
    [(first, *_)] = (await journeys(database, tenant.id)).values()
    assert first[3] == datetime(2016, 5, 1, 3, tzinfo=UTC)


async def test_a_second_run_changes_nothing(database, tenant):
    text = HEADER + "".join(f"{n % 5},2020-0{1 + n % 9}-01,appointment_completed,10\n" for n in range(40))
    first = await _import(database, tenant.id, text, options=ImportOptions(_at("2021-01-01")))
    before = await _all_rows(database, tenant.id)
    second = await _import(database, tenant.id, text, options=ImportOptions(_at("2021-01-01")))
    assert (first.applied, second.applied, second.duplicates, second.transitions) == (40, 0, 40, 0)
    assert await _all_rows(database, tenant.id) == before


async def _all_rows(database, company_id):
    return [
        await rows(
            database,
            company_id,
            f"SELECT {columns} FROM {table} WHERE company_id = :company ORDER BY 1, 2",
        )
        for table, columns in (
            ("journey_transitions", "relationship_id, seq, to_stage, transitioned_at, recorded_at, cause_id"),
            ("journey_events", "source, event_id, occurred_at, recorded_at, amount, transition_seq"),
            (
                "customer_relationships",
                "customer_id, version, lifetime_value, next_evaluation_at, risk_score",
            ),
        )
    ]


async def test_equal_lines_without_an_id_are_distinguished_by_their_number(database, tenant):
    text = HEADER + "1,2020-01-01,appointment_completed,5\n" * 3
    done = await _import(database, tenant.id, text, options=ImportOptions(_at("2020-01-02")))
    ids = await rows(
        database, tenant.id, "SELECT event_id FROM journey_events WHERE company_id = :company ORDER BY 1"
    )
    assert done.applied == 3
    assert [row[0] for row in ids] == [
        f"1:appointment_completed:2020-01-01T00:00:00:5:{n}" for n in (1, 2, 3)
    ]


async def test_equal_lines_are_numbered_across_pages(database, tenant, monkeypatch):
    monkeypatch.setattr(import_replay, "REPLAY_BATCH_SIZE", 4)
    text = HEADER + "1,2020-01-01,appointment_completed,5\n" * 11 + "2,2020-01-01,appointment_completed,5\n"
    done = await _import(database, tenant.id, text, options=ImportOptions(_at("2020-06-01")))
    assert (done.applied, done.duplicates, done.failed_lines) == (12, 0, 0)
    assert await find_violations(database, tenant.id) == []
    assert {len(moves) for moves in (await journeys(database, tenant.id)).values()} == {4, 3}


@newest_only
async def test_the_size_of_a_page_makes_no_difference(database, create_test_company, monkeypatch):
    chance = random.Random(3)
    text = HEADER + "".join(
        f"{chance.randrange(9)},{_at('2020-01-01') + timedelta(days=chance.randrange(900)):%Y-%m-%d},"
        f"{chance.choice(['appointment_completed', 'appointment_missed'])},7\n"
        for _ in range(150)
    )
    results = []
    for size in (1, 5, 1_000):
        monkeypatch.setattr(import_replay, "REPLAY_BATCH_SIZE", size)
        tenant = await create_test_company()
        await _import(database, tenant.id, text, options=ImportOptions(_at("2023-06-01")))
        results.append(await journeys(database, tenant.id))
    assert results[0] == results[1] == results[2]


async def test_invalid_lines_are_reported_with_their_pointer_and_affect_no_other(database, tenant):
    text = HEADER + (
        "1,2020-01-01,appointment_completed,5\n"
        "x,2020-01-01,appointment_completed,5\n"
        "2,2020-13-01,appointment_completed,5\n"
        "3,2020-01-01,teleported,5\n"
        "4,2020-01-01,appointment_completed,5.555\n"
        "5,2020-01-01T10:00:00,appointment_completed,5\n"
        "6,2020-01-01\n"
        "7,2020-01-01,appointment_completed,5\n"
        "8,2020-01-01,appoint"
    )
    done = await _import(database, tenant.id, text, options=ImportOptions(_at("2020-02-01")))
    errors = await list_line_errors(database, tenant.id, done.id, after=(0, ""), limit=100)
    # A time without an offset, such as that of customer 5, is a local time of the company.
    assert (done.applied, done.failed_lines) == (3, 6)
    assert [(error.line, error.pointer) for error in errors] == [
        (3, "/customer_id"),
        (4, "/occurred_at"),
        (5, "/event_type"),
        (6, "/amount"),
        (8, ""),
        (10, ""),
    ]
    assert set(await journeys(database, tenant.id)) == {1, 5, 7}


async def test_a_line_with_a_known_id_and_other_content_is_an_error(database, tenant):
    text = (
        '{"id": "a", "source": "s", "type": "payment_received", "customer_id": 1, "occurred_at": "2020-01-01",'
        ' "data": {"total_amount": %d}}\n'
    )
    done = await _import(
        database, tenant.id, (text % 1) + (text % 1) + (text % 2), options=ImportOptions(_at("2020-02-01"))
    )
    [error] = await list_line_errors(database, tenant.id, done.id, after=(0, ""), limit=10)
    assert (done.applied, done.duplicates, done.failed_lines, error.line) == (1, 1, 1, 3)


@newest_only
async def test_only_the_last_line_of_a_truncated_file_is_an_error(database, tenant):
    lines = "".join(
        f"{n},2020-01-01,appointment_completed,{random.Random(n).randrange(9_999)}\n" for n in range(5_000)
    )
    whole = gzip.compress((HEADER + lines).encode())
    done = await _import(
        database, tenant.id, whole[: len(whole) // 2], options=ImportOptions(_at("2020-02-01"))
    )
    assert done.status == "done"
    assert done.failed_lines == 1
    assert 1_000 < done.applied < 5_000


@pytest.mark.parametrize(
    ("data", "options", "error"),
    [
        (b"customer_id,occurred_at,event_type\n", {"is_gzip": True}, MalformedError),
        (b"", {}, MalformedError),
        (b"\x00\xff\xfe binary", {}, MalformedError),
        (b"name,age\nAda,36\n", {}, InvalidInputError),
    ],
    ids=["declared as gzip", "empty", "binary", "another table"],
)
async def test_an_unreadable_file_is_rejected_and_leaves_nothing(database, tenant, data, options, error):
    with pytest.raises(error):
        await _stage(database, tenant.id, data, **options)
    assert await rows(database, tenant.id, "SELECT id FROM imports WHERE company_id = :company") == []


async def test_until_must_not_lie_in_the_companys_future(database, create_test_company):
    tenant = await create_test_company(test_clock=_at("2020-06-01"))
    with pytest.raises(InvalidInputError, match=r"must not be after the company.s current time"):
        await _stage(database, tenant.id, HEADER, options=ImportOptions(_at("2020-06-02")))


@newest_only
async def test_lines_after_until_are_left_for_a_later_import(database, tenant):
    text = HEADER + "1,2020-01-01,appointment_completed,5\n1,2020-03-01,appointment_completed,5\n"
    first = await _import(database, tenant.id, text, options=ImportOptions(_at("2020-02-01")))
    second = await _import(database, tenant.id, text, options=ImportOptions(_at("2020-04-01")))
    assert (first.applied, first.later) == (1, 1)
    assert (second.applied, second.duplicates, second.later) == (1, 1, 0)


async def test_without_until_a_line_in_the_future_is_an_error(database, create_test_company):
    tenant = await create_test_company(test_clock=_at("2020-06-01"))
    text = HEADER + "1,2020-05-01,appointment_completed,5\n1,2020-06-02,appointment_completed,5\n"
    done = await _import(database, tenant.id, text)
    assert (done.applied, done.failed_lines) == (1, 1)


async def test_a_late_line_is_evaluated_as_of_now_and_changes_no_past_transition(
    database, create_test_company
):
    tenant = await create_test_company(test_clock=_at("2020-06-01"))
    known = Event("live", "1", 1, "appointment_completed", _at("2020-05-20"), 1_000)
    await ingest(database, tenant.id, [known], now=_at("2020-05-20"))
    before = (await journeys(database, tenant.id))[1]
    text = HEADER + "1,2020-01-01,appointment_completed,500\n1,2020-02-01,appointment_completed,500\n"
    done = await _import(database, tenant.id, text)
    after = (await journeys(database, tenant.id))[1]
    assert (done.applied, done.late) == (2, 2)
    assert after[: len(before)] == before
    assert [(move[2], move[3]) for move in after[len(before) :]] == [("vip", _at("2020-06-01"))]


async def test_a_cancelled_replay_releases_its_lease_and_is_resumed(database, tenant, monkeypatch):
    monkeypatch.setattr(import_replay, "REPLAY_BATCH_SIZE", 10)
    text = HEADER + "".join(f"{n},2020-01-01,appointment_completed,5\n" for n in range(95))
    queued = await _stage(database, tenant.id, text, options=ImportOptions(_at("2020-06-01")))

    def die(progress) -> None:
        if progress.done >= 30:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run_import(database, tenant.id, queued.id, on_progress=die)
    halfway = await get_import(database, tenant.id, queued.id)
    assert (halfway.status, 30 <= halfway.done < 95) == ("queued", True)
    assert await run_import(database, tenant.id, queued.id)
    done = await get_import(database, tenant.id, queued.id)
    assert (done.status, done.done, done.applied, done.duplicates) == ("done", 95, 95, 0)
    left = await rows(database, tenant.id, "SELECT 1 FROM import_lines WHERE company_id = :company")
    assert left == []


async def test_a_replay_is_resumed_after_the_lease_of_a_killed_runner_has_expired(
    database, tenant, monkeypatch
):
    monkeypatch.setattr(import_replay, "REPLAY_BATCH_SIZE", 10)
    text = HEADER + "".join(f"{n},2020-01-01,appointment_completed,5\n" for n in range(95))
    queued = await _stage(database, tenant.id, text, options=ImportOptions(_at("2020-06-01")))
    for seconds, is_claimed in ((60, True), (60, False)):
        claimed = await database.run(
            tenant.id, lambda uow, seconds=seconds: uow.imports.claim(queued.id, "killed", seconds)
        )
        assert claimed is is_claimed
    assert not await run_import(database, tenant.id, queued.id)
    await rows(
        database, tenant.id, "UPDATE imports SET lease_until = now() WHERE company_id = :company RETURNING id"
    )
    assert await run_import(database, tenant.id, queued.id)
    done = await get_import(database, tenant.id, queued.id)
    assert (done.status, done.done, done.applied) == ("done", 95, 95)


async def test_only_one_of_concurrent_runners_replays_an_import(database, tenant):
    text = HEADER + "".join(f"{n},2020-01-01,appointment_completed,5\n" for n in range(2_500))
    queued = await _stage(database, tenant.id, text, options=ImportOptions(_at("2020-06-01")))
    ran = await asyncio.gather(*(run_import(database, tenant.id, queued.id) for _ in range(3)))
    done = await get_import(database, tenant.id, queued.id)
    assert sorted(ran) == [False, False, True]
    assert (done.applied, done.duplicates, done.transitions) == (2_500, 0, 7_500)


async def test_an_interrupted_upload_leaves_no_journeys(database, tenant):
    async def breaking() -> AsyncIterator[bytes]:
        yield (HEADER + "1,2020-01-01,appointment_completed,5\n" * 6_000).encode()
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await stage_import(database, tenant.id, breaking(), actor=Actor("tests"))
    [(status,)] = await rows(database, tenant.id, "SELECT status FROM imports WHERE company_id = :company")
    assert status == "failed"
    assert await journeys(database, tenant.id) == {}
    assert await rows(database, tenant.id, "SELECT 1 FROM import_lines WHERE company_id = :company") == []


def _memory_kib(name: str) -> int:
    """Returns a size of this process: VmRSS, its resident memory, or VmHWM, the peak of it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@pytest.mark.big
async def test_memory_does_not_grow_with_the_size_of_the_file(database, tenant):
    def text(lines: int) -> AsyncIterator[bytes]:
        async def chunks() -> AsyncIterator[bytes]:
            yield HEADER.encode()
            for start in range(0, lines, 1_000):
                yield "".join(
                    f"{n % 400},2020-01-0{1 + n % 9},appointment_missed,0\n"
                    for n in range(start, start + 1_000)
                ).encode()

        return chunks()

    async def run(lines: int) -> int:
        queued = await stage_import(
            database, tenant.id, text(lines), actor=Actor("tests"), options=ImportOptions(_at("2020-02-01"))
        )
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here
        before = _memory_kib("VmRSS")
        await run_import(database, tenant.id, queued.id)
        return _memory_kib("VmHWM") - before

    small = await run(4_000)
    assert await run(24_000) - small < 6 * 1024  # the lines alone would be more


async def test_a_customer_with_earlier_events_is_advanced_to_the_end(database, create_test_company):
    tenant = await create_test_company(test_clock=_at("2020-12-01"))
    await ingest(
        database,
        tenant.id,
        [Event("live", "1", 1, "appointment_completed", _at("2020-01-01"))],
        now=_at("2020-01-01"),
    )
    await _import(database, tenant.id, HEADER + "1,2020-01-02,payment_received,5\n")
    view = await reading.get_journey(database, tenant.id, 1)
    assert view.stored.relationship.current_stage == "churned"
