"""T5: workers are replaced one after the other during calls: no action is lost or counts as failed."""

import signal
from collections import Counter

from chaos.receivers import Answer
from chaos.system import VisitStream, WorkerProcess, assert_detected, kill_at_end, print_result, wait_for

COMPANIES = 2
LEASE = 60.0
"""Seconds; longer than any call on a busy machine, so that no lease expires."""
UNLIMITED = 1_000_000
MORE = 24
"""Number of additional visits that are sent until both the old and the new worker make calls."""
FAULTY = 16
"""One of this many keys is refused at the first attempt."""


def _slow(chance, receivers):
    """Delays all responses, and refuses some first attempts; returns the refused keys."""
    refused = set()

    def answer(call):
        seconds = chance.uniform(0.2, 0.8)
        if int(call.key[:8], 16) % FAULTY or call.key in refused:
            return Answer(seconds=seconds)
        refused.add(call.key)
        return Answer(500, seconds=seconds)

    receivers.answer = answer
    return refused


async def test_replacing_workers_loses_no_action_and_counts_no_attempt(system, receivers, size, chance, seed):
    rolls = size(ci=3, chaos=30, full=30)
    portion = size(ci=24, chaos=60, full=112)
    refused = _slow(chance, receivers)
    stream = await VisitStream.of(system, COMPANIES, UNLIMITED, portion)
    environment = system.environment(lease=LEASE)
    replaced_during_calls = 0
    with kill_at_end([]) as all_:
        old = None
        for n in range(rolls):
            await stream.send_next()
            new = WorkerProcess(environment, f"w{n}")
            all_.append(new)

            async def are_at_work(at_work=(old or new, new)):
                await system.make_pending_ready("attempts > 0")
                if await system.count_unfinished() == 0:
                    await stream.send_next(MORE)
                return all(receivers.under_way(worker.name) for worker in at_work)

            await wait_for(are_at_work)
            if old is not None:
                replaced_during_calls += bool(receivers.under_way(old.name))
                old.signal(signal.SIGTERM)
                await wait_for(lambda old=old: not old.is_alive)
                assert old.status == 0
            old = new

        async def is_done():
            await system.make_pending_ready("attempts > 0")
            return await system.count_unfinished() == 0

        await wait_for(is_done)
        assert old.stop() == 0

    totals = stream.totals
    lost, duplicated, unexpected = totals.violation_counts
    states = await system.count_by_state()
    failures = await _failures(system)
    print_result(
        *("T5", lost, duplicated, len(totals.expected), rolls, seed),
        f"{states['dead']} dead, {len(failures)} failed attempts for {len(refused)} refusals",
    )
    assert (lost, duplicated, unexpected) == (0, 0, 0)
    assert states["dead"] == 0
    assert failures == Counter(refused)
    # A stopping worker finishes its calls, so none is repeated.
    assert {key for key, calls in receivers.by_key().items() if len(calls) != 1 + (key in refused)} == set()
    assert replaced_during_calls >= 1, "no worker was replaced during a call"
    assert await system.find_violations() == []


async def _failures(system):
    rows = await system.owner.fetch("SELECT action_id FROM action_attempts WHERE outcome <> 'done'")
    return Counter(str(row["action_id"]) for row in rows)


async def test_released_actions_that_count_an_attempt_are_detected(system, receivers):
    receivers.answer = lambda _call: Answer(seconds=1.0)
    stream = await VisitStream.of(system, 1, 40, 40)
    guard = "attempts given back"
    await stream.send_next()
    with kill_at_end([WorkerProcess(system.environment(lease=LEASE), "w", without=guard)]) as [worker]:
        await wait_for(lambda: receivers.under_way("w"))
        assert worker.stop() == 0
    assert_detected(guard, await system.find_violations())
