"""T1: the API is killed at any point of a request: acknowledged events are stored once, with all their actions."""

import asyncio
import time
from collections import Counter, deque
from datetime import timedelta

import httpx

from chaos.system import ApiProcess, assert_detected, kill_at_end, print_result, seconds_since, wait_for
from processes import free_port

POINTS = (
    *("after_lock", "after_update", "after_history", "after_actions", "after_event", "before_commit"),
    *("after_commit", "before_response", "anywhere"),
)
SENDERS = 8
MILLISECOND = timedelta(milliseconds=1)


class EventSequence:
    """Events to send, each with a unique time that identifies it under any id."""

    def __init__(self, system, company_id, start, count):
        self.count = count
        self.values = set()
        self.acknowledged = Counter()
        self.pending = deque(range(count))
        self._system = system
        self._company_id = company_id
        self._start = start

    def body(self, number):
        """Returns an event. Each customer has four: a call, and three visits that lead to the highest stage."""
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

    async def send_events(self, client):
        """Sends pending events until none is left or the server has ended; then they stay pending."""
        while self.pending:
            number = self.pending.popleft()
            self.values.add(number)
            try:
                answer = await client.post("/api/v1/events", json=self.body(number))
            except httpx.HTTPError:
                self.pending.appendleft(number)  # without a response, it may be stored or not
                return
            if answer.status_code == 200:
                self.acknowledged[number] += 1
            else:
                assert answer.status_code == 503, answer.text
                self.pending.append(number)

    async def send_all(self, server, headers):
        """Sends with several clients until all events are sent or the server has ended."""
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as client:
            await asyncio.gather(*(self.send_events(client) for _ in range(SENDERS)))

    async def stored(self):
        """Returns how often each event is stored."""
        rows = await self._system.owner.fetch(
            "SELECT occurred_at FROM journey_events WHERE company_id = $1", self._company_id
        )
        return Counter(round((row["occurred_at"] - self._start) / MILLISECOND) for row in rows)

    async def violation_counts(self):
        """Returns the numbers of events that are acknowledged but missing, stored twice, and stored but never sent."""
        stored = await self.stored()
        return (
            len(self.acknowledged.keys() - stored.keys()),
            stored.total() - len(stored),
            len(stored.keys() - self.values),
        )


async def _create_sequence(system, count):
    company_id = await system.create_company()
    start = await system.now() - timedelta(hours=1)
    return EventSequence(
        system, company_id, start.replace(microsecond=0), count
    ), await system.create_headers(company_id)


async def _ready(server):
    began = time.monotonic()
    await asyncio.to_thread(server.await_ready)
    return seconds_since(began)


async def test_acknowledged_events_are_stored_once_with_all_their_actions(system, size, chance, seed):
    wanted = size(ci=8, chaos=60, full=200)
    sequence, headers = await _create_sequence(system, size(ci=500, chaos=20_000, full=100_000))
    environment = system.environment()
    kills, order, ready = 0, [], []
    while kills < wanted and sequence.pending:
        order = order or chance.sample(POINTS, len(POINTS))
        point = order.pop()
        share = max(1, len(sequence.pending) // (wanted - kills))
        at = chance.randint(1, max(1, share // SENDERS))
        fault = None if point == "anywhere" else f"{point}:{at}"
        with kill_at_end([ApiProcess(environment, free_port(), fault=fault)]) as [server]:
            ready.append(await _ready(server))
            sending = asyncio.create_task(sequence.send_all(server, headers))
            if fault is None:
                goal = sequence.acknowledged.total() + at
                await wait_for(
                    lambda goal=goal, sending=sending: sequence.acknowledged.total() >= goal or sending.done()
                )
                server.kill()
            await sending
            kills += not server.is_alive
    with kill_at_end([ApiProcess(environment, free_port())]) as [server]:
        ready.append(await _ready(server))
        await sequence.send_all(server, headers)

    lost, duplicated, unexpected = await sequence.violation_counts()
    found = await system.find_violations()
    moves = await system.fetch_value("SELECT count(*) FROM journey_transitions")
    print_result(
        *("T1", lost, duplicated, sequence.count, kills, seed),
        f"{sum('has' in fault for fault in found)} of {moves} moves without their actions;"
        f" ready again within {max(ready):.1f} s",
    )
    assert (lost, duplicated, unexpected) == (0, 0, 0)
    assert len(sequence.acknowledged) == sequence.count
    assert found == []
    assert kills >= wanted // 2, "too few processes were killed during requests"


async def test_actions_planned_after_the_commit_are_detected_as_missing(system):
    sequence, headers = await _create_sequence(system, 4)
    environment = system.environment()
    guard = "actions in the move's transaction"
    with kill_at_end([ApiProcess(environment, free_port(), fault="after_commit:1", without=guard)]) as [
        server
    ]:
        await _ready(server)
        await sequence.send_all(server, headers)
    with kill_at_end([ApiProcess(environment, free_port())]) as [server]:
        await _ready(server)
        await sequence.send_all(server, headers)
    assert await sequence.violation_counts() == (0, 0, 0)
    assert_detected(guard, await system.find_violations())


async def test_events_without_deduplication_are_detected_as_duplicates(system):
    sequence, headers = await _create_sequence(system, 4)
    environment = system.environment()
    guard = "event key"
    for fault in ("after_commit:1", None):
        with kill_at_end([ApiProcess(environment, free_port(), fault=fault, without=guard)]) as [server]:
            await _ready(server)
            await sequence.send_all(server, headers)
    _, duplicated, _ = await sequence.violation_counts()
    assert_detected(guard, duplicated)
