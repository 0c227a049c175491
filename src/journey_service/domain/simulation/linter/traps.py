"""Rules of a risk stage that, once they hold, no appointment ends: whoever is caught by one never comes back."""

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.stages.rules import Rule

_GROWING = frozenset(("days_in_stage", "appointment_count"))
"""What neither an appointment nor the passing of time makes smaller while the customer stays."""


def is_trap(rule: Rule, policy: CompanyPolicy) -> bool:
    """Whether the rule, holding for a customer in its stage, comes to hold for ever.

    A completed appointment returns a customer only when no rule of the risk stage holds with it.
    """
    grows = rule.trigger.name in _GROWING or (
        rule.trigger.name == "lifetime_value" and policy.revenue_source == "appointments"
    )
    return grows and all(condition.accepts(_BEYOND) for condition in rule.conditions)


_BEYOND = 10**18
"""More than any condition names, and than anything that is counted ever reaches."""
