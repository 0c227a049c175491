"""Stage maps and policies of the demo companies that do not use the defaults."""

from collections.abc import Mapping, Sequence
from typing import Final


def _stage(  # the fields of a stage
    order: int,
    key: str,
    name: str,
    description: str,
    appearance: tuple[str, str],
    *rules: Mapping[str, object],
) -> dict[str, object]:
    return {
        "key": key,
        "name": name,
        "description": description,
        "color": appearance[0],
        "icon": appearance[1],
        "order": order,
        "kind": "risk" if key in ("at_risk", "churned") else "progress",
        "auto_rules": {"any": list(rules)},
    }


def _rule(trigger: str, **conditions: str) -> dict[str, object]:
    return {"trigger": trigger, "conditions": conditions}


CLINIC_STAGES: Final[Sequence[Mapping[str, object]]] = (
    _stage(
        *(1, "prospect", "Inquiry", "Asked about prices or dates", ("#94A3B8", "user-plus")),
        _rule("call_received"),
    ),
    _stage(
        *(2, "lead", "Consultation Planned", "Talked to the front desk", ("#60A5FA", "phone")),
        _rule("call_received", call_duration=">60"),
    ),
    _stage(
        *(3, "customer", "Patient", "Has been examined", ("#34D399", "check-circle")),
        _rule("appointment_completed"),
    ),
    _stage(
        *(4, "regular", "Recall Patient", "Comes for check-ups", ("#10B981", "calendar")),
        _rule("appointment_count", count=">=3"),
    ),
    # Longer treatments have longer intervals, so these customers count as overdue later.
    _stage(
        *(5, "vip", "Comprehensive Care", "In longer treatment", ("#8B5CF6", "crown")),
        _rule("lifetime_value", value=">=2500"),
    )
    | {"retention_days": 270},
    _stage(
        *(6, "at_risk", "Overdue", "Has let the recall pass", ("#F59E0B", "exclamation-triangle")),
        _rule("days_since_last_appointment", days=">210"),
        _rule("risk_score", score=">0.7"),
    ),
    _stage(
        *(7, "churned", "Lapsed", "Two recalls passed", ("#EF4444", "x-circle")),
        _rule("days_since_last_appointment", days=">400"),
    ),
)
CLINIC_POLICY: Final[Mapping[str, object]] = {
    "scoring": {
        "frequency_window_days": 365,
        "frequency_target": 2,
        "recency_horizon_days": 400,
        "monetary_target": 2500,
        "quality_window_days": 365,
        "inactive_days": 190,
        "very_inactive_days": 205,
        "missed_window_days": 365,
        "trend_window_days": 210,
    }
}

STUDIO_STAGES: Final[Sequence[Mapping[str, object]]] = (
    _stage(
        *(1, "prospect", "Curious", "Has heard of us", ("#94A3B8", "user-plus")),
        _rule("call_received"),
    ),
    _stage(
        *(2, "lead", "Interested", "Asked about classes", ("#60A5FA", "phone")),
        _rule("call_received", call_duration=">60"),
        _rule("appointment_requested"),
    ),
    _stage(
        *(3, "customer", "Trial Taken", "Has been to a class", ("#34D399", "check-circle")),
        _rule("appointment_completed"),
    ),
    _stage(
        *(4, "member", "Pass Holder", "Has bought a pass", ("#14B8A6", "ticket")),
        _rule("payment_received", total_amount=">=10000"),
    ),
    _stage(
        *(5, "regular", "Regular", "Two dozen classes", ("#10B981", "star")),
        _rule("appointment_count", count=">=24"),
    ),
    _stage(
        *(6, "vip", "Devoted", "A year of passes", ("#8B5CF6", "crown")),
        _rule("lifetime_value", value=">=150000"),
    ),
    _stage(
        *(7, "at_risk", "Drifting", "A month without a class", ("#F59E0B", "exclamation-triangle")),
        _rule("days_since_last_appointment", days=">30"),
    ),
    _stage(
        *(8, "churned", "Gone", "A season without a class", ("#EF4444", "x-circle")),
        _rule("days_since_last_appointment", days=">90"),
    ),
)
STUDIO_POLICY: Final[Mapping[str, object]] = {
    # A class on a pass has no price, so payments count as revenue.
    "revenue_source": "payments",
    "scoring": {
        "frequency_window_days": 30,
        "frequency_target": 6,
        "recency_horizon_days": 60,
        "monetary_target": 150_000,
        "quality_window_days": 90,
        "inactive_days": 14,
        "very_inactive_days": 21,
        "missed_window_days": 60,
        "trend_window_days": 30,
    },
}

PRACTICE_STAGES: Final[Sequence[Mapping[str, object]]] = (
    _stage(
        *(1, "prospect", "Inquiry", "Asked about treatment", ("#94A3B8", "user-plus")),
        _rule("call_received"),
    ),
    _stage(
        *(2, "lead", "Assessment Planned", "Has described the complaint", ("#60A5FA", "phone")),
        _rule("call_received", call_duration=">60"),
        _rule("appointment_requested"),
    ),
    _stage(
        *(3, "customer", "In Treatment", "Has begun a series", ("#34D399", "check-circle")),
        _rule("appointment_completed"),
    ),
    _stage(
        *(4, "regular", "Regular", "Has completed a series", ("#10B981", "calendar")),
        _rule("appointment_count", count=">=5"),
    ),
    _stage(
        *(5, "vip", "Long-term Patient", "Several series", ("#8B5CF6", "crown")),
        _rule("lifetime_value", value=">=45000"),
    ),
    _stage(
        *(6, "at_risk", "Overdue", "Six weeks without a session", ("#F59E0B", "exclamation-triangle")),
        _rule("days_since_last_appointment", days=">42"),
    ),
    _stage(
        *(7, "churned", "Lapsed", "A season without a session", ("#EF4444", "x-circle")),
        _rule("days_since_last_appointment", days=">100"),
    ),
)
PRACTICE_POLICY: Final[Mapping[str, object]] = {
    "scoring": {
        "frequency_window_days": 60,
        "frequency_target": 4,
        "recency_horizon_days": 90,
        "monetary_target": 30_000,
        "quality_window_days": 120,
        "inactive_days": 21,
        "very_inactive_days": 35,
        "missed_window_days": 90,
        "trend_window_days": 60,
    }
}
