"""Traps: rules of a risk stage that no appointment can end, so that the customer can never return."""

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.stages.rules import Rule

_GROWING_TRIGGERS = frozenset(("days_in_stage", "appointment_count"))
"""Triggers whose values neither appointments nor time decrease while the customer stays in the stage."""
_ABOVE_ALL_THRESHOLDS = 10**18
"""Number above every threshold, and above every value that a customer can have."""


def is_trap(rule: Rule, policy: CompanyPolicy) -> bool:
    """Returns whether a rule that holds for a customer in its stage eventually holds forever.

    A completed appointment returns a customer only if no rule of the risk stage holds with it.
    """
    grows = rule.trigger.name in _GROWING_TRIGGERS or (
        rule.trigger.name == "lifetime_value" and policy.revenue_source == "appointments"
    )
    return grows and all(condition.accepts(_ABOVE_ALL_THRESHOLDS) for condition in rule.conditions)
