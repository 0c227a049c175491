"""What a stage does on entry, as data: the guide's actions, their channels, and the steps of its campaign.

Which actions a stage has is the company's to say; what is here holds where it has said nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.companies.policy import CompanyPolicy


class Channel(StrEnum):
    """How an action reaches somebody: the first four reach the customer."""

    EMAIL = "email"
    SMS = "sms"
    CALL = "call"
    OFFER = "offer"
    CRM = "crm"
    TASK = "task"
    ASSIGNMENT = "assignment"
    WEBHOOK = "webhook"
    """News for an endpoint that a company has registered: no stage asks for it."""


MESSAGES: Final = (Channel.EMAIL, Channel.SMS, Channel.CALL, Channel.OFFER)
"""The channels on which a customer is contacted: they need consent, and are capped."""


QUIET_HOURS_CHANNELS: Final = (Channel.EMAIL, Channel.SMS, Channel.OFFER)
"""What would reach the customer at once, and so waits while it is quiet."""
TEMPLATED_CHANNELS: Final = (Channel.EMAIL, Channel.SMS, Channel.OFFER)
"""What is written from a template."""
HUMAN_TASK_CHANNELS: Final = (Channel.CALL, Channel.TASK)
"""What a person does: a task."""


class ActionStep(NamedTuple):
    """One thing to be done, and how long after the entry it falls due: whole days at the same local time, and hours.

    `template` names what is written on a channel with words. `title`, `assignees` (one is picked for each customer)
    and `due_days` (for how long there is time to do it) are those of a task; an assignment has assignees too.
    `offer` describes a special offer: title, description, code, valid_days.
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
        """Whether there is time between the entry and the step."""
        return self.day > 0 or self.hours > 0


class StageAction(NamedTuple):
    """One action of a stage, by its name, and the steps it consists of.

    A campaign runs at most once at a time for a customer, pauses between two runs, and ends with the stage.
    """

    name: str
    steps: tuple[ActionStep, ...]
    is_campaign: bool = False


StageActionMap: TypeAlias = Mapping[str, tuple[StageAction, ...]]
"""What entering a stage does, by the stage's key."""

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
"""What entering a stage does, by its key, where a company has not said otherwise."""


class ContactDecision(StrEnum):
    """What becomes of a message that a stage asks for."""

    SENT = "sent"
    NO_CONSENT = "no_consent"
    NO_ADDRESS = "no_address"
    CAPPED = "capped"


class Reachability(NamedTuple):
    """How a customer may be reached: the status of the consent per channel, and which addresses are known."""

    consents: Mapping[str, str]
    has_email: bool
    has_phone: bool

    def contact_decision(self, channel: Channel, policy: CompanyPolicy) -> ContactDecision:
        """What becomes of a message on a channel, before any cap."""
        status = self.consents.get(channel, "unknown")
        if status == "withdrawn" or (status != "granted" and policy.consent == "opt_in"):
            return ContactDecision.NO_CONSENT
        if channel is Channel.EMAIL and not self.has_email:
            return ContactDecision.NO_ADDRESS
        if channel in (Channel.SMS, Channel.CALL) and not self.has_phone:
            return ContactDecision.NO_ADDRESS
        return ContactDecision.SENT


def planned_messages(
    entered: Iterable[str],
    reachability: Reachability,
    policy: CompanyPolicy,
    actions: Mapping[str, Sequence[StageAction]] = DEFAULT_ACTIONS,
) -> Iterator[tuple[Channel, ContactDecision]]:
    """The messages that entering these stages at one instant asks for, in the order of their days, and their fates.

    The customer is taken to stay where the last move has led, and to have had no message before.
    """
    steps = [
        step
        for key in entered
        for action in actions.get(key, ())
        for step in action.steps
        if step.channel in MESSAGES
    ]
    sent: dict[Channel, list[int]] = {}
    for step in sorted(steps, key=_hours):
        contact_decision = reachability.contact_decision(step.channel, policy)
        if contact_decision is ContactDecision.SENT:
            before = sent.setdefault(step.channel, [])
            recent = sum(_hours(step) - hours < policy.frequency_cap_days * 24 for hours in before)
            if recent >= policy.frequency_cap:
                contact_decision = ContactDecision.CAPPED
            else:
                before.append(_hours(step))
        yield step.channel, contact_decision


def _hours(step: ActionStep) -> int:
    return step.day * 24 + step.hours
