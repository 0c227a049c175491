"""The last month of a demo company: its test clock advances round by round, with events, actions and staff at work."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import orjson

from journey_service.demo.business import BusinessHistory, DemoBusiness
from journey_service.demo.profiles import write_profiles
from journey_service.demo.scenes import LEFT_TITLES, FrontDesk
from journey_service.demo.senders import DemoMailer, DemoMessenger
from journey_service.demo.staff import Staff
from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.delivery import Mailer
from journey_service.domain.calendar import instant_of, local_day
from journey_service.domain.companies.currencies import get_currency
from journey_service.domain.events.parsing import parse_line
from journey_service.repositories.database import Database
from journey_service.services.actions.delivery.dispatcher import MessageSenders, OutboxDispatcher
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.actions.stage_actions import set_actions
from journey_service.services.actions.webhook_endpoints import (
    ACTION_TYPES,
    add_endpoint,
    change_endpoint,
    list_endpoints,
)
from journey_service.services.events.ingest import ingest_as_occurred
from journey_service.services.operations.test_clock import advance

REPLAY_LENGTH: Final = timedelta(days=30)
"""Time that is replayed with actions; everything before is imported."""
_ROUNDS: Final = (24, 18, 12, 7, 5, 3, 2, 1, 0)
"""Days before the last one on which the clock is advanced to the evening."""
_EVENING: Final = time(17, 30)
_LAST_PAUSE: Final = timedelta(hours=1)


def round_times(start: datetime, zone: ZoneInfo) -> Sequence[datetime]:
    """Returns the times to which the clock is advanced, the last one `REPLAY_LENGTH` after the start."""
    end = start + REPLAY_LENGTH
    last = local_day(end, zone)
    evenings = [instant_of(last - timedelta(days=back), _EVENING, zone) for back in _ROUNDS]
    return [*(at for at in evenings if start < at < end - _LAST_PAUSE), end]


@dataclass(frozen=True)
class MonthReplay:
    """The replay of one company from a time on. `mailer` gets the emails; None: they are only recorded."""

    database: Database
    company_id: int
    business: DemoBusiness
    history: BusinessHistory
    start: datetime
    mailer: Mailer | None
    on_round: Callable[[datetime], None]

    async def prepare(self) -> None:
        """Sets the actions of the stages, and adds the endpoint. Repeatable."""
        actions = self.business.actions
        for stage_key, several in actions.items():
            await set_actions(self.database, self.company_id, stage_key, several, seen=None, by=self._author)
        if not await list_endpoints(self.database, self.company_id):
            await add_endpoint(
                self.database,
                self.company_id,
                url=self.business.endpoint_url,
                events=("customer.at_risk", *ACTION_TYPES),
                description="Customer list of the till; switched off in the demo",
                by=self._author,
            )

    async def run(self, clock: datetime) -> None:
        """Continues from the time of the clock to the end. Every round is repeatable until the clock is advanced."""
        zone = self.business.hours.zone
        times = round_times(self.start, zone)
        desk = FrontDesk(self.database, self.company_id, self.business.staff)
        staff = Staff(self.business.staff, self.business.seed)
        scenes = {times[-3]: desk.before_yesterday, times[-2]: desk.yesterday}
        scenes[times[-1]] = partial(desk.today, times[-1], zone)
        for now, after in zip([self.start, *times], [*times, None], strict=True):
            if now < clock:
                continue
            # Tasks that fall due before the next round are done in time.
            await staff.work(self.database, self.company_id, until=after or now, left=LEFT_TITLES)
            if now in scenes:
                await scenes[now]()
            await self._deliver(desk.refused)
            if after is not None:
                await self._advance(now, after)
                self.on_round(after)
        await self._switch_endpoint_off()

    async def _advance(self, now: datetime, after: datetime) -> None:
        people = [each for each in self.history.people if now < each[0] <= after]
        if people:
            await self.database.run(self.company_id, partial(write_profiles, people=people, now=after))
        zone, currency = self.business.hours.zone, get_currency(self.business.currency)
        lines = self.history.events
        first, end = (bisect_right(lines, at, key=lambda event: event.at) for at in (now, after))
        events = [
            parse_line(orjson.loads(event.line), number, zone, currency=currency).event
            for number, event in enumerate(lines[first:end], 1)
        ]
        if events:
            await ingest_as_occurred(self.database, self.company_id, events, until=after)
        await advance(self.database, self.company_id, after, actor=self._author, timeout_seconds=None)

    async def _deliver(self, refused: set[str]) -> None:
        await publish(self.database, self.company_id)
        if not self.business.keeps_test_clock:
            senders = MessageSenders(DemoMessenger(), DemoMailer(self.mailer, refused))
            await OutboxDispatcher(self.database, senders).drain_company(self.company_id)

    async def _switch_endpoint_off(self) -> None:
        """Disables the endpoint, because its address belongs to nobody."""
        for endpoint in await list_endpoints(self.database, self.company_id):
            if endpoint.is_enabled and endpoint.url == self.business.endpoint_url:
                await change_endpoint(
                    self.database, self.company_id, endpoint.id, {"is_enabled": False}, by=self._author
                )

    @property
    def _author(self) -> Actor:
        return Actor("demo")
