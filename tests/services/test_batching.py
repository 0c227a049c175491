"""Requests that share a transaction: everybody gets their own answer, and nobody another's failure for ever."""

import asyncio

import pytest

from journey_service.services.batching import Batcher


async def test_what_is_asked_while_others_are_answered_goes_together_next():
    lists: list[list[int]] = []
    gate = asyncio.Event()

    async def act(items):
        lists.append(list(items))
        await gate.wait()
        return [item * 10 for item in items]

    together = Batcher(act)
    asked = [asyncio.create_task(together.submit(number)) for number in range(3)]
    while not lists:
        await asyncio.sleep(0)
    late = [asyncio.create_task(together.submit(number)) for number in (7, 8)]
    await asyncio.sleep(0)
    gate.set()

    assert await asyncio.gather(*asked, *late) == [0, 10, 20, 70, 80]
    assert lists == [[0, 1, 2], [7, 8]]


async def test_a_failure_is_told_to_those_who_were_in_it_and_the_next_are_answered():
    async def act(items):
        if 13 in items:
            raise ValueError("not thirteen")
        return list(items)

    together = Batcher(act)
    with pytest.raises(ValueError, match="thirteen"):
        await together.submit(13)

    assert await together.submit(14) == 14


async def test_somebody_who_goes_away_leaves_the_others_their_answers():
    begun, gate = asyncio.Event(), asyncio.Event()

    async def act(items):
        begun.set()
        await gate.wait()
        return list(items)

    together = Batcher(act)
    leaves, stays = asyncio.create_task(together.submit(1)), asyncio.create_task(together.submit(2))
    await begun.wait()
    leaves.cancel()
    gate.set()

    assert await stays == 2
    with pytest.raises(asyncio.CancelledError):
        await leaves
