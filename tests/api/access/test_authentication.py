"""Who may ask: no credential and one that is not known are the same; what a key may do; whose it is."""

import re
from uuid import UUID

import pytest

from api.calls import API, JSON, event, ingest, problem, without_id
from api.published import WITH_CSV, application, published
from journey_service.api.authorization import OPEN, served
from journey_service.domain.access.actors import SELF
from journey_service.services.access import credentials

SCOPES = {
    "ingest_event": "events:write",
    "ingest_events": "events:write",
    "create_import": "events:write",
    "list_imports": "events:write",
    "get_import": "events:write",
    "list_import_errors": "events:write",
    "export_import_errors": "events:write",
    "get_import_proposal": "events:write",
    "upsert_customer": "customers:write",
    "update_customer": "customers:write",
    "get_customer": "customers:read",
    "list_customers": "customers:read",
    "list_duplicate_customers": "customers:read",
    "get_journey": "customers:read",
    "get_portal_timeline": "customers:read",
    "list_transitions": "customers:read",
    "get_scores": "customers:read",
    "update_journey": "journeys:write",
    "move_customer": "journeys:write",
    "pin_customer": "journeys:write",
    "unpin_customer": "journeys:write",
    "evaluate_customer": "journeys:write",
    "get_stage_map": "stages:read",
    "get_stage": "stages:read",
    "list_stage_map_versions": "stages:read",
    "get_stage_map_version": "stages:read",
    "get_stage_map_diff": "stages:read",
    "replace_stage_map": "stages:write",
    "update_stage": "stages:write",
    "archive_stage": "stages:write",
    "lint_stage_map": "stages:write",
    "preview_stage_map": "stages:write",
    "get_stage_map_preview": "stages:write",
    "start_backtest": "stages:write",
    "get_backtest": "stages:write",
    "get_settings": "admin",
    "replace_settings": "admin",
    "get_explanation": "customers:read",
    "list_tasks": "actions:read",
    "get_task": "actions:read",
    "create_task": "actions:write",
    "update_task": "actions:write",
    "list_campaigns": "actions:read",
    "get_campaign": "actions:read",
    "cancel_campaign": "actions:write",
    "list_actions": "actions:read",
    "get_action": "actions:read",
    "request_action": "actions:write",
    "retry_action": "actions:write",
    "get_stage_actions": "stages:read",
    "replace_stage_actions": "stages:write",
    "reset_stage_actions": "stages:write",
    "list_templates": "stages:read",
    "list_built_in_templates": "stages:read",
    "create_template": "stages:write",
    "get_template": "stages:read",
    "replace_template": "stages:write",
    "delete_template": "stages:write",
    "preview_template": "stages:write",
    "list_webhook_endpoints": "admin",
    "create_webhook_endpoint": "admin",
    "get_webhook_endpoint": "admin",
    "update_webhook_endpoint": "admin",
    "delete_webhook_endpoint": "admin",
    "rotate_webhook_secret": "admin",
    "test_webhook_endpoint": "admin",
    "list_sources": "admin",
    "list_source_templates": "admin",
    "create_source": "admin",
    "get_source": "admin",
    "update_source": "admin",
    "delete_source": "admin",
    "test_source": "admin",
    "replay_webhook_events": "admin",
    "stream_events": "customers:read",
    "get_distribution": "analytics:read",
    "get_overview": "analytics:read",
    "get_funnel": "analytics:read",
    "get_flows": "analytics:read",
    "get_time_in_stage": "analytics:read",
    "get_conversion_rates": "analytics:read",
    "get_risk_distribution": "analytics:read",
    "list_churn_predictions": "analytics:read",
    "get_churn_model": "analytics:read",
    "get_calibration": "analytics:read",
    "get_cohorts": "analytics:read",
    "get_automation": "analytics:read",
    "list_stage_customers": "analytics:read",
    "list_funnel_customers": "analytics:read",
    "list_flow_customers": "analytics:read",
    "list_moved_customers": "analytics:read",
    "list_action_customers": "analytics:read",
    "list_stage_visits": "analytics:read",
    "list_risk_band_customers": "analytics:read",
    "list_cohort_customers": "analytics:read",
    "get_portal_analytics": "analytics:read",
    "list_portal_risk_customers": "customers:read",
    "list_daily_metrics": "analytics:read",
    "get_reconciliation": "analytics:read",
    "rebuild_daily_metrics": "admin",
    "get_data_quality": "admin",
    "repair_data": "admin",
    "rescore_customers": "admin",
    "evaluate_customers": "admin",
    "list_jobs": "admin",
    "list_people": "actions:read",
    "request_bulk_actions": "actions:write",
    "get_bulk_actions": "actions:read",
    "request_bulk_moves": "journeys:write",
    "get_bulk_moves": "customers:read",
    "get_today": "actions:read",
    "get_campaign_summary": "actions:read",
    "get_job": "admin",
    "get_schedule": "admin",
    "get_health": "admin",
    "advance_test_clock": "admin",
    "create_company": "operate",
    "list_companies": "operate",
    "get_company": "operate",
    "update_company": "operate",
    "create_company_api_key": "operate",
    "list_company_api_keys": "operate",
    "revoke_company_api_key": "operate",
    "rotate_company_api_key": "operate",
    "update_company_api_key": "operate",
    "create_api_key": "admin",
    "list_api_keys": "admin",
    "rotate_api_key": "admin",
    "update_api_key": "admin",
    "revoke_api_key": "admin",
    "list_audit_entries": "admin",
    "list_consent_changes": "customers:read",
    "start_reconciliation": "admin",
    "start_data_inspection": "admin",
    "get_score_history": "customers:read",
    "get_prediction": "customers:read",
    "list_customer_events": "customers:read",
    "export_customer": "privacy",
    "anonymize_customer": "privacy",
    "merge_customers": "privacy",
    "preview_customer_merge": "privacy",
    "create_session": "self",
    "replace_session_company": "operate",
    "delete_session_company": "operate",
    "get_session": "self",
    "delete_session": "self",
}
SCOPES |= {f"{operation}_csv": SCOPES[operation] for operation in WITH_CSV}
"""What a key must hold for each operation; `operate` is held by operators alone."""


def _operations():
    for path, methods in published()["paths"].items():
        for method, operation in methods.items():
            if path not in OPEN:
                yield operation["operationId"], method.upper(), path


OPERATIONS = {id_: where for id_, *where in _operations()}
# A clock is of the company in the path, which an operator so has named.
OF_A_COMPANY = [
    id_ for id_ in OPERATIONS if SCOPES.get(id_) not in ("operate", "self") and id_ != "advance_test_clock"
]
KEPT = "jrn_kept_" + "k" * 40


async def ask(http, operation, headers, **known):
    method, path = OPERATIONS[operation]
    ids = {
        "customer_id": 1,
        "company_id": 1,
        "import_id": 1,
        "job_id": 1,
        "key_id": "k",
        "key": "vip",
        "version": 1,
        **dict.fromkeys(("task_id", "campaign_id", "endpoint_id", "template_id"), 1),
        "action_id": UUID(int=1),
        "source_id": "1-0123456789abcdef",
        **known,
    }
    return await http.request(method, path.format(**ids), headers=headers)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_every_route_is_either_open_or_described_with_a_scope():
    document = published()
    described = {
        operation["operationId"]: operation["security"]
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if path not in OPEN
    }

    assert described == {
        operation: [{"key": [scope]}, {"session": [scope]}] for operation, scope in SCOPES.items()
    }
    assert set(SCOPES.values()) <= {*credentials.SCOPES, credentials.OPERATE, SELF}


def test_nothing_is_served_that_the_contract_does_not_describe():
    found = list(served(application().routes))

    assert {route.name for route in found} >= SCOPES.keys()
    assert {route.path for route in found if route.name not in SCOPES} == OPEN


@pytest.fixture
async def refused(http, operator, salon, database, database_owner):
    """Credentials that open nothing, each for a reason of its own."""
    path = f"{API}/admin/companies/{salon.id}/keys"
    body = {"name": "k", "scopes": ["*"]}
    revoked = (await http.post(path, headers=operator, json=body)).json()
    await http.delete(f"{path}/{revoked['id']}", headers=operator)
    expired = (await http.post(path, headers=operator, json=body)).json()
    await database_owner.expire_key(expired["id"])
    key, id_ = salon.token, salon.token.split("_")[1]
    return {
        "none": {},
        "empty": {"Authorization": ""},
        "nothing but the scheme": {"Authorization": "Bearer"},
        "another scheme": {"Authorization": "Basic YTpi"},
        "no scheme": {"Authorization": key},
        "unknown": bearer("jrn_unknown_" + "u" * 43),
        "unknown secret": bearer(f"jrn_{id_}_" + "u" * 43),
        "a letter more": bearer(key + "x"),
        "a letter less": bearer(key[:-1]),
        "malformed": bearer("letmein"),
        "too short a secret": bearer("jrn_a_b"),
        "endless": bearer("jrn_a_" + "x" * 5_000),
        "not ASCII": {"Authorization": "Bearer jrn_schlüssel_".encode() + b"\xff" * 40},
        "SQL": bearer("jrn_' OR 1=1 --_" + "x" * 40),
        "a JSON web token": bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
        "revoked": bearer(revoked["secret"]),
        "expired": bearer(expired["secret"]),
    }


async def test_credentials_that_open_nothing_are_all_answered_alike(http, salon, refused):
    answers = {name: await http.get(f"{API}/customers", headers=headers) for name, headers in refused.items()}

    for answer in answers.values():
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert len({answer.content for answer in answers.values()}) == 1
    assert len({str(without_id(answer)) for answer in answers.values()}) == 1
    assert (await http.get(f"{API}/customers", headers=salon.headers)).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_may_be_written_in_any_letters(http, salon, scheme):
    answer = await http.get(f"{API}/customers", headers={"Authorization": f"{scheme} {salon.token}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_route_answers_without_a_credential(http, operation):
    for headers in ({}, {"X-Company-Id": "1"}, bearer("jrn_unknown_" + "u" * 43)):
        problem(await ask(http, operation, headers), 401, "unauthenticated")


BODIES = {
    "an event": (b'{"id": "e", "source": "t"}', JSON),
    "nothing": (b"", JSON),
    "no object": (b"[]", JSON),
    "no JSON": (b"{", JSON),
    "declared as no JSON": (b"{}", "text/plain"),
}


@pytest.mark.parametrize(("body", "media"), BODIES.values(), ids=BODIES)
async def test_an_unknown_caller_is_refused_before_anything_else(http, body, media):
    headers = {"content-type": media, "If-Match": "x", "X-Company-Id": "x", "Idempotency-Key": " "}

    for method, path in OPERATIONS.values():
        path_ = re.sub(r"\{key(_id)?\}", "%00", path)
        path_ = re.sub(r"\{\w+\}", "x", path_)
        answer = await http.request(method, f"{path_}?limit=x&until=x", headers=headers, content=body)
        problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("operation", [id_ for id_ in OPERATIONS if SCOPES.get(id_) != SELF])
async def test_a_key_that_lacks_the_scope_is_forbidden_and_one_that_has_it_is_not(
    http, create_test_company, operation
):
    needed = SCOPES[operation]
    others = [scope for scope in credentials.SCOPES if scope not in (needed, "*")]
    without = await create_test_company(scopes=tuple(others))

    details = problem(await ask(http, operation, without.headers), 403, "forbidden")

    assert needed in details["detail"]
    if needed != credentials.OPERATE:
        exactly = await create_test_company(scopes=(needed,))
        assert (await ask(http, operation, exactly.headers)).status_code not in (401, 403)


@pytest.mark.parametrize("operation", [id_ for id_, scope in SCOPES.items() if scope == "operate"])
async def test_a_company_s_key_for_everything_is_no_operator_s(http, salon, operator, operation):
    company = {"company_id": salon.id}

    problem(await ask(http, operation, salon.headers, **company), 403, "forbidden")
    if operation == "delete_session_company":
        return  # an operator needs a session for it, not a key
    assert (await ask(http, operation, operator, **company)).status_code not in (401, 403)


@pytest.mark.parametrize("operation", OF_A_COMPANY)
async def test_a_company_s_key_does_not_reach_another_company(
    http, salon, create_test_company, database_owner, operation
):
    neighbour = await create_test_company()
    await ingest(http, neighbour, "e-1")
    before = await database_owner.rows(neighbour.id)

    answer = await ask(http, operation, {**salon.headers, "X-Company-Id": str(neighbour.id)})

    problem(answer, 403, "forbidden")
    assert await database_owner.rows(neighbour.id) == before


async def test_a_company_that_is_not_there_is_forbidden_like_another(http, salon, create_test_company):
    neighbour = await create_test_company()
    answers = [
        await http.get(f"{API}/customers", headers={**salon.headers, "X-Company-Id": str(id_)})
        for id_ in (neighbour.id, 2**52)
    ]

    assert answers[0].content == answers[1].content
    problem(answers[0], 403, "forbidden")


async def test_a_company_s_key_may_name_its_own_company(http, salon):
    headers = {**salon.headers, "X-Company-Id": str(salon.id)}

    assert (await http.get(f"{API}/customers", headers=headers)).status_code == 200


@pytest.mark.parametrize("operation", OF_A_COMPANY)
async def test_an_operator_names_the_company_to_act_for(http, operator, salon, operation):
    problem(await ask(http, operation, operator), 403, "forbidden")

    named = await ask(http, operation, {**operator, "X-Company-Id": str(salon.id)})

    assert named.status_code not in (401, 403)


async def test_an_operator_acts_within_the_company_that_was_named(http, operator, salon, create_test_company):
    neighbour = await create_test_company()
    headers = {**operator, "X-Company-Id": str(salon.id)}

    response = await http.post(f"{API}/events", headers=headers, json=event("e-1"))

    assert response.status_code == 200
    assert len((await http.get(f"{API}/customers", headers=salon.headers)).json()["items"]) == 1
    assert (await http.get(f"{API}/customers", headers=neighbour.headers)).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/events", event("e-1")),
        ("POST", "/events/batch", [event("e-1")]),
        ("POST", "/imports", None),
        ("PUT", "/customers/1", {}),
        ("GET", "/customers", None),
        ("GET", "/customers/1/journey", None),
        ("GET", "/stages", None),
    ],
)
async def test_a_company_that_is_not_there_is_not_found_by_an_operator(http, operator, method, path, body):
    headers = {**operator, "X-Company-Id": str(2**52), "content-type": JSON}

    answer = await http.request(method, API + path, headers=headers, json=body)

    assert answer.status_code == 404
    assert answer.json()["type"] in ("/problems/company-not-found", "/problems/customer-not-found")


async def test_the_bootstrap_key_is_an_operator_s(http, operator):
    assert (await http.get(f"{API}/admin/companies", headers=operator)).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/livez", "/openapi.json", "/readyz", "/sign-in"])
async def test_what_is_open_is_open(http, path):
    assert (await http.get(path)).status_code < 400
