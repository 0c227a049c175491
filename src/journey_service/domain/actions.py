"""What a stage does on entry, as data: the guide's actions, their channels, and the steps of its campaign."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from journey_service.domain.policy import CompanyPolicy


class Channel(StrEnum):
    """How an action reaches somebody: the first four reach the customer."""

    EMAIL = "email"
    SMS = "sms"
    CALL = "call"
    OFFER = "offer"
    CRM = "crm"
    TASK = "task"
    ASSIGNMENT = "assignment"


MESSAGES: Final = (Channel.EMAIL, Channel.SMS, Channel.CALL, Channel.OFFER)
"""The channels on which a customer is contacted: they need consent, and are capped."""


class Step(NamedTuple):
    """One contact, and how many days after the entry it falls due."""

    channel: Channel
    day: int = 0


class Action(NamedTuple):
    """One action of the guide, by its name there, and the steps it consists of."""

    name: str
    steps: tuple[Step, ...]


RETENTION_CAMPAIGN: Final = (
    Step(Channel.EMAIL, 0),
    Step(Channel.SMS, 3),
    Step(Channel.CALL, 7),
    Step(Channel.OFFER, 14),
)

DEFAULT_ACTIONS: Final[Mapping[str, tuple[Action, ...]]] = {
    "lead": (
        Action("send_welcome_email", (Step(Channel.EMAIL),)),
        Action("assign_to_sales_team", (Step(Channel.ASSIGNMENT),)),
        Action("create_follow_up_task", (Step(Channel.TASK),)),
    ),
    "customer": (
        Action("send_onboarding_sequence", (Step(Channel.EMAIL),)),
        Action("create_feedback_request", (Step(Channel.EMAIL),)),
        Action("update_crm_status", (Step(Channel.CRM),)),
    ),
    "vip": (
        Action("assign_dedicated_manager", (Step(Channel.ASSIGNMENT),)),
        Action("send_vip_benefits_email", (Step(Channel.EMAIL),)),
        Action("create_quarterly_review", (Step(Channel.TASK),)),
    ),
    "at_risk": (
        Action("notify_account_manager", (Step(Channel.TASK),)),
        Action("create_retention_campaign", RETENTION_CAMPAIGN),
        Action("schedule_check_in_call", (Step(Channel.CALL),)),
    ),
}
"""What entering a stage does, by its key, where a company has not said otherwise."""


class Fate(StrEnum):
    """What becomes of a message that a stage asks for."""

    SENT = "sent"
    NO_CONSENT = "no_consent"
    NO_ADDRESS = "no_address"
    CAPPED = "capped"


class Reach(NamedTuple):
    """How a customer may be reached: the status of the consent per channel, and which addresses are known."""

    consents: Mapping[str, str]
    has_email: bool
    has_phone: bool

    def fate(self, channel: Channel, policy: CompanyPolicy) -> Fate:
        """What becomes of a message on a channel, before any cap."""
        status = self.consents.get(channel, "unknown")
        if status == "withdrawn" or (status != "granted" and policy.consent == "opt_in"):
            return Fate.NO_CONSENT
        if channel is Channel.EMAIL and not self.has_email:
            return Fate.NO_ADDRESS
        if channel in (Channel.SMS, Channel.CALL) and not self.has_phone:
            return Fate.NO_ADDRESS
        return Fate.SENT


def messages(
    entered: Iterable[str],
    reach: Reach,
    policy: CompanyPolicy,
    actions: Mapping[str, Sequence[Action]] = DEFAULT_ACTIONS,
) -> Iterator[tuple[Channel, Fate]]:
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
    for step in sorted(steps, key=lambda step: step.day):
        fate = reach.fate(step.channel, policy)
        if fate is Fate.SENT:
            days = sent.setdefault(step.channel, [])
            recent = sum(step.day - day < policy.frequency_cap_days for day in days)
            if recent >= policy.frequency_cap:
                fate = Fate.CAPPED
            else:
                days.append(step.day)
        yield step.channel, fate
