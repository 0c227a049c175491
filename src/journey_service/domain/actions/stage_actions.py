"""Stage actions: channels, steps, and the guide's default actions of each stage.

The defaults apply to stages whose actions the company has not set itself.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias


class Channel(StrEnum):
    """Channel of an action; the first four contact the customer."""

    EMAIL = "email"
    SMS = "sms"
    CALL = "call"
    OFFER = "offer"
    CRM = "crm"
    TASK = "task"
    ASSIGNMENT = "assignment"
    WEBHOOK = "webhook"
    """Outbound events for registered webhook endpoints; not available to stage actions."""


MESSAGES: Final = (Channel.EMAIL, Channel.SMS, Channel.CALL, Channel.OFFER)
"""Channels that contact the customer: they need consent, and the frequency cap applies."""
QUIET_HOURS_CHANNELS: Final = (Channel.EMAIL, Channel.SMS, Channel.OFFER)
"""Channels that reach the customer immediately, and are deferred during quiet hours."""
TEMPLATED_CHANNELS: Final = (Channel.EMAIL, Channel.SMS, Channel.OFFER)
"""Channels whose messages are rendered from a template."""
HUMAN_TASK_CHANNELS: Final = (Channel.CALL, Channel.TASK)
"""Channels that create a task for an employee."""


class ActionStep(NamedTuple):
    """Step of a stage action, due days (at the same local time) and hours after entry into the stage.

    `template` is the key of the message's template. `title`, `assignees` (one is selected for each customer) and
    `due_days` (deadline in days) belong to tasks; an assignment has assignees too. `offer` holds the title,
    description, code and valid_days of a special offer.
    """

    channel: Channel
    day: int = 0
    hours: int = 0
    template: str | None = None
    title: str | None = None
    assignees: tuple[str, ...] = ()
    due_days: int | None = None
    offer: tuple[tuple[str, str | int], ...] = ()

    @property
    def is_delayed(self) -> bool:
        """Whether the step is due later than the entry into the stage."""
        return self.day > 0 or self.hours > 0


class StageAction(NamedTuple):
    """Action of a stage: its name and its steps.

    A campaign has at most one run at a time for a customer, a minimum pause between two runs, and ends when the
    customer leaves the stage.
    """

    name: str
    steps: tuple[ActionStep, ...]
    is_campaign: bool = False


def channels_of(actions: Iterable[StageAction]) -> frozenset[Channel]:
    """Returns the channels that actions use."""
    return frozenset(step.channel for action in actions for step in action.steps)


StageActionMap: TypeAlias = Mapping[str, tuple[StageAction, ...]]
"""Actions triggered by entry into a stage, by stage key."""

_OFFER: Final = (
    ("title", "A treat for your next visit"),
    ("description", "10% off your next appointment"),
    ("valid_days", 30),
)
RETENTION_CAMPAIGN: Final = (
    ActionStep(Channel.EMAIL, 0, template="retention_email"),
    ActionStep(Channel.SMS, 3, template="retention_sms"),
    ActionStep(Channel.CALL, 7, title="Call a customer we have not seen for a while", due_days=2),
    ActionStep(Channel.OFFER, 14, template="retention_offer", offer=_OFFER),
)

DEFAULT_ACTIONS: Final[StageActionMap] = {
    "lead": (
        StageAction("send_welcome_email", (ActionStep(Channel.EMAIL, template="welcome"),)),
        StageAction("assign_to_sales_team", (ActionStep(Channel.ASSIGNMENT, assignees=("sales",)),)),
        StageAction(
            "create_follow_up_task",
            (ActionStep(Channel.TASK, title="Follow up with a new lead", due_days=2),),
        ),
    ),
    "customer": (
        StageAction("send_onboarding_sequence", (ActionStep(Channel.EMAIL, template="onboarding"),)),
        StageAction("create_feedback_request", (ActionStep(Channel.EMAIL, template="feedback_request"),)),
        StageAction("update_crm_status", (ActionStep(Channel.CRM),)),
    ),
    "vip": (
        StageAction(
            "assign_dedicated_manager", (ActionStep(Channel.ASSIGNMENT, assignees=("vip managers",)),)
        ),
        StageAction("send_vip_benefits_email", (ActionStep(Channel.EMAIL, template="vip_benefits"),)),
        StageAction(
            "create_quarterly_review",
            (ActionStep(Channel.TASK, title="Quarterly review of a VIP", due_days=90),),
        ),
    ),
    "at_risk": (
        StageAction(
            "notify_account_manager", (ActionStep(Channel.TASK, title="A customer is at risk", due_days=1),)
        ),
        StageAction("create_retention_campaign", RETENTION_CAMPAIGN, is_campaign=True),
        StageAction(
            "schedule_check_in_call",
            (ActionStep(Channel.CALL, title="Check in with a customer", due_days=3),),
        ),
    ),
}
"""Default actions by stage key."""
