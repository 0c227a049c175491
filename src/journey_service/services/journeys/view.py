"""View of a customer's journey with scores as of an instant."""

from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.journeys import scoring
from journey_service.repositories.journeys.relationship_rows import StoredRelationship


@dataclass(slots=True)
class JourneyView:
    """A customer's journey with the company's context, and scores computed as of `as_of`."""

    context: CompanyContext
    stored: StoredRelationship
    as_of: datetime
    engagement: int
    risk: int


def build_view(context: CompanyContext, stored: StoredRelationship, now: datetime) -> JourneyView:
    """Returns a customer's journey with scores computed as of `now`."""
    facts, policy = stored.relationship.facts, context.rulebook.policy
    return JourneyView(
        context,
        stored,
        now,
        scoring.engagement(facts, policy, now),
        scoring.risk(facts, policy, now),
    )
