"""What is taken out of the outbox: checked once more under the customer's lock, and made ready to be sent.

Everything that may stop an action is looked at in the transaction that takes it: the stage, the consent, the night,
the cap. Whatever is committed before is seen; whatever comes later finds the action begun.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from journey_service.domain.actions.action import Action, ActionState, EndReason
from journey_service.domain.actions.action_plan import ActionPlan, DueDecision
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.delivery import DeliveryFailedError, DeliveryRefusedError, Email, Message
from journey_service.domain.actions.records import Endpoint, OutboundEventRecord
from journey_service.domain.actions.stage_actions import HUMAN_TASK_CHANNELS, Channel
from journey_service.domain.actions.templates import Template, chosen
from journey_service.domain.calendar import local_day
from journey_service.domain.errors import InvalidInputError, UnavailableError
from journey_service.repositories.customers.profiles import Profile
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.template_rendering import Rendered, render
from journey_service.services.actions.templates import wordings
from journey_service.services.journeys.action_planning import load as load_agendas
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

MESSAGE_TYPES: Final[Mapping[Channel, str]] = {
    Channel.SMS: "action.sms",
    Channel.OFFER: "action.special_offer",
    Channel.CRM: "action.crm_update",
}
"""Under which type an action is told to the company's own system."""
_WITHIN: Final = (Channel.ASSIGNMENT, *HUMAN_TASK_CHANNELS)
_LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True)
class Links:
    """Where readers of mails find the service; None: nowhere."""

    base: str | None = None

    def unsubscribe(self, token: str) -> str | None:
        """Where somebody says that they want no more mails."""
        return None if self.base is None else f"{self.base}/api/v1/unsubscribe/{token}"


class TemplateRenderError(DeliveryRefusedError):
    """What is to be sent cannot be written, which says nothing of whoever was to get it."""


class ActionDecodeError(Exception):
    """Actions are kept in a way that this version does not understand."""


class SecretDecryptionError(DeliveryFailedError):
    """A secret was sealed with another key than the service has now; with the right one another try does better."""


@dataclass(slots=True)
class OutboundMessage:
    """An action claimed, with all it takes to send it. `attempts` were made before."""

    id: str
    attempts: int
    channel: Channel
    endpoint: Endpoint | None = None
    secrets: Sequence[bytes] = ()
    action: Action | None = None
    profile: Profile | None = None
    template: Template | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    outbound_events: OutboundEventRecord | None = None

    def email(self) -> Email:
        """The mail to be sent. Raises DeliveryRefusedError."""
        rendered = self._rendered()
        assert self.profile is not None  # noqa: S101  # every customer has one
        url = self.values.get("unsubscribe_url")
        return Email(
            key=self.id,
            to=(self.profile.email or "").strip(),
            subject=rendered.subject or "",
            # A template that hides the link from some readers does not get away with it.
            text=rendered.text if url is None or url in rendered.text else f"{rendered.text}\n\n{url}\n",
            html=rendered.html,
            unsubscribe_url=url,
            sender_name=self.values["company"]["name"],
            reply_to=self.values["reply_to"],
        )

    def message(self) -> Message:
        """The message to be signed and sent. Raises DeliveryRefusedError, DeliveryFailedError."""
        assert self.endpoint is not None  # noqa: S101  # without one it is not claimed
        if not self.secrets:
            raise SecretDecryptionError("The endpoint's secret cannot be opened: see JOURNEY_VAULT_KEY.")
        body = self._told() if self.outbound_events is None else self.outbound_events.told
        return Message(self.id, self.endpoint.url, orjson.dumps(body), self.secrets)

    def _told(self) -> dict[str, Any]:
        action, profile = self.action, self.profile
        assert action is not None and profile is not None  # noqa: S101, PT018  # a customer's action has both
        data: dict[str, Any] = {
            "action_id": self.id,
            "name": action.name,
            "customer_id": profile.customer_id,
            "stage": action.stage,
            "campaign_id": None if action.campaign is None else action.campaign.id,
            "step": action.number,
        }
        if self.channel is Channel.CRM:
            data |= {"current_stage": self.values["stage"], "owner": self.values["owner"]}
        else:
            data |= {
                "customer_name": profile.name,
                "phone": profile.phone,
                "text": self._rendered().text,
                "language": None if self.template is None else self.template.language,
            }
        if self.channel is Channel.OFFER:
            data |= {"email": profile.email, "offer": self.values["offer"]}
        return {"type": MESSAGE_TYPES[self.channel], "timestamp": action.planned_at, "data": data}

    def _rendered(self) -> Rendered:
        if self.template is None:
            key = None if self.action is None else self.action.step.template
            raise TemplateRenderError(f"There is no template {key!r}.")
        try:
            return render(self.template, self.values)
        except InvalidInputError as error:
            raise TemplateRenderError(f"The template cannot be rendered: {error}") from error


@dataclass(slots=True)
class ClaimedBatch:
    """What one look into the outbox has brought: what is to be sent, and how many actions were seen to here."""

    outbound_messages: list[OutboundMessage] = field(default_factory=list)
    settled: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ready, or whatever was is in other hands."""
        return not self.outbound_messages and not self.settled


@dataclass(frozen=True, slots=True)
class Lease:
    """By which token actions are held, and for how long without a word."""

    token: str
    seconds: float


async def claim_due(
    uow: UnitOfWork,
    lease: Lease,
    *,
    channels: Sequence[Channel],
    limit: int,
    links: Links,
    has_mailer: bool,
    only: str | None = None,
) -> ClaimedBatch:
    """Take customers' actions that are ready; those that need nobody outside are done at once."""
    candidates = await uow.outbox.candidates(channels, limit=limit)
    if only is not None:
        candidates = [each for each in candidates if each.id == only]
    if not candidates:
        return ClaimedBatch()
    transaction = await load(uow, (each.customer_id for each in candidates), only_free=True)
    held = [each.id for each in candidates if each.customer_id in transaction.relationships]
    claimed = await uow.outbox.claim(held, lease.token, lease.seconds)
    # Decide first what is due: customers may have left the stage that their actions are for.
    transaction.advance_all(transaction.now)
    if transaction.journeys:
        await write(uow, transaction, as_decided=True)
    customers = {stored.id: customer_id for customer_id, stored in transaction.relationships.items()}
    versions = {stored.id: stored.relationship.version for stored in transaction.relationships.values()}
    action_plans = await load_agendas(uow, transaction.context, versions, now=transaction.now)
    going: list[tuple[int, Action]] = []
    settled = 0
    for id_, action_plan in action_plans.by_id.items():
        action_plan.is_erased = customers[id_] < 0
        for action in action_plan.actions:
            if action.id in claimed:
                is_going = _is_to_be_sent(action_plan, action, transaction.now, has_mailer=has_mailer)
                going += [(id_, action)] if is_going else []
                settled += not is_going
    seen = {action.id for action_plan in action_plans.by_id.values() for action in action_plan.actions}
    if claimed - seen:
        raise ActionDecodeError(f"{len(claimed - seen)} actions cannot be read")
    outbound_messages = await _MessageBuilder(uow, transaction, customers, links).pack(
        going, action_plans.by_id
    )
    settled += len(going) - len(outbound_messages)
    await action_plans.save(uow)
    attempts = await uow.outbox.attempts_of([outbound_message.id for outbound_message in outbound_messages])
    for outbound_message in outbound_messages:
        outbound_message.attempts = attempts[outbound_message.id]
    return ClaimedBatch(outbound_messages, settled)


async def claim_outbound_events(
    uow: UnitOfWork,
    lease: Lease,
    *,
    share: int,
    only: str | None = None,
    without: Collection[int] = (),
) -> ClaimedBatch:
    """Take news that are ready, so many for each endpoint at most; some endpoints are done `without`."""
    claimed = await uow.outbox.claim_outbound_events(
        (lease.token, lease.seconds), share=share, only=only, without=without
    )
    if not claimed:
        return ClaimedBatch()
    context = await uow.companies.context()
    items = await uow.outbound_events.some([each.outbound_event_id for each in claimed])
    endpoints = {endpoint.id: endpoint for endpoint in await uow.endpoints.all()}
    outbound_messages, dropped = [], {EndReason.ERASED: list[str](), EndReason.ENDPOINT_DISABLED: list[str]()}
    secrets: dict[int, Sequence[bytes]] = {}
    for each in claimed:
        endpoint, item = endpoints[each.endpoint_id], items.get(each.outbound_event_id)
        if item is None:
            dropped[EndReason.ERASED].append(each.id)
        elif not endpoint.is_enabled:
            dropped[EndReason.ENDPOINT_DISABLED].append(each.id)
        else:
            if endpoint.id not in secrets:
                secrets[endpoint.id] = await _secrets(uow, endpoint.id)
            outbound_messages.append(
                OutboundMessage(
                    each.id,
                    each.attempts,
                    Channel.WEBHOOK,
                    endpoint=endpoint,
                    secrets=secrets[endpoint.id],
                    outbound_events=item,
                )
            )
    for reason, ids in dropped.items():
        if ids:
            await uow.outbox.cancel(ids, lease.token, reason.value, context.now)
    return ClaimedBatch(outbound_messages, len(claimed) - len(outbound_messages))


def _is_to_be_sent(action_plan: ActionPlan, action: Action, now: datetime, *, has_mailer: bool) -> bool:
    """Whether an action is to be sent now; else it has been done, put off or dropped."""
    channel = action.step.channel
    if action.is_released_by_test_clock and action_plan.refuses(action, now):
        return False
    if not action.is_released_by_test_clock:
        verdict = action_plan.decide_due(action, now)
        if verdict is DueDecision.HELD:
            action.state = ActionState.PENDING
        if verdict is not DueDecision.GO:
            return False
    if channel in _WITHIN:
        action_plan.complete_internally(action, now)
        return False
    if channel is Channel.EMAIL and not has_mailer:
        action_plan.drop(action, EndReason.NO_MAIL_SERVER, now)
        return False
    return True


@dataclass(slots=True)
class _MessageBuilder:
    """Gathers what it takes to send actions: profiles, templates, endpoints."""

    uow: UnitOfWork
    transaction: JourneyTransaction
    customers: Mapping[int, int]
    links: Links

    async def pack(
        self, going: Sequence[tuple[int, Action]], action_plans: Mapping[int, ActionPlan]
    ) -> list[OutboundMessage]:
        """One parcel for each action that can be sent; the others are dropped."""
        if not going:
            return []
        profiles = await self.uow.customers.some([self.customers[id_] for id_, _ in going])
        keys = {action.step.template for _, action in going if action.step.template is not None}
        known = await wordings(self.uow, keys)
        endpoints: dict[Channel, tuple[Endpoint, Sequence[bytes]] | None] = {}
        outbound_messages = []
        for id_, action in going:
            channel = action.step.channel
            place = None
            if channel in MESSAGE_TYPES:
                if channel not in endpoints:
                    endpoints[channel] = await self._endpoint(channel)
                place = endpoints[channel]
                if place is None:
                    action_plans[id_].drop(action, EndReason.NO_ENDPOINT, self.transaction.now)
                    continue
            profile = profiles[self.customers[id_]]
            outbound_messages.append(
                OutboundMessage(
                    str(action.id),
                    0,
                    channel,
                    endpoint=None if place is None else place[0],
                    secrets=() if place is None else place[1],
                    action=action,
                    profile=profile,
                    template=self._template(known, action, profile),
                    values=self._values(id_, action, profile, action_plans[id_]),
                )
            )
        return outbound_messages

    async def _endpoint(self, channel: Channel) -> tuple[Endpoint, Sequence[bytes]] | None:
        found = await self.uow.endpoints.taking(MESSAGE_TYPES[channel])
        return None if found is None else (found, await _secrets(self.uow, found.id))

    def _template(
        self, known: Mapping[str, Sequence[Template]], action: Action, profile: Profile
    ) -> Template | None:
        """The company's own words in the customer's language, or else in its own, or else the service's."""
        key = action.step.template
        if key is None:
            return None
        policy = self.transaction.context.rulebook.policy
        wanted = [language for language in (profile.language, policy.language, _LANGUAGE) if language]
        return chosen(known[key], wanted)

    def _values(self, id_: int, action: Action, profile: Profile, action_plan: ActionPlan) -> dict[str, Any]:
        context = self.transaction.context
        relationship = self.transaction.relationships[profile.customer_id].relationship
        token = None
        if action.step.channel is Channel.EMAIL and self.links.base is not None:
            token = unsubscribe_token(self.uow, id_, action.step.channel)
        return {
            "customer": {
                "id": profile.customer_id,
                "name": profile.name,
                "first_name": (profile.name or "").split(" ")[0] or None,
            },
            "company": {"name": context.company.name},
            "reply_to": context.rulebook.policy.reply_to,
            "stage": _stage(context, relationship.current_stage),
            "offer": _offer(action, context, action.reserved_at or self.transaction.now),
            "note": action.note,
            "owner": action_plan.owner,
            "unsubscribe_url": None if token is None else self.links.unsubscribe(token),
            "action": {"id": action.id, "name": action.name},
        }


def _stage(context: CompanyContext, key: str) -> dict[str, Any]:
    stage = context.rulebook.stage_map.by_key.get(key)
    return {"key": key, "name": key if stage is None else stage.name}


def _offer(action: Action, context: CompanyContext, since: datetime) -> dict[str, Any]:
    told: dict[str, Any] = dict(action.step.offer)
    days = told.pop("valid_days", None)
    if days is not None:
        last = local_day(since, ZoneInfo(context.company.timezone)) + timedelta(days=int(days))
        told["valid_until"] = last.isoformat()
    return told


def unsubscribe_token(uow: UnitOfWork, relationship_id: int, channel: Channel) -> str:
    """What says in a link who wants nothing more on a channel, and that the service has written it."""
    said = f"{uow.company_id}.{relationship_id}.{channel.value}"
    return f"{said}.{uow.vault.sign(uow.company_id, f'unsubscribe:{said}')}"


async def _secrets(uow: UnitOfWork, endpoint_id: int) -> Sequence[bytes]:
    """What signs messages to an endpoint; none where it cannot be opened: that is told by what was to be signed."""
    try:
        return await uow.endpoints.secrets(endpoint_id)
    except UnavailableError:
        return ()
