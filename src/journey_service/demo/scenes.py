"""What happened at the front desk in the last days: calls to make, a move that a pin holds, an email that came back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.records import CampaignFilter, DeliveryLogRow, TaskFilter
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.calendar import instant_of, local_day
from journey_service.domain.customers.records import CustomerFilter
from journey_service.repositories.database import Database
from journey_service.services.actions.campaigns import CampaignView, cancel_campaign, list_campaigns
from journey_service.services.actions.manual_actions import request_action
from journey_service.services.actions.tasks import TaskChange, change_task, list_tasks
from journey_service.services.customers.profiles import CustomerView, list_customers
from journey_service.services.journeys.manual_changes import ManualMove, move

_OVERDUE_TITLES: Final = ("Call back about the bill", "Ask about the last visit")
_TODAY_TITLE: Final = "Confirm the appointment of tomorrow"
_TOMORROW_TITLE: Final = "Offer another time"
LEFT_TITLES: Final = (*_OVERDUE_TITLES, _TODAY_TITLE, _TOMORROW_TITLE)
"""Titles of the tasks that the staff leaves to the users of the demo."""
_NOTE: Final = "Asked on the phone"
_CLOSING: Final = time(17, 30)
_LIMIT: Final = 200


@dataclass(frozen=True)
class FrontDesk:
    """The front desk of one company. `refused` gets the address whose emails come back."""

    database: Database
    company_id: int
    staff: Sequence[str]
    refused: set[str] = field(default_factory=set)

    async def before_yesterday(self) -> None:
        """A call that should have been made by yesterday."""
        customers = await self._reachable(("regular",), Channel.CALL)
        await self._request_call(customers[0].profile.customer_id, _OVERDUE_TITLES[0], due_days=1)

    async def yesterday(self) -> None:
        """A call that should have been made at once, an email to an unknown mailbox, and two moves by hand."""
        customers = await self._reachable(("regular",), Channel.CALL)
        await self._request_call(customers[1].profile.customer_id, _OVERDUE_TITLES[1], due_days=0)
        await self._send_refused_email()
        if not await self._list(CustomerFilter(is_pinned=True, limit=_LIMIT)):
            lost = (await self._list(CustomerFilter(stages=("regular",), limit=_LIMIT)))[-1]
            await self._move(lost, "at_risk", "Told us that the other place is closer to home")
            await self._move(
                await self._in_campaign(lost), "regular", "Back from abroad, has booked by phone"
            )

    async def today(self, now: datetime, zone: ZoneInfo) -> None:
        """A call for this evening, one for tomorrow, and a campaign that somebody has stopped."""
        customers = await self._reachable(("customer", "regular"), Channel.CALL)
        evening = instant_of(local_day(now, zone), _CLOSING, zone)
        if evening <= now + timedelta(hours=1):
            evening = instant_of(local_day(now, zone) + timedelta(days=1), time(0), zone) - timedelta(
                minutes=1
            )
        today = await self._request_call(customers[-1].profile.customer_id, _TODAY_TITLE, due_days=1)
        await self._postpone(today, evening)
        await self._request_call(
            customers[-2].profile.customer_id, _TOMORROW_TITLE, due_days=1, is_assigned=False
        )
        await self._cancel_campaign()

    async def _request_call(
        self, customer_id: int, title: str, *, due_days: int, is_assigned: bool = True
    ) -> DeliveryLogRow:
        request = ManualActionRequest(
            Channel.CALL,
            title=title,
            assignee=self.staff[0] if is_assigned else None,
            due_days=due_days,
            note=_NOTE,
            request_key=f"demo {title}",
        )
        return await request_action(
            self.database, self.company_id, customer_id, request, by=Actor(self.staff[-1])
        )

    async def _postpone(self, action: DeliveryLogRow, due_at: datetime) -> None:
        filter_ = TaskFilter(_LIMIT, customer_id=action.customer_id)
        tasks, _ = await list_tasks(self.database, self.company_id, filter_)
        for task in tasks:
            if task.action_id == action.id:
                change = TaskChange(task.version, due_at=due_at)
                await change_task(self.database, self.company_id, task.id, change, by=Actor(self.staff[0]))

    async def _send_refused_email(self) -> None:
        customers = await self._reachable(("vip", "regular"), Channel.EMAIL)
        profile = customers[2].profile
        self.refused.add(str(profile.email))
        request = ManualActionRequest(
            Channel.EMAIL, note="The photos that you asked for", request_key="demo photos"
        )
        await request_action(
            self.database, self.company_id, profile.customer_id, request, by=Actor(self.staff[0])
        )

    async def _move(self, customer: CustomerView, to_stage: str, notes: str) -> None:
        stored = customer.view.stored
        request = ManualMove(
            to_stage,
            stored.relationship.version,
            Actor(self.staff[0]),
            f"demo {to_stage}",
            is_repeatable=True,
            notes=notes,
        )
        await move(self.database, self.company_id, customer.profile.customer_id, request)

    async def _in_campaign(self, other: CustomerView) -> CustomerView:
        """Returns another customer at risk, if possible one whose campaign is running."""
        at_risk = await self._list(CustomerFilter(stages=("at_risk",), limit=_LIMIT))
        running = await self._running_campaigns()
        customer_ids = {each.campaign.customer_id for each in running}
        others = [each for each in at_risk if each.profile.customer_id != other.profile.customer_id]
        return min(others, key=lambda each: each.profile.customer_id not in customer_ids)

    async def _running_campaigns(self) -> Sequence[CampaignView]:
        running = CampaignFilter(_LIMIT, is_running=True)
        return await list_campaigns(self.database, self.company_id, running)

    async def _cancel_campaign(self) -> None:
        running = await self._running_campaigns()
        ended = await list_campaigns(self.database, self.company_id, CampaignFilter(_LIMIT, is_running=False))
        if len(running) > 1 and not any(each.campaign.reason == "manual" for each in ended):
            campaign = min(running, key=lambda each: each.campaign.customer_id).campaign
            await cancel_campaign(self.database, self.company_id, campaign.id, by=Actor(self.staff[0]))

    async def _reachable(self, stages: Sequence[str], channel: Channel) -> Sequence[CustomerView]:
        """Returns the customers of some stages who can be contacted on a channel, by id."""
        customers = await self._list(CustomerFilter(stages=stages, limit=_LIMIT))
        address = "email" if channel is Channel.EMAIL else "phone"
        return [
            customer
            for customer in customers
            if getattr(customer.profile, address) is not None
            and _status(customer.profile.consents, channel) != "withdrawn"
        ]

    async def _list(self, filter_: CustomerFilter) -> Sequence[CustomerView]:
        return (await list_customers(self.database, self.company_id, filter_)).customers


def _status(consents: Mapping[str, Mapping[str, str]], channel: Channel) -> str | None:
    return consents.get(channel.value, {}).get("status")
