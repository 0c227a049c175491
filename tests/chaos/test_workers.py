"""T2: workers killed while they work: everything planned reaches the outside, and under one key."""

import asyncio
import time

from chaos.ground import (
    Stream,
    Worker,
    detected,
    elapsed,
    ending,
    tell,
    until,
)

POINTS = (
    *("at_claim", "after_claim", "before_call", "after_call", "before_done", "at_done", "at_publication"),
    "anywhere",
)
WAITING = "SELECT count(*) FROM journey_actions WHERE state = 'pending'"
BY_THE_BATCH = ("at_claim", "after_claim", "before_done", "at_done")
"""Points that are passed once for many actions."""
LEASE = 6.0
COMPANIES = 3
EFFECTS = 5
"""What one customer brings about: two mails, a message, and news of two moves."""


async def _visitors(ground, customers):
    stream = await Stream.of(ground, COMPANIES, customers, customers, "stage.changed")
    await stream.come()
    return stream.tally


async def _drained(ground, workers):
    """Wait until nothing is left to be done; returns how long that took."""
    began = time.monotonic()

    async def is_done():
        assert all(worker.is_alive for worker in workers)
        return await ground.live() == 0

    await until(is_done)
    return elapsed(began)


async def test_every_action_has_its_effect_once_however_workers_are_killed(
    ground, outside, size, chance, seed
):
    customers = size(ci=120, chaos=2_000, full=4_000)
    wanted = size(ci=12, chaos=80, full=300)
    portion = max(1, customers // (wanted + 2))
    stream = await Stream.of(ground, COMPANIES, customers, portion, "stage.changed")
    environment = ground.environment(lease=LEASE)
    tally, kills, order = stream.tally, 0, []
    with ending([]) as all_:
        slots: list[tuple[Worker, int | None] | None] = [None, None]
        while stream.left or (kills < wanted and await ground.live()):
            # What dead workers hold is not waited for: there is always something to be at.
            if await ground.ask(WAITING) < 2 * EFFECTS * portion:
                await stream.come()
            for place, slot in enumerate(slots):
                if slot is not None and slot[0].is_alive:
                    worker, deadline = slot
                    if deadline is not None and len(outside.calls) >= deadline:
                        worker.kill()
                    continue
                kills += slot is not None
                order = order or chance.sample(POINTS, len(POINTS))
                point = order.pop()
                at = chance.randint(1, EFFECTS * portion)
                at = 1 + at // 20 if point in BY_THE_BATCH else 1 if point == "at_publication" else at
                is_outer = point == "anywhere"
                worker = Worker(environment, f"w{len(all_)}", fault=None if is_outer else f"{point}:{at}")
                all_.append(worker)
                slots[place] = worker, len(outside.calls) + at if is_outer else None
            await asyncio.sleep(0.05)
        for worker in all_:
            if worker.is_alive:
                worker.kill()
                kills += 1
        # How soon others take over depends on the leases alone, at any speed of the machine.
        overlong = await ground.ask(
            "SELECT count(*) FROM journey_actions WHERE state = 'leased'"
            " AND ready_at > now() + make_interval(secs => $1)",
            LEASE,
        )
        workers = [Worker(environment, f"sound{n}") for n in range(2)]
        all_.extend(workers)
        seconds = await _drained(ground, workers)

    calls = len(outside.calls)
    lost, duplicated, phantoms = tally.zeros
    tell(
        *("T2", lost, duplicated, len(tally.expected), kills, seed),
        f"{calls} calls, {calls - len(tally.expected)} repeated under their keys; drained {seconds:.1f} s after",
    )
    assert (lost, duplicated, phantoms) == (0, 0, 0)
    assert calls >= len(tally.expected)
    assert await ground.states() == {"done": len(tally.expected)}
    assert await ground.find_violations() == []
    assert kills >= wanted // 2, "hardly a kill came in the middle"
    assert overlong == 0


async def test_an_action_that_is_done_before_the_call_is_missed(ground, outside):
    tally = await _visitors(ground, 1)
    environment = ground.environment(lease=LEASE)
    guard = "done after the call"
    with ending([Worker(environment, "w", fault="before_call:1", without=guard)]) as [worker]:
        await until(lambda: not worker.is_alive)
    await ground.expire()
    with ending([Worker(environment, "sound")]) as workers:
        await _drained(ground, workers)
    detected(guard, tally.lost)


async def test_keys_that_change_from_attempt_to_attempt_are_noticed(ground, outside):
    tally = await _visitors(ground, 1)
    environment = ground.environment(lease=5.0)
    guard = "same key"
    with ending([Worker(environment, "w", fault="after_call:1", without=guard)]) as [worker]:
        await until(lambda: not worker.is_alive)
    await ground.expire()
    with ending([Worker(environment, "sound", without=guard)]) as workers:
        await _drained(ground, workers)
    assert tally.zeros[::2] == (0, 0)
    detected(guard, tally.duplicated)
