"""T1: the API killed at any point of an event's way: what was acknowledged is there, once, with all it called for."""

import asyncio
import time
from collections import Counter, deque
from datetime import timedelta

import httpx

from chaos.ground import Api, detected, elapsed, ending, tell, until
from processes import free_port

POINTS = (
    *("after_lock", "after_update", "after_history", "after_actions", "after_event", "before_commit"),
    *("after_commit", "before_response", "anywhere"),
)
TELLERS = 8
MILLISECOND = timedelta(milliseconds=1)


class Story:
    """Events to send, each at an instant of its own, by which it is recognized under any id."""

    def __init__(self, ground, company_id, start, count):
        self.count = count
        self.values = set()
        self.acknowledged = Counter()
        self.pending = deque(range(count))
        self._ground = ground
        self._company_id = company_id
        self._start = start

    def body(self, number):
        """Four events a customer: a call, and three visits that end in the highest stage."""
        type_, data = (
            ("appointment_completed", {"total_amount": 400})
            if number % 4
            else ("call_received", {"call_duration": 120})
        )
        return {
            "id": f"story {number}",
            "source": "chaos",
            "type": type_,
            "customer_id": number // 4,
            "occurred_at": (self._start + number * MILLISECOND).isoformat(),
            "data": data,
        }

    async def tell(self, client):
        """Sends pending events until none is left or the server is gone; the next server gets them again."""
        while self.pending:
            number = self.pending.popleft()
            self.values.add(number)
            try:
                answer = await client.post("/api/v1/events", json=self.body(number))
            except httpx.HTTPError:
                self.pending.appendleft(number)  # it may be stored or not; there was no answer
                return
            if answer.status_code == 200:
                self.acknowledged[number] += 1
            else:
                assert answer.status_code == 503, answer.text
                self.pending.append(number)

    async def tell_to(self, server, headers):
        """Several senders, until all events are sent or the server is gone."""
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
            await asyncio.gather(*(self.tell(client) for _ in range(TELLERS)))

    async def stored(self):
        """How often each event counts."""
        rows = await self._ground.owner.fetch(
            "SELECT occurred_at FROM journey_events WHERE company_id = $1", self._company_id
        )
        return Counter(round((row["occurred_at"] - self._start) / MILLISECOND) for row in rows)

    async def zeros(self):
        """Events acknowledged and missing, stored twice, and stored without having been sent."""
        stored = await self.stored()
        return (
            len(self.acknowledged.keys() - stored.keys()),
            stored.total() - len(stored),
            len(stored.keys() - self.values),
        )


async def _story(ground, count):
    company_id = await ground.found()
    start = await ground.now() - timedelta(hours=1)
    return Story(ground, company_id, start.replace(microsecond=0), count), await ground.key(company_id)


async def _ready(server):
    began = time.monotonic()
    await asyncio.to_thread(server.await_ready)
    return elapsed(began)


async def test_every_acknowledged_event_is_there_once_with_all_it_calls_for(ground, size, chance, seed):
    wanted = size(ci=9, chaos=60, full=200)
    story, headers = await _story(ground, size(ci=1_000, chaos=20_000, full=100_000))
    environment = ground.environment()
    kills, order, ready = 0, [], []
    while kills < wanted and story.pending:
        order = order or chance.sample(POINTS, len(POINTS))
        point = order.pop()
        share = max(1, len(story.pending) // (wanted - kills))
        at = chance.randint(1, max(1, share // TELLERS))
        fault = None if point == "anywhere" else f"{point}:{at}"
        with ending([Api(environment, free_port(), fault=fault)]) as [server]:
            ready.append(await _ready(server))
            telling = asyncio.create_task(story.tell_to(server, headers))
            if fault is None:
                goal = story.acknowledged.total() + at
                await until(
                    lambda goal=goal, telling=telling: story.acknowledged.total() >= goal or telling.done()
                )
                server.kill()
            await telling
            kills += not server.is_alive
    with ending([Api(environment, free_port())]) as [server]:
        ready.append(await _ready(server))
        await story.tell_to(server, headers)

    lost, duplicated, phantoms = await story.zeros()
    found = await ground.find_violations()
    moves = await ground.ask("SELECT count(*) FROM journey_transitions")
    tell(
        *("T1", lost, duplicated, story.count, kills, seed),
        f"{sum('has' in fault for fault in found)} of {moves} moves without their actions;"
        f" ready again within {max(ready):.1f} s",
    )
    assert (lost, duplicated, phantoms) == (0, 0, 0)
    assert len(story.acknowledged) == story.count
    assert found == []
    assert kills >= wanted // 2, "hardly a kill came in the middle"


async def test_actions_that_are_planned_after_the_commit_are_missed(ground):
    story, headers = await _story(ground, 4)
    environment = ground.environment()
    guard = "actions in the move's transaction"
    with ending([Api(environment, free_port(), fault="after_commit:1", without=guard)]) as [server]:
        await _ready(server)
        await story.tell_to(server, headers)
    with ending([Api(environment, free_port())]) as [server]:
        await _ready(server)
        await story.tell_to(server, headers)
    assert await story.zeros() == (0, 0, 0)
    detected(guard, await ground.find_violations())


async def test_events_that_are_not_known_again_are_counted_twice(ground):
    story, headers = await _story(ground, 4)
    environment = ground.environment()
    guard = "event key"
    for fault in ("after_commit:1", None):
        with ending([Api(environment, free_port(), fault=fault, without=guard)]) as [server]:
            await _ready(server)
            await story.tell_to(server, headers)
    _, duplicated, _ = await story.zeros()
    detected(guard, duplicated)
