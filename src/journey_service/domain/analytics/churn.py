"""Churn prediction by the mean length of earlier visits, and the guide's retention actions."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from journey_service.domain.analytics.aggregates import MoveTotals
from journey_service.domain.analytics.risk_bands import CALL_RISK
from journey_service.domain.calendar import local_day
from journey_service.domain.stages.stage_map import StageMap

_OFFER_DAYS: Final = 60
"""Days of inactivity above which the guide recommends an offer."""


class RetentionAction(NamedTuple):
    """Recommendation of the guide for a customer at risk; `short` is its name in the guide's own list."""

    type: str
    priority: str
    description: str
    short: str


_CALL: Final = RetentionAction("personal_call", "high", "Schedule a personal check-in call", "call")
_OFFER: Final = RetentionAction("special_offer", "medium", "Send a special return offer", "offer")
_EMAIL: Final = RetentionAction("email_campaign", "low", "Include in re-engagement email campaign", "email")


def retention_actions(risk: int, days_inactive: int | None) -> list[RetentionAction]:
    """Returns the actions that the guide's three rules recommend."""
    actions = [_CALL] if risk > CALL_RISK else []
    if days_inactive is not None and days_inactive > _OFFER_DAYS:
        actions.append(_OFFER)
    return [*actions, _EMAIL]


class ChurnSample(NamedTuple):
    """Number of visits of a stage that ended in the last risk stage, and their total microseconds."""

    number: int
    duration_micros: int


def churn_samples(stage_map: StageMap, moves: Iterable[MoveTotals]) -> dict[str, ChurnSample]:
    """Returns the visits that ended in the last risk stage, by the visited stage."""
    if not stage_map.risk_descending:
        return {}
    samples: dict[str, ChurnSample] = {}
    for move in moves:
        if move.from_stage is not None and move.to_stage == stage_map.risk_descending[0].key:
            known = samples.get(move.from_stage, ChurnSample(0, 0))
            samples[move.from_stage] = ChurnSample(
                known.number + move.number, known.duration_micros + move.duration_micros
            )
    return {stage: sample for stage, sample in samples.items() if sample.number > 0}


def predicted_churn_date(
    entered: datetime, sample: ChurnSample | None, now: datetime, zone: tzinfo
) -> date | None:
    """Returns the local day on which a visit of mean length ends, never a past day; None without a sample."""
    if sample is None:
        return None
    at = entered + timedelta(microseconds=sample.duration_micros // sample.number)
    return local_day(max(at, now), zone)
