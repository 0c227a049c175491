"""Shares of a pool: none of the companies holds more than its own, and free connections go round in turn."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress

import pytest

from journey_service.domain.errors import Resource, UnavailableError
from journey_service.repositories import fair_shares
from journey_service.repositories.fair_shares import FairShares

NOISY, QUIET, OTHER = 1, 2, 3
LONG = 300.0


class Holders:
    """Requests that hold units until they are released; counts what each company held at most."""

    def __init__(self, shares):
        self.shares = shares
        self.most = Counter()
        self.order = []
        self._release = {}
        self._tasks = []

    def start(self, company_id, count=1, units=1):
        tasks = [asyncio.create_task(self._hold(company_id, units)) for _ in range(count)]
        self._tasks += tasks
        return tasks

    async def _hold(self, company_id, units):
        async with self.shares.hold(company_id, units):
            self.order.append(company_id)
            self.most[company_id] = max(self.most[company_id], self.shares.held_by(company_id))
            event = asyncio.Event()
            self._release.setdefault(company_id, []).append(event)
            await event.wait()

    def release(self, company_id):
        self._release[company_id].pop(0).set()

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def holding(shares):
    holders = Holders(shares)
    try:
        yield holders
    finally:
        await holders.close()
    assert shares.in_use == 0
    assert shares._companies == {}


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_company_holds_at_most_its_share_and_others_get_the_rest_at_once():
    async with holding(FairShares(10, 5, timeout=LONG)) as holders:
        holders.start(NOISY, 40)
        await settle()
        holders.start(QUIET, 3)
        await settle()

        assert holders.most == {NOISY: 5, QUIET: 3}
        assert holders.shares.in_use == 8


async def test_without_a_share_one_company_occupies_everything_which_is_detected():
    async with holding(FairShares(10, 10, timeout=LONG)) as holders:
        holders.start(NOISY, 40)
        await settle()
        holders.start(QUIET)
        await settle()

        assert holders.most == {NOISY: 10}
    print("\nguard removed: detected (company share)")


async def _grants_after(shares, releases):
    """Two companies wait while a third holds everything; returns who gets what it releases."""
    async with holding(shares) as holders:
        holders.start(OTHER, 4)
        await settle()
        holders.start(NOISY, 20)
        holders.start(QUIET, 2)
        await settle()
        for _ in range(releases):
            holders.release(OTHER)
            await settle()
        return holders.order[4:]


async def test_a_free_unit_goes_to_the_company_that_holds_the_fewest():
    assert sorted(await _grants_after(FairShares(4, 4, timeout=LONG), 4)) == [NOISY, NOISY, QUIET, QUIET]


async def test_order_of_arrival_alone_is_detected(monkeypatch):
    class FirstCome(FairShares):
        def _grant(self):
            for company in self._companies.values():
                while self._free and company.waiting:
                    units, future = company.waiting.popleft()
                    if not future.done():
                        company.held += units
                        self._free -= units
                        future.set_result(None)

    assert QUIET not in await _grants_after(FirstCome(4, 4, timeout=LONG), 4)
    print("\nguard removed: detected (turns of companies)")


async def test_a_request_for_many_units_is_not_overtaken_for_ever():
    async with holding(FairShares(6, 4, timeout=LONG)) as holders:
        holders.start(NOISY, 5)
        await settle()
        holders.start(QUIET, units=4)
        holders.start(OTHER)
        await settle()
        assert holders.order == [NOISY] * 4  # one is kept free for it
        for _ in range(2):
            holders.release(NOISY)
            await settle()
        assert QUIET in holders.order


async def test_more_than_the_share_is_answered_with_the_share():
    async with holding(FairShares(2, 1, timeout=LONG)) as holders:
        holders.start(NOISY, units=4)
        await settle()
        assert holders.most == {NOISY: 1}


@pytest.mark.parametrize(
    ("held", "resource"), [((NOISY, 2), Resource.COMPANY_SHARE), ((OTHER, 2), Resource.POOL)]
)
async def test_a_refusal_names_what_was_short(held, resource):
    async with holding(FairShares(3, 2, timeout=0.0)) as holders:
        holders.start(*held)
        holders.start(QUIET)
        await settle()
        with pytest.raises(UnavailableError) as refused:
            async with holders.shares.hold(NOISY):
                pass
        assert refused.value.resource is resource


async def test_the_queue_of_a_company_is_bounded():
    async with holding(FairShares(2, 1, timeout=LONG, queue_limit=3)) as holders:
        holders.start(NOISY, 4)
        await settle()
        with pytest.raises(UnavailableError) as refused:
            async with holders.shares.hold(NOISY):
                pass
        assert refused.value.resource is Resource.QUEUE
        holders.start(QUIET)
        await settle()
        assert holders.order == [NOISY, QUIET]


@pytest.mark.parametrize("is_granted_first", [False, True])
async def test_a_cancelled_request_leaves_nothing_behind(is_granted_first):
    async with holding(FairShares(1, 1, timeout=LONG)) as holders:
        holders.start(NOISY)
        await settle()
        (waiting,) = holders.start(QUIET)
        await settle()
        if is_granted_first:
            holders.release(NOISY)
            await asyncio.sleep(0)  # its unit goes to the other one, which has not run yet
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting


def test_texts_exist_for_every_reason():
    assert fair_shares._TEXTS.keys() == {Resource.POOL, Resource.COMPANY_SHARE, Resource.QUEUE}
