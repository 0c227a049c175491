"""Companies of the demo: their settings and customers, and the generation of their histories."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Final, TypeAlias

from journey_service.demo.hours import OpeningHours
from journey_service.demo.people import DemoPerson, NamePool, draw_person
from journey_service.demo.story import CustomerTimeline, SeasonalDemand, TimedEvent
from journey_service.domain.actions.stage_actions import StageAction
from journey_service.services.companies.provisioning import NewCompany

HISTORY_LENGTH: Final = timedelta(days=731)
_EXISTING_CUSTOMERS_SHARE: Final = 0.4
"""Share of customers who were customers before the start of the history; the others join during it."""

SimulateCustomer: TypeAlias = Callable[[CustomerTimeline, date, bool], None]
"""Generates the events of a customer from a day on. The last argument is True for existing customers."""


@dataclass(frozen=True)
class DemoBusiness:
    """Company of the demo. Every existing customer has the first appointment within the first `first_weeks` weeks.

    `staff` are the people at the front desk, who have the tasks; `actions` are those of the stages, by key. A company
    that `keeps_test_clock` stays on its test clock, for users to advance; the others are released to real time.
    """

    name: str
    timezone: str
    currency: str
    seed: int
    customers: int
    hours: OpeningHours
    names: NamePool
    staff: Sequence[str]
    actions: Mapping[str, Sequence[StageAction]]
    arrivals: SeasonalDemand
    first_weeks: int
    simulate: SimulateCustomer
    stages: Sequence[object] | None = None
    policy: Mapping[str, object] = field(default_factory=dict)
    keeps_test_clock: bool = False

    @property
    def endpoint_url(self) -> str:
        """Address of the company's own system, in a domain reserved for examples."""
        words = unicodedata.normalize("NFKD", self.name.lower()).encode("ascii", "ignore").decode().split()
        return f"https://till.{'-'.join(words)}.example/customers"

    def as_company(self, company_id: int, test_clock: datetime) -> NewCompany:
        """Returns the company as an operator would create it.

        Actions are delivered while the history is replayed, but not once users advance a test clock.
        """
        return NewCompany(
            id=company_id,
            name=self.name,
            timezone=self.timezone,
            currency=self.currency,
            test_clock=test_clock,
            deliver=not self.keeps_test_clock,
            policy=self.policy,
            stages=self.stages,
        )


@dataclass(frozen=True)
class BusinessHistory:
    """Events of a company in order, and its customers by first contact."""

    events: Sequence[TimedEvent]
    people: Sequence[tuple[datetime, DemoPerson]]


def generate_history(business: DemoBusiness, until: datetime) -> BusinessHistory:
    """Returns the history of two years up to a time; the same company and time give identical bytes."""
    events: list[TimedEvent] = []
    people: list[tuple[datetime, DemoPerson]] = []
    for customer_id in range(1, business.customers + 1):
        # One random generator per customer, so that histories do not depend on each other.
        random = Random(f"{business.seed}/{customer_id}")  # noqa: S311  # seeded test data, not a secret
        person = draw_person(random, business.names, customer_id)
        timeline = CustomerTimeline(customer_id, business.hours, random, until)
        is_existing = timeline.chance(_EXISTING_CUSTOMERS_SHARE)
        business.simulate(timeline, _arrival(business, timeline, is_existing=is_existing), is_existing)
        if timeline.events:
            events += timeline.events
            people.append((min(timeline.events).at, person))
    events.sort(key=lambda event: event[:2])
    people.sort(key=lambda each: (each[0], each[1].customer_id))
    return BusinessHistory(events, people)


def _arrival(business: DemoBusiness, timeline: CustomerTimeline, *, is_existing: bool) -> date:
    begin = timeline.today - HISTORY_LENGTH
    if is_existing:
        return begin + timedelta(days=timeline.random.randrange(business.first_weeks * 7))
    busiest = max(business.arrivals.months)
    while True:
        day = begin + timedelta(days=timeline.random.randrange(HISTORY_LENGTH.days - 1))
        if timeline.chance(business.arrivals.at(day) / busiest):
            return day
