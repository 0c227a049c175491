"""POST /events: what counts, what counts once, and when the sender gets the answer."""

import asyncio

import pytest

from api.calls import API, JSON, NOON, event, fetch, ingest, journey, problem, without_updated_at

CLOUD = "application/cloudevents+json"


def cloud_event(**changes):
    message = {
        "specversion": "1.0",
        "id": "c-1",
        "source": "tests",
        "type": "appointment_completed",
        "subject": "1",
        "time": "2026-03-01T11:00:00Z",
        "data": {"total_amount": 49.9},
    }
    return {name: value for name, value in {**message, **changes}.items() if value is not None}


async def post(http, tenant, values, media=JSON):
    headers = {**tenant.headers, "content-type": media}
    return await http.post(f"{API}/events", headers=headers, json=values)


# ---- applied


async def test_an_event_of_an_unknown_customer_opens_the_journey_and_is_then_evaluated(http, salon):
    answer = await ingest(http, salon, "e-1", total_amount=49.9)

    assert answer["status"] == "applied"
    assert without_updated_at(answer["journey"]) == without_updated_at(await journey(http, salon))
    assert answer["journey"]["current_stage"] == "customer"
    assert answer["journey"]["version"] == 2
    assert answer["journey"]["lifetime_value"] == 49.9
    history = (await fetch(http, salon, "/customers/1/transitions"))["items"]
    assert [(move["seq"], move["from_stage"], move["to_stage"]) for move in history] == [
        (2, "prospect", "customer"),
        (1, None, "prospect"),
    ]
    assert history[1]["trigger_type"] == "system"
    assert history[1]["trigger_event"] == "journey_started"


async def test_the_transition_answered_is_the_one_the_event_caused(http, salon):
    answer = await ingest(http, salon, "e-1")

    caused = answer["transition"]
    assert caused == (await fetch(http, salon, "/customers/1/transitions"))["items"][0]
    assert (caused["trigger_type"], caused["trigger_event"]) == ("automatic", "appointment_completed")
    assert caused["transitioned_at"] == NOON
    assert isinstance(caused["id"], int)


async def test_an_event_answers_when_the_journey_was_last_written(http, salon):
    await ingest(http, salon, "e-1")
    answer = await ingest(http, salon, "e-2")

    assert answer["journey"]["updated_at"] == (await journey(http, salon))["updated_at"]


async def test_an_event_without_a_move_answers_no_transition(http, salon):
    opened = await ingest(http, salon, "e-1", "appointment_booked")
    assert opened["status"] == "applied"
    assert opened["transition"] is None
    assert (opened["journey"]["current_stage"], opened["journey"]["version"]) == ("prospect", 1)

    ticket = await ingest(http, salon, "e-2", "ticket_opened")
    assert ticket["transition"] is None
    assert ticket["journey"]["version"] == 1
    assert ticket["journey"]["last_event_at"] == "2026-03-01T11:00:00Z"


async def test_a_move_that_was_due_before_the_event_is_made_and_is_not_the_event_s(
    http, salon, database_owner
):
    await ingest(http, salon, "e-1")
    await database_owner.set_clock(salon.id, "2026-06-10T12:00:00+00:00")

    late = await ingest(http, salon, "e-2", "ticket_opened")

    assert late["transition"] is None
    assert (late["journey"]["current_stage"], late["journey"]["version"]) == ("at_risk", 3)
    due = (await fetch(http, salon, "/customers/1/transitions"))["items"][0]
    assert due["trigger_event"] == "days_since_last_appointment"
    assert due["transitioned_at"] == "2026-05-31T11:00:00Z"


async def test_the_same_id_of_another_source_or_company_is_another_event(http, salon, create_test_company):
    await ingest(http, salon, "e-1", total_amount=10)
    other_source = await ingest(http, salon, "e-1", source="elsewhere", total_amount=10)
    assert other_source["status"] == "applied"
    assert other_source["journey"]["total_appointments"] == 2

    neighbour = await create_test_company()
    elsewhere = await ingest(http, neighbour, "e-1", total_amount=10)
    assert elsewhere["status"] == "applied"
    assert elsewhere["journey"]["total_appointments"] == 1
    assert (await journey(http, salon))["total_appointments"] == 2


# ---- sent again

FIRST = event(
    "e-1",
    call_duration=90,
    total_amount=20,
    scheduled_for="2026-03-01T10:00:00Z",
    metadata={"chair": 1, "by": {"name": "Ada", "rates": [1, 2.5]}},
)
REWRITTEN = {
    "word for word": FIRST,
    "in another time zone": {**FIRST, "occurred_at": "2026-03-01T13:00:00+02:00"},
    "with a fraction of a second": {**FIRST, "occurred_at": "2026-03-01T11:00:00.000000Z"},
    "with 20.0 for 20": {**FIRST, "data": {**FIRST["data"], "total_amount": 20.0, "call_duration": 90.0}},
    "with 1.0 for 1 in metadata": {
        **FIRST,
        "data": {**FIRST["data"], "metadata": {"chair": 1.0, "by": {"name": "Ada", "rates": [1.0, 2.50]}}},
    },
    "with its keys in another order": {
        **dict(reversed(FIRST.items())),
        "data": {
            **dict(reversed(FIRST["data"].items())),
            "metadata": {"by": {"rates": [1, 2.5], "name": "Ada"}, "chair": 1},
        },
    },
    "with an explicit null": {**FIRST, "data": {**FIRST["data"], "booking_id": None}},
    "as a CloudEvent": {
        "specversion": "1.0",
        "id": "e-1",
        "source": "tests",
        "type": "appointment_completed",
        "subject": "1",
        "time": FIRST["occurred_at"],
        "data": FIRST["data"],
    },
}


@pytest.mark.parametrize("again", REWRITTEN.values(), ids=REWRITTEN)
async def test_the_same_event_counts_once_however_it_is_written(http, salon, again):
    first = (await post(http, salon, FIRST)).json()
    assert first["status"] == "applied"
    await ingest(http, salon, "e-2")

    repeated = await post(http, salon, again)

    assert repeated.status_code == 200
    assert repeated.json()["status"] == "duplicate"
    assert repeated.json()["transition"] == first["transition"] is not None
    assert repeated.json()["journey"] == await journey(http, salon)
    assert repeated.json()["journey"]["total_appointments"] == 2


@pytest.mark.parametrize("again", [{}, {"total_amount": 0}, {"total_amount": None}, {"metadata": {}}])
@pytest.mark.parametrize("first", [{}, {"total_amount": 0}])
async def test_no_amount_is_the_same_as_none_and_no_data_as_empty_data(http, salon, first, again):
    assert (await ingest(http, salon, "e-1", **first))["status"] == "applied"
    assert (await post(http, salon, {**event("e-1"), "data": again})).json()["status"] == "duplicate"


async def test_a_duplicate_of_an_event_without_a_move_answers_no_transition(http, salon):
    await ingest(http, salon, "e-1", "ticket_opened")
    await ingest(http, salon, "e-2")

    repeated = await ingest(http, salon, "e-1", "ticket_opened")

    assert repeated["status"] == "duplicate"
    assert repeated["transition"] is None
    assert repeated["journey"]["current_stage"] == "customer"


CHANGED = {
    "type": {**FIRST, "type": "appointment_missed"},
    "customer": {**FIRST, "customer_id": 2},
    "instant": {**FIRST, "occurred_at": "2026-03-01T11:00:00.000001Z"},
    "amount": {**FIRST, "data": {**FIRST["data"], "total_amount": 20.01}},
    "no data": {name: value for name, value in FIRST.items() if name != "data"},
    "duration": {**FIRST, "data": {**FIRST["data"], "call_duration": 91}},
    "booking": {**FIRST, "data": {**FIRST["data"], "booking_id": "b-1"}},
    "appointed time": {**FIRST, "data": {**FIRST["data"], "scheduled_for": "2026-03-01T10:00:01Z"}},
    "metadata": {**FIRST, "data": {**FIRST["data"], "metadata": {"chair": 2}}},
    "true for 1": {
        **FIRST,
        "data": {**FIRST["data"], "metadata": {"chair": True, "by": {"name": "Ada", "rates": [1, 2.5]}}},
    },
}


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED)
async def test_the_same_id_with_other_content_is_a_conflict_and_changes_nothing(
    http, salon, database_owner, changed
):
    await post(http, salon, FIRST)
    before = await database_owner.rows(salon.id)

    problem(await post(http, salon, changed), 409, "event-id-reused")

    assert await database_owner.rows(salon.id) == before


async def test_the_same_event_sent_many_times_at_once_counts_once(http, salon):
    answers = await asyncio.gather(*(ingest(http, salon, "e-1", total_amount=5) for _ in range(25)))

    assert sorted(answer["status"] for answer in answers) == ["applied"] + ["duplicate"] * 24
    assert len({answer["transition"]["id"] for answer in answers}) == 1
    assert (await journey(http, salon))["lifetime_value"] == 5


# ---- CloudEvents


@pytest.mark.parametrize("media", [JSON, CLOUD, f"{CLOUD}; charset=utf-8"])
async def test_a_cloud_event_s_subject_is_the_customer_and_its_time_the_instant(http, salon, media):
    message = cloud_event(
        subject="4711", time="2026-03-01T10:30:00+01:00", traceparent="00-1", dataschema="s:1"
    )

    answer = await post(http, salon, message, media)

    assert answer.status_code == 200
    assert answer.json()["journey"]["customer_id"] == 4711
    assert answer.json()["journey"]["last_appointment_at"] == "2026-03-01T09:30:00Z"
    assert answer.json()["journey"]["lifetime_value"] == 49.9
    plain = event("c-1", customer_id=4711, occurred_at="2026-03-01T09:30:00Z", total_amount=49.9)
    assert (await post(http, salon, plain)).json()["status"] == "duplicate"


async def test_a_cloud_event_needs_no_data(http, salon):
    assert (await post(http, salon, cloud_event(data=None), CLOUD)).json()["status"] == "applied"


CLOUD_FAULTS = {
    "no subject": ({"subject": None}, ["/subject"]),
    "a subject that is no id": ({"subject": "ada"}, ["/subject"]),
    "a subject that is a number": ({"subject": 1}, ["/subject"]),
    "a subject beyond 64 bits": ({"subject": str(2**63)}, ["/subject"]),
    "a negative subject": ({"subject": "-1"}, ["/subject"]),
    "no time": ({"time": None}, ["/time"]),
    "a time without a zone": ({"time": "2026-03-01T11:00:00"}, ["/time"]),
    "another version": ({"specversion": "0.3"}, ["/specversion"]),
    "no id": ({"id": None}, ["/id"]),
    "no source": ({"source": None}, ["/source"]),
    "an unknown type": ({"type": "com.example.visit"}, ["/type"]),
    "binary data": ({"data": None, "data_base64": "AAAA"}, ["/data_base64"]),
    "data that is not JSON": ({"datacontenttype": "text/xml"}, ["/datacontenttype"]),
    "unknown data": ({"data": {"amount": 1}}, ["/data/amount"]),
    "everything at once": (
        {"subject": None, "time": "noon", "data": {"total_amount": -1}},
        ["/subject", "/time", "/data/total_amount"],
    ),
}


@pytest.mark.parametrize(("changes", "places"), CLOUD_FAULTS.values(), ids=CLOUD_FAULTS)
@pytest.mark.parametrize("media", [JSON, CLOUD])
async def test_a_cloud_event_s_faults_are_named_by_its_own_attributes(
    http, salon, database_owner, media, changes, places
):
    before = await database_owner.rows(salon.id)

    problem(await post(http, salon, cloud_event(**changes), media), 422, "invalid-input", *places)

    assert await database_owner.rows(salon.id) == before


async def test_what_is_sent_as_a_cloud_event_has_to_be_one(http, salon):
    answer = await post(http, salon, event("e-1"), CLOUD)

    problem(answer, 422, "invalid-input", "/specversion", "/subject", "/time")


# ---- the commit


async def test_an_event_is_visible_to_all_readers_once_it_is_answered(http, salon, database):
    async def seen(uow):
        return (await uow.relationships.find(1)).relationship.facts.total_appointments

    for number in range(1, 26):
        await ingest(http, salon, f"e-{number}")
        assert await database.run(salon.id, seen) == number


@pytest.fixture
async def commits_fail(salon, database_owner):
    """Makes the database refuse, at commit, every transaction that wrote an event of the company."""
    await database_owner.connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53300'; END$$"
    )
    await database_owner.connection.execute(
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON journey_events DEFERRABLE INITIALLY DEFERRED"
        f" FOR EACH ROW WHEN (NEW.company_id = {salon.id}) EXECUTE FUNCTION refuse()"
    )

    async def end() -> None:
        await database_owner.connection.execute("DROP FUNCTION IF EXISTS refuse() CASCADE")

    yield end
    await end()


async def test_an_event_whose_commit_fails_is_not_answered_as_applied(
    http, salon, database_owner, commits_fail
):
    before = await database_owner.rows(salon.id)

    refused = await post(http, salon, event("e-1"))

    problem(refused, 503, "unavailable")
    assert refused.headers["retry-after"] in {"1", "2", "3"}
    assert await database_owner.rows(salon.id) == before
    await commits_fail()
    assert (await ingest(http, salon, "e-1"))["status"] == "applied"


async def test_the_owner_s_look_at_the_rows_sees_a_single_event(http, salon, database_owner):
    before = await database_owner.rows(salon.id)
    await ingest(http, salon, "e-1")
    after = await database_owner.rows(salon.id)

    assert {name for name in before if before[name] != after[name]} == {
        "customers",
        "customer_relationships",
        "journey_events",
        "counted_events",
        "journey_transitions",
        "journey_actions",
        "outbound_events",
        "journey_rollups",
        "journey_analytics_summary",
    }
