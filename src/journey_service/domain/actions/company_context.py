"""The context of a company's transactions: its rules, its stage actions, and its current time."""

from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.actions.stage_actions import StageActionMap
from journey_service.domain.companies.records import Company
from journey_service.domain.journeys.relationship import Rulebook


@dataclass(frozen=True, slots=True)
class CompanyContext:
    """A company as its own transactions see it: what it decides by, and its present instant.

    `now` is the company's time, `clock` the database's: they differ for a company with a test clock. `stage_actions` is what
    its stages do on entry.
    """

    company: Company
    rulebook: Rulebook
    now: datetime
    clock: datetime
    stage_actions: StageActionMap
    configured_stages: frozenset[str] = frozenset()
    """The stages of which the company has said itself what they do."""
