"""Routes of a journey: state, transitions, manual moves, pins, evaluation, scores, notes."""

import re
from datetime import timedelta

import pytest

from api.calls import API, NOON, event, every_page, fetch, ingest, journey, problem, without_updated_at
from journey_service.domain.events.values import parse_instant
from journey_service.domain.stages.default_stages import DEFAULT_STAGES

INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z")
JOURNEY = {
    *(
        "customer_id",
        "customer_ref",
        "current_stage",
        "stage_name",
        "stage_entered_at",
        "days_in_current_stage",
    ),
    *("previous_stage", "version", "pin_until", "suppressed", "lifetime_value", "total_appointments"),
    *("total_missed", "first_appointment_at", "last_appointment_at", "next_booking_at", "last_event_at"),
    *("risk_score", "engagement_score", "scored_at", "next_evaluation_at", "map_version", "owner", "notes"),
    *("metadata", "created_at", "updated_at"),
}
TRANSITION = {
    *("id", "seq", "from_stage", "to_stage", "transitioned_at", "recorded_at", "trigger_type"),
    *("trigger_event", "actor", "performed_by", "notes", "reasons", "map_version", "is_silent"),
}
SPRING = "2026-04-01T00:00:00Z"


def changed(tenant, version, **headers):
    return {**tenant.headers, "If-Match": f'"{version}"', **headers}


async def move(http, tenant, to_stage, *, version=2, key=None, **body):
    headers = changed(tenant, version, **({} if key is None else {"Idempotency-Key": key}))
    return await http.post(
        f"{API}/customers/1/transitions", headers=headers, json={"to_stage": to_stage, **body}
    )


async def pin(http, tenant, until, *, version=2):
    return await http.put(
        f"{API}/customers/1/pin", headers=changed(tenant, version), json={"pin_until": until}
    )


async def unpin(http, tenant, *, version=2):
    return await http.delete(f"{API}/customers/1/pin", headers=changed(tenant, version))


async def evaluate(http, tenant, **params):
    return await http.post(f"{API}/customers/1/evaluate", headers=tenant.headers, params=params)


async def history(http, tenant):
    [moves] = await every_page(http, tenant.headers, "/customers/1/transitions")
    return moves


# ---- state


async def test_a_journey_has_every_field(http, salon):
    await ingest(http, salon, "e-0", occurred_at="2026-02-01T08:00:00+01:00", total_amount=49.9)
    await ingest(http, salon, "e-1", "appointment_missed", occurred_at="2026-02-10T09:00:00Z")
    await ingest(http, salon, "e-2", "ticket_opened", occurred_at="2026-02-28T09:00:00.5Z")

    answer = await http.get(f"{API}/customers/1/journey", headers=salon.headers)

    assert answer.headers["etag"] == '"2"'
    payload = answer.json()
    assert payload.keys() == JOURNEY
    updated_at = payload.pop("updated_at")
    assert INSTANT.fullmatch(updated_at)
    assert payload == {
        "customer_id": 1,
        "customer_ref": None,
        "current_stage": "customer",
        "stage_name": "Customer",
        "stage_entered_at": NOON,
        "days_in_current_stage": 0,
        "previous_stage": "prospect",
        "version": 2,
        "pin_until": None,
        "suppressed": [],
        "lifetime_value": 49.9,
        "total_appointments": 1,
        "total_missed": 1,
        "first_appointment_at": "2026-02-01T07:00:00Z",
        "last_appointment_at": "2026-02-01T07:00:00Z",
        "next_booking_at": None,
        "last_event_at": "2026-02-28T09:00:00.500000Z",
        "risk_score": 0.2,
        "engagement_score": 0.44,
        "scored_at": NOON,
        "next_evaluation_at": payload["next_evaluation_at"],
        "map_version": 1,
        "owner": None,
        "notes": None,
        "metadata": None,
        "created_at": NOON,
    }
    assert parse_instant(payload["next_evaluation_at"], "") > parse_instant(NOON, "")


async def test_unknown_facts_of_a_journey_are_null(http, salon):
    await ingest(http, salon, "e-1", "appointment_booked")

    payload = await journey(http, salon)

    assert payload["current_stage"] == "prospect"
    assert (
        payload["previous_stage"] is payload["first_appointment_at"] is payload["last_appointment_at"] is None
    )
    assert (payload["lifetime_value"], payload["risk_score"], payload["engagement_score"]) == (0, 0, 0.5)


async def test_days_and_scores_are_as_of_the_company_s_now(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await database_owner.set_clock(salon.id, "2026-03-31T11:59:59+00:00")
    almost = await journey(http, salon)
    await database_owner.set_clock(salon.id, "2026-03-31T12:00:00+00:00")
    thirty = await journey(http, salon)

    assert (almost["days_in_current_stage"], thirty["days_in_current_stage"]) == (29, 30)
    assert thirty["scored_at"] == "2026-03-31T12:00:00Z"
    assert (
        thirty["engagement_score"]
        < (await fetch(http, salon, "/customers"))["items"][0]["journey"]["engagement_score"]
    )


async def test_money_and_scores_are_numbers_with_two_decimals(http, salon):
    for number in range(3):
        await ingest(http, salon, f"e-{number}", total_amount=0.1)

    answer = await http.get(f"{API}/customers/1/journey", headers=salon.headers)

    assert '"lifetime_value":0.3,' in answer.text
    assert re.search(r'"engagement_score":0\.\d{1,2},', answer.text)


# ---- transitions


async def test_transitions_are_paged_newest_first(http, salon):
    await ingest(http, salon, "e-1", "call_received", call_duration=61)
    await ingest(http, salon, "e-2")
    for version in range(3, 8):
        stage = "vip" if version % 2 else "prospect"
        assert (await move(http, salon, stage, version=version)).status_code == 201

    for limit in (1, 3, 8, 200):
        pages = await every_page(http, salon.headers, "/customers/1/transitions", limit=limit)
        assert [one["seq"] for page in pages for one in page] == [8, 7, 6, 5, 4, 3, 2, 1]
        assert all(len(page) == limit for page in pages[:-1])
    chain = (await history(http, salon))[::-1]
    assert [one["from_stage"] for one in chain] == [None] + [one["to_stage"] for one in chain[:-1]]
    for one in chain:
        assert one.keys() == TRANSITION
        assert INSTANT.fullmatch(one["transitioned_at"])
        assert INSTANT.fullmatch(one["recorded_at"])
    assert len({one["id"] for one in chain}) == 8


async def test_a_transition_keeps_the_reasons_for_it(http, salon):
    await ingest(http, salon, "e-1", total_amount=1000)

    reasons = {one["stage"]: one for one in (await history(http, salon))[0]["reasons"]}

    assert reasons["vip"] == {
        "stage": "vip",
        "kind": "progress",
        "held": True,
        "paused_by": None,
        "rules": [
            {
                "trigger": "lifetime_value",
                "held": True,
                "conditions": [{"field": "value", "condition": ">=1000", "value": 1000, "held": True}],
            }
        ],
    }
    assert not reasons["at_risk"]["held"]
    assert reasons["at_risk"]["rules"][0]["conditions"] == [
        {"field": "days", "condition": ">90", "value": 0, "held": False}
    ]


# ---- manual moves


async def test_a_person_moves_a_customer(http, salon):
    await ingest(http, salon, "e-1")

    answer = await move(http, salon, "vip", notes="Knows the owner", performed_by=77)

    assert answer.status_code == 201
    assert answer.headers["etag"] == '"3"'
    payload = answer.json()
    assert payload.keys() == {"transition", "journey", "pinned"}
    assert payload["pinned"] is None
    assert without_updated_at(payload["journey"]) == without_updated_at(await journey(http, salon))
    assert (payload["journey"]["current_stage"], payload["journey"]["previous_stage"]) == ("vip", "customer")
    made = payload["transition"]
    assert made == (await history(http, salon))[0]
    assert {name: made[name] for name in TRANSITION - {"id", "recorded_at", "reasons"}} == {
        "seq": 3,
        "from_stage": "customer",
        "to_stage": "vip",
        "transitioned_at": NOON,
        "trigger_type": "manual",
        "trigger_event": None,
        "actor": f"key:{salon.token.split('_')[1]}",
        "performed_by": 77,
        "notes": "Knows the owner",
        "map_version": 1,
        "is_silent": False,
    }


@pytest.mark.parametrize("seen", ['"2"', 'W/"2"', "2", ' "2" '])
async def test_if_match_accepts_etags_and_bare_versions(http, salon, seen):
    await ingest(http, salon, "e-1")

    answer = await http.post(
        f"{API}/customers/1/transitions",
        headers={**salon.headers, "If-Match": seen},
        json={"to_stage": "vip"},
    )

    assert answer.status_code == 201


async def test_of_two_moves_based_on_one_version_the_second_is_stale(http, salon):
    await ingest(http, salon, "e-1")

    first, second = await move(http, salon, "vip"), await move(http, salon, "prospect")

    assert first.status_code == 201
    assert problem(second, 412, "stale-version")["current_version"] == 3
    assert (await journey(http, salon))["current_stage"] == "vip"


async def test_a_move_without_actions_starts_none_and_is_marked_as_silent(http, salon):
    await ingest(http, salon, "e-1")

    async def planned():
        return {action["id"] for action in (await fetch(http, salon, "/actions", customer_id=1))["items"]}

    before = await planned()
    silent = await move(http, salon, "vip", key="k-1", run_actions=False)
    assert (silent.status_code, silent.json()["transition"]["is_silent"]) == (201, True)
    assert await planned() == before
    problem(await move(http, salon, "vip", key="k-1"), 422, "idempotency-key-reused")
    repeated = await move(http, salon, "vip", key="k-1", run_actions=False)
    assert (repeated.status_code, repeated.json()["transition"]) == (200, silent.json()["transition"])

    # A move down runs actions only if the request says so.
    loud = await move(http, salon, "lead", version=3, run_actions=True)
    assert loud.json()["transition"]["is_silent"] is False
    assert len((await fetch(http, salon, "/actions", customer_id=1))["items"]) > len(before)


async def test_a_move_repeated_with_the_same_key_is_made_once(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    first = await move(http, salon, "vip", key="k-1", notes="n", pin_until=SPRING)
    before = await database_owner.rows(salon.id)

    again = await move(http, salon, "vip", key="k-1", notes="n", pin_until="2026-04-01T02:00:00+02:00")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["etag"] == first.headers["etag"] == '"3"'
    assert again.json()["transition"] == first.json()["transition"]
    assert await database_owner.rows(salon.id) == before


async def test_a_repeated_move_reports_its_pin_again(http, salon):
    await ingest(http, salon, "e-1", total_amount=1000)

    first = await move(http, salon, "customer", key="k-1")
    again = await move(http, salon, "customer", key="k-1")

    assert first.json()["pinned"] is not None
    assert (again.status_code, again.json()["pinned"]) == (200, first.json()["pinned"])


@pytest.mark.parametrize(
    "other",
    [
        {"to_stage": "regular"},
        {"notes": "other"},
        {"notes": None},
        {"pin_until": "2026-04-02T00:00:00Z"},
        {"pin_until": None},
        {"performed_by": 2},
    ],
    ids=str,
)
async def test_a_key_that_was_used_for_another_move_is_refused(http, salon, database_owner, other):
    await ingest(http, salon, "e-1")
    requested = {"to_stage": "vip", "notes": "n", "pin_until": SPRING, "performed_by": 1}
    assert (await move(http, salon, **requested, key="k-1")).status_code == 201
    before = await database_owner.rows(salon.id)

    answer = await move(http, salon, **{**requested, **other}, key="k-1")

    problem(answer, 422, "idempotency-key-reused")
    assert await database_owner.rows(salon.id) == before


async def test_a_repeated_move_returns_the_first_response_after_later_moves(http, salon):
    await ingest(http, salon, "e-1")
    first = await move(http, salon, "vip", key="k-1")
    assert (await move(http, salon, "prospect", version=3, key="k-2")).status_code == 201

    again = await move(http, salon, "vip", key="k-1")

    assert again.status_code == 200
    assert again.json()["transition"] == first.json()["transition"]
    assert again.json()["journey"]["current_stage"] == "prospect"
    assert again.headers["etag"] == '"4"'


async def test_without_a_key_a_repeated_move_is_stale(http, salon):
    await ingest(http, salon, "e-1")
    await move(http, salon, "vip")

    problem(await move(http, salon, "vip"), 412, "stale-version")


async def test_one_key_serves_two_customers(http, salon):
    for customer_id in (1, 2):
        await ingest(http, salon, f"e-{customer_id}", customer_id=customer_id)
        answer = await http.post(
            f"{API}/customers/{customer_id}/transitions",
            headers=changed(salon, 2, **{"Idempotency-Key": "k-1"}),
            json={"to_stage": "vip"},
        )
        assert answer.status_code == 201


async def test_a_move_that_the_rules_would_undo_is_pinned_and_reported(http, create_test_company):
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""), policy={"manual_pin_days": 7})
    await ingest(http, tenant, "e-1", total_amount=1000)

    answer = await move(http, tenant, "customer")

    assert answer.status_code == 201
    assert answer.json()["pinned"]["until"] == "2026-03-08T12:00:00Z"
    assert answer.json()["pinned"]["reason"]
    shown = await journey(http, tenant)
    assert (shown["current_stage"], shown["pin_until"]) == ("customer", "2026-03-08T12:00:00Z")
    assert shown["suppressed"] == [{"to_stage": "vip", "at": NOON, "trigger_event": "lifetime_value"}]


async def test_a_move_with_a_pin_of_its_own_keeps_that_pin(http, salon):
    await ingest(http, salon, "e-1", total_amount=1000)

    answer = await move(http, salon, "customer", pin_until=SPRING)

    assert answer.json()["pinned"] is None
    assert answer.json()["journey"]["pin_until"] == SPRING


# ---- pins


async def test_a_pin_keeps_the_stage_and_records_suppressed_moves(http, salon):
    await ingest(http, salon, "e-1", "call_received", call_duration=61)

    put = await pin(http, salon, SPRING)
    assert (put.status_code, put.headers["etag"]) == (200, '"2"')
    assert put.json()["pin_until"] == SPRING
    assert put.json()["suppressed"] == []
    for number in (2, 3):
        visit = await ingest(http, salon, f"e-{number}", total_amount=600)
        assert visit["transition"] is None
        assert visit["journey"]["current_stage"] == "lead"

    shown = await journey(http, salon)
    assert shown["version"] == 2
    assert shown["suppressed"] == [
        {"to_stage": "customer", "at": NOON, "trigger_event": "appointment_completed"},
        {"to_stage": "vip", "at": NOON, "trigger_event": "lifetime_value"},
    ]


async def test_a_changed_pin_keeps_its_suppressed_moves(http, salon):
    await ingest(http, salon, "e-1", "call_received", call_duration=61)
    await pin(http, salon, SPRING)
    await ingest(http, salon, "e-2")

    changed_to = (await pin(http, salon, "2026-03-10T00:00:00+01:00")).json()

    assert changed_to["pin_until"] == "2026-03-09T23:00:00Z"
    assert [one["to_stage"] for one in changed_to["suppressed"]] == ["customer"]


async def test_removing_a_pin_evaluates_the_customer_at_once(http, salon):
    await ingest(http, salon, "e-1", "call_received", call_duration=61)
    await pin(http, salon, SPRING)
    await ingest(http, salon, "e-2")

    lifted = await unpin(http, salon)

    assert (lifted.status_code, lifted.headers["etag"]) == (200, '"3"')
    assert lifted.json()["pin_until"] is None
    assert lifted.json()["current_stage"] == "customer"
    assert (await history(http, salon))[0]["trigger_event"] == "appointment_completed"
    problem(await unpin(http, salon, version=3), 409, "not-pinned")


async def test_removing_a_pin_without_suppressed_moves_changes_no_stage(http, salon):
    await ingest(http, salon, "e-1")
    await pin(http, salon, SPRING)

    lifted = await unpin(http, salon)

    assert lifted.json()["pin_until"] is None
    assert (lifted.json()["current_stage"], lifted.json()["version"]) == ("customer", 2)


async def test_an_expired_pin_cannot_be_removed(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await pin(http, salon, SPRING)
    await database_owner.set_clock(salon.id, "2026-04-01T00:00:00+00:00")

    problem(await unpin(http, salon), 409, "not-pinned")


# ---- evaluation


async def test_a_dry_run_computes_the_transitions_and_writes_nothing(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await database_owner.set_clock(salon.id, "2026-09-30T12:00:00+00:00")
    before = await database_owner.rows(salon.id)

    answer = await evaluate(http, salon, dry_run=True)

    assert answer.status_code == 200
    assert "etag" not in answer.headers
    payload = answer.json()
    assert payload.keys() == {"status", "dry_run", "transitions", "suppressed_to", "reasons", "journey"}
    assert (payload["status"], payload["dry_run"]) == ("moved", True)
    assert [(one["id"], one["seq"], one["to_stage"]) for one in payload["transitions"]] == [
        (None, 3, "at_risk"),
        (None, 4, "churned"),
    ]
    assert await database_owner.rows(salon.id) == before


async def test_an_evaluation_makes_each_move_at_its_due_time(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await database_owner.set_clock(salon.id, "2026-09-30T12:00:00+00:00")
    planned = (await evaluate(http, salon, dry_run=True)).json()["transitions"]

    answer = await evaluate(http, salon)

    payload = answer.json()
    assert answer.headers["etag"] == '"4"'
    assert (payload["status"], payload["dry_run"]) == ("moved", False)
    visit = parse_instant("2026-03-01T11:00:00Z", "")
    assert [parse_instant(one["transitioned_at"], "") - visit for one in payload["transitions"]] == [
        timedelta(days=91),
        timedelta(days=181),
    ]
    assert payload["transitions"] == (await history(http, salon))[1::-1]
    kept = [{**one, "id": None, "recorded_at": None} for one in payload["transitions"]]
    assert kept == [{**one, "recorded_at": None} for one in planned]
    assert without_updated_at(payload["journey"]) == without_updated_at(await journey(http, salon))
    assert payload["journey"]["current_stage"] == "churned"


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_evaluation_with_nothing_due_reports_stayed(http, salon, dry_run):
    await ingest(http, salon, "e-1")

    payload = (await evaluate(http, salon, dry_run=dry_run)).json()

    assert (payload["status"], payload["transitions"], payload["suppressed_to"]) == ("stayed", [], None)
    assert payload["journey"]["version"] == 2
    assert {one["stage"]: one["held"] for one in payload["reasons"]}["at_risk"] is False
    assert (await evaluate(http, salon)).headers["etag"] == '"2"'


async def test_an_evaluation_reports_suppressed_moves(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await pin(http, salon, "2026-12-01T00:00:00Z")
    await database_owner.set_clock(salon.id, "2026-07-01T12:00:00+00:00")

    payload = (await evaluate(http, salon)).json()

    assert (payload["status"], payload["suppressed_to"], payload["transitions"]) == (
        "suppressed",
        "at_risk",
        [],
    )
    assert payload["journey"]["suppressed"] == [
        {
            "to_stage": "at_risk",
            "at": "2026-05-31T11:00:00Z",
            "trigger_event": "days_since_last_appointment",
        }
    ]


# ---- scores

ENGAGEMENT = ["appointment_frequency", "recency", "monetary_value", "interaction_quality"]
RISK = [
    *("days_inactive", "days_very_inactive", "missed_appointments", "declining_frequency"),
    "support_tickets",
]
FACTOR = {"name", "value", "threshold", "weight", "contribution"}


def hundredths(factors):
    return sum(round(factor["contribution"] * 100) for factor in factors)


async def test_scores_have_every_factor(http, salon):
    await ingest(http, salon, "e-1", total_amount=250)

    scores = await fetch(http, salon, "/customers/1/scores")

    assert scores.keys() == {"as_of", "engagement", "risk"}
    assert scores["as_of"] == NOON
    assert scores["engagement"]["score"] == 0.58
    engagement = {factor["name"]: factor for factor in scores["engagement"]["factors"]}
    assert list(engagement) == ENGAGEMENT
    assert engagement["appointment_frequency"] == {
        "name": "appointment_frequency",
        "value": 0.3333,
        "threshold": 3,
        "weight": 0.3,
        "contribution": 0.1,
    }
    assert [factor["value"] for factor in engagement.values()] == [0.3333, 1, 0.25, 0.6667]
    assert [factor["weight"] for factor in engagement.values()] == [0.3, 0.3, 0.2, 0.2]
    assert scores["risk"]["score"] == 0
    assert [factor["name"] for factor in scores["risk"]["factors"]] == RISK
    assert [factor["weight"] for factor in scores["risk"]["factors"]] == [0.3, 0.3, 0.2, 0.2, 0]


async def test_a_new_relationship_has_the_initial_scores(http, salon):
    await ingest(http, salon, "e-1", "appointment_booked")

    scores = await fetch(http, salon, "/customers/1/scores")

    assert (scores["engagement"]["score"], scores["risk"]["score"]) == (0.5, 0)
    for part in ("engagement", "risk"):
        assert scores[part]["factors"][-1]["name"] == "new_relationship"
        assert scores[part]["factors"][-1]["contribution"] == scores[part]["score"]
        assert hundredths(scores[part]["factors"]) == round(scores[part]["score"] * 100)


STORIES = {
    "a regular": [("appointment_completed", f"2026-0{m}-1{m}T09:00:00Z", 33.33) for m in (1, 2)] * 3,
    "a customer who misses appointments": [
        ("appointment_missed", f"2026-02-{d}T09:00:00Z", None) for d in (11, 12)
    ],
    "a customer who came more often": [
        *(("appointment_completed", f"2025-11-0{day}T09:00:00Z", 700) for day in range(1, 8)),
        ("appointment_missed", "2026-02-01T09:00:00Z", None),
        ("appointment_missed", "2026-02-02T09:00:00Z", None),
        ("ticket_opened", "2026-02-02T09:00:00Z", None),
    ],
    "a caller": [("call_received", "2026-02-11T09:00:00Z", None)] * 3,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_contributions_add_up_to_the_score(http, salon, story):
    for number, (type_, at, amount) in enumerate(story):
        data = {"call_duration": 90} if type_ == "call_received" else {"total_amount": amount}
        await ingest(http, salon, f"e-{number}", type_, occurred_at=at, **data)

    scores = await fetch(http, salon, "/customers/1/scores")
    shown = await journey(http, salon)

    for part in ("engagement", "risk"):
        assert scores[part]["score"] == shown[f"{part}_score"]
        assert hundredths(scores[part]["factors"]) == round(scores[part]["score"] * 100)
        assert all(factor.keys() == FACTOR for factor in scores[part]["factors"])


async def test_the_stories_reach_both_ends_of_risk(http, salon):
    for number, (type_, at, amount) in enumerate(STORIES["a customer who came more often"]):
        await ingest(http, salon, f"e-{number}", type_, occurred_at=at, total_amount=amount)

    risk = (await fetch(http, salon, "/customers/1/scores"))["risk"]

    assert risk["score"] == 1
    assert [factor["contribution"] for factor in risk["factors"]] == [0.3, 0.3, 0.2, 0.2, 0]


# ---- notes


async def annotate(http, tenant, body, *, version=2):
    return await http.patch(f"{API}/customers/1/journey", headers=changed(tenant, version), json=body)


async def test_notes_and_metadata_are_independent_and_do_not_change_the_version(http, salon):
    await ingest(http, salon, "e-1")
    free = {"chair": 3, "likes": ["tea", {"sugar": None}], "ümläut": "日本"}

    noted = await annotate(http, salon, {"notes": "Prefers mornings"})
    assert (noted.status_code, noted.headers["etag"]) == (200, '"2"')
    assert (noted.json()["notes"], noted.json()["metadata"]) == ("Prefers mornings", None)
    both = await annotate(http, salon, {"metadata": free})
    assert (both.json()["notes"], both.json()["metadata"]) == ("Prefers mornings", free)
    cleared = await annotate(http, salon, {"notes": None})

    assert (cleared.json()["notes"], cleared.json()["metadata"]) == (None, free)
    assert cleared.json() == await journey(http, salon)
    assert cleared.json()["version"] == 2
    assert len(await history(http, salon)) == 2


async def test_the_owner_is_set_and_removed_by_hand_until_an_action_assigns_one(http, salon):
    await ingest(http, salon, "e-1")
    await annotate(http, salon, {"notes": "n"})

    owned = await annotate(http, salon, {"owner": "ben"})
    assert (owned.json()["owner"], owned.json()["notes"], owned.json()["version"]) == ("ben", "n", 2)
    listed = await http.get(f"{API}/customers", headers=salon.headers, params={"owner": "ben"})
    assert [item["customer_id"] for item in listed.json()["items"]] == [1]
    moved = (await move(http, salon, "lead", run_actions=True)).json()["journey"]
    assert moved["owner"] == "sales", "the stage assigns an owner of its own"
    freed = await annotate(http, salon, {"owner": None}, version=3)

    assert (freed.json()["owner"], freed.json()["notes"]) == (None, "n")


async def test_an_owner_is_one_line_of_at_most_255_characters(http, salon):
    await ingest(http, salon, "e-1")

    for owner in ("", "two\nlines", "a" * 256):
        refused = await annotate(http, salon, {"owner": owner})
        assert refused.status_code == 422, owner
    assert (await annotate(http, salon, {"owner": "a" * 255})).status_code == 200


async def test_notes_of_a_journey_outlast_its_moves(http, salon):
    await ingest(http, salon, "e-1")
    await annotate(http, salon, {"notes": "n", "metadata": {"a": 1}})

    moved = (await move(http, salon, "vip", notes="of the move")).json()["journey"]

    assert (moved["notes"], moved["metadata"]) == ("n", {"a": 1})


# ---- the map


async def test_the_stage_map_is_shown_as_it_is_written(http, salon):
    payload = await fetch(http, salon, "/stages")

    assert payload.keys() == {
        *("version", "stages", "warnings", "findings", "author", "created_at"),
        *("activated_at", "activation", "notes", "is_current"),
    }
    assert (payload["version"], payload["warnings"]) == (1, [])
    assert [
        {
            name: value
            for name, value in stage.items()
            if name not in ("retention_days", "is_active", "remapped_to")
        }
        for stage in payload["stages"]
    ] == [dict(stage) for stage in DEFAULT_STAGES]


async def test_events_in_a_batch_and_one_by_one_write_the_same_journey(http, create_test_company):
    payload = [
        event("e-1", "call_received", call_duration=61),
        event("e-2", total_amount=20),
        event("e-3", total_amount=30),
        event("e-4", "appointment_missed"),
        event("e-5", total_amount=990),
    ]
    one_by_one, together = [await create_test_company(test_clock=parse_instant(NOON, "")) for _ in range(2)]
    for one in payload:
        await http.post(f"{API}/events", headers=one_by_one.headers, json=one)
    await http.post(f"{API}/events/batch", headers=together.headers, json=payload)

    assert without_updated_at(await journey(http, together)) == without_updated_at(
        await journey(http, one_by_one)
    )
    first, second = await history(http, together), await history(http, one_by_one)
    changing = {"id": None, "recorded_at": None}
    assert [{**one, **changing} for one in first] == [{**one, **changing} for one in second]
