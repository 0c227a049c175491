"""Explanations: every date, amount and sentence is compared with what then happens."""

import pytest

from api.calls import API, NOON, fetch, ingest, journey, problem, without_updated_at
from journey_service.domain.events.values import parse_instant

DAYS_91 = "2026-05-31T11:00:00Z"
"""The time from which an appointment on March 1 at eleven is more than ninety days ago."""
DAYS_181 = "2026-08-29T11:00:00Z"
EXPLANATION = {
    *(
        "as_of",
        "customer_id",
        "customer_ref",
        "current_stage",
        "stage_name",
        "since",
        "days_in_stage",
        "why",
        "pin",
    ),
    *("risk_pause", "due_move", "upcoming", "searched_until", "paths"),
}
WHY = {"sentence", "trigger_type", "trigger_event", "map_version", "transition", "details"}
PATH = {
    *("to_stage", "direction", "trigger", "condition", "value", "missing", "unit", "needs", "at", "leads_to"),
    "sentence",
}


async def explain(http, tenant, customer_id=1):
    return await fetch(http, tenant, f"/customers/{customer_id}/explanation")


def path_to(payload, to_stage, trigger):
    [path] = [one for one in payload["paths"] if (one["to_stage"], one["trigger"]) == (to_stage, trigger)]
    return path


async def turn(http, tenant, operator, to):
    """Advances the company's clock as an operator."""
    answer = await http.post(
        f"{API}/admin/companies/{tenant.id}/clock", headers=operator, json={"advance_to": to}
    )
    assert answer.status_code == 200, answer.text


async def change(http, tenant, method, path, **body):
    version = (await journey(http, tenant))["version"]
    answer = await http.request(
        method,
        f"{API}/customers/1{path}",
        headers={**tenant.headers, "If-Match": f'"{version}"'},
        json=body or None,
    )
    assert answer.status_code in (200, 201), answer.text


async def test_an_explanation_has_every_field(http, salon):
    await ingest(http, salon, "e-1", total_amount=880)

    payload = await explain(http, salon)

    assert payload.keys() == EXPLANATION
    assert {
        name: payload[name] for name in ("customer_id", "current_stage", "stage_name", "as_of", "since")
    } == {
        "customer_id": 1,
        "current_stage": "customer",
        "stage_name": "Customer",
        "as_of": NOON,
        "since": NOON,
    }
    assert (payload["days_in_stage"], payload["pin"], payload["due_move"]) == (0, None, None)
    assert payload["why"].keys() == WHY
    assert payload["why"]["sentence"] == "customer since 2026-03-01: there was an appointment"
    assert [
        payload["why"][name] for name in ("trigger_type", "trigger_event", "map_version", "transition")
    ] == [
        "automatic",
        "appointment_completed",
        1,
        2,
    ]
    assert all(path.keys() == PATH for path in payload["paths"])
    assert [(path["to_stage"], path["trigger"], path["direction"]) for path in payload["paths"]] == [
        ("regular", "appointment_count", "progress"),
        ("vip", "lifetime_value", "progress"),
        ("at_risk", "days_since_last_appointment", "risk"),
        ("at_risk", "risk_score", "risk"),
        ("churned", "days_since_last_appointment", "risk"),
    ]


async def test_every_evaluated_condition_is_explained(http, salon):
    await ingest(http, salon, "e-1", total_amount=880)

    details = (await explain(http, salon))["why"]["details"]

    [reasons] = [
        one["reasons"]
        for one in (await fetch(http, salon, "/customers/1/transitions"))["items"]
        if one["seq"] == 2
    ]
    assert [(one["stage"], one["trigger"]) for one in details] == [
        (reason["stage"], one["trigger"]) for reason in reasons for one in reason["rules"]
    ]
    by_stage = {(one["stage"], one["trigger"]): one for one in details}
    assert by_stage["vip", "lifetime_value"] == {
        "stage": "vip",
        "trigger": "lifetime_value",
        "condition": ">=1000",
        "value": 880,
        "held": False,
        "sentence": "lifetime value is 880.00 (required: at least 1,000.00)",
    }
    assert by_stage["customer", "appointment_completed"] == {
        "stage": "customer",
        "trigger": "appointment_completed",
        "condition": None,
        "value": None,
        "held": True,
        "sentence": "there was an appointment",
    }


async def test_a_new_journey_is_explained(http, salon):
    await ingest(http, salon, "e-1", "appointment_booked")

    payload = await explain(http, salon)

    assert payload["why"]["sentence"] == "the journey began in prospect on 2026-03-01"
    assert (payload["why"]["trigger_type"], payload["why"]["details"]) == ("system", [])
    assert payload["upcoming"] == []
    assert path_to(payload, "lead", "call_received")["needs"] == {
        "event": "call_received",
        "times": 1,
        "total_amount": None,
        "call_duration": 61,
    }


# ---- what is missing


async def test_the_missing_amount_is_exact_to_the_cent(http, salon):
    for customer_id in (1, 2):
        await ingest(http, salon, f"first-{customer_id}", customer_id=customer_id, total_amount=880)

    path = path_to(await explain(http, salon), "vip", "lifetime_value")

    assert path == {
        "to_stage": "vip",
        "direction": "progress",
        "trigger": "lifetime_value",
        "condition": ">=1000",
        "value": 880,
        "missing": 120,
        "unit": "money",
        "needs": {
            "event": "appointment_completed",
            "times": 1,
            "total_amount": 120,
            "call_duration": None,
        },
        "at": None,
        "leads_to": "vip",
        "sentence": "EUR 120.00 more needed for vip",
    }
    await ingest(http, salon, "less", customer_id=1, total_amount=119.99)
    await ingest(http, salon, "enough", customer_id=2, total_amount=120)
    assert (await journey(http, salon, 1))["current_stage"] == "customer"
    assert (await journey(http, salon, 2))["current_stage"] == "vip"
    assert (
        path_to(await explain(http, salon), "vip", "lifetime_value")["sentence"]
        == "EUR 0.01 more needed for vip"
    )
    assert (await explain(http, salon, 2))["why"]["sentence"] == (
        "vip since 2026-03-01: lifetime value is 1,000.00 (required: at least 1,000.00)"
    )


async def test_the_missing_number_of_appointments_is_exact(http, salon):
    await ingest(http, salon, "e-1")
    path = path_to(await explain(http, salon), "regular", "appointment_count")
    assert (path["missing"], path["unit"], path["sentence"]) == (
        2,
        "appointments",
        "2 more appointments needed for regular",
    )

    await ingest(http, salon, "e-2")
    assert (await journey(http, salon))["current_stage"] == "customer"
    path = path_to(await explain(http, salon), "regular", "appointment_count")
    assert path["sentence"] == "1 more appointment needed for regular"

    await ingest(http, salon, "e-3")
    assert (await journey(http, salon))["current_stage"] == "regular"


async def test_the_required_event_moves_the_customer(http, salon):
    await ingest(http, salon, "e-1", "call_received", call_duration=10)

    path = path_to(await explain(http, salon), "lead", "call_received")

    assert path["sentence"] == "lead requires a call of more than 60 seconds"
    needed = path["needs"]
    await ingest(http, salon, "short", needed["event"], call_duration=needed["call_duration"] - 1)
    assert (await journey(http, salon))["current_stage"] == "prospect"
    await ingest(http, salon, "long", needed["event"], call_duration=needed["call_duration"])
    assert (await journey(http, salon))["current_stage"] == path["leads_to"] == "lead"


# ---- upcoming moves


async def test_the_date_of_the_next_move_is_exact_to_the_second(http, salon, operator):
    await ingest(http, salon, "e-1")

    payload = await explain(http, salon)

    first, second = payload["upcoming"]
    assert first == {
        "to_stage": "at_risk",
        "at": DAYS_91,
        "trigger_event": "days_since_last_appointment",
        "unless": "appointment_completed",
        "sentence": "at_risk on 2026-05-31 unless there is an appointment",
    }
    assert (second["to_stage"], second["at"]) == ("churned", DAYS_181)
    path = path_to(payload, "at_risk", "days_since_last_appointment")
    assert (path["at"], path["value"], path["missing"], path["unit"]) == (DAYS_91, 0, 91, "days")
    assert path["sentence"] == first["sentence"]

    await turn(http, salon, operator, "2026-05-31T10:59:59Z")
    assert (await journey(http, salon))["current_stage"] == "customer"
    await turn(http, salon, operator, DAYS_91)
    assert (await journey(http, salon))["current_stage"] == "at_risk"
    payload = await explain(http, salon)
    assert payload["why"]["sentence"] == (
        "at_risk since 2026-05-31: 91 days since the last appointment (required: more than 90)"
    )
    assert [one["to_stage"] for one in payload["upcoming"]] == ["churned"]
    back = path_to(payload, "customer", "appointment_completed")
    assert (back["direction"], back["sentence"]) == ("return", "back to customer with an appointment")


async def test_an_appointment_prevents_the_move_as_announced(http, salon, operator):
    await ingest(http, salon, "e-1")
    assert (await explain(http, salon))["upcoming"][0]["unless"] == "appointment_completed"

    await ingest(http, salon, "e-2", occurred_at=NOON)
    await turn(http, salon, operator, DAYS_91)

    assert (await journey(http, salon))["current_stage"] == "customer"
    assert (await explain(http, salon))["upcoming"][0]["at"] == "2026-05-31T12:00:00Z"


async def test_days_in_sentences_are_in_the_company_s_time_zone(http, create_test_company):
    tenant = await create_test_company(timezone="Pacific/Auckland", test_clock=parse_instant(NOON, ""))
    await ingest(http, tenant, "e-1")

    first = (await explain(http, tenant))["upcoming"][0]

    assert first["at"] == DAYS_91  # which is 23:00 there
    assert first["sentence"].startswith("at_risk on 2026-05-31 ")
    await ingest(http, tenant, "e-2", occurred_at=NOON)
    first = (await explain(http, tenant))["upcoming"][0]
    assert first["at"] == "2026-05-31T12:00:00Z"
    assert first["sentence"].startswith("at_risk on 2026-06-01 ")


async def test_a_due_move_that_is_not_written_yet_is_explained(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await database_owner.set_clock(salon.id, "2026-06-30T12:00:00+00:00")  # without an evaluation

    payload = await explain(http, salon)

    assert payload["current_stage"] == "customer"
    assert payload["due_move"] == {
        "to_stage": "at_risk",
        "trigger_event": "days_since_last_appointment",
        "due_at": DAYS_91,
        "is_suppressed": False,
        "sentence": "at_risk has been due since 2026-05-31 and will be recorded shortly",
    }
    assert payload["upcoming"][0]["sentence"] == "at_risk since 2026-05-31, will be recorded shortly"
    assert path_to(payload, "at_risk", "risk_score")["sentence"] == "at_risk is already due"


# ---- pins and manual moves


async def test_a_pin_is_explained_with_the_moves_it_suppresses(http, salon, operator):
    await ingest(http, salon, "e-1")
    await change(
        http, salon, "POST", "/transitions", to_stage="vip", notes="Knows the owner", performed_by=77
    )
    await change(http, salon, "PUT", "/pin", pin_until="2026-07-01T00:00:00Z")
    early = await explain(http, salon)

    assert early["why"]["sentence"].startswith("moved to vip manually on 2026-03-01 by user 77 through key:")
    assert early["why"]["sentence"].endswith(": Knows the owner")
    assert early["pin"] == {
        "until": "2026-07-01T00:00:00Z",
        "sentence": "pinned to vip until 2026-07-01",
        "suppressed": [],
    }
    assert early["due_move"] is None
    assert path_to(early, "at_risk", "days_since_last_appointment")["sentence"] == (
        "at_risk on 2026-05-31; the pin prevents moves until 2026-07-01"
    )

    await turn(http, salon, operator, DAYS_91)
    late = await explain(http, salon)

    assert late["pin"]["suppressed"] == [
        {
            "to_stage": "at_risk",
            "at": DAYS_91,
            "trigger_event": "days_since_last_appointment",
            "sentence": "at_risk was due on 2026-05-31 and is suppressed by the pin",
        }
    ]
    assert late["due_move"]["is_suppressed"]
    assert late["due_move"]["sentence"] == "at_risk is due and suppressed by the pin"
    assert late["upcoming"][0]["sentence"] == (
        "at_risk on 2026-07-01, when the pin ends, unless there is an appointment"
    )
    await turn(http, salon, operator, "2026-06-30T23:59:59Z")
    assert (await journey(http, salon))["current_stage"] == "vip"
    await turn(http, salon, operator, "2026-07-01T00:00:00Z")
    assert (await journey(http, salon))["current_stage"] == "at_risk"


# ---- permissions and side effects


async def test_an_explanation_changes_nothing(http, salon, database_owner):
    await ingest(http, salon, "e-1", total_amount=880)
    await database_owner.set_clock(salon.id, "2026-06-30T12:00:00+00:00")
    before, shown = await database_owner.rows(salon.id), await journey(http, salon)

    first, again = await explain(http, salon), await explain(http, salon)

    assert first == again
    assert await database_owner.rows(salon.id) == before
    assert without_updated_at(await journey(http, salon)) == without_updated_at(shown)
    # The comparison notices a change.
    await ingest(http, salon, "e-2", total_amount=1)
    assert await database_owner.rows(salon.id) != before


async def test_an_unknown_customer_is_not_found(http, salon):
    answer = await http.get(f"{API}/customers/4711/explanation", headers=salon.headers)

    problem(answer, 404, "customer-not-found")


async def test_another_company_s_customer_is_not_found(http, salon, create_test_company):
    await ingest(http, salon, "e-1")
    other = await create_test_company()

    answer = await http.get(f"{API}/customers/1/explanation", headers=other.headers)

    problem(answer, 404, "customer-not-found")
    assert (await explain(http, salon))["customer_id"] == 1


@pytest.mark.parametrize(("scopes", "status"), [(("customers:read",), 200), (("events:write",), 403)])
async def test_the_scope_customers_read_is_required(http, create_test_company, scopes, status):
    tenant = await create_test_company(scopes=("events:write", *scopes))
    await ingest(http, tenant, "e-1")

    answer = await http.get(f"{API}/customers/1/explanation", headers=tenant.headers)

    assert answer.status_code == status, answer.text


async def test_an_explanation_without_a_credential_is_refused(http):
    problem(await http.get(f"{API}/customers/1/explanation"), 401, "unauthenticated")
