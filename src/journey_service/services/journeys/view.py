"""A customer's journey with scores as of an instant."""

from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.actions.company_context import Desk
from journey_service.domain.journeys import scoring
from journey_service.repositories.journeys.relationships import Standing


@dataclass(slots=True)
class View:
    """A customer as shown: where they stand, in which company's words, with scores computed at `as_of`."""

    desk: Desk
    standing: Standing
    as_of: datetime
    engagement: int
    risk: int


def view(desk: Desk, standing: Standing, now: datetime) -> View:
    """A customer with scores computed at `now`."""
    facts, policy = standing.relationship.facts, desk.rulebook.policy
    return View(
        desk,
        standing,
        now,
        scoring.engagement(facts, policy, now),
        scoring.risk(facts, policy, now),
    )
