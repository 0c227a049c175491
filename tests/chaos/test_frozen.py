"""T6: workers are frozen for longer than their lease: other workers take over, and stale results are rejected."""

import signal
from dataclasses import dataclass, field
from datetime import datetime

from chaos.receivers import Answer
from chaos.system import VisitStream, WorkerProcess, assert_detected, kill_at_end, print_result, wait_for

COMPANIES = 2
LEASE = 5.0
PORTION = 8
_LEASES = "SELECT id::text, lease_token::text FROM journey_actions WHERE state = 'leased'"


@dataclass
class FreezeRecord:
    """Actions of frozen workers that other workers claimed again, with the time of the freeze."""

    superseded: list[tuple[str, datetime]] = field(default_factory=list)
    freezes: int = 0

    async def stale(self, system):
        """Returns attempts that a worker recorded after its lease had expired, for calls from before its freeze."""
        rows = await system.owner.fetch(
            "SELECT action_id, started_at, ended_at, outcome FROM action_attempts"
        )
        written = [
            (str(row["action_id"]), row["started_at"], row["ended_at"], row["outcome"]) for row in rows
        ]
        since = dict(self.superseded)
        return [
            (key, outcome)
            for key, started_at, ended_at, outcome in written
            if key in since and started_at < since[key] < ended_at
        ]


async def _freeze(system, workers, frozen):
    """Freezes a worker during calls until other workers have claimed its actions; then resumes and stops it."""
    receivers = system.receivers
    worker = await wait_for(lambda: next((each for each in workers if receivers.under_way(each.name)), None))
    worker.signal(signal.SIGSTOP)
    frozen_at = await system.now()
    before = len(receivers.calls)
    leases = dict(await system.owner.fetch(_LEASES))
    begun = {call.key for call in receivers.calls[:before] if call.by == worker.name}
    leased = {key: token for key, token in leases.items() if key in begun}
    claimed_again: set[str] = set()

    async def is_taken_over():
        now = dict(await system.owner.fetch(_LEASES))
        claimed_again.update(key for key, token in leased.items() if key in now and now[key] != token)
        # Checked by the lease: a call of another worker may fail on a slow machine and is then retried minutes later.
        return all(now.get(key) != token for key, token in leased.items())

    await wait_for(is_taken_over)
    called_again = {call.key for call in receivers.calls[before:] if call.by != worker.name}
    frozen.superseded += [(key, frozen_at) for key in leased.keys() & (claimed_again | called_again)]
    frozen.freezes += 1
    # It records the results of those calls before it ends.
    worker.signal(signal.SIGCONT)
    worker.signal(signal.SIGTERM)
    await wait_for(lambda: not worker.is_alive)
    assert worker.status == 0


async def test_results_of_workers_with_an_expired_lease_are_rejected(system, receivers, size, chance, seed):
    freezes = size(ci=2, chaos=25, full=500)
    receivers.answer = lambda _call: Answer(seconds=0.3)
    stream = await VisitStream.of(system, COMPANIES, 10**9, PORTION)
    environment = system.environment(lease=LEASE)
    frozen = FreezeRecord()
    with kill_at_end([WorkerProcess(environment, "a"), WorkerProcess(environment, "b")]) as workers:
        while frozen.freezes < freezes:
            await stream.send_next()
            await stream.send_next()
            awake = [worker for worker in workers if worker.is_alive]
            await _freeze(system, chance.sample(awake, len(awake)), frozen)
            workers.append(WorkerProcess(environment, f"w{frozen.freezes}"))

        async def is_done():
            # A call that took too long on a slow machine is due again in minutes.
            await system.make_pending_ready("attempts > 0")
            return await system.count_unfinished() == 0

        await wait_for(is_done)

    lost, duplicated, unexpected = stream.totals.violation_counts
    stale = await frozen.stale(system)
    print_result(
        *("T6", lost, duplicated, len(stream.totals.expected), frozen.freezes, seed),
        f"{len(stale)} stale completions accepted of {len(frozen.superseded)}",
    )
    assert (lost, duplicated, unexpected) == (0, 0, 0)
    assert stale == []
    assert frozen.superseded, "no worker was frozen in the middle of a call"
    assert await system.count_by_state() == {"done": len(stream.totals.expected)}
    assert await system.find_violations() == []


async def test_accepted_stale_results_are_detected(system, receivers):
    receivers.answer = lambda _call: Answer(seconds=0.3)
    stream = await VisitStream.of(system, 1, 10**9, PORTION)
    environment = system.environment(lease=LEASE)
    guard, frozen = "lease token", FreezeRecord()
    await stream.send_next()
    with kill_at_end([WorkerProcess(environment, "a", without=guard)]) as workers:
        await wait_for(lambda: receivers.under_way("a"))
        workers.append(WorkerProcess(environment, "b"))
        await _freeze(system, workers[:1], frozen)
    assert_detected(guard, await frozen.stale(system))
