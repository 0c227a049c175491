"""A business of the demo: what it is, who comes, and how its customers live with it; and its whole history."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Final, TypeAlias

from journey_service.demo.hours import Hours
from journey_service.demo.people import Person, Place, draw_person
from journey_service.demo.story import Moment, Season, Story
from journey_service.services.companies.provisioning import NewCompany

YEARS_TOLD: Final = timedelta(days=731)
_ALREADY_CUSTOMERS: Final = 0.4
"""How many had been coming before the record begins; the others arrive while it is kept."""

Life: TypeAlias = Callable[[Story, date, bool], None]
"""Tells a customer's story from a day on; the last argument says whether they had been coming before."""


@dataclass(frozen=True)
class Business:
    """One company of the demo. `first_weeks` is how long it takes everybody known before to come once."""

    name: str
    timezone: str
    currency: str
    seed: int
    customers: int
    hours: Hours
    place: Place
    arrivals: Season
    first_weeks: int
    live: Life
    stages: Sequence[object] | None = None
    policy: Mapping[str, object] = field(default_factory=dict)

    def as_company(self, company_id: int, test_clock: datetime) -> NewCompany:
        """What an operator would say of it."""
        return NewCompany(
            id=company_id,
            name=self.name,
            timezone=self.timezone,
            currency=self.currency,
            test_clock=test_clock,
            policy=self.policy,
            stages=self.stages,
        )


@dataclass(frozen=True)
class History:
    """Everything that happened at a business, in order, and to whom, by first contact."""

    moments: Sequence[Moment]
    people: Sequence[tuple[datetime, Person]]


def write_history(business: Business, until: datetime) -> History:
    """Two years up to an instant; the same business and instant give the same history, byte by byte."""
    moments: list[Moment] = []
    people: list[tuple[datetime, Person]] = []
    for customer_id in range(1, business.customers + 1):
        # Chance of one's own, so that nobody's story depends on how long somebody else's is.
        random = Random(f"{business.seed}/{customer_id}")  # noqa: S311  # a seeded story, no secret
        person = draw_person(random, business.place, customer_id)
        story = Story(customer_id, business.hours, random, until)
        was_known = story.chance(_ALREADY_CUSTOMERS)
        business.live(story, _arrival(business, story, was_known=was_known), was_known)
        if story.moments:
            moments += story.moments
            people.append((min(story.moments).at, person))
    moments.sort(key=lambda moment: moment[:2])
    people.sort(key=lambda each: (each[0], each[1].customer_id))
    return History(moments, people)


def _arrival(business: Business, story: Story, *, was_known: bool) -> date:
    begin = story.today - YEARS_TOLD
    if was_known:
        return begin + timedelta(days=story.random.randrange(business.first_weeks * 7))
    busiest = max(business.arrivals.months)
    while True:
        day = begin + timedelta(days=story.random.randrange(YEARS_TOLD.days - 1))
        if story.chance(business.arrivals.at(day) / busiest):
            return day
