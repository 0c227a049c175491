"""The past: as of an instant, a customer is what a replay of the events up to that instant shows."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.journeys.errors import JourneyNotStartedError
from journey_service.domain.journeys.score_history import HistoryStep, RequestedHistory
from journey_service.services.events.imports.imports import run_import, stage_import
from journey_service.services.journeys import explanations, reading
from profiles import examples

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CUSTOMERS = 12
YEARS = timedelta(days=900)
TYPES = (
    *("appointment_completed",) * 5,
    *("appointment_missed", "call_received", "ticket_opened", "payment_received", "appointment_requested"),
)


def _history(seed: int) -> bytes:
    """A file of events of some customers, with pauses in which they lapse."""
    chance = random.Random(seed)
    lines = ["customer_id,occurred_at,event_type,amount,call_duration"]
    for customer_id in range(1, CUSTOMERS + 1):
        at = NOW - YEARS * chance.random()
        while at < NOW:
            type_ = chance.choice(TYPES)
            amount = chance.randrange(0, 40_000) / 100 if type_ != "call_received" else ""
            duration = chance.randrange(300) if type_ == "call_received" else ""
            lines.append(f"{customer_id},{at:%Y-%m-%dT%H:%M:%SZ},{type_},{amount},{duration}")
            at += timedelta(days=chance.choice((0.01, 3, 20, 20, 45, 130)) * (0.5 + chance.random()))
    return "\n".join(lines).encode()


async def _replayed(database, create_test_company, history: bytes, until: datetime) -> int:
    """A company whose clock stands at an instant, with all that had happened by then."""
    tenant = await create_test_company(test_clock=until)

    async def chunks() -> AsyncIterator[bytes]:
        yield history

    import_ = await stage_import(database, tenant.id, chunks(), actor=Actor("tests"))
    assert await run_import(database, tenant.id, import_.id)
    return tenant.id


@pytest.mark.parametrize("seed", range(examples(2)))
async def test_the_past_is_what_a_replay_up_to_it_shows(database, create_test_company, seed):
    history = _history(seed)
    chance = random.Random(seed)
    company = await _replayed(database, create_test_company, history, NOW)
    compared = 0
    for _ in range(3):
        as_of = NOW - YEARS * chance.random() * 0.8
        replayed = await _replayed(database, create_test_company, history, as_of)
        for customer_id in range(1, CUSTOMERS + 1):
            try:
                past = await explanations.explain(database, company, customer_id, as_of)
            except JourneyNotStartedError:
                continue
            present = await explanations.explain(database, replayed, customer_id)
            assert (past.last, past.forecast) == (present.last, present.forecast)
            assert past.relationship == present.relationship
            scores = await reading.get_scores(database, company, customer_id, as_of)
            assert scores == await reading.get_scores(database, replayed, customer_id)
            compared += 1
    assert compared > CUSTOMERS


@pytest.mark.parametrize("step", HistoryStep)
async def test_each_point_of_a_history_is_the_journey_as_of_its_time(database, create_test_company, step):
    company = await _replayed(database, create_test_company, _history(7), NOW)
    requested = RequestedHistory(None, None, step)

    for customer_id in (1, 2, 3):
        points = await reading.get_score_history(database, company, customer_id, requested)
        assert points[-1].at == NOW
        for point in points[:: 9 if step is HistoryStep.DAY else 6]:
            view = await reading.get_past_journey(database, company, customer_id, point.at)
            shown = (view.stored.relationship.current_stage, view.risk, view.engagement)
            assert shown == (point.stage_key, point.risk, point.engagement)


async def test_there_is_no_past_before_the_journey_and_none_after_now(database, create_test_company):
    history = b"customer_id,occurred_at,event_type,amount\n1,2026-02-01T10:00:00Z,appointment_completed,10\n"
    company = await _replayed(database, create_test_company, history, NOW)
    opening = datetime(2026, 2, 1, 10, tzinfo=UTC)
    moment = timedelta(microseconds=1)

    for read in (explanations.explain, reading.get_scores):
        with pytest.raises(JourneyNotStartedError):
            await read(database, company, 1, opening - moment)
        assert await read(database, company, 1, opening)
        with pytest.raises(InvalidInputError):
            await read(database, company, 1, NOW + moment)
