"""Reasons of a decision: the stages that were evaluated, with the results of their rules and conditions."""

from datetime import datetime
from typing import NamedTuple


class ConditionReason(NamedTuple):
    """A condition with the value that it compared (None: unknown) and its result."""

    field: str
    condition: str
    value: float | int | None
    held: bool


class RuleReason(NamedTuple):
    """A rule with its result."""

    trigger: str
    held: bool
    conditions: tuple[ConditionReason, ...]


class StageReason(NamedTuple):
    """An evaluated stage with the results of its rules.

    `paused_by` is the time of the appointment whose booking keeps the customer out of a risk stage that holds.
    """

    stage: str
    kind: str
    held: bool
    rules: tuple[RuleReason, ...]
    paused_by: datetime | None = None
