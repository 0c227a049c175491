"""T27: corrupt rows, failing receivers, and one company with many failing actions."""

import asyncio
from datetime import timedelta

from chaos.failing import without
from chaos.receivers import Answer
from chaos.system import TIMEOUT_SECONDS, DeliveryTotals, assert_detected, print_result
from journey_service.domain.actions.delivery import RETRY_AFTER

MAX_ATTEMPTS = len(RETRY_AFTER) + 1
RETRY_AFTER_SECONDS = 3_600
FIRST_CROWD_ID = 10**6
EFFECTS = 4
"""Effects of a first visit that are due at once: an email, a message, and outbound events of two moves."""


async def _drain(system):
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await system.outbox_dispatcher().drain()


def _of(effect):
    """Returns the customer of an effect."""
    return int(effect[1].partition("@")[0][3:]) if effect[0] == "mail" else effect[2]


async def _poison(system, customers):
    """Corrupts rows: all planned actions of some customers, and the outbound event of one move."""
    await system.owner.execute(
        "UPDATE journey_actions SET reason = 'unknown' WHERE relationship_id IN (SELECT id FROM"
        " customer_relationships WHERE customer_id = ANY($1::bigint[])) AND state = 'pending' AND channel <> 'webhook'",
        [*customers],
    )
    await system.owner.execute(
        "UPDATE journey_transitions SET reasons = '[[1]]' WHERE seq = 2 AND relationship_id IN (SELECT id FROM"
        " customer_relationships WHERE customer_id = ANY($1::bigint[]))",
        [*customers],
    )


async def test_failing_actions_affect_no_other_customer_and_end_dead(system, receivers, size, chance, seed):
    count = size(ci=60, chaos=600, full=1_000)
    company_id = await system.create_company("stage.changed")
    customers_ = await system.send_first_visits(company_id, range(count))
    poisoned, refused, put_off = (set(part) for part in _parts(chance, count, 3))
    await system.publish()
    await _poison(system, poisoned)

    def answer(call):
        who = _of(call.effect)
        if who in refused:
            return Answer(500)
        is_webhook = bool(call.body)
        if who in put_off and is_webhook:
            return Answer(429, headers=(("Retry-After", str(RETRY_AFTER_SECONDS)),))
        return Answer()

    receivers.answer = answer
    began = await system.now()
    await _drain(system)

    totals = DeliveryTotals({effect for effect in customers_ if _of(effect) not in poisoned}, receivers)
    others = [n for n in range(count) if n not in poisoned | refused | put_off]
    states = await system.owner.fetch(
        "SELECT r.customer_id, a.state, count(*) FROM journey_actions a JOIN customer_relationships r"
        " ON r.company_id = a.company_id AND r.id = a.relationship_id GROUP BY 1, 2"
    )
    unaffected = {row["customer_id"] for row in states if row["state"] == "done" and row["count"] == EFFECTS}
    too_early = await system.fetch_value(
        "SELECT count(*) FROM journey_actions WHERE last_status = 429 AND ready_at < $1",
        began + timedelta(seconds=RETRY_AFTER_SECONDS),
    )
    wishes = await system.fetch_value("SELECT count(*) FROM action_attempts WHERE status = 429")

    # Actions with Retry-After keep their due time; for the others, the retry delay passes.
    for _ in range(MAX_ATTEMPTS):
        await system.make_pending_ready("last_status IS DISTINCT FROM 429")
        await _drain(system)
    impatient = sum(
        len(calls) > 1
        for calls in receivers.by_key().values()
        if calls[0].body and _of(calls[0].effect) in put_off
    )
    dead = await system.owner.fetch(
        "SELECT r.customer_id, a.attempts FROM journey_actions a JOIN customer_relationships r"
        " ON r.company_id = a.company_id AND r.id = a.relationship_id WHERE a.state = 'dead'"
    )
    receivers.answer = lambda _call: Answer()
    await system.make_pending_ready()
    await _drain(system)
    # A finished action is an outbound event of its own.
    await system.publish()

    lost = len(totals.lost)
    print_result(
        *("T27", lost, totals.duplicated, len(customers_), len(poisoned | refused | put_off), seed),
        f"{len(set(others) - unaffected)} others affected, {len(dead)} dead, {too_early + impatient} of {wishes}"
        " Retry-After headers ignored",
    )
    assert set(others) <= unaffected
    assert (lost, totals.duplicated, too_early, impatient) == (0, 0, 0, 0)
    assert wishes >= len(put_off)
    assert {row["attempts"] for row in dead} == {MAX_ATTEMPTS}
    assert {row["customer_id"] for row in dead} == poisoned | refused
    assert await system.count_unfinished() == 0
    assert await system.find_violations() == []


def _parts(chance, count, parts):
    some = chance.sample(range(count), parts * max(2, count // 30))
    return [some[n::parts] for n in range(parts)]


async def test_corrupt_rows_that_block_their_batch_are_detected(system):
    company_id = await system.create_company()
    totals = DeliveryTotals(await system.send_first_visits(company_id, range(5)), system.receivers)
    await _poison(system, [2])
    guard = "one by one"
    with without(guard):
        await _drain(system)
    assert_detected(guard, {_of(effect) for effect in totals.lost} - {2})


async def test_an_ignored_retry_after_is_detected(system, receivers):
    company_id = await system.create_company()
    await system.send_first_visits(company_id, range(1))
    receivers.answer = lambda _call: Answer(429, headers=(("Retry-After", str(RETRY_AFTER_SECONDS)),))
    guard = "retry after"
    with without(guard):
        await _drain(system)
    early = await system.fetch_value(
        "SELECT count(*) FROM journey_actions WHERE last_status = 429 AND ready_at < now() + interval '50 min'"
    )
    assert_detected(guard, early)


# ---- many actions of one company, few of another


async def _ahead(system, receivers, few, crowd, *, is_stuck):
    """Returns how many of a noisy company's failing calls, which were due first, precede the last call of a quiet one.

    Returns a pair (preceding calls, all calls) for emails and one for webhooks. With `is_stuck`, the noisy company's
    receiver responds only when all calls of the quiet company were made; both companies use the same mail server.
    """
    quiet, noisy = await system.create_company(), await system.create_company()
    is_held = is_stuck

    def answer(call):
        if call.company != noisy:
            return Answer()
        return Answer(500, is_held=(lambda: is_held) if call.body else None)

    receivers.answer = answer
    customers_ = await system.send_first_visits(noisy, range(FIRST_CROWD_ID, FIRST_CROWD_ID + crowd))
    expected = await system.send_first_visits(quiet, range(few))
    outbox_dispatcher = system.outbox_dispatcher()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not expected <= receivers.effects(quiet).keys():
            await outbox_dispatcher.poll()
            await asyncio.sleep(0.02)
    is_held = False
    await outbox_dispatcher.close()
    first = {}
    for call in list(receivers.calls):
        first.setdefault(call.effect, call.number)
    found = []
    for is_mail in (True, False):
        last = max(first[effect] for effect in expected if (effect[0] == "mail") is is_mail)
        others = [effect for effect in customers_ if (effect[0] == "mail") is is_mail]
        found.append((sum(first.get(effect, last) < last for effect in others), len(others)))
    return found


async def test_many_actions_of_one_company_do_not_delay_another(system, receivers, size, seed):
    few, crowd = size(ci=20, chaos=60, full=100), size(ci=60, chaos=600, full=900)

    found = await _ahead(system, receivers, few, crowd, is_stuck=True)

    print_result(
        *("T27", 0, 0, 3 * (few + crowd), crowd, seed),
        " and ".join(f"{ahead} of the noisy company's {of} calls" for ahead, of in found)
        + " before the last call of the quiet company",
    )
    assert all(ahead < of for ahead, of in found)


async def test_companies_processed_in_turn_are_detected(system, receivers):
    guard = "turns"
    with without(guard):
        found = await _ahead(system, receivers, 10, 40, is_stuck=False)
    assert_detected(guard, all(ahead == of for ahead, of in found))
