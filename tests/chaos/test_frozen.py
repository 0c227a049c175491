"""T6: workers frozen for longer than their lease: what they were about is others' then, and their word is nothing."""

import signal
from dataclasses import dataclass, field
from datetime import datetime

from chaos.ground import Stream, Worker, detected, ending, tell, until
from chaos.outside import Answer

COMPANIES = 2
LEASE = 5.0
PORTION = 8
_LEASES = "SELECT id::text, lease_token::text FROM journey_actions WHERE state = 'leased'"


@dataclass
class Frozen:
    """Frozen workers: the calls that others have claimed again, and when the freeze began."""

    superseded: list[tuple[str, datetime]] = field(default_factory=list)
    freezes: int = 0

    async def stale(self, ground):
        """What was written down on the word of a worker whose lease was over: of a call from before its freeze."""
        rows = await ground.owner.fetch(
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


async def _freeze(ground, workers, frozen):
    """Freezes a worker in the middle of calls until others have claimed them, then lets it continue and ends it."""
    outside = ground.outside
    worker = await until(lambda: next((each for each in workers if outside.under_way(each.name)), None))
    worker.signal(signal.SIGSTOP)
    frozen_at = await ground.now()
    before = len(outside.calls)
    leases = dict(await ground.owner.fetch(_LEASES))
    begun = {call.key for call in outside.calls[:before] if call.by == worker.name}
    asked = {key: token for key, token in leases.items() if key in begun}
    claimed_again: set[str] = set()

    async def is_taken_over():
        now = dict(await ground.owner.fetch(_LEASES))
        claimed_again.update(key for key, token in asked.items() if key in now and now[key] != token)
        # A call of another worker may fail on a slow machine, and is then due minutes later: the lease decides.
        return all(now.get(key) != token for key, token in asked.items())

    await until(is_taken_over)
    called_again = {call.key for call in outside.calls[before:] if call.by != worker.name}
    frozen.superseded += [(key, frozen_at) for key in asked.keys() & (claimed_again | called_again)]
    frozen.freezes += 1
    # It records the results of those calls before it ends.
    worker.signal(signal.SIGCONT)
    worker.signal(signal.SIGTERM)
    await until(lambda: not worker.is_alive)
    assert worker.status == 0


async def test_nothing_is_written_down_on_the_word_of_a_worker_that_was_away_for_too_long(
    ground, outside, size, chance, seed
):
    freezes = size(ci=2, chaos=25, full=500)
    outside.answer = lambda _call: Answer(seconds=0.3)
    stream = await Stream.of(ground, COMPANIES, 10**9, PORTION)
    environment = ground.environment(lease=LEASE)
    frozen = Frozen()
    with ending([Worker(environment, "a"), Worker(environment, "b")]) as workers:
        while frozen.freezes < freezes:
            await stream.come()
            await stream.come()
            awake = [worker for worker in workers if worker.is_alive]
            await _freeze(ground, chance.sample(awake, len(awake)), frozen)
            workers.append(Worker(environment, f"w{frozen.freezes}"))

        async def is_done():
            return await ground.live() == 0

        await until(is_done)

    lost, duplicated, phantoms = stream.tally.zeros
    stale = await frozen.stale(ground)
    tell(
        *("T6", lost, duplicated, len(stream.tally.expected), frozen.freezes, seed),
        f"{len(stale)} stale completions accepted of {len(frozen.superseded)}",
    )
    assert (lost, duplicated, phantoms) == (0, 0, 0)
    assert stale == []
    assert frozen.superseded, "no worker was frozen in the middle of a call"
    assert await ground.states() == {"done": len(stream.tally.expected)}
    assert await ground.find_violations() == []


async def test_a_stale_word_that_is_believed_is_noticed(ground, outside):
    outside.answer = lambda _call: Answer(seconds=0.3)
    stream = await Stream.of(ground, 1, 10**9, PORTION)
    environment = ground.environment(lease=LEASE)
    guard, frozen = "lease token", Frozen()
    await stream.come()
    with ending([Worker(environment, "a", without=guard)]) as workers:
        await until(lambda: outside.under_way("a"))
        workers.append(Worker(environment, "b"))
        await _freeze(ground, workers[:1], frozen)
    detected(guard, await frozen.stale(ground))
