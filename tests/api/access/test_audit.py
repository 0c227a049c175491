"""Every privileged act leaves exactly one row, with the act or not at all, and nothing personal in it (T25).

The operations are those of the published contract: one that is not in the table below fails here, so that no new one
is forgotten.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy.exc import DBAPIError

from api.calls import API, JSON, NOON, POLL_SECONDS, every_page, fetch, problem
from api.published import WITH_CSV, published
from journey_service.domain.access.actors import Actor, Role
from journey_service.domain.events.values import parse_instant
from journey_service.repositories.access.audit import AuditLog
from journey_service.repositories.database_errors import UnexpectedDatabaseError
from journey_service.services.access import credentials, sessions
from journey_service.services.customers import profiles as customers
from server_versions import newest_only

CANARY = "canary7f3a"
"""Part of all personal, free or secret text that is sent here; it must be in no row."""
CUSTOMER = 9_876_543_210_123
HOST = "203.0.113.9"
REASON = "ticket 4711"
PRESENT = "operator.access"
LATER = "2026-04-01T12:00:00Z"
HERE = "http://journey.test"

_ids = count(6_000_000)
_numbers = count(1)

Answers = Callable[["Scene"], Awaitable[Mapping[str, Any]]]


async def nothing(_: "Scene") -> Mapping[str, Any]:
    """What needs nothing to be there."""
    return {}


@dataclass(frozen=True)
class Ask:
    """A valid request for an operation, and the row that it leaves.

    `action` is None for what leaves none when the company's own key asks. `before` makes what has to be there, and
    returns what the request needs of it: ids of the path, headers, a body, query parameters.
    """

    action: str | None = None
    body: Any = None
    query: Mapping[str, Any] = field(default_factory=dict)
    before: Answers = nothing
    target: str | None = None
    of_customer: bool = False
    detail: Mapping[str, Any] | None = None


# ---- what has to be there


async def the_version(scene: "Scene") -> Mapping[str, Any]:
    answer = await scene.get(f"/customers/{CUSTOMER}/journey")
    return {"headers": {"If-Match": answer.headers["etag"]}}


async def a_duplicate(scene: "Scene") -> Mapping[str, Any]:
    customer_id = next(_numbers)
    answer = await scene.http.put(f"{API}/customers/{customer_id}", headers=scene.own, json={})
    assert answer.status_code == 201, answer.text
    return {**await the_version(scene), "body": {"merge": customer_id}}


async def a_duplicate_to_look_at(scene: "Scene") -> Mapping[str, Any]:
    return {"query": {"with": (await a_duplicate(scene))["body"]["merge"]}}


async def a_pin(scene: "Scene") -> Mapping[str, Any]:
    seen = await the_version(scene)
    path = f"{API}/customers/{CUSTOMER}/pin"
    answer = await scene.http.put(path, headers={**scene.own, **seen["headers"]}, json={"pin_until": LATER})
    assert answer.status_code == 200, answer.text
    return {"headers": {"If-Match": answer.headers["etag"]}}


async def the_map(scene: "Scene") -> Mapping[str, Any]:
    body = (await scene.get("/stages")).json()
    names = ("key", "name", "order", "kind", "auto_rules", "retention_days", "description", "color", "icon")
    stages = [
        {name: stage[name] for name in names if stage.get(name) is not None} for stage in body["stages"]
    ]
    stages[0]["name"] = f"First {CANARY}"
    return {"body": {"version": body["version"], "stages": stages}}


async def a_map_to_be_put(scene: "Scene") -> Mapping[str, Any]:
    drawn = (await the_map(scene))["body"]
    return {"body": {**drawn, "notes": f"Because of {CANARY}"}}


async def a_past(scene: "Scene") -> Mapping[str, Any]:
    drawn = (await the_map(scene))["body"]
    return {"body": {**drawn, "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}}


async def a_key(scene: "Scene") -> Mapping[str, Any]:
    body = {"name": f"Key of {CANARY}", "role": "agent"}
    made = (await scene.http.post(f"{API}/admin/keys", headers=scene.own, json=body)).json()
    scene.secrets.append(made["secret"])
    return {"ids": {"key_id": made["id"]}}


async def a_session(scene: "Scene") -> Mapping[str, Any]:
    opened = await scene.http.post(f"{API}/session", headers=scene.own)
    token = opened.cookies["journey_session"]
    scene.http.cookies.clear()
    scene.secrets.append(token)
    return {"headers": {"Cookie": f"journey_session={token}", "Origin": HERE, "Authorization": None}}


async def a_session_of_an_operator(scene: "Scene") -> Mapping[str, Any]:
    opened = await scene.http.post(f"{API}/session", headers=scene.operator)
    token = opened.cookies["journey_session"]
    scene.http.cookies.clear()
    scene.secrets.append(token)
    return {
        "headers": {"Cookie": f"journey_session={token}", "Origin": HERE, "Authorization": None},
        "body": {"company_id": scene.company_id, "reason": REASON},
    }


async def a_session_within_the_company(scene: "Scene") -> Mapping[str, Any]:
    values = await a_session_of_an_operator(scene)
    headers = {name: value for name, value in values["headers"].items() if value is not None}
    chosen = await scene.http.put(f"{API}/session/company", headers=headers, json=values["body"])
    assert chosen.status_code == 200, chosen.text
    token = chosen.cookies["journey_session"]
    scene.http.cookies.clear()
    scene.secrets.append(token)
    return {"headers": {**values["headers"], "Cookie": f"journey_session={token}"}}


async def an_import(scene: "Scene") -> Mapping[str, Any]:
    answer = await scene.http.post(f"{API}/imports", headers=scene.own, content=_history())
    assert answer.status_code == 202, answer.text
    await scene.ended(answer.json()["id"])
    return {"ids": {"import_id": answer.json()["id"]}}


async def a_job(scene: "Scene") -> Mapping[str, Any]:
    answer = await scene.http.post(f"{API}/admin/rescore", headers=scene.own, json={})
    await scene.ended(answer.json()["job_id"])
    return {"ids": {"job_id": answer.json()["job_id"]}}


async def a_preview(scene: "Scene") -> Mapping[str, Any]:
    body = (await the_map(scene))["body"]
    answer = await scene.http.post(f"{API}/stages/preview", headers=scene.own, json=body)
    return {"ids": {"job_id": answer.json()["job_id"]}}


async def a_backtest(scene: "Scene") -> Mapping[str, Any]:
    body = (await a_past(scene))["body"]
    answer = await scene.http.post(f"{API}/stages/backtest", headers=scene.own, json=body)
    return {"ids": {"job_id": answer.json()["job_id"]}}


async def a_task(scene: "Scene") -> Mapping[str, Any]:
    found = (await scene.get(f"/tasks?customer_id={CUSTOMER}")).json()["items"]
    if not found:
        body = {"type": "call", "note": CANARY}
        response = await scene.http.post(f"{API}/customers/{CUSTOMER}/actions", headers=scene.own, json=body)
        assert response.json()["state"] == "done", response.text
        found = [{"id": response.json()["task_id"]}]
    task = await scene.get(f"/tasks/{found[0]['id']}")
    return {"ids": {"task_id": found[0]["id"]}, "headers": {"If-Match": task.headers["etag"]}}


async def a_bulk_key(_: "Scene") -> Mapping[str, Any]:
    return {"headers": {"Idempotency-Key": f"{CANARY}-{next(_numbers)}"}}


async def a_bulk_action(scene: "Scene") -> Mapping[str, Any]:
    headers = {**scene.own, **(await a_bulk_key(scene))["headers"]}
    body = {"type": "call", "filter": {"owner": CANARY}}
    answer = await scene.http.post(f"{API}/actions/bulk", headers=headers, json=body)
    job_id = answer.json()["job"]["id"]
    await scene.ended(job_id)
    return {"ids": {"job_id": job_id}}


async def a_bulk_move(scene: "Scene") -> Mapping[str, Any]:
    headers = {**scene.own, **(await a_bulk_key(scene))["headers"]}
    body = {"to_stage": "vip", "filter": {"owner": CANARY}}
    answer = await scene.http.post(f"{API}/transitions/bulk", headers=headers, json=body)
    job_id = answer.json()["job"]["id"]
    await scene.ended(job_id)
    return {"ids": {"job_id": job_id}}


async def a_campaign(scene: "Scene") -> Mapping[str, Any]:
    if not (await scene.get("/campaigns?status=running")).json()["items"]:
        await _moved(scene, "at_risk")
    [campaign] = (await scene.get("/campaigns?status=running")).json()["items"]
    return {"ids": {"campaign_id": campaign["id"]}}


async def a_campaign_of_whenever(scene: "Scene") -> Mapping[str, Any]:
    for campaign in (await scene.get("/campaigns")).json()["items"]:
        return {"ids": {"campaign_id": campaign["id"]}}
    return await a_campaign(scene)


async def _moved(scene: "Scene", stage: str) -> None:
    seen = await the_version(scene)
    path = f"{API}/customers/{CUSTOMER}/transitions"
    moved = await scene.http.post(path, headers={**scene.own, **seen["headers"]}, json={"to_stage": stage})
    assert moved.status_code == 201, moved.text


async def an_action(scene: "Scene") -> Mapping[str, Any]:
    path = f"{API}/customers/{CUSTOMER}/actions"
    response = await scene.http.post(path, headers=scene.own, json={"type": "email", "note": CANARY})
    assert response.status_code == 201, response.text
    return {"ids": {"action_id": response.json()["id"]}}


async def a_dead_action(scene: "Scene") -> Mapping[str, Any]:
    made = await an_action(scene)
    done = await scene.database_owner.connection.execute(
        "UPDATE journey_actions SET state = 'dead', reason = NULL, last_error = $3"
        " WHERE company_id = $1 AND id = $2",
        scene.company_id,
        made["ids"]["action_id"],
        f"The server replied {CANARY}",
    )
    assert done == "UPDATE 1"
    return made


async def an_endpoint(scene: "Scene") -> Mapping[str, Any]:
    made = (await scene.http.post(f"{API}/webhook-endpoints", headers=scene.own, json=ENDPOINT)).json()
    scene.secrets.append(made["secret"])
    return {"ids": {"endpoint_id": made["id"]}}


async def a_source(scene: "Scene") -> Mapping[str, Any]:
    made = await scene.http.post(f"{API}/sources", headers=scene.own, json=SOURCE)
    assert made.status_code == 201, made.text
    scene.secrets.append(SOURCE["secret"])
    return {"ids": {"source_id": made.json()["id"]}}


async def a_template(scene: "Scene") -> Mapping[str, Any]:
    for stored in (await scene.get("/templates")).json()["items"]:
        return {"ids": {"template_id": stored["id"]}}
    made = await scene.http.post(f"{API}/templates", headers=scene.own, json=TEMPLATE)
    assert made.status_code == 201, made.text
    return {"ids": {"template_id": made.json()["id"]}}


async def actions_of_a_stage(scene: "Scene") -> Mapping[str, Any]:
    response = await scene.http.put(f"{API}/stages/vip/actions", headers=scene.own, json={"actions": []})
    assert response.status_code == 200, response.text
    return {}


async def an_event(_: "Scene") -> Mapping[str, Any]:
    return {"body": _event()}


async def events(_: "Scene") -> Mapping[str, Any]:
    return {"body": [_event(), _event()]}


async def a_company(scene: "Scene") -> Mapping[str, Any]:
    scene.company_id = next(_ids)
    return {"body": {"id": scene.company_id, "name": f"Salon {CANARY}", "timezone": "Europe/Berlin"}}


async def a_history(_: "Scene") -> Mapping[str, Any]:
    return {"content": _history()}


def _event() -> dict[str, Any]:
    number = next(_numbers)
    return {
        "id": f"e-{CANARY}-{number}",
        "source": f"booking-{CANARY}",
        "type": "appointment_completed",
        "customer_id": CUSTOMER,
        "occurred_at": "2026-03-01T11:00:00Z",
        "data": {"total_amount": 50, "booking_id": f"b-{CANARY}-{number}", "metadata": {"note": CANARY}},
    }


def _history() -> bytes:
    return json.dumps(_event()).encode() + b"\n"


PROFILE = {
    "name": f"Ada {CANARY}",
    "email": f"{CANARY}@example.com",
    "phone": f"+49 30 {CANARY}",
    "consents": {"email": "granted"},
}
# Accepted when registered, and refused when called: its name is never resolved.
ENDPOINT = {
    "url": f"https://hooks.example/{CANARY}",
    "events": ["stage.changed"],
    "description": f"Of {CANARY}",
}
SOURCE = {"name": f"Source of {CANARY}", "secret": f"{CANARY}-of-a-source", "template": "generic"}
SOURCE_ID = r"source:\d+-[0-9a-f]{16}"
TEMPLATE = {"key": "spring", "channel": "sms", "language": "en", "text": f"Spring is here: {CANARY}"}
ACTIONS = {"actions": [{"name": "call_her", "steps": [{"channel": "call", "title": f"Call {CANARY}"}]}]}
JOB = r"job:\d+"
A_RATE_LIMIT = {"rate_limit": {"requests_per_second": 5}}
KEY = r"key:[0-9a-f]{16}"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

ACTS = {
    "create_task": Ask(
        "task.create",
        {"title": CANARY, "note": CANARY, "assignee": CANARY, "due_at": NOON},
        target=r"task:\d+",
    ),
    "update_task": Ask(
        "task.update",
        {"status": "done", "outcome": f"She said {CANARY}", "assignee": CANARY},
        before=a_task,
        target=r"task:\d+",
        of_customer=True,
    ),
    "cancel_campaign": Ask("campaign.cancel", before=a_campaign, target=r"campaign:\d+", of_customer=True),
    "request_action": Ask(
        "action.request",
        {"type": "offer", "note": CANARY, "offer": {"title": CANARY, "valid_days": 7}},
        target=f"action:{UUID}",
        of_customer=True,
        detail={"channel": "offer", "state": "done"},
    ),
    "request_bulk_actions": Ask(
        "action.bulk",
        {"type": "call", "note": CANARY, "filter": {"owner": CANARY}},
        before=a_bulk_key,
        target=JOB,
        detail={"channel": "call", "customers": 0},
    ),
    "request_bulk_moves": Ask(
        "customer.bulk_move",
        {"to_stage": "vip", "notes": CANARY, "filter": {"owner": CANARY}},
        before=a_bulk_key,
        target=JOB,
        detail={"to": "vip", "customers": 0},
    ),
    "retry_action": Ask("action.retry", before=a_dead_action, target=f"action:{UUID}", of_customer=True),
    "replace_stage_actions": Ask("stage_actions.update", ACTIONS, target="stage:vip"),
    "reset_stage_actions": Ask("stage_actions.update", before=actions_of_a_stage, target="stage:vip"),
    "create_template": Ask("template.create", TEMPLATE, target=r"template:\d+"),
    "replace_template": Ask(
        "template.update", {**TEMPLATE, "text": f"{CANARY}!"}, before=a_template, target=r"template:\d+"
    ),
    "delete_template": Ask("template.delete", before=a_template, target=r"template:\d+"),
    "preview_template": Ask(body={"values": {"note": CANARY}}, before=a_template),
    "create_webhook_endpoint": Ask("endpoint.create", ENDPOINT, target=r"endpoint:\d+"),
    "update_webhook_endpoint": Ask(
        "endpoint.update",
        {"url": f"https://hooks.example/{CANARY}/2", "is_enabled": False},
        before=an_endpoint,
        target=r"endpoint:\d+",
        detail={"fields": ["is_enabled", "url"]},
    ),
    "delete_webhook_endpoint": Ask("endpoint.delete", before=an_endpoint, target=r"endpoint:\d+"),
    "rotate_webhook_secret": Ask("endpoint.rotate", before=an_endpoint, target=r"endpoint:\d+"),
    "test_webhook_endpoint": Ask("endpoint.test", before=an_endpoint, target=r"endpoint:\d+"),
    "replay_webhook_events": Ask(
        "endpoint.replay", {"since": NOON}, before=an_endpoint, target=r"endpoint:\d+"
    ),
    "create_source": Ask("source.create", SOURCE, target=SOURCE_ID),
    "update_source": Ask(
        "source.update",
        {"name": f"Source {CANARY}", "secret": f"{CANARY}-secret"},
        before=a_source,
        target=SOURCE_ID,
        detail={"fields": ["name", "secret"]},
    ),
    "delete_source": Ask("source.delete", before=a_source, target=SOURCE_ID),
    "test_source": Ask(
        body={"type": "call_received", "id": CANARY, "occurred_at": "2026-03-01T11:00:00Z", "customer_id": 1},
        before=a_source,
    ),
    "create_session": Ask("session.create"),
    "delete_session": Ask("session.delete", before=a_session),
    "replace_session_company": Ask("session.enter_company", before=a_session_of_an_operator),
    "delete_session_company": Ask("session.leave_company", before=a_session_within_the_company),
    "ingest_event": Ask(before=an_event),
    "ingest_events": Ask(before=events),
    "create_import": Ask("import.create", before=a_history, target=r"import:\d+"),
    "upsert_customer": Ask("customer.update", {**PROFILE, "name": f"Eve {CANARY}"}, of_customer=True),
    "update_customer": Ask(
        "customer.update",
        {"first_name": f"Eve {CANARY}"},
        of_customer=True,
        detail={"fields": ["first_name"], "consents": []},
    ),
    "anonymize_customer": Ask("customer.anonymize"),
    "merge_customers": Ask(
        "customer.merge", before=a_duplicate, target=r"relationship:\d+", of_customer=True
    ),
    "update_journey": Ask(
        "journey.update",
        {"notes": f"Likes {CANARY}", "metadata": {"colour": CANARY}},
        before=the_version,
        of_customer=True,
        detail={"fields": ["metadata", "notes"]},
    ),
    "move_customer": Ask(
        "customer.move",
        {"to_stage": "vip", "notes": f"She is {CANARY}", "performed_by": 7},
        before=the_version,
        of_customer=True,
    ),
    "pin_customer": Ask("customer.pin", {"pin_until": LATER}, before=the_version, of_customer=True),
    "unpin_customer": Ask("customer.unpin", before=a_pin, of_customer=True),
    "evaluate_customer": Ask("customer.evaluate", of_customer=True),
    "replace_stage_map": Ask("stage_map.update", before=a_map_to_be_put, target=r"stage-map:\d+"),
    "update_stage": Ask("stage_map.update", {"name": f"Very {CANARY}"}, target=r"stage-map:\d+"),
    "archive_stage": Ask("stage_map.update", target=r"stage-map:\d+"),
    "lint_stage_map": Ask(before=the_map),
    "preview_stage_map": Ask("stage_map.preview", before=the_map, target=JOB),
    "start_backtest": Ask("stage_map.backtest", before=a_past, target=JOB),
    "replace_settings": Ask("settings.update", {"frequency_cap": 2, "manual_pin_days": 9}),
    "rescore_customers": Ask("company.rescore", {"customer_ids": [CUSTOMER]}, target=JOB),
    "rebuild_daily_metrics": Ask("metrics.rebuild", {"from": "2026-02-01", "to": "2026-02-28"}, target=JOB),
    "start_reconciliation": Ask("metrics.reconcile", target=JOB),
    "start_data_inspection": Ask("data.inspect", target=JOB),
    "repair_data": Ask("data.repair", {"issues": ["wrong_sums"]}, target=JOB),
    "evaluate_customers": Ask("company.evaluate", {"customer_ids": [CUSTOMER]}, target=JOB),
    "advance_test_clock": Ask("test_clock.advance", {"advance_to": "2026-03-01T18:00:00Z"}, target=JOB),
    "create_company": Ask("company.create", before=a_company, target=r"company:\d+"),
    "update_company": Ask(
        "company.update", {"name": "Another name"}, target=r"company:\d+", detail={"changed": ["name"]}
    ),
    "create_company_api_key": Ask("key.create", {"name": f"Key {CANARY}", "role": "agent"}, target=KEY),
    "rotate_company_api_key": Ask("key.rotate", {"overlap_seconds": 60}, before=a_key, target=KEY),
    "update_company_api_key": Ask("key.update", A_RATE_LIMIT, before=a_key, target=KEY),
    "revoke_company_api_key": Ask("key.revoke", before=a_key, target=KEY),
    "create_api_key": Ask("key.create", {"name": f"Key {CANARY}", "scopes": ["admin"]}, target=KEY),
    "rotate_api_key": Ask("key.rotate", {"overlap_seconds": 60}, before=a_key, target=KEY),
    "update_api_key": Ask("key.update", A_RATE_LIMIT, before=a_key, target=KEY),
    "revoke_api_key": Ask("key.revoke", before=a_key, target=KEY),
}
"""A valid request for everything that is not read. An operation that is missing here fails: add what it leaves."""

LOOKS = {
    "get_session": Ask(),
    "get_customer": Ask(),
    "list_customers": Ask(query={"q": CANARY}),
    "list_duplicate_customers": Ask(),
    "list_consent_changes": Ask(),
    "list_customer_events": Ask(),
    "export_customer": Ask("customer.export", of_customer=True),
    "preview_customer_merge": Ask(before=a_duplicate_to_look_at),
    "get_journey": Ask(),
    "list_transitions": Ask(),
    "get_scores": Ask(),
    "get_score_history": Ask(),
    "get_prediction": Ask(),
    "get_explanation": Ask(),
    "get_portal_timeline": Ask(),
    "list_imports": Ask(),
    "get_import": Ask(before=an_import),
    "list_import_errors": Ask(before=an_import),
    "export_import_errors": Ask(before=an_import),
    "get_import_proposal": Ask(query={"header": "customer_id"}),
    "get_stage_map": Ask(),
    "get_stage": Ask(),
    "list_stage_map_versions": Ask(),
    "get_stage_map_version": Ask(),
    "get_stage_map_diff": Ask(),
    "get_stage_map_preview": Ask(before=a_preview),
    "get_backtest": Ask(before=a_backtest),
    "get_settings": Ask(),
    "list_tasks": Ask(query={"assignee": CANARY}),
    "get_task": Ask(before=a_task),
    "list_campaigns": Ask(),
    "get_campaign": Ask(before=a_campaign_of_whenever),
    "list_actions": Ask(query={"customer_id": CUSTOMER}),
    "get_action": Ask(before=an_action),
    "get_stage_actions": Ask(),
    "list_templates": Ask(),
    "list_built_in_templates": Ask(),
    "get_template": Ask(before=a_template),
    "list_webhook_endpoints": Ask(),
    "get_webhook_endpoint": Ask(before=an_endpoint),
    "list_sources": Ask(),
    "list_source_templates": Ask(),
    "get_source": Ask(before=a_source),
    "stream_events": Ask(query={"last_event_id": 0}),
    "get_distribution": Ask(),
    "get_overview": Ask(),
    "get_funnel": Ask(),
    "get_flows": Ask(),
    "get_time_in_stage": Ask(),
    "get_conversion_rates": Ask(),
    "get_risk_distribution": Ask(),
    "list_churn_predictions": Ask(),
    "get_churn_model": Ask(),
    "get_calibration": Ask(),
    "get_cohorts": Ask(),
    "get_automation": Ask(),
    "list_stage_customers": Ask(query={"stage": "prospect"}),
    "list_funnel_customers": Ask(query={"stage": "prospect"}),
    "list_flow_customers": Ask(query={"to_stage": "prospect"}),
    "list_moved_customers": Ask(query={"motion": "opening"}),
    "list_action_customers": Ask(query={"name": "personal_call", "state": "done"}),
    "list_stage_visits": Ask(query={"stage": "prospect"}),
    "list_risk_band_customers": Ask(query={"band": "low"}),
    "list_cohort_customers": Ask(query={"cohort": "2026-03", "month": "0"}),
    "get_portal_analytics": Ask(),
    "list_portal_risk_customers": Ask(),
    "list_jobs": Ask(),
    "list_people": Ask(),
    "get_bulk_actions": Ask(before=a_bulk_action),
    "get_bulk_moves": Ask(before=a_bulk_move),
    "get_today": Ask(),
    "get_campaign_summary": Ask(),
    "get_job": Ask(before=a_job),
    "get_schedule": Ask(),
    "list_daily_metrics": Ask(),
    "get_reconciliation": Ask(),
    "get_data_quality": Ask(),
    "get_health": Ask(),
    "list_audit_entries": Ask(),
    "list_company_api_keys": Ask(PRESENT),
    "list_api_keys": Ask(),
    "list_companies": Ask(),
    "get_company": Ask(),
}
LOOKS |= {f"{operation}_csv": LOOKS[operation] for operation in WITH_CSV}
"""The same for what is read: to be found written down where an operator reads."""

CHANGING_NOTHING = {"lint_stage_map", "preview_template", "test_source"}
RECORDED_ELSEWHERE = {"ingest_event", "ingest_events"} | CHANGING_NOTHING
"""Acts without a row: the ledger of events is the record of the first two, the others change nothing."""


def _operations():
    for path, methods in published()["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                yield operation["operationId"], (method.upper(), path, operation["security"][0]["key"][0])


OPERATIONS = dict(_operations())
CHANGING = [name for name, (method, _, _) in OPERATIONS.items() if method != "GET"]
READING = [name for name, (method, _, _) in OPERATIONS.items() if method == "GET"]
OF_OPERATORS = {name for name, (_, _, scope) in OPERATIONS.items() if scope == "operate"}
OF_ONESELF = {name for name, (_, _, scope) in OPERATIONS.items() if scope == "self"}
OF_SESSIONS = {"replace_session_company", "delete_session_company"}
"""Operations whose only caller is the session that they change."""
AUDITED = [name for name in CHANGING if name not in RECORDED_ELSEWHERE]
WITHIN_A_COMPANY = [name for name in OPERATIONS if name not in OF_OPERATORS | OF_ONESELF]


@dataclass
class Request:
    """A request that is ready to be sent, without its caller."""

    method: str
    path: str
    ids: dict[str, Any]
    headers: dict[str, str | None]
    query: dict[str, Any]
    content: bytes | None

    async def send(self, http, sender, **more):
        headers = {**sender, **self.headers, **more}
        answer = await http.request(
            self.method,
            self.path.format(**self.ids),
            headers={name: value for name, value in headers.items() if value is not None},
            params=self.query,
            content=self.content,
        )
        http.cookies.clear()
        return answer


class Scene:
    """A company, a customer whose data are all canaries, and all callers."""

    def __init__(self, http, database_owner, tenant, operator):
        self.http = http
        self.database_owner = database_owner
        self.company_id = tenant.id
        self.own = tenant.headers
        self.operator = {**operator, "X-Reason": REASON}
        self.secrets = [tenant.token, operator["Authorization"].split()[1]]

    @property
    def requires_scope(self):
        """How an operator asks within the company."""
        return {**self.operator, "X-Company-Id": str(self.company_id)}

    async def get(self, path):
        answer = await self.http.get(API + path, headers=self.own)
        assert answer.status_code == 200, answer.text
        return answer

    async def ended(self, job_id):
        """Wait for a worker."""
        status = "queued"
        while status not in ("done", "failed"):
            await asyncio.sleep(POLL_SECONDS)
            status = (await self.get(f"/admin/jobs/{job_id}")).json()["status"]

    def sender(self, operation, *, by_operator=False):
        """Who asks, where it matters not: the company's own key, unless it may not."""
        if operation in OF_OPERATORS:
            return self.operator
        return self.requires_scope if by_operator else self.own

    async def prepared(self, operation, **changed):
        """A valid request for an operation; keywords change parts of it."""
        known = (ACTS | LOOKS).get(operation)
        assert known is not None, f"{operation} is new: add to ACTS or LOOKS what it leaves in the audit log"
        method, path, _ = OPERATIONS[operation]
        values = {
            "query": known.query,
            "body": known.body,
            **await changed.pop("before", known.before)(self),
        }
        usual = {"customer_id": CUSTOMER, "company_id": self.company_id, "key": "vip", "version": 1}
        ids = {**usual, **values.get("ids", {}), **changed.pop("ids", {})}
        headers = {"Content-Type": JSON, **values.get("headers", {}), **changed.pop("headers", {})}
        values |= changed
        content = values.get("content")
        if content is None and values["body"] is not None:
            content = json.dumps(values["body"]).encode()
        return Request(method, path, ids, headers, dict(values["query"]), content)

    async def last(self):
        """The newest row of whichever company."""
        return await self.database_owner.connection.fetchval("SELECT coalesce(max(id), 0) FROM audit_log")

    async def rows_since(self, last):
        """Rows written since, of whichever company."""
        return await self.database_owner.connection.fetch(
            "SELECT * FROM audit_log WHERE id > $1 ORDER BY id", last
        )


@pytest.fixture(scope="module")
async def client(api):
    """A client of the application, at an address of its own."""
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False, client=(HOST, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as opened:
        yield opened


@pytest.fixture
async def scene(client, database_owner, salon, operator):
    """A company, and a customer whose data are all canaries."""
    await tell_of_the_customer(client, salon)
    return Scene(client, database_owner, salon, operator)


@pytest.fixture(scope="module")
async def known_company(client, create_test_company):
    """One for all tests that change nothing in it."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""))
    await tell_of_the_customer(client, tenant)
    return tenant


@pytest.fixture
def visited(client, database_owner, known_company, operator):
    """The same as `scene`, for callers who only read, or fail."""
    return Scene(client, database_owner, known_company, operator)


async def tell_of_the_customer(client, tenant):
    answer = await client.put(f"{API}/customers/{CUSTOMER}", headers=tenant.headers, json=PROFILE)
    assert answer.status_code == 201, answer.text


async def check_one_row(scene, operation, *, by_operator=False, **changed):
    """Send the operation's request: exactly one row is there then, of the company concerned, and all of it right."""
    request_id = f"request-{next(_numbers)}"
    request = await scene.prepared(operation, **changed)
    sender = scene.sender(operation, by_operator=by_operator)
    last = await scene.last()

    answer = await request.send(scene.http, sender, **{"X-Request-Id": request_id})

    assert answer.status_code < 300, answer.text
    rows = await scene.rows_since(last)
    assert len(rows) == 1, [(row["company_id"], row["action"]) for row in rows]
    row, known = rows[0], (ACTS | LOOKS)[operation]
    is_operators = by_operator or operation in OF_OPERATORS
    assert row["company_id"] == scene.company_id
    assert row["actor"] == f"key:{sender['Authorization'].split('_')[1]}"
    assert (row["is_operator"], row["reason"]) == (is_operators, REASON if is_operators else None)
    assert row["request_id"] == answer.headers["x-request-id"] == request_id
    assert row["address"] == HOST
    detail = None if row["detail"] is None else json.loads(row["detail"])
    if known.action in (None, PRESENT):
        about = CUSTOMER if "{customer_id}" in OPERATIONS[operation][1] else None
        assert (row["action"], detail, row["customer_id"]) == (PRESENT, {"operation": operation}, about)
        return row, answer
    assert row["action"] == known.action
    assert (row["customer_id"] is not None) is known.of_customer
    assert known.target is None or re.fullmatch(known.target, row["target"])
    assert known.detail is None or detail == known.detail
    return row, answer


async def check_none(scene, request, sender):
    """Send a request: no company has a row more then."""
    last = await scene.last()
    answer = await request.send(scene.http, sender)
    assert [dict(row) for row in await scene.rows_since(last)] == []
    return answer


# ---- the table


def test_there_is_a_request_for_every_operation_of_the_contract():
    assert ACTS.keys() == set(CHANGING), "add to ACTS what a new operation leaves in the audit log"
    assert LOOKS.keys() == set(READING), "add to LOOKS how a new operation is called"
    assert {name for name in CHANGING if ACTS[name].action is None} == RECORDED_ELSEWHERE
    assert {operation for operation, _, _ in FAILURES} == set(AUDITED), "and in FAILURES how it fails"


# ---- one row for each act, and nothing in it that should not be


@newest_only
@pytest.mark.parametrize("operation", AUDITED)
async def test_every_act_leaves_one_row_and_nothing_personal_or_secret_in_it(scene, operation):
    row, answer = await check_one_row(scene, operation)

    body = answer.json() if answer.content else {}
    kind, _, id_ = (row["target"] or "").partition(":")
    if kind == "job":
        assert int(id_) in (body.get("job_id"), (body.get("job") or {}).get("id"))
    if "id" in body and kind not in ("job", "stage-map"):
        assert id_ == str(body["id"])
    scene.secrets += [body["secret"]] if "secret" in body else []
    scene.secrets += [line.split(";")[0].partition("=")[2] for line in answer.headers.get_list("set-cookie")]
    assert _spelt_in(row, CANARY, *(secret for secret in scene.secrets if len(secret) > 2)) == []
    if operation == "anonymize_customer":
        assert row["customer_id"] is None  # neither the old id nor the new one, next to the request
        assert _spelt_in(row, str(CUSTOMER)) == []
        number = "SELECT count(*) FROM audit_log WHERE company_id = $1 AND customer_id = $2"
        assert await scene.database_owner.connection.fetchval(number, scene.company_id, CUSTOMER) == 0
    elif row["customer_id"] is not None:
        assert row["customer_id"] == CUSTOMER


def _spelt_in(row, *texts):
    """Which of the texts stand in a row, as they are, in another spelling, or as a hash that could be guessed at."""
    content = " ".join(
        value.hex() if isinstance(value, bytes) else str(value) for value in row.values()
    ).lower()
    return [text for text in texts if any(spelling in content for spelling in _spellings(text))]


def _spellings(text):
    values = [text]
    if text == CANARY:
        values += [value for name, value in PROFILE.items() if name != "consents"]
    if text.startswith("jrn_"):
        values.append(text.split("_", 2)[2])
    for one in values:
        raw = one.encode()
        yield from (one.lower(), raw.hex(), hashlib.sha256(raw).hexdigest(), hashlib.md5(raw).hexdigest())


def test_a_row_that_holds_something_personal_or_secret_is_found_out():
    secret = f"jrn_{'0' * 16}_{'S' * 43}"
    for leaked in (
        {"detail": json.dumps({"name": PROFILE["name"]})},
        {"target": f"customer:{PROFILE['email'].upper()}"},
        {"before_hash": hashlib.sha256(PROFILE["email"].encode()).digest()},
        {"detail": json.dumps({"was": hashlib.md5(PROFILE["phone"].encode()).hexdigest()})},
        {"target": "key:" + "S" * 43},
        {"after_hash": hashlib.sha256(secret.encode()).digest()},
    ):
        assert _spelt_in({"actor": "key:k", "customer_id": 1, **leaked}, CANARY, secret), leaked
    print("guard removed: detected")


@newest_only
@pytest.mark.parametrize("operation", AUDITED)
async def test_an_act_that_is_not_written_down_is_found_out(scene, operation, monkeypatch):
    async def nothing_at_all(*_):
        """Write nothing down."""

    monkeypatch.setattr(AuditLog, "record", nothing_at_all)

    with pytest.raises(AssertionError, match=r"^\[\]"):
        await check_one_row(scene, operation)
    print("guard removed: detected")


async def test_an_act_that_is_written_down_twice_is_found_out(scene, monkeypatch):
    record = AuditLog.record

    async def twice(self, by, request_action):
        await record(self, by, request_action)
        await record(self, by, request_action)

    monkeypatch.setattr(AuditLog, "record", twice)

    with pytest.raises(AssertionError, match=r"customer\.update.*customer\.update"):
        await check_one_row(scene, "upsert_customer")
    print("guard removed: detected")


async def test_settings_before_and_after_are_logged_as_chained_hashes(scene):
    first, _ = await check_one_row(scene, "update_stage")
    second, _ = await check_one_row(scene, "archive_stage")

    assert first["before_hash"] != first["after_hash"] == second["before_hash"] != second["after_hash"]
    assert len(first["after_hash"]) == 32


async def test_changed_fields_are_logged_by_name(scene):
    row, _ = await check_one_row(
        scene, "upsert_customer", body={**PROFILE, "phone": None, "consents": {"sms": "granted"}}
    )

    assert json.loads(row["detail"]) == {"fields": ["phone"], "consents": ["sms"]}


# ---- what leaves none


@newest_only
@pytest.mark.parametrize("operation", [name for name in READING if name not in OF_OPERATORS])
async def test_reading_in_the_own_company_leaves_no_row_unless_it_exports_one_person(visited, operation):
    if LOOKS[operation].action is not None:
        await check_one_row(visited, operation)
        return
    answer = await check_none(visited, await visited.prepared(operation), visited.own)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("operation", sorted(RECORDED_ELSEWHERE))
async def test_ingesting_events_and_previews_leave_no_row(scene, operation):
    answer = await check_none(scene, await scene.prepared(operation), scene.own)

    assert answer.status_code == 200, answer.text
    if operation not in CHANGING_NOTHING:
        ledger = "SELECT count(*) FROM journey_events WHERE company_id = $1"
        assert await scene.database_owner.connection.fetchval(ledger, scene.company_id) > 0


async def a_move(scene):
    seen = await the_version(scene)
    seen["headers"]["Idempotency-Key"] = "move-1"
    request = await scene.prepared("move_customer", before=the_version, headers=seen["headers"])
    assert (await request.send(scene.http, scene.own)).status_code == 201
    return seen


async def settings(scene):
    values = await scene.get("/settings")
    return {"body": values.json()}


async def an_erasure(scene):
    request = await scene.prepared("anonymize_customer")
    assert (await request.send(scene.http, scene.own)).status_code == 200
    return {}


async def a_task_worked_off(scene):
    done = await _done_before(scene, "update_task")
    task = await scene.get(f"/tasks/{done['ids']['task_id']}")
    return {**done, "headers": {"If-Match": task.headers["etag"]}}


async def a_bulk_action_requested(scene):
    key = (await a_bulk_key(scene))["headers"]
    done = await _done_before(scene, "request_bulk_actions", headers=key)
    jobs = (await scene.get("/admin/jobs?kind=bulk_actions")).json()["items"]
    await scene.ended(jobs[0]["id"])
    return done


async def a_bulk_move_requested(scene):
    key = (await a_bulk_key(scene))["headers"]
    done = await _done_before(scene, "request_bulk_moves", headers=key)
    jobs = (await scene.get("/admin/jobs?kind=bulk_moves")).json()["items"]
    await scene.ended(jobs[0]["id"])
    return done


async def another_bulk_move_requested(scene):
    return {**await a_bulk_move_requested(scene), "body": {"to_stage": "lead", "filter": {}}}


async def another_bulk_action_requested(scene):
    return {**await a_bulk_action_requested(scene), "body": {"type": "email", "filter": {}}}


async def an_endpoint_changed(scene):
    return await _done_before(scene, "update_webhook_endpoint")


async def a_template_replaced(scene):
    return await _done_before(scene, "replace_template")


async def a_campaign_ended(scene):
    return await _done_before(scene, "cancel_campaign")


async def actions_told(scene):
    return await _done_before(scene, "replace_stage_actions")


async def an_action_asked_for(scene):
    return await _done_before(scene, "request_action", headers={"Idempotency-Key": "action-1"})


async def _done_before(scene, operation, **changed):
    """Carry the operation's own request out; returns what it takes to send the same again."""
    request = await scene.prepared(operation, **changed)
    answer = await request.send(scene.http, scene.own)
    assert answer.status_code in (200, 201, 202), answer.text
    return {"ids": request.ids, "headers": changed.get("headers", {})}


CHANGES_NOTHING = {
    "a task completed": ("update_task", {"before": a_task_worked_off}),
    "a campaign that was ended": ("cancel_campaign", {"before": a_campaign_ended}),
    "a bulk action that was requested": ("request_bulk_actions", {"before": a_bulk_action_requested}),
    "a bulk move that was requested": ("request_bulk_moves", {"before": a_bulk_move_requested}),
    "a dry run of a bulk move": (
        "request_bulk_moves",
        {"body": {"to_stage": "vip", "filter": {}, "dry_run": True}},
    ),
    "a dry run of a bulk action": (
        "request_bulk_actions",
        {"body": {"type": "call", "filter": {}, "dry_run": True}},
    ),
    "an action that was requested": ("request_action", {"before": an_action_asked_for}),
    "the same endpoint": ("update_webhook_endpoint", {"before": an_endpoint_changed}),
    "the same template": ("replace_template", {"before": a_template_replaced}),
    "the same actions": ("replace_stage_actions", {"before": actions_told}),
    "the default actions": ("reset_stage_actions", {"before": nothing}),
    "the same profile": ("upsert_customer", {"body": PROFILE}),
    "the same profile without consents": ("upsert_customer", {"body": {**PROFILE, "consents": {}}}),
    "a move that was carried out": ("move_customer", {"before": a_move}),
    "a dry run": ("evaluate_customer", {"query": {"dry_run": "true"}}),
    "the same settings": ("replace_settings", {"before": settings}),
    "who was erased": ("anonymize_customer", {"before": an_erasure}),
}
"""Requests that are well and change nothing: by operation."""


@pytest.mark.parametrize("case", CHANGES_NOTHING)
async def test_what_changes_nothing_leaves_no_row(scene, case):
    operation, changed = CHANGES_NOTHING[case]

    answer = await check_none(scene, await scene.prepared(operation, **changed), scene.own)

    assert answer.status_code == _repeated(operation), answer.text


def _repeated(operation):
    """How a request is answered that changes nothing: a repetition of what made something, like the first one."""
    return 201 if operation == "request_action" else 200


UNKNOWN = {"ids": {"customer_id": 1}}
STALE = {"headers": {"If-Match": '"99"'}}
NOT_A_BODY = {"body": {"nonsense": CANARY}}
NO_KEY = {"ids": {"key_id": "0" * 16}}


async def a_key_with_a_successor(scene):
    made = await a_key(scene)
    request = await scene.prepared("rotate_api_key", before=nothing, ids=made["ids"])
    assert (await request.send(scene.http, scene.own)).status_code == 201
    return made


async def a_company_in_real_time(scene):
    scene.company_id = next(_ids)
    body = {"name": "A", "id": scene.company_id}
    answer = await scene.http.post(f"{API}/admin/companies", headers=scene.operator, json=body)
    assert answer.status_code == 201
    scene.own = scene.operator
    return {}


async def a_company_that_exists(scene):
    return {"body": {"id": scene.company_id, "name": CANARY}}


async def a_campaign_over(scene):
    found = await a_campaign(scene)
    await _moved(scene, "customer")
    return found


async def an_endpoint_that_acts(scene):
    body = {**ENDPOINT, "events": ["action.sms"]}
    assert (
        await scene.http.post(f"{API}/webhook-endpoints", headers=scene.own, json=body)
    ).status_code == 201
    return {"body": body}


async def an_endpoint_beside_one_that_acts(scene):
    return {**await an_endpoint_that_acts(scene), **await an_endpoint(scene)}


async def an_endpoint_that_was_told(scene):
    made = await an_endpoint(scene)
    await an_action(scene)
    done = await scene.database_owner.connection.execute(
        "UPDATE journey_actions SET endpoint_id = $2 WHERE company_id = $1",
        scene.company_id,
        made["ids"]["endpoint_id"],
    )
    assert done == "UPDATE 1"
    return made


async def a_template_there(scene):
    await a_template(scene)
    return {"body": TEMPLATE}


async def a_template_beside_another(scene):
    found = await a_template(scene)
    body = {**TEMPLATE, "key": "summer"}
    assert (await scene.http.post(f"{API}/templates", headers=scene.own, json=body)).status_code == 201
    return {**found, "body": body}


async def a_template_in_use(scene):
    found = await a_template(scene)
    step = {"channel": "sms", "template": TEMPLATE["key"]}
    body = {"actions": [{"name": "write", "steps": [step]}]}
    response = await scene.http.put(f"{API}/stages/vip/actions", headers=scene.own, json=body)
    assert response.status_code == 200, response.text
    return found


async def another_action_asked_for(scene):
    values = await an_action_asked_for(scene)
    return {**values, "body": {"type": "email"}}


NO_TASK, NO_CAMPAIGN = {"ids": {"task_id": 1}}, {"ids": {"campaign_id": 1}}
NO_ACTION = {"ids": {"action_id": "00000000-0000-4000-8000-000000000000"}}
NO_SOURCE = {"ids": {"source_id": "1-0123456789abcdef"}}
NO_ENDPOINT, NO_TEMPLATE = {"ids": {"endpoint_id": 1}}, {"ids": {"template_id": 1}}
NO_STAGE = {"ids": {"key": "nowhere"}}

FAILURES = [
    ("create_task", 404, {"body": {"title": CANARY, "due_at": NOON, "customer_id": 5_999_999}}),
    ("create_task", 422, NOT_A_BODY),
    ("update_task", 404, NO_TASK),
    ("update_task", 409, {"before": a_task_worked_off, "body": {"outcome": "Another one."}}),
    ("update_task", 412, STALE),
    ("update_task", 422, NOT_A_BODY),
    ("update_task", 428, {"headers": {"If-Match": None}}),
    ("cancel_campaign", 404, NO_CAMPAIGN),
    ("cancel_campaign", 409, {"before": a_campaign_over}),
    ("request_action", 404, UNKNOWN),
    ("request_action", 422, NOT_A_BODY),
    ("request_action", 422, {"before": another_action_asked_for}),
    ("request_bulk_actions", 422, {"before": another_bulk_action_requested}),
    ("request_bulk_actions", 422, NOT_A_BODY),
    ("request_bulk_moves", 422, {"before": another_bulk_move_requested}),
    ("request_bulk_moves", 422, NOT_A_BODY),
    ("retry_action", 404, NO_ACTION),
    ("retry_action", 409, {"before": an_action}),
    ("replace_stage_actions", 404, NO_STAGE),
    ("replace_stage_actions", 412, {"headers": {"If-Match": '"another"'}}),
    ("replace_stage_actions", 422, NOT_A_BODY),
    ("reset_stage_actions", 404, NO_STAGE),
    ("reset_stage_actions", 412, {"headers": {"If-Match": '"another"'}}),
    ("create_template", 409, {"before": a_template_there}),
    ("create_template", 422, NOT_A_BODY),
    ("replace_template", 404, NO_TEMPLATE),
    ("replace_template", 409, {"before": a_template_beside_another}),
    ("replace_template", 422, NOT_A_BODY),
    ("delete_template", 404, NO_TEMPLATE),
    ("delete_template", 409, {"before": a_template_in_use}),
    ("create_source", 422, {"body": {**SOURCE, "template": "acme"}}),
    ("update_source", 404, NO_SOURCE),
    ("update_source", 422, {"body": {"secret": "short"}}),
    ("delete_source", 404, NO_SOURCE),
    ("create_webhook_endpoint", 409, {"before": an_endpoint_that_acts}),
    ("create_webhook_endpoint", 422, {"body": {**ENDPOINT, "url": "https://10.0.0.1/"}}),
    ("update_webhook_endpoint", 404, NO_ENDPOINT),
    ("update_webhook_endpoint", 409, {"before": an_endpoint_beside_one_that_acts}),
    ("update_webhook_endpoint", 422, {"body": {"events": []}}),
    ("delete_webhook_endpoint", 404, NO_ENDPOINT),
    ("delete_webhook_endpoint", 409, {"before": an_endpoint_that_was_told}),
    ("rotate_webhook_secret", 404, NO_ENDPOINT),
    ("rotate_webhook_secret", 422, {"body": {"overlap_seconds": -1}}),
    ("test_webhook_endpoint", 404, NO_ENDPOINT),
    ("replay_webhook_events", 404, NO_ENDPOINT),
    ("replay_webhook_events", 422, {"body": {"since": "yesterday"}}),
    ("create_session", 401, {"headers": {"Authorization": f"Bearer jrn_unknown_{CANARY * 4}"}}),
    ("delete_session", 403, {"headers": {"Origin": "https://evil.example"}}),
    ("replace_session_company", 422, {"body": {"company_id": 1, "reason": ""}}),
    ("replace_session_company", 404, {"body": {"company_id": 5_999_999, "reason": CANARY}}),
    ("delete_session_company", 403, {"headers": {"Origin": "https://evil.example"}}),
    ("create_import", 422, {"content": b"\x1f\x8b nonsense"}),
    ("upsert_customer", 422, NOT_A_BODY),
    ("upsert_customer", 413, {"content": b" " * 300_000}),
    ("upsert_customer", 415, {"headers": {"Content-Type": "text/csv"}}),
    ("update_customer", 404, UNKNOWN),
    ("update_customer", 422, NOT_A_BODY),
    ("update_company", 412, {"headers": {"If-Match": '"another"'}}),
    ("update_company", 422, NOT_A_BODY),
    ("anonymize_customer", 404, UNKNOWN),
    ("merge_customers", 404, UNKNOWN),
    ("merge_customers", 409, {"body": {"merge": CUSTOMER}}),
    ("merge_customers", 412, STALE),
    ("merge_customers", 422, NOT_A_BODY),
    ("merge_customers", 428, {"headers": {"If-Match": None}}),
    ("update_journey", 404, UNKNOWN),
    ("update_journey", 412, STALE),
    ("update_journey", 422, NOT_A_BODY),
    ("update_journey", 428, {"headers": {"If-Match": None}}),
    ("move_customer", 404, UNKNOWN),
    ("move_customer", 409, {"body": {"to_stage": "prospect"}}),
    ("move_customer", 412, STALE),
    ("move_customer", 422, {"body": {"to_stage": "nowhere"}}),
    ("pin_customer", 404, UNKNOWN),
    ("pin_customer", 412, STALE),
    ("pin_customer", 422, {"body": {"pin_until": "2020-01-01T00:00:00Z"}}),
    ("unpin_customer", 404, UNKNOWN),
    ("unpin_customer", 409, {"before": the_version}),
    ("unpin_customer", 412, STALE),
    ("evaluate_customer", 404, UNKNOWN),
    ("replace_stage_map", 412, STALE | {"body": {"stages": []}}),
    ("replace_stage_map", 422, {"body": {"version": 1, "stages": []}}),
    ("update_stage", 404, {"ids": {"key": "nowhere"}}),
    ("update_stage", 412, STALE),
    ("update_stage", 422, {"body": {"order": "first"}}),
    ("archive_stage", 404, {"ids": {"key": "nowhere"}}),
    ("archive_stage", 409, {"ids": {"key": "prospect"}}),
    ("archive_stage", 412, STALE),
    ("preview_stage_map", 412, {"body": {"version": 99, "stages": []}}),
    ("preview_stage_map", 422, NOT_A_BODY),
    ("start_backtest", 422, NOT_A_BODY),
    ("replace_settings", 412, {"headers": {"If-Match": '"another"'}}),
    ("replace_settings", 422, NOT_A_BODY),
    ("rescore_customers", 404, {"body": {"customer_ids": [1]}}),
    ("start_reconciliation", 422, {"query": {"unknown": "1"}}),
    ("start_data_inspection", 422, {"query": {"unknown": "1"}}),
    ("rescore_customers", 422, {"body": {"customer_ids": [CUSTOMER, 1]}}),
    ("rebuild_daily_metrics", 422, {"body": {"from": "2026-03-01", "to": "2026-03-01"}}),
    ("repair_data", 422, NOT_A_BODY),
    ("evaluate_customers", 404, {"body": {"customer_ids": [1]}}),
    ("evaluate_customers", 422, NOT_A_BODY),
    ("advance_test_clock", 409, {"before": a_company_in_real_time}),
    ("advance_test_clock", 422, {"body": {"advance_to": "2026-01-01T00:00:00Z"}}),
    ("create_company", 409, {"before": a_company_that_exists}),
    ("create_company", 422, NOT_A_BODY),
    ("create_company_api_key", 404, {"ids": {"company_id": 5_999_999}}),
    ("create_company_api_key", 422, {"body": {"name": CANARY}}),
    ("rotate_company_api_key", 404, NO_KEY),
    ("rotate_company_api_key", 409, {"before": a_key_with_a_successor}),
    ("update_company_api_key", 404, NO_KEY),
    ("revoke_company_api_key", 404, NO_KEY),
    ("create_api_key", 422, {"body": {"name": CANARY, "role": "operator"}}),
    ("rotate_api_key", 404, NO_KEY),
    ("rotate_api_key", 409, {"before": a_key_with_a_successor}),
    ("update_api_key", 404, NO_KEY),
    ("revoke_api_key", 404, NO_KEY),
]
"""Requests that fail: by operation, the status they are answered with, and what is wrong."""


@newest_only
@pytest.mark.parametrize(
    ("operation", "status", "changed"), FAILURES, ids=[f"{name} {status}" for name, status, _ in FAILURES]
)
async def test_what_has_failed_leaves_no_row_but_of_an_operator_s_presence(scene, operation, status, changed):
    request = await scene.prepared(operation, **changed)

    sender = scene.sender(operation)
    if sender["Authorization"] != scene.requires_scope["Authorization"] or operation in OF_OPERATORS:
        answer = await check_none(scene, request, sender)
        assert answer.status_code == status, answer.text
    if OPERATIONS[operation][2] not in ("operate", "self") and status not in (401, 413):
        last = await scene.last()
        answer = await request.send(scene.http, scene.requires_scope)
        assert answer.status_code == status, answer.text
        rows = await scene.rows_since(last)
        assert [(row["action"], row["reason"], json.loads(row["detail"])) for row in rows] == [
            (PRESENT, REASON, {"operation": operation})
        ]


async def test_a_refused_request_leaves_no_row(scene, create_test_company):
    narrow = await create_test_company(scopes=("stages:read",))
    for operation in AUDITED:
        if operation in OF_ONESELF | OF_SESSIONS:
            continue
        request = await scene.prepared(operation)
        for sender, status in (
            (narrow.headers, 403),
            ({}, 401),
            ({**narrow.headers, "X-Company-Id": "1"}, 403),
        ):
            answer = await check_none(scene, request, sender)
            assert answer.status_code == status, answer.text


# ---- operators


@newest_only
@pytest.mark.parametrize("operation", [name for name in WITHIN_A_COMPANY if name in CHANGING])
async def test_every_change_by_an_operator_is_in_the_company_s_log_with_the_reason(scene, operation):
    await check_one_row(scene, operation, by_operator=True)


@newest_only
@pytest.mark.parametrize("operation", [name for name in WITHIN_A_COMPANY if name in READING])
async def test_every_read_by_an_operator_is_in_the_company_s_log_with_the_reason(visited, operation):
    await check_one_row(visited, operation, by_operator=True)


async def test_a_list_of_a_company_s_keys_is_in_its_log_too(visited):
    await check_one_row(visited, "list_company_api_keys")


async def test_an_operator_who_gives_no_reason_is_in_the_log_without_one(visited):
    last = await visited.last()
    headers = {**visited.requires_scope, "X-Reason": None}

    await (await visited.prepared("get_customer")).send(visited.http, headers)

    [row] = await visited.rows_since(last)
    assert (row["is_operator"], row["reason"]) == (True, None)


@pytest.mark.parametrize("reason", ["x" * 256, "a\tb", "schl\u00fcssel".encode(), b"\x00"])
async def test_a_reason_that_cannot_be_kept_is_refused_before_anything_is_shown(visited, reason):
    request = await visited.prepared("get_customer")

    answer = await check_none(visited, request, {**visited.requires_scope, "X-Reason": reason})

    problem(answer, 422, "invalid-input", "header/X-Reason")


async def test_what_an_operator_looks_for_is_written_down_whether_or_not_it_is_there(visited):
    request = await visited.prepared("get_customer", ids={"customer_id": 1})
    last = await visited.last()

    answer = await request.send(visited.http, visited.requires_scope)

    problem(answer, 404, "customer-not-found")
    assert [row["action"] for row in await visited.rows_since(last)] == [PRESENT]


async def test_what_an_operator_does_across_companies_is_in_no_company_s_log(visited):
    for operation in ("list_companies", "get_session"):
        answer = await check_none(visited, await visited.prepared(operation), visited.requires_scope)
        assert answer.status_code == 200


async def test_a_company_that_is_not_there_has_no_log(visited):
    headers = {**visited.requires_scope, "X-Company-Id": "5999999"}
    for operation in ("list_customers", "ingest_event", "upsert_customer", "list_audit_entries"):
        answer = await check_none(visited, await visited.prepared(operation), headers)
        assert answer.status_code == 404, answer.text


@pytest.mark.parametrize("case", CHANGES_NOTHING)
async def test_an_operator_who_changes_nothing_was_there_all_the_same(scene, case):
    operation, changed = CHANGES_NOTHING[case]
    request = await scene.prepared(operation, **changed)
    last = await scene.last()

    answer = await request.send(scene.http, scene.requires_scope)

    if answer.status_code != _repeated(operation):
        raise ValueError(answer.text)
    assert len(await scene.rows_since(last)) == 1


# ---- with the act, or not at all


@asynccontextmanager
async def a_log_that_is_full(scene):
    """No row can be added to the company's log."""
    constraint = (
        f"ALTER TABLE audit_log ADD CONSTRAINT full_log CHECK (company_id <> {scene.company_id}) NOT VALID"
    )
    await scene.database_owner.connection.execute(constraint)
    try:
        yield
    finally:
        await scene.database_owner.connection.execute("ALTER TABLE audit_log DROP CONSTRAINT full_log")


async def check_all_or_nothing(scene, request, sender, *, may_differ=()):
    """Send a request while nothing can be written down: it fails, and nothing of it is there."""
    number = await scene.database_owner.count_companies()
    before = await scene.database_owner.rows(scene.company_id)
    async with a_log_that_is_full(scene):
        answer = await request.send(scene.http, sender)
    problem(answer, 500, "internal-error")
    after = await scene.database_owner.rows(scene.company_id)
    differ = {table for table, rows in after.items() if rows != before[table]}
    assert differ <= set(may_differ), differ
    assert await scene.database_owner.count_companies() == number
    assert CANARY not in answer.text + str(answer.headers)
    assert "set-cookie" not in answer.headers


@newest_only
@pytest.mark.parametrize("operation", AUDITED)
async def test_an_act_that_cannot_be_written_down_is_not_done(scene, operation):
    request = await scene.prepared(operation)

    # An upload is read in many transactions; what it may leave is that it was given up.
    may_differ = ("imports", "import_lines") if operation == "create_import" else ()
    await check_all_or_nothing(scene, request, scene.sender(operation), may_differ=may_differ)

    if operation == "create_import":
        status = "SELECT array_agg(status) FROM imports WHERE company_id = $1"
        assert await scene.database_owner.connection.fetchval(status, scene.company_id) == ["failed"]
    answer = await request.send(scene.http, scene.sender(operation))
    assert answer.status_code < 300, "all the rest was right"


@newest_only
@pytest.mark.parametrize("operation", [*READING, *sorted(RECORDED_ELSEWHERE)])
async def test_an_operator_who_cannot_be_logged_reads_and_changes_nothing(visited, operation):
    if operation in OF_ONESELF | {"list_companies"}:
        return  # within no company
    request = await visited.prepared(operation)

    await check_all_or_nothing(visited, request, visited.sender(operation, by_operator=True))


async def test_an_act_that_outlives_its_row_is_found_out(scene, monkeypatch):
    record = AuditLog.record

    async def if_it_can_be(self, by, request_action):
        with suppress(DBAPIError):
            async with self._connection.begin_nested():
                await record(self, by, request_action)

    monkeypatch.setattr(AuditLog, "record", if_it_can_be)

    with pytest.raises(AssertionError):
        await test_an_act_that_cannot_be_written_down_is_not_done(scene, "upsert_customer")
    print("guard removed: detected")


@pytest.mark.parametrize("kind", ["profile", "link", "session"])
async def test_what_is_done_without_a_request_is_done_with_its_row_or_not_at_all(scene, database, kind):
    """By a command: an actor whose request has an id that no log can hold."""
    company_id, impossible = scene.company_id, Actor("tests", request_id="x" * 65)
    principal = credentials.Principal("tests", company_id, Role.ADMIN, frozenset("*"))
    before = await scene.database_owner.rows(company_id)

    acts = {
        "profile": lambda by: customers.put_customer(
            database, company_id, 7, {"name": "A"}, consents={}, by=by
        ),
        "link": lambda by: sessions.create_link(database, company_id, Role.AGENT, by=by),
        "session": lambda by: sessions.open_session(database, principal, by=by),
    }
    with pytest.raises(UnexpectedDatabaseError):
        await acts[kind](impossible)

    assert await scene.database_owner.rows(company_id) == before
    await acts[kind](Actor("tests", request_id="x" * 64))
    after = await scene.database_owner.rows(company_id)
    assert after["audit_log"] != before["audit_log"]


# ---- rows are added and read, and that is all

FORBIDDEN = {
    "change": "UPDATE audit_log SET actor = 'changed'",
    "change one column": "UPDATE audit_log SET reason = NULL",
    "remove": "DELETE FROM audit_log",
    "empty": "TRUNCATE audit_log",
    "replace": "INSERT INTO audit_log (company_id, actor, action) VALUES ($1, 'a', 'b')"
    " ON CONFLICT (company_id, id) DO UPDATE SET actor = 'changed'",
    "drop": "DROP TABLE audit_log",
    "open": "ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY",
}


@asynccontextmanager
async def as_role(connection, role, company_id):
    """What the service's own login may do, in a transaction that is not kept."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL ROLE {role}")
        await connection.execute("SELECT set_config('app.company_id', $1, true)", str(company_id))
        yield
    finally:
        await transaction.rollback()


async def check_forbidden(scene, role, statement):
    async with as_role(scene.database_owner.connection, role, scene.company_id):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await scene.database_owner.connection.execute(statement.replace("$1", str(scene.company_id)))


@pytest.mark.parametrize("role", ["journey_app", "journey_dispatcher", "journey_readonly", "journey_keyring"])
@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_the_database_lets_no_row_be_changed_or_removed(visited, role, statement):
    await check_forbidden(visited, role, statement)


async def test_rows_are_added_to_and_read_of_the_own_company_only(visited, create_test_company):
    neighbour = await create_test_company()
    connection = visited.database_owner.connection
    new = "INSERT INTO audit_log (company_id, actor, action) VALUES ($1, 'a', 'b')"

    async with as_role(connection, "journey_app", visited.company_id):
        assert await connection.fetchval("SELECT array_agg(DISTINCT company_id) FROM audit_log") == [
            visited.company_id
        ]
        await connection.execute(new, visited.company_id)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute(new, neighbour.id)


async def test_a_right_too_many_is_found_out(visited):
    connection = visited.database_owner.connection
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("GRANT UPDATE ON audit_log TO journey_app")

    with pytest.raises(pytest.fail.Exception):
        await check_forbidden(visited, "journey_app", FORBIDDEN["change"])

    await transaction.rollback()
    await check_forbidden(visited, "journey_app", FORBIDDEN["change"])
    print("guard removed: detected")


# ---- reading it


@pytest.fixture
async def acts(scene):
    """Some acts of several people in the company; their rows as the database has them, newest first."""
    for operation in (
        "upsert_customer",
        "move_customer",
        "pin_customer",
        "create_api_key",
        "update_stage",
        "rescore_customers",
    ):
        await check_one_row(scene, operation)
    await check_one_row(scene, "upsert_customer", body={"name": "Ada"}, ids={"customer_id": 8})
    await check_one_row(scene, "get_customer", by_operator=True)
    await check_one_row(scene, "pin_customer", by_operator=True)
    log = "SELECT * FROM audit_log WHERE company_id = $1 ORDER BY id DESC"
    return await scene.database_owner.connection.fetch(log, scene.company_id)


async def log(scene, **params):
    """The rows of the list, page by page."""
    pages = await every_page(scene.http, scene.own, "/admin/audit", limit=200, **params)
    return [row for page in pages for row in page]


async def test_the_log_shows_every_row_as_it_is_newest_first(scene, acts):
    text = await log(scene)

    assert len(text) == len(acts) >= 11
    for values, row in zip(text, acts, strict=True):
        assert datetime.fromisoformat(values.pop("at")) == row["at"]
        assert values == {
            **{name: row[name] for name in ("id", "actor", "is_operator", "reason", "action", "customer_id")},
            **{name: row[name] for name in ("target", "request_id", "address")},
            "detail": None if row["detail"] is None else json.loads(row["detail"]),
            "before_hash": None if row["before_hash"] is None else row["before_hash"].hex(),
            "after_hash": None if row["after_hash"] is None else row["after_hash"].hex(),
        }
    ids = [values["id"] for values in text]
    assert ids == sorted(ids, reverse=True)


async def test_reading_the_log_leaves_no_row_in_it(scene, acts):
    assert await log(scene) == await log(scene)


@pytest.mark.parametrize("limit", [1, 3, 11, 200])
async def test_the_log_is_read_page_by_page(scene, acts, limit):
    pages = await every_page(scene.http, scene.own, "/admin/audit", limit=limit)

    assert [row["id"] for page in pages for row in page] == [row["id"] for row in acts]
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_page_continues_where_the_last_one_ended_when_rows_are_added(scene, acts):
    first = await fetch(scene.http, _tenant(scene), "/admin/audit", limit=4)
    await check_one_row(scene, "pin_customer")

    second = await fetch(scene.http, _tenant(scene), "/admin/audit", limit=200, cursor=first["next_cursor"])

    assert [row["id"] for row in (*first["items"], *second["items"])] == [row["id"] for row in acts]


def _tenant(scene):
    return SimpleNamespace(headers=scene.own)


async def test_the_log_is_narrowed_down(scene, acts):
    own, operators = f"key:{scene.own['Authorization'].split('_')[1]}", "key:tests"

    async def ids(**params):
        return [row["id"] for row in await log(scene, **params)]

    def of(fits):
        return [row["id"] for row in acts if fits(row)]

    middle = acts[len(acts) // 2]["at"]
    since, until = middle.isoformat(), acts[1]["at"].isoformat()
    expected = {
        "actor": (of(lambda row: row["actor"] == own), {"actor": own}),
        "operators": (of(lambda row: row["actor"] == operators), {"actor": operators}),
        "action": (of(lambda row: row["action"] == "customer.pin"), {"action": "customer.pin"}),
        "customer": (of(lambda row: row["customer_id"] == CUSTOMER), {"customer_id": CUSTOMER}),
        "since": (of(lambda row: row["at"] >= middle), {"since": since}),
        "until": (of(lambda row: row["at"] < middle), {"until": since}),
        "both": (of(lambda row: middle <= row["at"] < acts[1]["at"]), {"since": since, "until": until}),
        "several": (
            of(lambda row: (row["actor"], row["action"]) == (operators, "customer.pin")),
            {"actor": operators, "action": "customer.pin", "customer_id": CUSTOMER, "since": since},
        ),
    }
    for name, (those, params) in expected.items():
        assert 0 < len(those) < len(acts), name
        assert await ids(**params) == those, name
        assert [
            row["id"]
            for page in await every_page(scene.http, scene.own, "/admin/audit", limit=1, **params)
            for row in page
        ] == those, name
    for params in (
        *({"actor": own.upper()}, {"actor": "key:%"}, {"action": "customer"}, {"customer_id": 1}),
        *({"since": "2199-01-01T00:00:00Z"}, {"until": "2020-01-01T00:00:00Z"}),
    ):
        assert await ids(**params) == [], params


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("since", value) for value in ("yesterday", "2026-03-01", "")],
        *[("until", value) for value in ("1", "2026-03-01T12:00:00")],
        *[("customer_id", value) for value in ("x", str(2**63))],
        *[("actor", value) for value in ("x" * 256, "a\x00b")],
        *[("action", value) for value in ("x" * 65, "\x00")],
        *[("limit", value) for value in ("0", "201", "x")],
        *[("cursor", value) for value in ("x", "WyJqb2JzIiwxXQ", "WyJhdWRpdCIsIjEiXQ")],
    ],
)
async def test_a_filter_that_is_none_is_refused(visited, name, value):
    answer = await visited.http.get(f"{API}/admin/audit", headers=visited.own, params={name: value})

    problem(answer, 422, "invalid-input", f"query/{name}")


async def test_the_log_is_its_own_company_s(scene, acts, create_test_company):
    neighbour = await create_test_company()

    theirs = await fetch(scene.http, neighbour, "/admin/audit", limit=200)
    cursor = (await fetch(scene.http, _tenant(scene), "/admin/audit", limit=1))["next_cursor"]
    with_cursor = await fetch(scene.http, neighbour, "/admin/audit", cursor=cursor)

    assert [row["action"] for row in theirs["items"]] == ["key.create", "company.create"]
    assert {row["id"] for row in (*theirs["items"], *with_cursor["items"])} & {
        row["id"] for row in acts
    } == set()
    headers = {**neighbour.headers, "X-Company-Id": str(scene.company_id)}
    problem(await scene.http.get(f"{API}/admin/audit", headers=headers), 403, "forbidden")


async def test_the_log_is_for_admins(visited, create_test_company):
    others = tuple(scope for scope in credentials.SCOPES if scope not in ("admin", "*"))
    without, exactly = await create_test_company(scopes=others), await create_test_company(scopes=("admin",))

    problem(await visited.http.get(f"{API}/admin/audit", headers=without.headers), 403, "forbidden")
    assert (await visited.http.get(f"{API}/admin/audit", headers=exactly.headers)).status_code == 200


async def test_an_export_contains_its_own_entry(visited):
    row, answer = await check_one_row(visited, "export_customer")

    body = answer.json()["tables"]["audit_log"] if "tables" in answer.json() else answer.json()["audit"]
    assert row["id"] in {one["id"] for one in body}
