"""Stages and the stage map, with the look-ups that decisions need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from math import ceil
from typing import Any, Final

from journey_service.domain.companies.currencies import EUR, Currency
from journey_service.domain.stages.rules import Rule

_RECOMMENDED_ACTIVE_STAGES: Final = range(5, 9)
MERGED_STAGE: Final = "merged"
"""Stage of a customer who was merged into another one; no map contains it."""
DEFAULT_CHURN_DAYS: Final = 180
"""Days without an appointment after which a customer counts as churned, if no rule of the company says so."""
INACTIVITY: Final = "days_since_last_appointment"
"""Trigger whose number of days `retention_days` replaces."""


class StageKind(StrEnum):
    """Kind of a stage: progress, or a risk of losing the customer."""

    PROGRESS = "progress"
    RISK = "risk"


@dataclass(frozen=True)
class Stage:
    """One stage of a stage map.

    `order` ranks progress stages by progress and risk stages by severity. `remapped_to` is the stage to which the
    customers of an archived stage were moved.
    """

    key: str
    name: str
    order: int
    kind: StageKind
    rules: tuple[Rule, ...] = ()
    description: str | None = None
    color: str | None = None
    icon: str | None = None
    retention_days: int | None = None
    is_active: bool = True
    remapped_to: str | None = None


@dataclass(frozen=True)
class StageMap:
    """One version of a company's stages, in order. Immutable: a change creates a new version.

    Amounts in conditions are in `currency`.
    """

    version: int
    stages: tuple[Stage, ...]
    currency: Currency = EUR
    compiled_stages: dict[tuple[str, str | None], Any] = field(
        default_factory=dict, compare=False, repr=False
    )
    """Cache of the compiled rules, see `compiled_rules.compile_stage`."""

    @cached_property
    def by_key(self) -> Mapping[str, Stage]:
        """All stages by key, including archived ones."""
        return {stage.key: stage for stage in self.stages}

    @cached_property
    def active(self) -> tuple[Stage, ...]:
        """Active stages, in order."""
        return tuple(stage for stage in self.stages if stage.is_active)

    @cached_property
    def progress(self) -> tuple[Stage, ...]:
        """Active progress stages, lowest first."""
        return tuple(stage for stage in self.active if stage.kind is StageKind.PROGRESS)

    @cached_property
    def progress_descending(self) -> tuple[Stage, ...]:
        """Active progress stages, highest first."""
        return self.progress[::-1]

    @cached_property
    def risk_descending(self) -> tuple[Stage, ...]:
        """Active risk stages, most severe first."""
        return tuple(stage for stage in reversed(self.active) if stage.kind is StageKind.RISK)

    @cached_property
    def mildest_risk(self) -> Stage | None:
        """The risk stage of lowest order: the one whose inactivity rule `retention_days` adjusts."""
        return self.risk_descending[-1] if self.risk_descending else None

    @cached_property
    def triggers(self) -> frozenset[str]:
        """Names of the triggers of all rules of active stages."""
        return frozenset(rule.trigger.name for stage in self.active for rule in stage.rules)

    @cached_property
    def churn_days(self) -> int:
        """Days without an appointment after which a customer counts as churned by the map's own rules.

        The smallest inactivity threshold of the most severe risk stage that has one, else DEFAULT_CHURN_DAYS.
        """
        thresholds = (inactivity_days(stage) for stage in self.risk_descending)
        days = next((days for days in thresholds if days is not None), None)
        return DEFAULT_CHURN_DAYS if days is None else max(ceil(days), 1)

    @property
    def start(self) -> Stage:
        """The stage in which a journey starts: the lowest active progress stage."""
        return self.progress[0]

    def find(self, key: str | None) -> Stage | None:
        """Returns the active stage of a key, following `remapped_to` of archived stages, or None."""
        visited = set()
        while key is not None and key not in visited:
            visited.add(key)
            stage = self.by_key.get(key)
            if stage is None or stage.is_active:
                return stage
            key = stage.remapped_to
        return None

    def is_up(self, from_key: str, to_key: str) -> bool:
        """Returns whether a manual move is one up: to a higher or more severe stage, or into a risk stage.

        A return from a risk stage is none.
        """
        before, stage = self.by_key.get(from_key), self.by_key.get(to_key)
        if before is None or stage is None:
            return False
        if before.kind is stage.kind:
            return stage.order > before.order
        return stage.kind is StageKind.RISK

    def successor(self, key: str) -> Stage | None:
        """Returns the stage for a customer in an archived stage; None if the stage is active or unknown.

        A stage without `remapped_to` had no customers when it was archived. Customers who entered it concurrently
        move to the nearest stage of the same kind, preferably a lower one, or to a progress stage.
        """
        stage = self.by_key.get(key)
        if stage is None or stage.is_active:
            return None
        target = self.find(key)
        if target is not None:
            return target
        candidates = [other for other in self.active if other.kind is stage.kind] or self.progress
        lower = [other for other in candidates if other.order <= stage.order]
        return lower[-1] if lower else candidates[0]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about a valid map."""
        if len(self.active) in _RECOMMENDED_ACTIVE_STAGES:
            return ()
        return (f"the map has {len(self.active)} active stages; 5 to 8 are recommended",)


def inactivity_days(stage: Stage) -> Decimal | None:
    """Returns the smallest number of days in the inactivity conditions of a stage, or None."""
    numbers = [
        condition.number
        for rule in stage.rules
        if rule.trigger.name == INACTIVITY
        for condition in rule.conditions
    ]
    return min(numbers, default=None)
