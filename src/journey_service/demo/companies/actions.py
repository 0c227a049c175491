"""Actions that the demo companies run when a customer enters a stage; the tasks go to their staff."""

from collections.abc import Mapping, Sequence

from journey_service.domain.actions.stage_actions import (
    ONBOARDING_SEQUENCE,
    QUARTERLY_REVIEW,
    RETENTION_CAMPAIGN,
    ActionStep,
    Channel,
    StageAction,
)


def stage_actions(staff: Sequence[str]) -> Mapping[str, Sequence[StageAction]]:
    """Returns the actions by stage key; check-in calls are unassigned unless the customer has an owner.

    Each step has one assignee: which of several it would be depends on ids.
    """
    first, second, last = staff[:1], staff[1:2], staff[-1:]
    return {
        "lead": (
            StageAction("send_welcome_email", (ActionStep(Channel.EMAIL, template="welcome"),)),
            StageAction("assign_owner", (ActionStep(Channel.ASSIGNMENT, assignees=tuple(first)),)),
            StageAction(
                "create_follow_up_task",
                (ActionStep(Channel.TASK, title="Follow up with a new lead", due_days=2),),
            ),
        ),
        "customer": (
            StageAction("send_onboarding_sequence", ONBOARDING_SEQUENCE),
            StageAction(
                "create_feedback_request", (ActionStep(Channel.EMAIL, day=2, template="feedback_request"),)
            ),
            StageAction("update_crm_status", (ActionStep(Channel.CRM),)),
        ),
        "vip": (
            StageAction("assign_dedicated_manager", (ActionStep(Channel.ASSIGNMENT, assignees=tuple(last)),)),
            StageAction("send_vip_benefits_email", (ActionStep(Channel.EMAIL, template="vip_benefits"),)),
            StageAction("create_quarterly_review", (QUARTERLY_REVIEW,)),
        ),
        "at_risk": (
            StageAction(
                "notify_account_manager",
                (
                    ActionStep(
                        Channel.TASK, title="A customer is at risk", assignees=tuple(second), due_days=1
                    ),
                ),
            ),
            StageAction("create_retention_campaign", RETENTION_CAMPAIGN, is_campaign=True),
            StageAction(
                "schedule_check_in_call",
                (ActionStep(Channel.CALL, title="Check in with a customer", due_days=3),),
            ),
        ),
    }
