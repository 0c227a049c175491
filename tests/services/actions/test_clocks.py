"""A wrong clock of a worker has no effect: messages carry the time of the database."""

import time
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from journey_service.services.actions.delivery.lane_worker import LaneWorker
from services.actions.test_outbox import EMAIL, NEVER_QUIET, SMS, enter_lead, now_of
from services.local_servers import company_opener

DAY = timedelta(days=1)


@pytest.fixture
async def salon(database, create_test_company):
    async with company_opener(database, create_test_company, policy=NEVER_QUIET) as opened:
        yield await opened()


@pytest.fixture(params=[-DAY, DAY], ids=["a day behind", "a day ahead"])
def wrong_clock(request, monkeypatch):
    """The clock of this process, wrong by a day."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + request.param.total_seconds())


async def sent_times(salon):
    """Returns the times in a webhook and in an email, as seconds since the epoch."""
    await salon.register()
    await enter_lead(salon, EMAIL, SMS)
    await salon.outbox_dispatcher().drain()
    [mail] = salon.mail_server.emails
    # The receiver compares the time with the clock of this process, which is wrong.
    [call] = salon.receiver.received + salon.receiver.unverified
    return int(call.headers["webhook-timestamp"]), parsedate_to_datetime(mail["Date"]).timestamp()


async def test_messages_of_a_worker_with_a_wrong_clock_carry_the_time_of_the_database(salon, wrong_clock):
    began = int((await now_of(salon)).timestamp())
    times = await sent_times(salon)
    ended = (await now_of(salon)).timestamp()

    assert all(began <= at <= ended for at in times)


async def test_messages_that_are_dated_by_the_worker_are_detected(salon, wrong_clock, monkeypatch):
    send = LaneWorker._send

    async def dated_here(lane_worker, outbound_message, sent_at):
        return await send(lane_worker, outbound_message, sent_at.fromtimestamp(time.time(), sent_at.tzinfo))

    monkeypatch.setattr(LaneWorker, "_send", dated_here)
    began = int((await now_of(salon)).timestamp())
    times = await sent_times(salon)
    ended = (await now_of(salon)).timestamp()

    assert not any(began <= at <= ended for at in times)
    print("guard removed: detected (time of the database)")
