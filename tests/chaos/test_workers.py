"""T2: workers are killed during their work: every planned action reaches its receiver under one key."""

import asyncio
import time

from chaos.system import (
    VisitStream,
    WorkerProcess,
    assert_detected,
    kill_at_end,
    print_result,
    seconds_since,
    wait_for,
)

POINTS = (
    *("at_claim", "after_claim", "before_call", "after_call", "before_done", "at_done", "at_publication"),
    "anywhere",
)
BATCH_POINTS = ("at_claim", "after_claim", "before_done", "at_done")
"""Points that are reached once per batch."""
LEASE = 6.0
COMPANIES = 3
EFFECTS = 4
"""Number of effects per customer: an email, a message, and outbound events of two moves."""


async def _send_visits(system, customers):
    stream = await VisitStream.of(system, COMPANIES, customers, customers, "stage.changed")
    await stream.send_next()
    return stream.totals


async def _wait_until_drained(system, workers):
    """Waits until no work is left; returns the seconds that it took."""
    began = time.monotonic()

    async def is_done():
        assert all(worker.is_alive for worker in workers)
        # A call that took too long on a busy machine is due again in minutes.
        await system.make_pending_ready("attempts > 0")
        return await system.count_unfinished() == 0

    await wait_for(is_done)
    return seconds_since(began)


async def test_every_action_has_its_effect_once_if_workers_are_killed(system, receivers, size, chance, seed):
    customers = size(ci=60, chaos=2_000, full=4_000)
    wanted = size(ci=8, chaos=80, full=300)
    portion = max(1, customers // (wanted + 2))
    stream = await VisitStream.of(system, COMPANIES, customers, portion, "stage.changed")
    environment = system.environment(lease=LEASE)
    totals, kills, order = stream.totals, 0, []
    with kill_at_end([]) as all_:
        slots: list[tuple[WorkerProcess, int | None] | None] = [None, None]
        while stream.left or (kills < wanted and await system.count_unfinished()):
            # New visits are sent, so that workers need not wait for the leases of killed ones.
            if await system.count_pending() < 2 * EFFECTS * portion:
                await stream.send_next()
            for index, slot in enumerate(slots):
                if slot is not None and slot[0].is_alive:
                    worker, deadline = slot
                    if deadline is not None and len(receivers.calls) >= deadline:
                        worker.kill()
                    continue
                kills += slot is not None
                order = order or chance.sample(POINTS, len(POINTS))
                point = order.pop()
                at = chance.randint(1, EFFECTS * portion)
                at = 1 + at // 20 if point in BATCH_POINTS else 1 if point == "at_publication" else at
                is_killed_by_test = point == "anywhere"
                worker = WorkerProcess(
                    environment, f"w{len(all_)}", fault=None if is_killed_by_test else f"{point}:{at}"
                )
                all_.append(worker)
                slots[index] = worker, len(receivers.calls) + at if is_killed_by_test else None
            await asyncio.sleep(0.05)
        for worker in all_:
            if worker.is_alive:
                worker.kill()
                kills += 1
        # Only the leases determine when other workers take over, at any speed of the machine.
        overlong = await system.fetch_value(
            "SELECT count(*) FROM journey_actions WHERE state = 'leased'"
            " AND ready_at > now() + make_interval(secs => $1)",
            LEASE,
        )
        workers = [WorkerProcess(environment, f"sound{n}") for n in range(2)]
        all_.extend(workers)
        seconds = await _wait_until_drained(system, workers)

    calls = len(receivers.calls)
    lost, duplicated, unexpected = totals.violation_counts
    print_result(
        *("T2", lost, duplicated, len(totals.expected), kills, seed),
        f"{calls} calls, {calls - len(totals.expected)} repeated under their keys; drained {seconds:.1f} s after",
    )
    assert (lost, duplicated, unexpected) == (0, 0, 0)
    assert calls >= len(totals.expected)
    assert await system.count_by_state() == {"done": len(totals.expected)}
    assert await system.find_violations() == []
    assert kills >= wanted // 2, "too few workers were killed during their work"
    assert overlong == 0


async def test_actions_recorded_as_done_before_the_call_are_detected(system, receivers):
    totals = await _send_visits(system, 1)
    environment = system.environment(lease=LEASE)
    guard = "done after the call"
    with kill_at_end([WorkerProcess(environment, "w", fault="before_call:1", without=guard)]) as [worker]:
        await wait_for(lambda: not worker.is_alive)
    await system.expire_leases()
    with kill_at_end([WorkerProcess(environment, "sound")]) as workers:
        await _wait_until_drained(system, workers)
    assert_detected(guard, totals.lost)


async def test_keys_that_change_between_attempts_are_detected(system, receivers):
    totals = await _send_visits(system, 1)
    environment = system.environment(lease=5.0)
    guard = "same key"
    with kill_at_end([WorkerProcess(environment, "w", fault="after_call:1", without=guard)]) as [worker]:
        await wait_for(lambda: not worker.is_alive)
    await system.expire_leases()
    with kill_at_end([WorkerProcess(environment, "sound", without=guard)]) as workers:
        await _wait_until_drained(system, workers)
    assert totals.violation_counts[::2] == (0, 0)
    assert_detected(guard, totals.duplicated)
