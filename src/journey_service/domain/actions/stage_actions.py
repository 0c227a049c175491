"""Stage actions: channels, steps, and the guide's default actions of each stage.

The defaults apply to stages whose actions the company has not set itself.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.stages.stage_map import StageKind, StageMap


class Channel(StrEnum):
    """Channel of an action; the first four contact the customer."""

    EMAIL = "email"
    SMS = "sms"
    CALL = "call"
    OFFER = "offer"
    CRM = "crm"
    TASK = "task"
    ASSIGNMENT = "assignment"
    NOTICE = "notice"
    """An email to the employee who is responsible for the customer."""
    WEBHOOK = "webhook"
    """Outbound events for registered webhook endpoints; not available to stage actions."""


MESSAGES: Final = (Channel.EMAIL, Channel.SMS, Channel.CALL, Channel.OFFER)
"""Channels that contact the customer: they need consent, and the frequency cap applies."""
QUIET_HOURS_CHANNELS: Final = (Channel.EMAIL, Channel.SMS, Channel.OFFER)
"""Channels that reach the customer immediately, and are deferred during quiet hours."""
TEMPLATED_CHANNELS: Final = (Channel.EMAIL, Channel.SMS, Channel.OFFER, Channel.NOTICE)
"""Channels whose messages are rendered from a template."""
MAIL_CHANNELS: Final = (Channel.EMAIL, Channel.NOTICE)
"""Channels that the mail server of the service delivers."""
HUMAN_TASK_CHANNELS: Final = (Channel.CALL, Channel.TASK)
"""Channels that create a task for an employee."""


class Repeat(StrEnum):
    """How often a stage action runs for a customer."""

    ONCE = "once"
    """Until it is done: a later entry into the stage does not run it again."""
    EVERY = "every"
    """On every entry into the stage."""


class DelayFrom(StrEnum):
    """What the delay of a step is counted from."""

    ENTRY = "entry"
    APPOINTMENT = "appointment"
    """The last completed appointment before the entry into the stage; the entry if there is none."""


class ActionStep(NamedTuple):
    """Step of a stage action, due days (at the same local time) and hours after entry into the stage.

    A step that recurs is due again every `every_days` days until the customer leaves the stage.
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
    delay_from: DelayFrom = DelayFrom.ENTRY
    every_days: int | None = None

    @property
    def is_delayed(self) -> bool:
        """Whether the step is due later than the entry into the stage."""
        return self.day > 0 or self.hours > 0


class StageAction(NamedTuple):
    """Action of a stage: its name and its steps.

    A campaign has at most one run at a time for a customer, a minimum pause between two runs, and ends when the
    customer leaves the stage. `repeat` is None for the default of the stage, see `repeat_of`.
    """

    name: str
    steps: tuple[ActionStep, ...]
    is_campaign: bool = False
    repeat: Repeat | None = None

    @property
    def recurring_step(self) -> ActionStep | None:
        """The only step of an action that recurs; None if it does not recur."""
        return next((step for step in self.steps if step.every_days is not None), None)

    @property
    def is_sequence(self) -> bool:
        """Whether it is a series of steps, which ends when the customer leaves the stage or withdraws consent."""
        return len(self.steps) > 1 and not self.is_campaign


StepKey: TypeAlias = tuple[str, str, int]
"""Identity of a step: key of the stage, name of the action, and number of the step from 0."""


def repeat_of(action: StageAction, kind: StageKind | None) -> Repeat:
    """Returns how often an action of a stage of this kind runs for a customer; None is an unknown stage.

    By default once in a progress stage, and on every entry in a risk stage. An action that recurs is started by every
    entry.
    """
    if action.repeat is not None:
        return action.repeat
    is_once = kind is StageKind.PROGRESS and action.recurring_step is None
    return Repeat.ONCE if is_once else Repeat.EVERY


def kind_of(stage_map: StageMap, stage_key: str) -> StageKind | None:
    """Returns the kind of a stage; None if the map does not contain it."""
    stage = stage_map.by_key.get(stage_key)
    return None if stage is None else stage.kind


def with_repeat(actions: Iterable[StageAction], kind: StageKind | None) -> tuple[StageAction, ...]:
    """Returns the actions of a stage with `repeat` set."""
    return tuple(action._replace(repeat=repeat_of(action, kind)) for action in actions)


def channels_of(actions: Iterable[StageAction]) -> frozenset[Channel]:
    """Returns the channels that actions use."""
    return frozenset(step.channel for action in actions for step in action.steps)


StageActionMap: TypeAlias = Mapping[str, tuple[StageAction, ...]]
"""Actions triggered by entry into a stage, by stage key."""


def used_up_steps(
    done_steps: Iterable[StepKey], actions: StageActionMap, stage_map: StageMap
) -> frozenset[StepKey]:
    """Returns those of the done steps that a further entry into their stage does not run again."""
    once = {
        (key, action.name)
        for key, actions_of_stage in actions.items()
        for action in actions_of_stage
        if repeat_of(action, kind_of(stage_map, key)) is Repeat.ONCE
    }
    return frozenset(key for key in done_steps if key[:2] in once)


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
ONBOARDING_SEQUENCE: Final = (
    ActionStep(Channel.EMAIL, 0, template="onboarding"),
    ActionStep(Channel.EMAIL, 3, template="onboarding_day_3"),
    ActionStep(Channel.EMAIL, 10, template="onboarding_day_10"),
)
FEEDBACK_REQUEST: Final = ActionStep(
    Channel.EMAIL, 1, template="feedback_request", delay_from=DelayFrom.APPOINTMENT
)
QUARTERLY_REVIEW: Final = ActionStep(
    Channel.TASK, title="Quarterly review of a VIP", due_days=90, every_days=90
)
AT_RISK_NOTICE: Final = ActionStep(Channel.NOTICE, template="at_risk_notice")

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
        StageAction("send_onboarding_sequence", ONBOARDING_SEQUENCE),
        StageAction("create_feedback_request", (FEEDBACK_REQUEST,)),
        StageAction("update_crm_status", (ActionStep(Channel.CRM),)),
    ),
    "vip": (
        StageAction(
            "assign_dedicated_manager", (ActionStep(Channel.ASSIGNMENT, assignees=("vip managers",)),)
        ),
        StageAction("send_vip_benefits_email", (ActionStep(Channel.EMAIL, template="vip_benefits"),)),
        StageAction("create_quarterly_review", (QUARTERLY_REVIEW,)),
    ),
    "at_risk": (
        StageAction(
            "notify_account_manager",
            (ActionStep(Channel.TASK, title="A customer is at risk", due_days=1), AT_RISK_NOTICE),
        ),
        StageAction("create_retention_campaign", RETENTION_CAMPAIGN, is_campaign=True),
        StageAction(
            "schedule_check_in_call",
            (ActionStep(Channel.CALL, title="Check in with a customer", due_days=3),),
        ),
    ),
}
"""Default actions by stage key."""
