"""The register of personal data: what every column of every table means for the person a row is about.

Export, erasure and the redaction of logs are driven by it. Tests check that the register is complete, and that no
value of a personal column is left anywhere after an erasure.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ColumnKind(StrEnum):
    """What a column holds about a person, and what an erasure does with it."""

    ID = "id"
    """The customer's id: replaced by a random negative one."""
    IDENTITY = "identity"
    """Name or contact data: cleared."""
    TEXT = "text"
    """Free text or JSON that may contain personal data: cleared."""
    HANDLE = "handle"
    """An id that another system assigned: replaced by its HMAC, which stays unique."""
    FACT = "fact"
    """About the person but not identifying: kept, so that metrics do not change; included in the export."""
    MIXED = "mixed"
    """JSON of the service that may contain customer ids: the ids are replaced, the rest is kept."""
    DERIVED = "derived"
    """Computed by the database from other columns of the row: follows them, is not exported again, never logged."""
    NOT = "not"
    """Not about a customer."""


_NOT: Final = ColumnKind.NOT
_FACT: Final = ColumnKind.FACT


def _table(default: ColumnKind, names: str, **others: ColumnKind) -> Mapping[str, ColumnKind]:
    return MappingProxyType({**dict.fromkeys(names.split(), default), **others})


REGISTER: Final[Mapping[str, Mapping[str, ColumnKind]]] = MappingProxyType(
    {
        "customers": _table(
            _FACT,
            "language field_times created_at updated_at anonymized_at",
            company_id=_NOT,
            customer_id=ColumnKind.ID,
            customer_ref=ColumnKind.IDENTITY,
            name=ColumnKind.IDENTITY,
            first_name=ColumnKind.IDENTITY,
            email=ColumnKind.IDENTITY,
            phone=ColumnKind.IDENTITY,
            phone_digits=ColumnKind.IDENTITY,
            attributes=ColumnKind.TEXT,
            consents=_FACT,
            merged_into=_FACT,
            name_key=ColumnKind.DERIVED,
            search=ColumnKind.DERIVED,
            mailbox=ColumnKind.DERIVED,
        ),
        "customer_attributes": _table(
            ColumnKind.DERIVED,
            "attribute value_text value_number value_date",
            company_id=_NOT,
            customer_id=ColumnKind.ID,
        ),
        "mailbox_withdrawals": _table(_NOT, "company_id mailbox_hmac key_id withdrawn_at"),
        "consent_changes": _table(
            _FACT,
            "channel previous_status status at source method granted_at recorded_at",
            company_id=_NOT,
            id=_NOT,
            customer_id=ColumnKind.ID,
        ),
        "customer_relationships": _table(
            _FACT,
            "current_stage stage_entered_at previous_stage version lifetime_value total_appointments total_missed"
            " first_appointment_at last_appointment_at last_event_at appointments_value payments_value"
            " refunds_value recent_completed recent_missed recent_long_calls recent_tickets open_bookings"
            " last_progress_stage"
            " stages_held pin_until pin_state risk_score engagement_score scored_at next_evaluation_at map_version"
            " churn_probability churn_hazards owner created_at updated_at",
            company_id=_NOT,
            id=_NOT,
            customer_id=ColumnKind.ID,
            notes=ColumnKind.TEXT,
            metadata=ColumnKind.TEXT,
            risk_key=ColumnKind.DERIVED,
            engagement_key=ColumnKind.DERIVED,
            lifetime_value_key=ColumnKind.DERIVED,
            last_appointment_key=ColumnKind.DERIVED,
            expected_loss_key=ColumnKind.DERIVED,
        ),
        "journey_transitions": _table(
            _FACT,
            "id seq from_stage to_stage transitioned_at recorded_at trigger_type trigger_event actor reasons"
            " map_version is_silent cause_kind motion since",
            company_id=_NOT,
            relationship_id=_NOT,
            performed_by=ColumnKind.TEXT,
            notes=ColumnKind.TEXT,
            request=ColumnKind.TEXT,
            cause_id=ColumnKind.HANDLE,
        ),
        "journey_events": _table(
            _FACT,
            "type occurred_at recorded_at amount call_duration scheduled_for reported_at stage transition_seq is_late",
            company_id=_NOT,
            relationship_id=_NOT,
            tie_break=_NOT,
            merged_from=_NOT,
            source=ColumnKind.HANDLE,
            event_id=ColumnKind.HANDLE,
            booking_id=ColumnKind.HANDLE,
            retracts_source=ColumnKind.HANDLE,
            retracts_id=ColumnKind.HANDLE,
            content_hash=ColumnKind.HANDLE,
            metadata=ColumnKind.TEXT,
        ),
        "retention_campaigns": _table(
            _FACT,
            "type transition_seq scheduled_actions started_at ended_at end_reason created_at",
            company_id=_NOT,
            id=_NOT,
            relationship_id=_NOT,
            merged_from=_NOT,
        ),
        "journey_actions": _table(
            _FACT,
            "transition_seq stage name number channel is_stage_bound is_released_by_test_clock actor planned_at due_at"
            " reserved_at finished_at state reason attempts last_status created_at updated_at",
            company_id=_NOT,
            id=_NOT,
            relationship_id=_NOT,
            campaign_id=_NOT,
            endpoint_id=_NOT,
            outbound_event_id=_NOT,
            ready_at=_NOT,
            lease_token=_NOT,
            # Manual actions contain texts that users wrote.
            step=ColumnKind.TEXT,
            note=ColumnKind.TEXT,
            request_key=ColumnKind.TEXT,
            # Responses of servers may repeat the message.
            last_error=ColumnKind.TEXT,
        ),
        "action_attempts": _table(
            _FACT,
            "number started_at ended_at outcome status",
            company_id=_NOT,
            action_id=_NOT,
            relationship_id=_NOT,
            response=ColumnKind.TEXT,
        ),
        "journey_tasks": _table(
            _FACT,
            "transition_seq channel name stage assignee is_stage_bound due_at status reason closed_by closed_at"
            " created_at updated_at version",
            company_id=_NOT,
            id=_NOT,
            changed_in=_NOT,
            relationship_id=_NOT,
            action_id=_NOT,
            campaign_id=_NOT,
            title=ColumnKind.TEXT,
            note=ColumnKind.TEXT,
            outcome=ColumnKind.TEXT,
            request_key=ColumnKind.TEXT,
        ),
        "outbound_events": _table(
            _FACT,
            "type transition_seq created_at",
            company_id=_NOT,
            id=_NOT,
            relationship_id=_NOT,
            task_id=_NOT,
            campaign_id=_NOT,
            action_id=_NOT,
            job_id=_NOT,
            endpoint_id=_NOT,
            position=_NOT,
        ),
        "message_templates": _table(
            _NOT, "company_id id key channel language subject body html author created_at updated_at"
        ),
        "webhook_endpoints": _table(
            _NOT,
            "company_id id url description events secret previous_secret previous_expires_at is_enabled disabled_reason"
            " failing_since last_disabled_at created_at updated_at",
        ),
        "event_sources": _table(
            _NOT,
            "company_id key name event_source signature mapping secret failures failed_at created_at updated_at",
        ),
        "import_lines": _table(
            _FACT,
            "occurred_at type amount_cents call_duration scheduled_for reported_at",
            company_id=_NOT,
            import_id=_NOT,
            line=_NOT,
            has_id=_NOT,
            customer_id=ColumnKind.ID,
            source=ColumnKind.HANDLE,
            event_id=ColumnKind.HANDLE,
            booking_id=ColumnKind.HANDLE,
            retracts_source=ColumnKind.HANDLE,
            retracts_id=ColumnKind.HANDLE,
            metadata=ColumnKind.TEXT,
            customer_ref=ColumnKind.IDENTITY,
            profile=ColumnKind.TEXT,
            cells=ColumnKind.TEXT,
        ),
        # Responses are sealed, and an erasure deletes all of them.
        "idempotency_keys": _table(
            _NOT, "company_id key request_hash status content_type etag body created_at"
        ),
        # Error messages repeat no value of the line.
        "import_errors": _table(
            _NOT,
            "company_id import_id line pointer message",
            customer_id=ColumnKind.ID,
            cells=ColumnKind.TEXT,
        ),
        "imports": _table(
            _NOT,
            "company_id id content_hash status kind source until runs_actions on_changed is_dry_run lines staged done"
            " applied duplicates changed late later erased transitions failed_lines file_format header ignored_columns"
            " error actor lease_token lease_until created_at finished_at",
            cursor=ColumnKind.MIXED,
        ),
        "jobs": _table(
            _NOT,
            "company_id id kind status counts done total error actor request_key request_hash lease_token lease_until"
            " created_at started_at finished_at",
            parameters=ColumnKind.MIXED,
            cursor=ColumnKind.MIXED,
            result=ColumnKind.MIXED,
        ),
        "audit_log": _table(
            _FACT,
            "id at actor is_operator action target",
            reason=ColumnKind.TEXT,
            request_id=ColumnKind.TEXT,
            company_id=_NOT,
            customer_id=ColumnKind.ID,
            address=_NOT,
            detail=_FACT,
            before_hash=_NOT,
            after_hash=_NOT,
        ),
        "erasure_tombstones": _table(_NOT, "company_id customer_hmac key_id erased_at"),
        "journey_rollups": _table(
            _NOT,
            "company_id id kind day key motion total duration_micros moved_at_micros_sum appointments payments"
            " is_unmerged",
        ),
        "journey_stage_metrics": _table(
            _NOT,
            "company_id id stage_key metric_date customer_count ended_visits avg_time_in_stage conversion_rate revenue"
            " revision computed_at",
        ),
        "churn_models": _table(
            _NOT, "company_id id version fitted_on sampled_customers parameters quality is_shown fitted_at"
        ),
        "churn_samples": _table(
            _FACT, "month predicted_at probability", company_id=_NOT, relationship_id=_NOT
        ),
        "churn_calibration": _table(_NOT, "company_id month bin customers predicted realised"),
        "stage_visit_durations": _table(_NOT, "company_id stage_key day duration_tenths cumulative_counts"),
        "nightly_runs": _table(_NOT, "company_id local_date due_at job_id created_at"),
        "companies": _table(
            _NOT,
            "id name timezone former_zones currency currency_units clock_at delivers_messages next_nightly_run_at"
            " scored_at map_version migrated_version rollup_version churn_model_id policy stage_actions"
            " created_at updated_at",
        ),
        "stage_map_versions": _table(
            _NOT, "company_id version stages author activated_at activation notes findings created_at"
        ),
        "customer_journey_stages": _table(
            _NOT,
            "company_id id stage_key stage_name description order_index kind color icon auto_transition_rules"
            " retention_days is_active created_at updated_at",
        ),
        "api_keys": _table(
            _NOT,
            "company_id key_id name role secret_hash scopes created_at expires_at revoked_at last_used_at rotated_from"
            " requests_per_second events_per_second",
        ),
        "browser_sessions": _table(
            _NOT,
            "company_id token_hash actor role scopes key_id created_at last_used_at expires_at ended_at"
            " chosen_company_id reason",
        ),
        "sign_in_links": _table(_NOT, "company_id token_hash actor role created_at expires_at used_at"),
    }
)
"""Every table with its columns, by kind."""

SECRET_NAMES: Final = frozenset(
    (
        "authorization",
        "cookie",
        "secret",
        "token",
        "password",
        "pepper",
        "client_secret",
        "code_verifier",
        "secret_hash",
    )
)
"""Names of fields and headers that hold credentials."""

PRIVATE_NAMES: Final = SECRET_NAMES | {
    column
    for columns in REGISTER.values()
    for column, kind in columns.items()
    if kind in (ColumnKind.IDENTITY, ColumnKind.TEXT, ColumnKind.DERIVED)
} - {"reason", "request_id"}
"""Names of fields whose values are never logged."""


def columns_of(table: str, *kinds: ColumnKind) -> tuple[str, ...]:
    """Returns the columns of a table that have one of the kinds, in the order of the register."""
    return tuple(column for column, kind in REGISTER[table].items() if kind in kinds)
