"""Parts of examples that depend on the operation and the status, which the schema alone does not determine.

All examples show the same company: Salon Lumière (42) on 2026-03-01, with the customers 4711 (Ada Lovelace, a regular)
and 4712 (Grace Hopper, at risk).
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from journey_service.domain.actions.parsing import actions_to_json
from journey_service.domain.actions.stage_actions import DEFAULT_ACTIONS, with_repeat
from journey_service.domain.actions.templates import BUILT_IN
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.json_values import UncheckedJson
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.stage_map import StageKind

_KEY: Final = "key:console"
_AT: Final = "2026-03-01T12:00:00Z"


def merge(value: UncheckedJson, override: UncheckedJson) -> UncheckedJson:
    """Returns a value with an override: objects are merged by field, all other values and `counts` are replaced."""
    if not isinstance(value, dict) or not isinstance(override, Mapping):
        return override
    return {
        **value,
        **{
            name: each if name == "counts" else merge(value.get(name), each)
            for name, each in override.items()
        },
    }


# ---- jobs

_RUNNING: Final = {"status": "running", "done": 2_000, "total": 6_200}
_RUNNING_JOB: Final = {**_RUNNING, "finished_at": None, "actor": _KEY}
_ENDED_JOB: Final = {
    "status": "done",
    "done": 900,
    "total": 900,
    "actor": _KEY,
    "created_at": _AT,
    "started_at": _AT,
    "finished_at": "2026-03-01T12:00:02Z",
}
_UNFINISHED: Final = {**_RUNNING, "error": None, "result": None}
_STAGE_MAP_JOB: Final = {
    **_ENDED_JOB,
    "kind": "roll_out_stage_map",
    "counts": {"migrated": 900, "moved": 12, "remapped": 0},
}
_RUNNING_STAGE_MAP_JOB: Final = {
    **_STAGE_MAP_JOB,
    **_RUNNING_JOB,
    "counts": {"migrated": 2_000, "moved": 31, "remapped": 0},
}
_SETTINGS_JOB: Final = {
    **_ENDED_JOB,
    "kind": "apply_settings",
    "counts": {"evaluated": 900, "moved": 4, "changed": 310},
}
_RUNNING_SETTINGS_JOB: Final = {
    **_SETTINGS_JOB,
    **_RUNNING_JOB,
    "counts": {"evaluated": 2_000, "moved": 9, "changed": 702},
}
_BULK_JOB: Final = {
    **_ENDED_JOB,
    "kind": "bulk_actions",
    "done": 85,
    "total": 85,
    "counts": {
        "ok": 59,
        "no_consent": 12,
        "no_address": 4,
        "capped": 3,
        "has_booking": 2,
        "already_open": 5,
        "erased": 0,
    },
}
_MOVES_JOB: Final = {
    **_ENDED_JOB,
    "kind": "bulk_moves",
    "done": 73,
    "total": 73,
    "counts": {"moved": 61, "with_actions": 58, "in_stage": 12, "erased": 0},
}
_RUNNING_BULK_JOB: Final = {
    **_BULK_JOB,
    "status": "queued",
    "done": 0,
    "total": 85,
    "counts": {},
    "started_at": None,
    "finished_at": None,
}

# ---- stage maps

_STAGES: Final = [
    {**stage, "retention_days": None, "is_active": True, "remapped_to": None} for stage in DEFAULT_STAGES
]
_NEW_MAP: Final = {"version": 4, "created_at": _AT, "activated_at": _AT}
_ARCHIVED: Final = [
    {**stage, "is_active": False, "remapped_to": "customer"} if stage["key"] == "vip" else stage
    for stage in _STAGES
]
_RENAMED: Final = [{**stage, "name": "VIP"} if stage["key"] == "vip" else stage for stage in _STAGES]
_WITHOUT_VIP_RULE: Final = [
    {name: value for name, value in stage.items() if stage["key"] != "vip" or name != "auto_rules"}
    for stage in DEFAULT_STAGES
]
_PREVIEW: Final = {
    "result": {
        "diff": {
            "changed": [
                {
                    "stage": "vip",
                    "field": "auto_rules",
                    "before": {"trigger": "lifetime_value", "conditions": {"value": ">=1000"}},
                    "after": {"trigger": "lifetime_value", "conditions": {"value": ">=300"}},
                }
            ]
        }
    }
}


def _map_changes(change: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    return {
        200: {**_NEW_MAP, **change, "job": _STAGE_MAP_JOB},
        202: {**_NEW_MAP, **change, "job": _RUNNING_STAGE_MAP_JOB},
    }


# ---- settings

SETTINGS_REQUEST: Final = {
    "revenue_source": "payments",
    "scoring": {"inactive_days": 45},
    "frequency_cap": 2,
}
"""Body of the example of `PUT /settings`."""
_SETTINGS: Final = {
    "settings": policy_to_json(parse_policy(SETTINGS_REQUEST)),
    "changed": ["scoring.inactive_days", "revenue_source", "frequency_cap"],
}

# ---- customers and actions

_NEW_JOURNEY: Final = {
    "current_stage": "prospect",
    "stage_name": "Prospect",
    "stage_entered_at": _AT,
    "days_in_current_stage": 0,
    "previous_stage": None,
    "version": 1,
    "lifetime_value": 0,
    "total_appointments": 0,
    "total_missed": 0,
    "first_appointment_at": None,
    "last_appointment_at": None,
    "next_booking_at": None,
    "last_event_at": None,
    "risk_score": 0,
    "engagement_score": 0.5,
    "next_evaluation_at": None,
    "owner": None,
    "notes": None,
    "metadata": None,
    "created_at": _AT,
    "updated_at": _AT,
}
_NO_CONSENT: Final = {"status": "unknown", "at": None, "source": None, "method": None, "granted_at": None}
_MOVED: Final = {
    "current_stage": "vip",
    "stage_name": "VIP Customer",
    "stage_entered_at": _AT,
    "days_in_current_stage": 0,
    "previous_stage": "regular",
    "version": 5,
    "updated_at": _AT,
}
_REQUESTED_OFFER: Final = {
    "channel": "offer",
    "name": "personal_offer",
    "stage": "regular",
    "transition_seq": None,
    "state": "pending",
    "template": "personal_offer",
    "offer": {"title": "10% off your next visit", "code": "HELLO10", "valid_days": 30},
    "note": "We would like to see you again.",
    "actor": _KEY,
    "planned_at": _AT,
    "due_at": _AT,
    "finished_at": None,
    "next_attempt_at": _AT,
    "attempts": 0,
    "last_status": None,
    "created_at": _AT,
}
_RETRIED: Final = {
    "state": "pending",
    "finished_at": None,
    "next_attempt_at": _AT,
    "attempts": 0,
    "last_status": 550,
    "last_error": "550 mailbox unavailable",
}
_CANCELLED_CAMPAIGN: Final = {
    "status": "ended",
    "ended_at": _AT,
    "reason": "manual",
    "steps": [
        {
            "number": 0,
            "action_id": "018f6f5e-7a3c-7cc0-98a1-3f1f0b8f2a10",
            "channel": "email",
            "state": "done",
            "reason": None,
            "due_at": "2026-01-12T10:00:00Z",
            "finished_at": "2026-01-12T10:00:00Z",
        },
        {
            "number": 1,
            "action_id": "018f6f5e-7a3c-7cc0-98a1-3f1f0b8f2a11",
            "channel": "offer",
            "state": "cancelled",
            "reason": "campaign_ended",
            "due_at": "2026-03-12T10:00:00Z",
            "finished_at": _AT,
        },
    ],
}
_ROTATED_KEY: Final = {
    "id": "fedcba9876543210",
    "expires_at": None,
    "last_used_at": None,
    "rotated_from": "0123456789abcdef",
    "secret": "jrn_fedcba9876543210_Qm7cV2xN9bR4kT8wL1yH6pD5sF0gJaZ3",
}
_NEW_KEY: Final = {"expires_at": None, "last_used_at": None}
_NOT_MOVED: Final = {
    "status": "stayed",
    "transitions": [],
    "reasons": [
        {
            "stage": "vip",
            "kind": "progress",
            "held": False,
            "paused_by": None,
            "rules": [
                {
                    "trigger": "lifetime_value",
                    "held": False,
                    "conditions": [{"field": "value", "condition": ">=1000", "value": 349.9, "held": False}],
                }
            ],
        }
    ],
}

REQUESTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "lint_stage_map": {"stages": _WITHOUT_VIP_RULE},
    "receive_action_crm_update": {"timestamp": "2025-09-02T09:00:00Z"},
    "receive_action_sms": {"timestamp": "2026-01-15T10:00:00Z", "data": {"customer_id": 4712}},
    "receive_action_special_offer": {
        "timestamp": "2026-01-26T10:00:00Z",
        "data": {"customer_id": 4712, "step": 3},
    },
    "receive_campaign_started": {"timestamp": "2026-01-12T10:00:00Z", "data": {"customer_id": 4712}},
    "receive_customer_at_risk": {"timestamp": "2026-01-12T10:00:00Z"},
    "receive_stage_changed": {"timestamp": "2026-01-15T10:00:00Z"},
    "receive_task_created": {"timestamp": "2026-01-12T10:00:00Z", "data": {"customer_id": 4712}},
}
"""Overrides of the example of a request body, by operation id."""

_MANY: Final[Mapping[str, Mapping[int, Mapping[str, Any]]]] = {
    "advance_test_clock": {202: {"status": "running", "evaluated": 20, "transitions": 6, "rescored": 0}},
    "archive_stage": _map_changes({"stages": _ARCHIVED}),
    "cancel_campaign": {200: _CANCELLED_CAMPAIGN},
    "create_api_key": {201: _NEW_KEY},
    "create_company": {
        201: {
            "map_version": 1,
            "stages": {
                "version": 1,
                "author": "key:operations",
                "created_at": "2026-03-01T09:30:00Z",
                "activated_at": None,
                "notes": None,
            },
        }
    },
    "create_company_api_key": {201: _NEW_KEY},
    "create_import": {
        202: {
            "status": "queued",
            "done": 0,
            "applied": 0,
            "duplicates": 0,
            "erased": 0,
            "transitions": 0,
            "finished_at": None,
        }
    },
    "create_task": {
        201: {
            "channel": "task",
            "name": "personal_task",
            "title": "Order new towels",
            "note": "The grey ones.",
            "action_id": None,
        }
    },
    "evaluate_customer": {200: _NOT_MOVED},
    "get_readiness": {503: {"status": "unavailable", "database": "unreachable", "schema": "mismatch"}},
    "get_stage_map_diff": {200: {"added": []}},
    "ingest_event": {200: {"transition": None}},
    "list_built_in_templates": {200: {"items": [asdict(BUILT_IN["welcome"][0])]}},
    "move_customer": {status: {"journey": _MOVED} for status in (200, 201)},
    "pin_customer": {200: {"pin_until": "2026-04-01T00:00:00Z"}},
    "get_stage_map_preview": {200: _PREVIEW},
    "preview_stage_map": {200: _PREVIEW, 202: _UNFINISHED},
    "repair_data": {200: {"dry_run": True, "job_id": None}, 202: {"dry_run": False, "issues": []}},
    "replace_settings": {
        200: {**_SETTINGS, "job": _SETTINGS_JOB},
        202: {**_SETTINGS, "job": _RUNNING_SETTINGS_JOB},
    },
    "replace_stage_map": _map_changes({}),
    "get_bulk_actions": {200: _BULK_JOB},
    "get_bulk_moves": {200: _MOVES_JOB},
    "request_action": {201: _REQUESTED_OFFER},
    "request_bulk_actions": {
        200: {"dry_run": True, "job": None},
        202: {"dry_run": False, "counts": None, "job": _RUNNING_BULK_JOB},
    },
    "request_bulk_moves": {
        200: {"dry_run": True, "job": None},
        202: {
            "dry_run": False,
            "counts": None,
            "job": {**_RUNNING_BULK_JOB, "kind": "bulk_moves", "total": 73},
        },
    },
    "reset_stage_actions": {
        200: {
            "actions": actions_to_json(with_repeat(DEFAULT_ACTIONS["vip"], StageKind.PROGRESS)),
            "is_default": True,
        },
    },
    "retry_action": {200: _RETRIED},
    "rotate_api_key": {201: _ROTATED_KEY},
    "rotate_company_api_key": {201: _ROTATED_KEY},
    "rotate_webhook_secret": {
        200: {"previous_secret_expires_at": "2026-03-02T12:00:00Z", "updated_at": _AT},
    },
    "start_backtest": {202: _UNFINISHED},
    "update_stage": _map_changes({"stages": _RENAMED}),
    "update_task": {
        200: {
            "status": "done",
            "outcome": "She comes on Monday.",
            "closed_by": _KEY,
            "closed_at": _AT,
            "version": 2,
        }
    },
    "upsert_customer": {
        201: {
            "consents": {
                "email": {"status": "granted", "at": _AT, "source": _KEY},
                "sms": {"status": "withdrawn", "at": _AT, "source": _KEY},
                "call": _NO_CONSENT,
                "offer": _NO_CONSENT,
            },
            "created_at": _AT,
            "updated_at": _AT,
            "journey": _NEW_JOURNEY,
        }
    },
}
RESPONSES: Final[Mapping[tuple[str, int], Mapping[str, Any]]] = {
    (operation, status): override
    for operation, by_status in _MANY.items()
    for status, override in by_status.items()
}
"""Overrides of the example of a response, by operation id and status."""
