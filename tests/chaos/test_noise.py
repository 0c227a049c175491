"""T27: actions that cannot even be looked at, receivers that are out of order, and one company with a crowd of both."""

import asyncio
from datetime import timedelta

from chaos.failing import without
from chaos.ground import LONG, Tally, detected, tell
from chaos.outside import Answer
from journey_service.domain.actions.delivery import RETRY_AFTER

MOST_ATTEMPTS = len(RETRY_AFTER) + 1
WISH = 3_600
NOBODY = 10**6


async def _drain(ground):
    async with asyncio.timeout(LONG):
        await ground.outbox_dispatcher().drain()


def _of(effect):
    """Whose an effect is."""
    return int(effect[1].partition("@")[0][3:]) if effect[0] == "mail" else effect[2]


async def _poison(ground, customers):
    """Corrupts rows: all planned actions of some customers, and the outbound event of one move."""
    await ground.owner.execute(
        "UPDATE journey_actions SET reason = 'nobody knows' WHERE relationship_id IN (SELECT id FROM"
        " customer_relationships WHERE customer_id = ANY($1::bigint[])) AND state = 'pending' AND channel <> 'webhook'",
        [*customers],
    )
    await ground.owner.execute(
        "UPDATE journey_transitions SET reasons = '[[1]]' WHERE seq = 2 AND relationship_id IN (SELECT id FROM"
        " customer_relationships WHERE customer_id = ANY($1::bigint[]))",
        [*customers],
    )


async def test_what_cannot_be_done_costs_no_other_customer_and_is_dead_in_the_end(
    ground, outside, size, chance, seed
):
    count = size(ci=60, chaos=600, full=1_000)
    company_id = await ground.found("stage.changed")
    everybody = await ground.visit(company_id, range(count))
    poisoned, refused, put_off = (set(part) for part in _parts(chance, count, 3))
    await ground.publish()
    await _poison(ground, poisoned)

    def answer(call):
        who = _of(call.effect)
        if who in refused:
            return Answer(500)
        is_webhook = bool(call.body)
        if who in put_off and is_webhook:
            return Answer(429, headers=(("Retry-After", str(WISH)),))
        return Answer()

    outside.answer = answer
    began = await ground.now()
    await _drain(ground)

    tally = Tally({effect for effect in everybody if _of(effect) not in poisoned}, outside)
    others = [n for n in range(count) if n not in poisoned | refused | put_off]
    states = await ground.owner.fetch(
        "SELECT r.customer_id, a.state, count(*) FROM journey_actions a JOIN customer_relationships r"
        " ON r.company_id = a.company_id AND r.id = a.relationship_id GROUP BY 1, 2"
    )
    unaffected = {row["customer_id"] for row in states if row["state"] == "done" and row["count"] == 5}
    too_early = await ground.ask(
        "SELECT count(*) FROM journey_actions WHERE last_status = 429 AND ready_at < $1",
        began + timedelta(seconds=WISH),
    )
    wishes = await ground.ask("SELECT count(*) FROM action_attempts WHERE status = 429")

    # Customers who withdrew consent are left alone; for the others the hours pass.
    for _ in range(MOST_ATTEMPTS):
        await ground.rewind("last_status IS DISTINCT FROM 429")
        await _drain(ground)
    impatient = sum(
        len(calls) > 1
        for calls in outside.by_key().values()
        if calls[0].body and _of(calls[0].effect) in put_off
    )
    dead = await ground.owner.fetch(
        "SELECT r.customer_id, a.attempts FROM journey_actions a JOIN customer_relationships r"
        " ON r.company_id = a.company_id AND r.id = a.relationship_id WHERE a.state = 'dead'"
    )
    outside.answer = lambda _call: Answer()
    await ground.rewind()
    await _drain(ground)

    lost = len(tally.lost)
    tell(
        *("T27", lost, tally.duplicated, len(everybody), len(poisoned | refused | put_off), seed),
        f"{len(set(others) - unaffected)} others affected, {len(dead)} dead, {too_early + impatient} of {wishes}"
        " wishes to be left alone ignored",
    )
    assert set(others) <= unaffected
    assert (lost, tally.duplicated, too_early, impatient) == (0, 0, 0, 0)
    assert wishes >= len(put_off)
    assert {row["attempts"] for row in dead} == {MOST_ATTEMPTS}
    assert {row["customer_id"] for row in dead} == poisoned | refused
    assert await ground.live() == 0
    assert await ground.find_violations() == []


def _parts(chance, count, parts):
    some = chance.sample(range(count), parts * max(2, count // 30))
    return [some[n::parts] for n in range(parts)]


async def test_poison_that_spoils_what_is_taken_with_it_is_noticed(ground):
    company_id = await ground.found()
    tally = Tally(await ground.visit(company_id, range(5)), ground.outside)
    await _poison(ground, [2])
    guard = "one by one"
    with without(guard):
        await _drain(ground)
    detected(guard, {_of(effect) for effect in tally.lost} - {2})


async def test_a_wish_to_be_left_alone_that_is_ignored_is_noticed(ground, outside):
    company_id = await ground.found()
    await ground.visit(company_id, range(1))
    outside.answer = lambda _call: Answer(429, headers=(("Retry-After", str(WISH)),))
    guard = "retry after"
    with without(guard):
        await _drain(ground)
    early = await ground.ask(
        "SELECT count(*) FROM journey_actions WHERE last_status = 429 AND ready_at < now() + interval '50 min'"
    )
    detected(guard, early)


# ---- one company's crowd next to another's few


async def _ahead(ground, outside, few, crowd, *, is_stuck):
    """How much of a crowd, which was there first and is refused, goes out before the last of another company's few.

    Of mails and of messages by webhook: how many, and of how many. Where the crowd's own system is stuck, it answers
    only when all of the others are out; the mail server is shared.
    """
    quiet, noisy = await ground.found(), await ground.found()
    is_held = is_stuck

    def answer(call):
        if call.company != noisy:
            return Answer()
        return Answer(500, is_held=(lambda: is_held) if call.body else None)

    outside.answer = answer
    everybody = await ground.visit(noisy, range(NOBODY, NOBODY + crowd))
    expected = await ground.visit(quiet, range(few))
    outbox_dispatcher = ground.outbox_dispatcher()
    async with asyncio.timeout(LONG):
        while not expected <= outside.effects(quiet).keys():
            await outbox_dispatcher.poll()
            await asyncio.sleep(0.02)
    is_held = False
    await outbox_dispatcher.close()
    first = {}
    for call in list(outside.calls):
        first.setdefault(call.effect, call.number)
    found = []
    for is_mail in (True, False):
        last = max(first[effect] for effect in expected if (effect[0] == "mail") is is_mail)
        others = [effect for effect in everybody if (effect[0] == "mail") is is_mail]
        found.append((sum(first.get(effect, last) < last for effect in others), len(others)))
    return found


async def test_a_crowd_of_one_company_keeps_no_other_waiting(ground, outside, size, seed):
    few, crowd = size(ci=20, chaos=60, full=100), size(ci=60, chaos=600, full=900)

    found = await _ahead(ground, outside, few, crowd, is_stuck=True)

    tell(
        *("T27", 0, 0, 3 * (few + crowd), crowd, seed),
        " and ".join(f"{ahead} of a crowd's {of} calls" for ahead, of in found)
        + " before the last of the others",
    )
    assert all(ahead < of for ahead, of in found)


async def test_companies_that_wait_for_each_other_are_noticed(ground, outside):
    guard = "turns"
    with without(guard):
        found = await _ahead(ground, outside, 10, 40, is_stuck=False)
    detected(guard, all(ahead == of for ahead, of in found))
