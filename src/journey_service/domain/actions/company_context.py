"""Context of a company's transactions: its rules, its stage actions, and its current time."""

from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.actions.stage_actions import StageActionMap
from journey_service.domain.companies.records import Company
from journey_service.domain.journeys.relationship import Rulebook


@dataclass(frozen=True, slots=True)
class CompanyContext:
    """Company, rulebook, stage actions and current time of one transaction.

    `now` is the company's time, `clock` the database's: they differ for a company with a test clock.
    """

    company: Company
    rulebook: Rulebook
    now: datetime
    clock: datetime
    stage_actions: StageActionMap
    configured_stages: frozenset[str] = frozenset()
    """Keys of the stages whose actions the company has set itself; the others have the default actions."""
