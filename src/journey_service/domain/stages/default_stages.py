"""The default stage map of the customer journey guide, in the JSON form of stages."""

from collections.abc import Mapping, Sequence
from typing import Final

from journey_service.domain.companies.currencies import EUR, Currency

_VIP_VALUE: Final = 1000
"""Lifetime value of a VIP, in euros."""

DEFAULT_STAGES: Final[Sequence[Mapping[str, object]]] = (
    {
        "key": "prospect",
        "name": "Prospect",
        "description": "Initial contact or inquiry",
        "color": "#94A3B8",
        "icon": "user-plus",
        "order": 1,
        "kind": "progress",
        "auto_rules": {"trigger": "call_received", "conditions": {}},
    },
    {
        "key": "lead",
        "name": "Lead",
        "description": "Qualified interest expressed",
        "color": "#60A5FA",
        "icon": "phone",
        "order": 2,
        "kind": "progress",
        "auto_rules": {
            "any": [
                {"trigger": "appointment_requested", "conditions": {"call_duration": ">60"}},
                {"trigger": "call_received", "conditions": {"call_duration": ">60"}},
            ]
        },
    },
    {
        "key": "customer",
        "name": "Customer",
        "description": "First appointment completed",
        "color": "#34D399",
        "icon": "check-circle",
        "order": 3,
        "kind": "progress",
        "auto_rules": {"trigger": "appointment_completed", "conditions": {}},
    },
    {
        "key": "regular",
        "name": "Regular Customer",
        "description": "Multiple appointments completed",
        "color": "#10B981",
        "icon": "star",
        "order": 4,
        "kind": "progress",
        "auto_rules": {"trigger": "appointment_count", "conditions": {"count": ">=3"}},
    },
    {
        "key": "vip",
        "name": "VIP Customer",
        "description": "High-value loyal customer",
        "color": "#8B5CF6",
        "icon": "crown",
        "order": 5,
        "kind": "progress",
        "auto_rules": {"trigger": "lifetime_value", "conditions": {"value": f">={_VIP_VALUE}"}},
    },
    {
        "key": "at_risk",
        "name": "At Risk",
        "description": "No recent activity",
        "color": "#F59E0B",
        "icon": "exclamation-triangle",
        "order": 6,
        "kind": "risk",
        "auto_rules": {
            "any": [
                {"trigger": "days_since_last_appointment", "conditions": {"days": ">90"}},
                {"trigger": "risk_score", "conditions": {"score": ">0.7"}},
            ]
        },
    },
    {
        "key": "churned",
        "name": "Churned",
        "description": "Lost customer",
        "color": "#EF4444",
        "icon": "x-circle",
        "order": 7,
        "kind": "risk",
        "auto_rules": {"trigger": "days_since_last_appointment", "conditions": {"days": ">180"}},
    },
)
"""Stages of a company in euros that is created without a stage map of its own."""


def default_stages(currency: Currency = EUR) -> Sequence[Mapping[str, object]]:
    """Returns the default stages with thresholds in a currency."""
    value = {"trigger": "lifetime_value", "conditions": {"value": f">={_VIP_VALUE * currency.factor}"}}
    return tuple(
        {**stage, "auto_rules": value} if stage["key"] == "vip" else stage for stage in DEFAULT_STAGES
    )
