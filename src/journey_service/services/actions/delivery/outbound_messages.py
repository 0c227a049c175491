"""Outbound messages: claimed actions and events with everything needed to send them, and their payloads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from journey_service.domain.actions.action import Action, EndReason
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.delivery import (
    MESSAGE_TYPES,
    DeliveryFailedError,
    DeliveryRefusedError,
    Email,
    WebhookMessage,
)
from journey_service.domain.actions.records import OutboundEventRecord, StoredEndpoint
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import Template, select_template
from journey_service.domain.calendar import local_day
from journey_service.domain.customers.profiles import greeting_name
from journey_service.domain.errors import InvalidInputError, UnavailableError
from journey_service.repositories.customers.profiles import StoredProfile
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.template_rendering import RenderedTemplate, render
from journey_service.services.actions.templates import load_templates
from journey_service.services.journeys.transaction import JourneyTransaction

_FALLBACK_LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True)
class Links:
    """Links in emails. `base` is the public address of the service; None: emails contain no link."""

    base: str | None = None

    def unsubscribe(self, token: str) -> str | None:
        """Returns the address of the unsubscribe page; None without `base`."""
        return None if self.base is None else f"{self.base}/api/v1/unsubscribe/{token}"


class TemplateRenderError(DeliveryRefusedError):
    """The template of a message cannot be rendered. The failure does not count against the endpoint."""


class SecretDecryptionError(DeliveryFailedError):
    """A webhook secret cannot be decrypted with the current vault key. A retry succeeds once the key is right."""


@dataclass(slots=True)
class OutboundMessage:
    """A claimed action or outbound event and everything needed to send it."""

    id: str
    company_id: int
    attempts: int
    """Attempts already made."""
    channel: Channel
    endpoint: StoredEndpoint | None = None
    secrets: Sequence[bytes] = ()
    action: Action | None = None
    profile: StoredProfile | None = None
    template: Template | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    outbound_event: OutboundEventRecord | None = None

    def email(self, sent_at: datetime) -> Email:
        """Renders the email. Raises DeliveryRefusedError."""
        rendered = self._rendered()
        url = self.values.get("unsubscribe_url")
        return Email(
            key=self.id,
            to=self.values["recipient"],
            subject=rendered.subject or "",
            # Appended if the template did not render the link, for example within a condition.
            text=rendered.text if url is None or url in rendered.text else f"{rendered.text}\n\n{url}\n",
            html=rendered.html,
            unsubscribe_url=url,
            sender_name=self.values["company"]["name"],
            reply_to=self.values["reply_to"],
            sent_at=sent_at,
        )

    def message(self, sent_at: datetime) -> WebhookMessage:
        """Builds the signed webhook message. Raises DeliveryRefusedError, DeliveryFailedError."""
        assert self.endpoint is not None  # actions without an endpoint are dropped
        if not self.secrets:
            raise SecretDecryptionError("The endpoint's secret cannot be decrypted: check JOURNEY_VAULT_KEY.")
        payload = self._payload() if self.outbound_event is None else self.outbound_event.payload
        return WebhookMessage(
            self.id,
            self.endpoint.url,
            orjson.dumps(payload, option=orjson.OPT_UTC_Z),
            self.secrets,
            sent_at=sent_at,
        )

    def _payload(self) -> dict[str, Any]:
        action, profile = self.action, self.profile
        assert action is not None and profile is not None  # noqa: PT018  # a customer's action has both
        data: dict[str, Any] = {
            "company_id": self.company_id,
            "action_id": self.id,
            "name": action.name,
            "customer_id": profile.customer_id,
            "customer_ref": profile.customer_ref,
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

    def _rendered(self) -> RenderedTemplate:
        if self.template is None:
            key = None if self.action is None else self.action.step.template
            raise TemplateRenderError(f"There is no template {key!r}.")
        try:
            return render(self.template, self.values)
        except InvalidInputError as error:
            raise TemplateRenderError(f"The template cannot be rendered: {error}") from error


@dataclass(slots=True)
class MessageBuilder:
    """Builds outbound messages of claimed actions: loads profiles, templates and endpoints in batches."""

    uow: UnitOfWork
    transaction: JourneyTransaction
    customers: Mapping[int, int]
    links: Links

    async def build(
        self, actions: Sequence[tuple[int, Action]], action_plans: Mapping[int, ActionPlan]
    ) -> list[OutboundMessage]:
        """Builds one message for each action, given with its relationship id; drops those without an endpoint."""
        if not actions:
            return []
        profiles = await self.uow.customers.get_many(
            [self.customers[relationship_id] for relationship_id, _ in actions]
        )
        keys = {action.step.template for _, action in actions if action.step.template is not None}
        templates = await load_templates(self.uow, keys)
        endpoints: dict[Channel, tuple[StoredEndpoint, Sequence[bytes]] | None] = {}
        outbound_messages = []
        for relationship_id, action in actions:
            channel = action.step.channel
            target = None
            if channel in MESSAGE_TYPES:
                if channel not in endpoints:
                    endpoints[channel] = await self._endpoint(channel)
                target = endpoints[channel]
                if target is None:
                    action_plans[relationship_id].cancel(action, EndReason.NO_CHANNEL, self.transaction.now)
                    continue
            profile = profiles[self.customers[relationship_id]]
            outbound_messages.append(
                OutboundMessage(
                    str(action.id),
                    self.uow.company_id,
                    0,
                    channel,
                    endpoint=None if target is None else target[0],
                    secrets=() if target is None else target[1],
                    action=action,
                    profile=profile,
                    template=self._template(templates, action, profile),
                    values=self._values(relationship_id, action, profile, action_plans[relationship_id]),
                )
            )
        return outbound_messages

    async def _endpoint(self, channel: Channel) -> tuple[StoredEndpoint, Sequence[bytes]] | None:
        endpoint = await self.uow.webhook_endpoints.find_receiver(MESSAGE_TYPES[channel])
        return None if endpoint is None else (endpoint, await load_secrets(self.uow, endpoint.id))

    def _template(
        self, templates: Mapping[str, Sequence[Template]], action: Action, profile: StoredProfile
    ) -> Template | None:
        """Chooses a template by language: the customer's, then the company's, then English."""
        key = action.step.template
        if key is None:
            return None
        policy = self.transaction.context.rulebook.policy
        # A notice is written for an employee.
        language = None if action.step.channel is Channel.NOTICE else profile.language
        languages = [each for each in (language, policy.language, _FALLBACK_LANGUAGE) if each]
        return select_template(templates[key], languages)

    def _values(
        self, relationship_id: int, action: Action, profile: StoredProfile, action_plan: ActionPlan
    ) -> dict[str, Any]:
        context = self.transaction.context
        relationship = self.transaction.relationships[profile.customer_id].relationship
        token = None
        if action.step.channel is Channel.EMAIL and self.links.base is not None:
            token = unsubscribe_token(self.uow, relationship_id, action.step.channel)
        return {
            "customer": {
                "id": profile.customer_id,
                "name": profile.name,
                "first_name": greeting_name(profile.first_name, profile.name),
                "attributes": profile.attributes,
            },
            "company": {"name": context.company.name},
            "recipient": _recipient(action, profile, action_plan),
            "reply_to": context.rulebook.policy.reply_to,
            "stage": _stage(context, relationship.current_stage),
            "offer": _offer(action, context, action.reserved_at or self.transaction.now),
            "note": action.note,
            "owner": action_plan.owner,
            "unsubscribe_url": None if token is None else self.links.unsubscribe(token),
            "action": {"id": action.id, "name": action.name},
        }


def _recipient(action: Action, profile: StoredProfile, action_plan: ActionPlan) -> str:
    """Returns the address of an email: the customer's, or of a notice that of the responsible employee."""
    address = action_plan.account_manager if action.step.channel is Channel.NOTICE else profile.email
    return (address or "").strip()


def _stage(context: CompanyContext, key: str) -> dict[str, Any]:
    stage = context.rulebook.stage_map.by_key.get(key)
    return {"key": key, "name": key if stage is None else stage.name}


def _offer(action: Action, context: CompanyContext, since: datetime) -> dict[str, Any]:
    offer: dict[str, Any] = dict(action.step.offer)
    days = offer.pop("valid_days", None)
    if days is not None:
        last = local_day(since, context.company.zone) + timedelta(days=int(days))
        offer["valid_until"] = last.isoformat()
    return offer


def unsubscribe_token(uow: UnitOfWork, relationship_id: int, channel: Channel) -> str:
    """Returns the signed token of an unsubscribe link: company, relationship and channel."""
    subject = f"{uow.company_id}.{relationship_id}.{channel.value}"
    return f"{subject}.{uow.vault.sign(uow.company_id, f'unsubscribe:{subject}')}"


async def load_secrets(uow: UnitOfWork, endpoint_id: int) -> Sequence[bytes]:
    """Returns the secrets that sign messages to an endpoint; none if they cannot be decrypted.

    `OutboundMessage.message` then raises SecretDecryptionError, so that only these messages fail.
    """
    try:
        return await uow.webhook_endpoints.get_secrets(endpoint_id)
    except UnavailableError:
        return ()
