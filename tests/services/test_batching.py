"""Batching of concurrent requests: each caller gets its own result, and an error does not outlive its batch."""

import asyncio

import pytest

from journey_service.domain.errors import UnavailableError
from journey_service.services.batching import Batcher, BatchLimits, KeyedBatcher


async def test_requests_that_arrive_while_a_batch_runs_form_the_next_batch():
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def act(items):
        batches.append(list(items))
        await gate.wait()
        return [item * 10 for item in items]

    batcher = Batcher(act)
    first = [asyncio.create_task(batcher.submit(number)) for number in range(3)]
    while not batches:
        await asyncio.sleep(0)
    late = [asyncio.create_task(batcher.submit(number)) for number in (7, 8)]
    await asyncio.sleep(0)
    gate.set()

    assert await asyncio.gather(*first, *late) == [0, 10, 20, 70, 80]
    assert batches == [[0, 1, 2], [7, 8]]


async def test_an_error_is_raised_for_its_batch_only():
    async def act(items):
        if 13 in items:
            raise ValueError("not thirteen")
        return list(items)

    batcher = Batcher(act)
    with pytest.raises(ValueError, match="thirteen"):
        await batcher.submit(13)

    assert await batcher.submit(14) == 14


async def test_a_cancelled_caller_leaves_the_results_of_the_others():
    begun, gate = asyncio.Event(), asyncio.Event()

    async def act(items):
        begun.set()
        await gate.wait()
        return list(items)

    batcher = Batcher(act)
    leaves, stays = asyncio.create_task(batcher.submit(1)), asyncio.create_task(batcher.submit(2))
    await begun.wait()
    leaves.cancel()
    gate.set()

    assert await stays == 2
    with pytest.raises(asyncio.CancelledError):
        await leaves


async def test_a_batch_has_at_most_batch_size_items():
    batches: list[list[int]] = []

    async def act(items):
        batches.append(list(items))
        return list(items)

    batcher = Batcher(act, BatchLimits(batch_size=2))
    results = await asyncio.gather(*(batcher.submit(number) for number in range(5)))

    assert results == [0, 1, 2, 3, 4]
    assert batches == [[0, 1], [2, 3], [4]]


async def test_a_full_queue_rejects_further_items():
    gate = asyncio.Event()

    async def act(items):
        await gate.wait()
        return list(items)

    batcher = Batcher(act, BatchLimits(batch_size=1, queue_limit=2))
    running = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(batcher.submit(number)) for number in (1, 2)]
    await asyncio.sleep(0.01)

    with pytest.raises(UnavailableError, match=r"^Too many requests are waiting\. Try again shortly\.$"):
        await batcher.submit(3)
    gate.set()
    assert await asyncio.gather(running, *waiting) == [0, 1, 2]


async def test_a_failed_batch_is_retried_one_by_one():
    batches: list[list[int]] = []

    async def act(items):
        batches.append(list(items))
        if 13 in items:
            raise ValueError("not thirteen")
        return list(items)

    batcher = Batcher(act, BatchLimits(retries_one_by_one=True))
    results = await asyncio.gather(*(batcher.submit(n) for n in (12, 13, 14)), return_exceptions=True)

    assert (results[0], repr(results[1]), results[2]) == (12, "ValueError('not thirteen')", 14)
    assert batches == [[12, 13, 14], [12], [13], [14]]


async def test_an_outage_is_not_retried_one_by_one():
    batches: list[list[int]] = []

    async def act(items):
        batches.append(list(items))
        raise UnavailableError

    batcher = Batcher(act, BatchLimits(retries_one_by_one=True))
    results = await asyncio.gather(*(batcher.submit(n) for n in (1, 2)), return_exceptions=True)

    assert [type(result) for result in results] == [UnavailableError, UnavailableError]
    assert batches == [[1, 2]]


async def test_keys_run_concurrently_and_are_dropped_when_idle():
    running: set[str] = set()
    both = asyncio.Event()

    async def act(key, items):
        running.add(key)
        if len(running) == 2:
            both.set()
        await both.wait()
        return [(key, item) for item in items]

    batcher = KeyedBatcher(act)
    results = asyncio.gather(*(batcher.submit(key, number) for number, key in enumerate("aba")))

    assert await results == [("a", 0), ("b", 1), ("a", 2)]
    await batcher.drain()
    assert not batcher._batchers
