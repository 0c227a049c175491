"""Every table, as the migrations create it. `company_id` is the first column of every key."""

from journey_service.repositories.tables.access import (
    api_keys,
    audit_log,
    browser_sessions,
    idempotency_keys,
    sign_in_links,
)
from journey_service.repositories.tables.actions import (
    action_attempts,
    journey_actions,
    journey_tasks,
    message_templates,
    outbound_events,
    retention_campaigns,
    webhook_endpoints,
)
from journey_service.repositories.tables.analytics import (
    churn_calibration,
    churn_models,
    churn_samples,
    journey_rollups,
    journey_stage_metrics,
    stage_visit_durations,
)
from journey_service.repositories.tables.columns import OPERATORS, Row, metadata
from journey_service.repositories.tables.companies import (
    companies,
    customer_journey_stages,
    stage_map_versions,
)
from journey_service.repositories.tables.customers import (
    consent_changes,
    customer_attributes,
    customers,
    erasure_tombstones,
    journey_events,
    mailbox_withdrawals,
)
from journey_service.repositories.tables.journeys import customer_relationships, journey_transitions
from journey_service.repositories.tables.operations import (
    event_sources,
    import_errors,
    import_lines,
    imports,
    jobs,
    nightly_runs,
)

__all__ = [
    "OPERATORS",
    "Row",
    "action_attempts",
    "api_keys",
    "audit_log",
    "browser_sessions",
    "churn_calibration",
    "churn_models",
    "churn_samples",
    "companies",
    "consent_changes",
    "customer_attributes",
    "customer_journey_stages",
    "customer_relationships",
    "customers",
    "erasure_tombstones",
    "event_sources",
    "idempotency_keys",
    "import_errors",
    "import_lines",
    "imports",
    "jobs",
    "journey_actions",
    "journey_events",
    "journey_rollups",
    "journey_stage_metrics",
    "journey_tasks",
    "journey_transitions",
    "mailbox_withdrawals",
    "message_templates",
    "metadata",
    "nightly_runs",
    "outbound_events",
    "retention_campaigns",
    "sign_in_links",
    "stage_map_versions",
    "stage_visit_durations",
    "webhook_endpoints",
]
