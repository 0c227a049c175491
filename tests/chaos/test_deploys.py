"""T5: workers replaced one after the other while calls are under way: nothing is lost, and nothing counts as failed."""

import signal
from collections import Counter

from chaos.ground import Stream, Worker, detected, ending, tell, until
from chaos.outside import Answer

COMPANIES = 2
LEASE = 60.0
"""Longer than any call lasts on a busy machine: no lease may end here."""
NO_END = 1_000_000
MORE = 24
"""So many customers come again and again until the old worker and the new one both have work in their hands."""
FAULTY = 16
"""Of so many keys one is refused, the first time."""


def _slow(chance, outside):
    """Answers take their time, and some first ones are no."""
    refused = set()

    def answer(call):
        seconds = chance.uniform(0.2, 0.8)
        if int(call.key[:8], 16) % FAULTY or call.key in refused:
            return Answer(seconds=seconds)
        refused.add(call.key)
        return Answer(500, seconds=seconds)

    outside.answer = answer
    return refused


async def test_workers_replaced_in_a_row_lose_nothing_and_no_action_pays_for_it(
    ground, outside, size, chance, seed
):
    rolls = size(ci=5, chaos=30, full=30)
    portion = size(ci=24, chaos=60, full=112)
    refused = _slow(chance, outside)
    stream = await Stream.of(ground, COMPANIES, NO_END, portion)
    environment = ground.environment(lease=LEASE)
    in_the_middle = 0
    with ending([]) as all_:
        old = None
        for n in range(rolls):
            await stream.come()
            new = Worker(environment, f"w{n}")
            all_.append(new)

            async def are_at_work(at_work=(old or new, new)):
                await ground.rewind("attempts > 0")
                if await ground.live() == 0:
                    await stream.come(MORE)
                return all(outside.under_way(worker.name) for worker in at_work)

            await until(are_at_work)
            if old is not None:
                in_the_middle += bool(outside.under_way(old.name))
                old.signal(signal.SIGTERM)
                await until(lambda old=old: not old.is_alive)
                assert old.status == 0
            old = new

        async def is_done():
            await ground.rewind("attempts > 0")
            return await ground.live() == 0

        await until(is_done)
        assert old.stop() == 0

    tally = stream.tally
    lost, duplicated, phantoms = tally.zeros
    states = await ground.states()
    failures = await _failures(ground)
    tell(
        *("T5", lost, duplicated, len(tally.expected), rolls, seed),
        f"{states['dead']} dead, {len(failures)} failed attempts for {len(refused)} refusals",
    )
    assert (lost, duplicated, phantoms) == (0, 0, 0)
    assert states["dead"] == 0
    assert failures == Counter(refused)
    # A worker that stops finishes its calls: none is repeated for that.
    assert {key for key, calls in outside.by_key().items() if len(calls) != 1 + (key in refused)} == set()
    assert in_the_middle >= 1, "no worker was replaced in the middle"
    assert await ground.find_violations() == []


async def _failures(ground):
    rows = await ground.owner.fetch("SELECT action_id FROM action_attempts WHERE outcome <> 'done'")
    return Counter(str(row["action_id"]) for row in rows)


async def test_an_attempt_that_was_only_given_back_and_counts_is_noticed(ground, outside):
    outside.answer = lambda _call: Answer(seconds=1.0)
    stream = await Stream.of(ground, 1, 40, 40)
    guard = "attempts given back"
    await stream.come()
    with ending([Worker(ground.environment(lease=LEASE), "w", without=guard)]) as [worker]:
        await until(lambda: outside.under_way("w"))
        assert worker.stop() == 0
    detected(guard, await ground.find_violations())
