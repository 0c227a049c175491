"""Shared steps of every service that changes journeys: load and hold, work, write."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from journey_service.domain.actions.company_context import Desk
from journey_service.domain.customers.errors import CustomerErasedError
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.records import Entry
from journey_service.domain.journeys.relationship import Cause, Transition
from journey_service.repositories.journeys.relationships import Standing, Writing
from journey_service.repositories.unit_of_work import Work
from journey_service.services.analytics.rollups import count_moves
from journey_service.services.journeys.action_planning import Moved, follow
from journey_service.services.journeys.map_history import Adoptions, adoptions
from journey_service.services.journeys.view import View, view


@dataclass(slots=True)
class Docket:
    """The journeys one transaction works on: those held, those opened, and what will be written.

    `erased` are ids among those asked for whose customers were erased: under them no journey is opened again.
    """

    desk: Desk
    now: datetime
    standings: dict[int, Standing]
    adoptions: Adoptions
    journeys: dict[int, Journey] = field(default_factory=dict)
    erased: frozenset[int] = frozenset()

    def find(self, customer_id: int) -> Journey | None:
        """The journey of a customer who has one."""
        journey = self.journeys.get(customer_id)
        if journey is None and (standing := self.standings.get(customer_id)) is not None:
            journey = self.adoptions.journey(standing.relationship, self.desk.rulebook)
            self.journeys[customer_id] = journey
        return journey

    def open(self, customer_id: int, at: datetime, cause: Cause | None = None) -> Journey:
        """The journey of a customer, begun at `at` if there is none. Raises CustomerErasedError."""
        journey = self.find(customer_id)
        if customer_id in self.erased:
            raise CustomerErasedError(customer_id)
        if journey is None:
            journey = Journey.open(customer_id, self.desk.rulebook, at, cause=cause)
            self.journeys[customer_id] = journey
        return journey

    def view(self, customer_id: int) -> View:
        """The customer as things stand in this transaction."""
        return view(self.desk, self.standings[customer_id], self.now)


async def load(
    work: Work, customer_ids: Iterable[int], *, now: datetime | None = None, only_free: bool = False
) -> Docket:
    """Hold the customers until the transaction ends. `now` defaults to the company's own clock.

    With `only_free`, those whom somebody else holds are left to them.
    """
    desk = await keep_desk(work)
    asked = sorted(set(customer_ids))
    standings, locked_at = await work.relationships.lock(asked, only_free=only_free)
    # Asked after the lock: whoever was erased while it was waited for is known by now.
    erased = await work.tombstones.among(id_ for id_ in asked if id_ not in standings)
    if now is None:
        now = desk.company.clock_at or max(desk.now, locked_at or desk.now)
    return Docket(desk, now, standings, await adoptions(work, desk), erased=frozenset(erased))


async def load_due(work: Work, *, limit: int, without: Collection[int] = ()) -> Docket:
    """Hold customers who are due, the longest first; those whom somebody else holds are left to them."""
    desk = await keep_desk(work)
    standings = await work.relationships.lock_due(desk.now, limit=limit, without=[*without])
    return Docket(desk, desk.now, standings, await adoptions(work, desk))


async def keep_desk(work: Work) -> Desk:
    """The company as this transaction works by it: a test clock is not moved before it ends."""
    desk = await work.companies.desk()
    return desk if desk.company.clock_at is None else await work.companies.keep_clock()


async def write(
    work: Work,
    docket: Docket,
    *,
    as_decided: bool = False,
    runs_actions: bool = True,
    is_history: bool = False,
) -> dict[tuple[int, int], Entry]:
    """Write every journey worked on, with its scores; returns the new ledger entries by (customer, seq).

    What the moves call for is planned with them, if that is to be; of history, only what moves of the last day do.

    Scores are those of the docket's now, or, `as_decided`, of each journey's last decision: what a worker
    that had come in time would have written.
    """
    journeys = docket.journeys
    new = sorted(journeys.keys() - docket.standings.keys())
    is_new = frozenset(new)
    if new:
        await work.customers.ensure(new)
        for customer_id, id_ in zip(new, await work.relationships.new_ids(len(new)), strict=True):
            docket.standings[customer_id] = Standing(
                id_,
                journeys[customer_id].relationship,
                created_at=journeys[customer_id].written[0].transitioned_at,
            )
    writings = []
    for customer_id, journey in journeys.items():
        standing = docket.standings[customer_id]
        facts, policy = journey.relationship.facts, docket.desk.rulebook.policy
        at = (journey.decided_at if as_decided else None) or docket.now
        # Nor are scores that somebody knew later made older: neither this row's nor those of a whole night.
        at = max(at, standing.scored_at or at, docket.desk.company.scored_at or at)
        standing.relationship = journey.relationship
        standing.engagement = scoring.engagement(facts, policy, at)
        standing.risk = scoring.risk(facts, policy, at)
        standing.scored_at = at
        standing.updated_at = docket.desk.clock
        writings.append(
            Writing(
                standing.id,
                journey.relationship,
                facts.lifetime_cents(policy),
                standing.engagement,
                standing.risk,
                at,
                docket.desk.clock,
                standing.created_at if customer_id in is_new else None,
            )
        )
    await work.relationships.write(writings)
    await count_moves(
        work,
        docket.desk,
        {docket.standings[customer_id].id: journey.written for customer_id, journey in journeys.items()},
        new=[docket.standings[customer_id].id for customer_id in new],
    )
    rows: list[tuple[int, Transition]] = [
        (docket.standings[customer_id].id, transition)
        for customer_id, journey in journeys.items()
        for transition in journey.written
    ]
    customers = {docket.standings[customer_id].id: customer_id for customer_id in journeys}
    written = await work.transitions.append(rows)
    owners = await follow(
        work,
        docket.desk,
        [
            Moved(docket.standings[customer_id].id, journey, customer_id in is_new)
            for customer_id, journey in journeys.items()
        ],
        now=docket.now,
        runs_actions=runs_actions,
        is_history=is_history,
    )
    for standing in docket.standings.values():
        standing.owner = owners.get(standing.id, standing.owner)
    return {(customers[relationship_id], seq): entry for (relationship_id, seq), entry in written.items()}
